"""Cases of attention and its backward pass, against numpy in float64."""

import numpy as np

from emulation import Failure, InOut, Out, U64, close
from products_cases import rounded
from rows_cases import F32, blocks, bounds_of, normal

# Heads, head size, lengths. Ragged, at the borders of tiles, one token alone.
SHAPES = [
    (2, 32, [1, 17, 70, 64, 65]),
    (4, 17, [33, 5]),
    (3, 1, [40]),
    (1, 64, [70, 2, 63]),
    (1, 100, [35, 66]),
    (1, 128, [3, 70]),
    (1, 256, [33, 1]),
]
# Scores of about -130: the exponential of a padded key's score, 0, less that is more than f32 can hold.
SUNK = ((1, 64, [33, 70]), 0.5, (4, -4))


def kernel_size(head_size):
    return next(size for size in (32, 64, 128, 256) if head_size <= size)


def inputs(heads, head_size, lengths, scale=1.0, offsets=(0, 0)):
    """Queries and keys are moved by the offsets: scores become large, or far below 0."""
    hidden = heads * head_size
    qkv = normal(head_size, sum(lengths), 3 * hidden, scale=scale)
    qkv[:, :hidden] += F32(offsets[0])
    qkv[:, hidden : 2 * hidden] += F32(offsets[1])
    return qkv, bounds_of(lengths)


