"""Cases of kernels that multiply matrices, and of what comes before and after them."""

import numpy as np

from emulation import Failure, InOut, Out, U64, View, close
from rows_cases import ACTIVATIONS, F32, SPECIAL, blocks, normal


def rounded(x, kind):
    """Rounded to bf16 or f16, as f32."""
    if kind == "f16":
        return x.astype(np.float16).astype(F32)
    bits = np.ascontiguousarray(x, F32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return bits.astype(np.uint32).view(F32)


def stored(x, kind, pitch):
    """Rows of 16-bit floats as linear.cu reads them."""
    rows = np.zeros((len(x), pitch // 2), np.uint16)
    half = x.astype(np.float16).view(np.uint16) if kind == "f16" else (rounded(x, kind).view(np.uint32) >> 16)
    rows[:, : x.shape[1]] = half
    return rows


def matmul(k):
    a4, b4 = normal(1, 2, 3, 70, 36), normal(2, 2, 3, 36, 65)
    x, w = normal(3, 33, 384), normal(4, 130, 384)
    pairs = [(a4, a4, b4, b4), (a4, a4[:, :1, :1], b4, b4[:, :1, :, :1]), (x, x, w, w.T), (w, w[:, ::3], x, x[:, ::3].T)]
    small = normal(5, 5, 4)
    shared = np.broadcast_to(b4[:1, :1], (2, 3, 36, 65))
    pairs += [(a4, a4, b4, shared), (small, small.T, small, small), (a4, a4.transpose(0, 1, 3, 2), a4, a4)]
    for a_base, a, b_base, b in pairs:
        a_view, b_view = View(a, a_base), View(b, b_base)
        m, n = a.shape[-2], b.shape[-1]
        batch = a.size // a.shape[-2] // a.shape[-1]
        bias = normal(6, n)
        product = a.astype(np.float64) @ b.astype(np.float64)
        of_tiles = []
        for tile in (64, 128):
            args = [a_base, b_base, None, Out(*a.shape[:-1], n), a_view, b_view, 0]
            of_tiles.append(k.run(f"matmul_{tile}", [batch * blocks(m, tile) * blocks(n, tile)], args))
            close(of_tiles[-1], product, 1e-5, 1e-4, f"matmul_{tile}")
        if of_tiles[0].tobytes() != of_tiles[1].tobytes():
            raise Failure("another tile gave other bits")
    for activation, function in enumerate(ACTIVATIONS):
        args = [a_base, b_base, bias, Out(*a.shape[:-1], n), a_view, b_view, activation]
        out = k.run("matmul_64", [batch * blocks(m, 64) * blocks(n, 64)], args)
        close(out, function(product + bias), 1e-5, 2e-4, "activation")


def linear(k):
    shapes = [(1, 32, 1), (5, 36, 70), (70, 384, 65), (130, 100, 33)]
    for kind in ("bf16", "f16", "int8"):
        for rows, inputs, outputs in shapes:
            pitch = blocks(inputs * (1 if kind == "int8" else 2), 64) * 64
            if kind == "int8":
                x, w = (np.random.default_rng(i).integers(-127, 128, (n, inputs)) for i, n in ((7, rows), (8, outputs)))
                steps = [np.abs(normal(9, rows)), np.abs(normal(10, outputs, scale=0.01))]
                packed = [np.pad(m.astype(np.int8), ((0, 0), (0, pitch - inputs))) for m in (x, w)]
                product = (x @ w.T) * steps[0].astype(np.float64)[:, None] * steps[1]
            else:
                x, w = rounded(normal(7, rows, inputs), kind), rounded(normal(8, outputs, inputs), kind)
                steps = [None, None]
                packed = [stored(m, kind, pitch) for m in (x, w)]
                product = x.astype(np.float64) @ w.T
            of_tiles = []
            for tile in (64, 128):
                activation = (tile // 64 + rows) % 5
                for bias, act in ((None, 0), (normal(11, outputs), activation)):
                    args = [*packed, *steps, bias, Out(rows, outputs), rows, outputs, pitch, act]
                    grid = [blocks(rows, tile), blocks(outputs, tile)]
                    out = k.run(f"linear_{kind}_{tile}", grid, args, aligned=True)
                    expected = product if bias is None else ACTIVATIONS[act](product + bias)
                    close(out, expected, 1e-5, 1e-4, f"linear_{kind}_{tile}")
                    if bias is None:
                        of_tiles.append(out.tobytes())
            if of_tiles[0] != of_tiles[1]:
                raise Failure("another tile gave other bits")


def quantise(k):
    for rows, columns in ((1, 1), (6, 36), (5, 70), (2, 384)):
        x = normal(12, rows, 2 * columns)
        for row, scale in enumerate([1, 1e30, 1e-30, 1e-38, 0][:rows]):
            x[row] *= F32(scale)
        view = x[:, ::2]
        if rows == 5:
            view[4, :4] = [np.inf, -np.inf, 1, -1]
        for kind in ("bf16", "f16"):
            pitch = blocks(columns * 2, 64) * 64
            args = [x, Out(rows, pitch // 2, dtype=np.uint16), None, U64(2 * columns), U64(2), columns, pitch]
            out = k.run(f"round_rows_{kind}", [rows], args)
            if out.tobytes() != stored(view, kind, pitch).tobytes():
                raise Failure(f"round_rows_{kind}: other bits")
        pitch = blocks(columns, 64) * 64
        args = [x, Out(rows, pitch, dtype=np.int8), Out(rows), U64(2 * columns), U64(2), columns, pitch]
        out, steps = k.run("quantise_rows", [rows], args)
        largest = np.abs(view).max(1)
        close(steps, np.where(largest < 1.5e-36, 0, largest / F32(127)), 2e-7, 0, "steps")
        finite = np.isfinite(steps)
        values = out[:, :columns] * steps.astype(np.float64)[:, None]
        close(values[finite], view[finite], 0, np.maximum(steps, 1.5e-36)[finite][:, None] * 0.50001, "levels")
        if out[:, columns:].any() or (np.abs(out[finite].astype(int)).max(1) != np.where(steps[finite] > 0, 127, 0)).any():
            raise Failure("padding, or levels that are not used")


def epilogue(k):
    for rows, columns in ((1, 1), (6, 300)):
        x, bias = normal(13, rows, columns, scale=3), normal(14, columns)
        whole = np.random.default_rng(15).integers(-(2**20), 2**20, (rows, columns)).astype(np.int32)
        steps = [np.abs(normal(16, rows)), np.abs(normal(17, columns, scale=1e-5))]
        scaled = whole * steps[0].astype(np.float64)[:, None] * steps[1]
        for activation, function in enumerate(ACTIVATIONS):
            for add in (bias, None):
                more = 0 if add is None else add
                out = k.run("bias_activation", [rows], [InOut(x), add, None, None, columns, activation])
                close(out, function(x + np.float64(more)), 2e-6, 2e-6, "bias_activation")
                out = k.run("scale_bias_activation", [rows], [InOut(whole), add, *steps, columns, activation])
                close(out.view(F32), function(scaled + more), 2e-6, 1e-5, "scale_bias_activation")
    x = np.concatenate([normal(18, 300, scale=2), SPECIAL[np.abs(SPECIAL) < 1e20]])
    dy, step = normal(19, x.size), 1e-4
    for activation, function in enumerate(ACTIVATIONS):
        slope = (function(x + np.float64(step)) - function(x - np.float64(step))) / (2 * step)
        away = (np.abs(x) > 2 * step) | (activation != 3)  # ReLU has no slope at 0
        out = k.run("activation_backward", [blocks(x.size, 256)], [x, dy, Out(x.size), x.size, activation])
        close(out[away], (dy * slope)[away], 1e-5, 1e-5, f"activation_backward {activation}")


FILES = {"matmul": matmul, "linear": linear, "quantise": quantise, "epilogue": epilogue}
