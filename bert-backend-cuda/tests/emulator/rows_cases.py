"""Cases of kernels that work on elements and rows, each against numpy in float64."""

import math
import struct

import numpy as np

from emulation import InOut, Out, Pointers, U64, View, close

F32 = np.float32
erf = np.vectorize(math.erf)
erfc = np.vectorize(math.erfc)


def normal(seed, *shape, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(F32)


def ids(seed, most, *shape):
    return np.random.default_rng(seed).integers(0, most, shape).astype(np.uint32)


def blocks(length, block):
    return -(-length // block)


def views():
    """Arrays and views of them: dense, transposed, sliced, broadcast, of every rank."""
    dense = normal(1, 3, 5, 7, 11)
    yield dense, dense
    yield dense, dense.transpose(3, 1, 0, 2)
    yield dense, dense[1:, ::2, 2:5, 3:9]
    matrix = normal(2, 36, 70)
    yield matrix, matrix.T
    yield matrix, matrix[3:20, 5:6]
    yield matrix, np.broadcast_to(matrix[4:5, :], (9, 70))
    yield matrix, matrix[2, 1:2]


SPECIAL = np.array([0, -0.0, 1e-40, -1e-30, 1e-3, 0.5, -0.7, 3, -5, 14, -14, 20, -20, 90, -104, 1e30, -1e30, np.inf,
                    -np.inf, np.nan, 1, -1], F32)  # fmt: skip


def phi(x):
    return 0.5 * erfc(-x / math.sqrt(2))


def gelu(x):
    return np.where(np.isneginf(x), 0.0, x * phi(x))


def gelu_tanh(x):
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return np.where(np.isneginf(x), 0.0, x / (1 + np.exp(-2 * u)))


def relu(x):
    return np.where(np.isnan(x), x, np.maximum(x, 0))


ACTIVATIONS = [lambda x: x, gelu, gelu_tanh, relu, np.tanh]
FUNCTIONS = {
    "copy": lambda x, _: x, "scale": lambda x, o: x * o, "offset": lambda x, o: x + o, "exp": lambda x, _: np.exp(x),
    "log": lambda x, _: np.log(x), "sqrt": lambda x, _: np.sqrt(x), "reciprocal": lambda x, _: 1 / x,
    "tanh": lambda x, _: np.tanh(x), "sigmoid": lambda x, _: 1 / (1 + np.exp(-x)), "relu": lambda x, _: relu(x),
    "gelu": lambda x, _: gelu(x), "gelu_tanh": lambda x, _: gelu_tanh(x),
}  # fmt: skip


def elementwise(k):
    for name, function in FUNCTIONS.items():
        arrays = list(views()) if name in ("copy", "scale") else [(normal(3, 300), None)]
        for base, view in [*arrays, (SPECIAL, None)]:
            view = base if view is None else view
            out = k.run(f"map_{name}", [blocks(view.size, 256)], [base, Out(*view.shape), View(view, base), view.size, 1.7])
            expected = function(view.astype(np.float64), np.float64(F32(1.7))).astype(F32)
            close(out, expected, 3e-6 if name == "gelu_tanh" else 6e-7, 1e-38, name)
    numbers = np.array([0, 1, 7, 2**31, 2**32 - 1], np.uint32)
    args = lambda x, dtype: [x, Out(x.size, dtype=dtype), View(x, x), x.size, 0.0]
    close(k.run("map_to_float", [1], args(numbers, F32)), numbers.astype(F32), 0)
    floats = np.array([0, -3, 0.9, 2.5, 1e9, 5e9, np.nan], F32)
    close(k.run("map_to_unsigned", [1], args(floats, np.uint32)), [0, 0, 0, 2, 10**9, 2**32 - 1, 0], 0)
    zips = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum}
    for name, function in zips.items():
        other = normal(4, 5, 7, 11)
        for base, view in views():
            b = np.resize(other, view.shape)
            a_view, b_view = View(view, base), View(b, b)
            out = k.run(f"zip_{name}", [blocks(view.size, 256)], [base, b, Out(*view.shape), a_view, b_view, view.size])
            close(out, function(view.astype(np.float64), b.astype(np.float64)), 2e-7, 0, name)
        pairs = [np.repeat(SPECIAL, SPECIAL.size), np.tile(SPECIAL, SPECIAL.size)]
        out = k.run(f"zip_{name}", [2], [*pairs, Out(pairs[0].size), View(pairs[0], pairs[0]), View(pairs[1], pairs[1]), pairs[0].size])  # fmt: skip
        close(out, function(*pairs), 2e-7, 1e-38, name)


def reduce(k):
    cases = [*views(), *((x, x) for x in (normal(5, 2, 1025), normal(6, 9, 33), normal(7, 3, 300, scale=1e18)))]
    nan = normal(8, 4, 40)
    nan[2, 17] = np.nan
    nan[3, :] = -np.inf
    for base, view in [*cases, (nan, nan)]:
        rows = view.size // view.shape[-1]
        for length, grid in (("short", blocks(rows, 8)), ("long", rows)):
            for op, function in (("sum", np.sum), ("max", np.max)):
                out = k.run(f"reduce_{op}_{length}", [grid], [base, Out(rows), View(view, base), rows])
                expected = function(view.astype(np.float64), axis=-1).reshape(rows)
                size = np.abs(view).max() if np.isfinite(view).all() else 1
                close(out, expected, 1e-6, float(size) * 1e-5 if op == "sum" else 0, f"{op} {length}")
    for rows, columns in ((1, 1), (64, 36), (65, 300), (130, 257)):
        x = normal(rows, rows, columns + 3)
        out = k.run("column_sums", [blocks(rows, 64), blocks(columns, 256)],
                    [x, Out(blocks(rows, 64), columns), U64(columns + 3), rows, columns])  # fmt: skip
        parts = [x[i : i + 64, :columns].astype(np.float64).sum(0) for i in range(0, rows, 64)]
        close(out, parts, 1e-6, 2e-5, "column_sums")


def gather(k):
    table, indices = normal(9, 30, 2 * 36), ids(10, 30, 2 * 17)
    for view, index in ((table[:, :36], indices[:17]), (table[:, ::2], indices[::2]), (table.T[:30, :25], indices[:17])):
        row, column = (stride // 4 for stride in view.strides)
        out = k.run("gather_rows", [index.size], [table, indices, Out(index.size, view.shape[1]), U64(row), U64(column),
                                                  U64(index.strides[0] // 4), view.shape[1]])  # fmt: skip
        close(out, view[index], 0)


def scatter_rows(k):
    for count, rows, columns in ((1, 1, 1), (70, 2, 36), (40, 50, 129), (33, 5, 384)):
        x, of, start = normal(11, count, columns + 1), ids(12, rows, count), normal(13, rows, columns)
        order = np.argsort(of, kind="stable").astype(np.uint32)
        out = k.run("scatter_rows", [count, blocks(columns, 128)],
                    [x, order, of[order], InOut(start), U64(columns + 1), count, columns])  # fmt: skip
        expected = start.astype(np.float64)
        np.add.at(expected, of, x[:, :columns].astype(np.float64))
        close(out, expected, 1e-6, 2e-5, "scatter_rows")


def normalised(x, weight, bias, eps):
    x = x.astype(np.float64)
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * weight + bias


def hard_rows(seed, rows, hidden):
    """Rows of many kinds: far from 0, tiny, huge, constant."""
    x = normal(seed, rows, hidden)
    for row, (scale, offset) in enumerate([(1, 0), (1, 1000), (1e-4, 0), (1e8, 0), (0, 3), (1, -50)][:rows]):
        x[row] = x[row] * scale + offset
    return x


def norm(k):
    for rows, hidden in ((1, 1), (6, 36), (7, 384), (2, 1000)):
        x, residual = hard_rows(14, rows, hidden), normal(15, rows, hidden + 5)
        weight, bias = normal(16, hidden), normal(17, hidden)
        wide = np.concatenate([x, x], 1)
        tail = lambda out, sum, strides: [weight, bias, out, sum, *map(U64, strides), hidden, 1e-12]
        out = k.run("layer_norm", [rows], [wide, None, *tail(Out(rows, hidden), None, (2 * hidden, 0))], 4 * hidden)
        close(out, normalised(x, weight, bias, 1e-12), 1e-5, 4e-4 if hidden > 1 else 1, "layer_norm")
        sum = x + residual[:, :hidden]
        out, kept = k.run("add_layer_norm", [rows],
                          [x, residual, *tail(Out(rows, hidden), Out(rows, hidden), (hidden, hidden + 5))], 4 * hidden)  # fmt: skip
        close(kept, sum, 0)
        close(out, normalised(sum, weight, bias, 1e-12), 1e-5, 4e-4, "add_layer_norm")
        k.run("add_layer_norm", [rows], [x, residual, *tail(Out(rows, hidden), None, (hidden, hidden + 5))], 4 * hidden)


def embed(k):
    for tokens, hidden in ((1, 36), (19, 384)):
        word, types, position = normal(18, 50, hidden + 4), normal(19, 2, hidden), normal(20, 30, hidden + 8)
        weight, bias = normal(21, hidden), normal(22, hidden)
        index = [ids(23, 50, tokens), ids(24, 2, tokens), ids(25, 30, tokens)]
        for typed in (True, False):
            out, kept = k.run("embed", [tokens],
                [word, types if typed else None, position, *index, weight, bias, Out(tokens, hidden), Out(tokens, hidden),
                 U64(hidden + 4), U64(hidden), U64(hidden + 8), hidden, 1e-12], 4 * hidden)  # fmt: skip
            first = word[index[0], :hidden]
            sum = (first + types[index[1]] if typed else first) + position[index[2], :hidden]
            close(kept, sum, 0)
            close(out, normalised(sum, weight, bias, 1e-12), 1e-5, 2e-5, "embed")


def norm_backward(k):
    for rows, hidden in ((1, 36), (33, 36), (40, 300)):
        x, dy, weight = normal(26, rows, hidden) + F32(5), normal(27, rows, hidden), normal(28, hidden)
        parts = blocks(rows, 32)
        dx, weight_parts, bias_parts = k.run("layer_norm_backward", [parts],
            [x, weight, dy, Out(rows, hidden), Out(parts, hidden), Out(parts, hidden), rows, hidden, 1e-12],
            16 * hidden)  # fmt: skip
        x64 = x.astype(np.float64)
        centred = x64 - x64.mean(1, keepdims=True)
        deviation = 1 / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-12)
        n, g = centred * deviation, dy.astype(np.float64) * weight
        expected = deviation * (g - g.mean(1, keepdims=True) - n * (g * n).mean(1, keepdims=True))
        close(dx, expected, 1e-5, 1e-5, "dx")
        close(weight_parts.astype(np.float64).sum(0), (dy * n).sum(0), 1e-5, 5e-5, "dweight")
        close(bias_parts.astype(np.float64).sum(0), dy.astype(np.float64).sum(0), 1e-5, 2e-5, "dbias")


def softmax_of(x):
    x = x.astype(np.float64)
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def softmax(k):
    peaked = normal(29, 3, 600, scale=100)
    for base, view in [*views(), (peaked, peaked), (peaked + F32(1e4), peaked + F32(1e4))]:
        base = view if base.base is None and base is not view and view.base is None else base
        out = k.run("softmax", [view.size // view.shape[-1]], [base, Out(*view.shape), View(view, base)])
        close(out, softmax_of(view), 3e-6, 1e-9, "softmax")


LENGTHS = [1, 2, 17, 70, 33]


def bounds_of(lengths):
    return np.cumsum([0, *lengths]).astype(np.uint32)


def pool(k):
    bounds = bounds_of(LENGTHS)
    for hidden in (1, 36, 384):
        x = normal(30, bounds[-1], hidden + 2)
        kinds = {"cls": lambda s: s[0], "mean": lambda s: s.mean(0), "max": lambda s: s.max(0),
                 "mean_sqrt_length": lambda s: s.sum(0) / math.sqrt(len(s))}  # fmt: skip
        for kind, function in kinds.items():
            out = k.run(f"pool_{kind}", [len(LENGTHS), blocks(hidden, 128)],
                        [x, bounds, Out(len(LENGTHS), hidden), U64(hidden + 2), hidden])  # fmt: skip
            rows = [x[a:b, :hidden].astype(np.float64) for a, b in zip(bounds, bounds[1:])]
            close(out, [function(r) for r in rows], 1e-6, 1e-6, kind)


def cross_entropy(k):
    for rows, classes, scale in ((1, 2, 1.0), (5, 36, 30.0), (3, 1000, 1.0)):
        logits, labels = normal(31, rows, classes + 1, scale=scale), ids(32, classes, rows)
        labels[-1] = 0xFFFFFFFF if rows > 1 else labels[-1]
        args = lambda x: [x, labels, Out(rows), U64(classes + 1), classes, 0.25]
        losses = k.run("cross_entropy", [rows], args(logits))
        weights = softmax_of(logits[:, :classes])
        kept = labels != 0xFFFFFFFF
        label = np.where(kept, labels, 0)
        expected = np.where(kept, -np.log(weights[np.arange(rows), label]), 0)
        close(losses, expected, 1e-6, 2e-6 * scale, "loss")
        changed, again = k.run("cross_entropy_gradient", [rows], args(InOut(logits)))
        close(again, losses, 0)
        weights[np.arange(rows), label] -= 1
        close(changed[:, :classes], 0.25 * weights * kept[:, None], 2e-6, 1e-7, "gradient")
        close(changed[:, classes], logits[:, classes], 0)


def adamw(k):
    lengths, decays = [1, 36, 4096, 4097, 9000], [0.0, 0.01, 0.1, 0.0, 0.01]
    arrays = [InOut(normal(33 + i, n)) for i, n in enumerate(n for n in lengths for _ in range(4))]
    for i in range(len(lengths)):
        arrays[4 * i + 2].value *= i % 2  # parameters at their first step, and at a later one
        arrays[4 * i + 3].value = np.abs(arrays[4 * i + 3].value) * F32(i % 2)
    counts = [blocks(n, 4096) for n in lengths]
    firsts = np.cumsum([0, *counts])

    def table(at):
        rows = (struct.pack("@4PQIf", *at[4 * i : 4 * i + 4], n, firsts[i], decays[i]) for i, n in enumerate(lengths))
        return b"".join(rows)

    spans = Pointers(arrays, table)
    rate, beta1, beta2, eps, step = 0.01, 0.9, 0.999, 1e-8, 3
    corrections = 1 / (1 - beta1**step), 1 / (1 - beta2**step)
    results = k.run("adamw", [firsts[-1]],
                    [spans, np.array([0.5], F32), len(lengths), rate, beta1, beta2, 1 - beta1, 1 - beta2, eps, *corrections])  # fmt: skip
    for i, decay in enumerate(decays):
        p, g, m, v = (arrays[4 * i + j].value.astype(np.float64) for j in range(4))
        g = g * 0.5
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        p = p - rate * (m * corrections[0] / (np.sqrt(v * corrections[1]) + eps) + decay * p)
        for actual, expected in zip(results[4 * i : 4 * i + 4], (p, None, m, v)):
            if expected is not None:
                close(actual, expected, 2e-6, 1e-6 if expected is p else 1e-7, "adamw")
    *_, squares = k.run("gradient_squares", [firsts[-1]], [spans, Out(firsts[-1]), len(lengths)])
    close(squares.sum(), sum((arrays[4 * i + 1].value.astype(np.float64) ** 2).sum() for i in range(len(lengths))), 1e-5)
    for square, most in ((4.0, 1.0), (4.0, 3.0)):
        clip, length = k.run("clip_factor", [1], [np.array([square], F32), Out(1), Out(1), most])
        close([*clip, *length], [min(1.0, most / 2), 2.0], 1e-7)


FILES = {name: globals()[name] for name in ("elementwise", "reduce", "gather", "scatter_rows", "norm", "embed",
         "norm_backward", "softmax", "pool", "cross_entropy", "adamw")}  # fmt: skip