def attend(qkv, bounds, heads, scale):
    """Each sequence's output, weights and log-sum-exp, in float64; [heads, length, ..]."""
    hidden = qkv.shape[1] // 3
    for a, b in zip(bounds, bounds[1:]):
        part = qkv[a:b].astype(np.float64).reshape(b - a, 3, heads, hidden // heads).transpose(1, 2, 0, 3)
        scores = part[0] @ part[1].transpose(0, 2, 1) * scale
        most = scores.max(-1, keepdims=True)
        sums = np.exp(scores - most).sum(-1, keepdims=True)
        weights = np.exp(scores - most) / sums
        yield part, weights, (most + np.log(sums))[..., 0]


def joined(parts):
    """[heads, length, size] of each sequence -> [tokens, heads * size]"""
    return np.concatenate([part.transpose(1, 0, 2).reshape(part.shape[1], -1) for part in parts])


def forward(k, kind, tile_of):
    cases = [(shape, 1.0, (0, 0)) for shape in SHAPES]
    cases += [((2, 32, [70, 9]), 6.0, (0, 0)), ((1, 64, [33, 40]), 1.0, (4, 4)), ((1, 64, [40]), 1e-4, (0, 0)), SUNK]
    for (heads, head_size, lengths), spread, offsets in cases:
        offset = max(offsets)
        qkv, bounds = inputs(heads, head_size, lengths, spread, offsets)
        if spread > 1:
            qkv[:, 2 * heads * head_size :] /= F32(spread)
        hidden, tokens, scale = heads * head_size, int(bounds[-1]), float(F32(head_size**-0.5))
        size = kernel_size(head_size)
        # Rows may lie further apart than they are long, at multiples of four numbers or not.
        more = {1: 3, 64: 2}.get(head_size, 4)
        wide = np.concatenate([qkv, normal(0, tokens, more)], 1)
        args = lambda qkv, bounds, tiles, lse=True: [
            qkv, bounds, Out(bounds[-1], hidden), Out(heads, bounds[-1]) if lse else None, U64(qkv.shape[1]), heads,
            head_size, tiles, int(bounds[-1]), scale]  # fmt: skip
        tiles = blocks(max(lengths), tile_of(size))
        grid = [len(lengths) * heads * tiles]
        out, lse = k.run(f"attention_{kind}_{size}", grid, args(wide, bounds, tiles))
        exact = qkv if kind == "f32" else rounded(qkv, kind)
        found = list(attend(exact, bounds, heads, scale))
        expected = joined([weights @ part[2] for part, weights, _ in found])
        what = f"attention_{kind} {head_size} {lengths}"
        close(lse, np.concatenate([l for *_, l in found], 1), 2e-6, 2e-5 * max(1, offset**2), f"{what} lse")
        if kind == "f32":
            close(out, expected, 1e-5, 1e-5 * max(1, offset**2) * float(np.abs(qkv).max()), what)
        else:
            # Weights are rounded before they multiply values.
            error = (2.0**-8 if kind == "bf16" else 2.0**-11) * joined([w @ np.abs(p[2]) for p, w, _ in found])
            excess = np.abs(out - expected) - error - 1e-4 * np.abs(qkv).max()
            close(np.maximum(excess, 0), np.zeros_like(excess), 0, 0, what)

        # A sequence alone gives the same bits, with and without the log-sum-exp, at every number of tiles.
        if len(lengths) > 1:
            a, b = map(int, bounds[1:3])
            own = wide[a:b].copy()
            alone = k.run(f"attention_{kind}_{size}", [heads * blocks(b - a, tile_of(size))],
                          args(own, bounds_of([b - a]), blocks(b - a, tile_of(size)), False))  # fmt: skip
            if alone.tobytes() != out[a:b].tobytes():
                raise Failure(f"{what}: a sequence alone gives other bits")


def attention(k):
    forward(k, "f32", lambda size: 32 if size == 256 else 64)


def attention_half(k):
    for kind in ("bf16", "f16"):
        forward(k, kind, lambda size: 64)


def backward_of(qkv, dy, bounds, heads, scale):
    """delta [heads, tokens] and dqkv, in float64."""
    deltas, parts = [], []
    for (part, weights, _), a, b in zip(attend(qkv, bounds, heads, scale), bounds, bounds[1:]):
        slope = dy[a:b].astype(np.float64).reshape(b - a, heads, -1).transpose(1, 0, 2)
        delta = (slope * (weights @ part[2])).sum(-1)
        ds = weights * (slope @ part[2].transpose(0, 2, 1) - delta[..., None]) * scale
        dq, dk, dv = ds @ part[1], ds.transpose(0, 2, 1) @ part[0], weights.transpose(0, 2, 1) @ slope
        deltas.append(delta)
        parts.append(np.concatenate([joined([d]) for d in (dq, dk, dv)], 1))
    return np.concatenate(deltas, 1), np.concatenate(parts)


def backward(k, kind, tile_of, delta_of):
    cases = [(shape, 1.0, (0, 0)) for shape in SHAPES if kind == "f32" or shape[1] <= 128]
    for (heads, head_size, lengths), spread, offsets in [*cases, SUNK]:
        qkv, bounds = inputs(heads, head_size, lengths, spread, offsets)
        hidden, tokens, scale = heads * head_size, int(bounds[-1]), float(F32(head_size**-0.5))
        dy, size = normal(99, tokens, hidden), kernel_size(head_size)
        if kind != "f32":
            qkv, dy = rounded(qkv, kind), rounded(dy, kind)
        found = list(attend(qkv, bounds, heads, scale))
        lse = np.concatenate([l for *_, l in found], 1).astype(F32)
        y = joined([weights @ part[2] for part, weights, _ in found]).astype(F32)
        delta, expected = backward_of(qkv, dy, bounds, heads, scale)
        delta = delta_of(y, dy, delta, heads)
        tiles = blocks(max(lengths), tile_of(size))
        grid = [len(lengths) * heads * tiles]
        # Each pass writes its own columns.
        marked = np.full((tokens, 3 * hidden), 7, F32)
        args = [qkv, dy, lse, delta, bounds, InOut(marked), heads, head_size, tiles, tokens, scale]
        queries = k.run(f"attention_backward_queries_{kind}_{size}", grid, args)
        keys = k.run(f"attention_backward_keys_{kind}_{size}", grid, args)
        what = f"backward {kind} {head_size} {lengths}"
        close(queries[:, hidden:], marked[:, hidden:], 0, 0, f"{what}: columns of the other pass")
        close(keys[:, :hidden], marked[:, :hidden], 0, 0, f"{what}: columns of the other pass")
        for name, columns, result in (("queries", slice(hidden), queries), ("keys", slice(hidden, 2 * hidden), keys),
                                      ("values", slice(2 * hidden, None), keys)):  # fmt: skip
            # bf16: slopes are rounded to 2^-9, and add up to 0 before they meet keys. Far scores lose more.
            tolerance = (1e-4 if kind == "f32" else 0.03) * (10 if offsets[0] else 1)
            typical = np.sqrt((expected[:, columns] ** 2).mean()) + 1e-6
            close(result[:, columns], expected[:, columns], tolerance, tolerance * typical, f"{what} {name}")


def attention_backward(k):
    def delta_of(y, dy, delta, heads):
        tokens, hidden = y.shape
        args = [y, dy, Out(heads, tokens), heads, hidden // heads, tokens]
        computed = k.run("attention_delta", [blocks(tokens * heads, 8)], args)
        close(computed, delta, 1e-5, 1e-5, "delta")
        return computed

    backward(k, "f32", {32: 64, 64: 64, 128: 32, 256: 16}.get, delta_of)


def attention_backward_half(k):
    backward(k, "bf16", lambda size: 64, lambda y, dy, delta, heads: delta.astype(F32))


FILES = {"attention": attention, "attention_half": attention_half, "attention_backward": attention_backward,
         "attention_backward_half": attention_backward_half}  # fmt: skip
