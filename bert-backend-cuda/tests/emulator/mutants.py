"""Small changes to the kernels, each of them a bug. The cases must catch every one.

Barriers are taken away one by one, wherever they are; the other changes are written down here: the file, what is
changed, into what, and which kernels to run where the file is a header."""

import re
from dataclasses import dataclass

from emulation import KERNELS


@dataclass
class Mutant:
    file: str
    old: str
    new: str
    runs: str = ""  # kernels/RUNS.cu; the file itself if empty
    occurrence: int = 0

    def changed(self):
        """The text of the file with the change."""
        text = (KERNELS / self.file).read_text()
        places = [match.start() for match in re.finditer(re.escape(self.old), text)]
        if self.occurrence >= len(places):
            raise ValueError(f"{self.file} has no {self.old!r} number {self.occurrence}")
        at = places[self.occurrence]
        return text[:at] + self.new + text[at + len(self.old) :]

    def kernels(self):
        return self.runs or self.file.removesuffix(".cu")

    def line(self):
        text = (KERNELS / self.file).read_text()
        at = [match.start() for match in re.finditer(re.escape(self.old), text)][self.occurrence]
        return text.count("\n", 0, at) + 1

    def __str__(self):
        short = lambda code: code if len(code) <= 40 else code[:37] + "..."
        what = f"{short(self.old)} -> {short(self.new) or 'nothing'}"
        return f"{self.file}:{self.line()}: {what}"


def barriers():
    runs = {"common.cuh": "softmax"}
    for path in sorted(KERNELS.glob("*.cu*")):
        if path.name == "device.cuh":
            continue
        for index in range(path.read_text().count("__syncthreads();")):
            yield Mutant(path.name, "__syncthreads();", ";", runs.get(path.name, ""), index)


WRITTEN = [
    # Threads that part where all have to meet.
    Mutant("reduce.cu", "row >= args.rows", "row + threadIdx.x % 2 >= args.rows"),
    Mutant("softmax.cu", "float scale = 1.0f", "if (threadIdx.x % 2) return; float scale = 1.0f"),
    Mutant("attention.cu", "__syncthreads();", "if (threadIdx.x < 64) __syncthreads();"),
    Mutant("attention_half.cu", "add_weighted<Half>", "if (threadIdx.x % 2) add_weighted<Half>"),
    Mutant("linear.cu", "if (step < steps) {", "if (step < steps + 1) {"),
    # Views and loads.
    Mutant("common.cuh", "index /= view.shape[axis];", "index /= view.shape[axis - 1];", "elementwise"),
    Mutant("common.cuh", "u64 place = view.offset;", "u64 place = 0;", "reduce"),
    Mutant("common.cuh", "return place + index * view.strides[0];", "return place;", "elementwise"),
    Mutant("common.cuh", "row * view.shape[3]", "row", "reduce"),
    Mutant("common.cuh", "reinterpret_cast<u64>(from) % 16 == 0 &&", "", "attention"),
    Mutant("common.cuh", "stride % 4 == 0 && length % 4 == 0", "length % 4 == 0", "attention"),
    Mutant("common.cuh", "stride % 4 == 0 && length % 4 == 0", "stride % 4 == 0", "attention"),
    Mutant("common.cuh", "first + row < end && column < length", "column < length", "attention"),
    Mutant("common.cuh", "first + row < end && column < length", "first + row < end", "attention_half"),
    Mutant("common.cuh", "inside = first + row < end &&", "inside =", "attention_half"),
    Mutant("common.cuh", "&& column + part < length", "", "attention"),
    # Reductions.
    Mutant("common.cuh", "mask = LANES / 2", "mask = LANES / 4", "softmax"),
    Mutant("common.cuh", "mask > 0; mask /= 2", "mask > 1; mask /= 2", "reduce"),
    Mutant("common.cuh", "warp < THREADS / WARP; warp++", "warp < THREADS / WARP - 1; warp++", "reduce"),
    Mutant("common.cuh", "partials[threadIdx.x / WARP] = value", "partials[threadIdx.x % WARP] = value", "reduce"),
    Mutant("common.cuh", "a >= b || is_nan(a)", "a >= b", "reduce"),
    Mutant("common.cuh", "float_of(0xff800000)", "0.0f", "reduce"),
    Mutant("reduce.cu", "i * args.view.strides[3]", "i"),
    Mutant("reduce.cu", "i * args.view.strides[3]", "i", occurrence=1),
    Mutant("reduce.cu", "if (row >= args.rows) {", "if (row > args.rows) {"),
    Mutant("reduce.cu", "min(first + CHUNK, args.rows)", "first + CHUNK"),
    # Element by element.
    Mutant("elementwise.cu", "if (index < args.length) {", "if (index <= args.length) {"),
    Mutant("elementwise.cu", "args.b[place(args.b_view, index)]", "args.b[place(args.a_view, index)]"),
    Mutant("math.cuh", "x < -15.0f ? -0.0f : x * normcdff(x)", "x * normcdff(x)", "elementwise"),
    Mutant("math.cuh", "x * normcdff(x)", "x / (1.0f + expf(-1.5957691f * (x + 0.044715f * x * x * x)))", "elementwise"),
    Mutant("math.cuh", "+ x * density", "", "epilogue"),
    Mutant("math.cuh", "x > 0.0f || is_nan(x) ? x : 0.0f", "fmaxf(x, 0.0f)", "elementwise"),
    # Rows.
    Mutant("gather.cu", "* args.index_stride", ""),
    Mutant("gather.cu", "column * args.column_stride", "column"),
    Mutant("scatter_rows.cu", "args.ids[first - 1] == id", "false"),
    Mutant("scatter_rows.cu", "i < args.count && ", ""),
    Mutant("scatter_rows.cu", "args.order[i]", "i"),
    Mutant("scatter_rows.cu", "+= sum", "= sum"),
    Mutant("row_norm.cuh", "row[i] - result.mean", "row[i]", "norm"),
    Mutant("row_norm.cuh", "squares / length + eps", "squares / length", "norm"),
    Mutant("norm.cu", "if (ADD && args.sum) {", "if (ADD) {"),
    Mutant("norm.cu", "blockIdx.x * args.residual_stride", "blockIdx.x * args.hidden"),
    Mutant("embed.cu", "word[i] + type[i]", "word[i]"),
    Mutant("embed.cu", "args.positions[token]", "token"),
    Mutant("norm_backward.cu", "- normal * mean_product", ""),
    Mutant("norm_backward.cu", "min(first + CHUNK, args.rows)", "first + CHUNK"),
    Mutant("softmax.cu", "- largest", ""),
    Mutant("softmax.cu", "out[i] *= scale", "out[i] *= 1.0f"),
    Mutant("pool.cu", "args.bounds[blockIdx.x + 1]", "args.bounds[blockIdx.x + 1] - 1"),
    Mutant("pool.cu", "row = start + 1", "row = start"),
    Mutant("cross_entropy.cu", "(row[label] - largest)", "row[label]"),
    Mutant("cross_entropy.cu", "i == label ? weight - 1.0f : weight", "weight"),
    Mutant("cross_entropy.cu", "label == IGNORED ? 0.0f : logf(sum)", "logf(sum)"),
    Mutant("adamw.cu", "i < span.length; i += THREADS", "i <= span.length; i += THREADS"),
    Mutant("adamw.cu", "<= blockIdx.x", "< blockIdx.x"),
    Mutant("adamw.cu", "* args.correction2", ""),
    Mutant("adamw.cu", "+ span.decay * span.parameter[i]", ""),
    # Products.
    Mutant("matmul.cu", "first + along < along_end && k_start + k < k_end", "first + along < along_end"),
    Mutant("matmul.cu", "first + along < along_end && k_start + k < k_end", "k_start + k < k_end"),
    Mutant("matmul.cu", "b1 * bs[1]", "b1 * as[1]"),
    Mutant("matmul.cu", "k_first ? index / DEPTH : index % TILE", "index % TILE"),
    Mutant("results.cuh", "row < rows && column < columns", "row < rows", "matmul"),
    Mutant("results.cuh", "row < rows && column < columns", "column < columns", "linear"),
    Mutant("linear.cu", "first + row < end", "true"),
    Mutant("linear.cu", "copies_wait<STAGES - 2>()", "copies_wait<STAGES - 1>()"),
    Mutant("linear.cu", "half * 2 + lane / 16", "half * 2 + lane / 8 % 2"),
    Mutant("linear.cu", "lane / 16 * 8 + lane % 8", "lane / 8 % 2 * 8 + lane % 8"),
    Mutant("linear.cu", "b[j / 2][j % 2 * 2]", "b[j / 2][j % 2]"),
    Mutant("linear.cu", "fetch(step + STAGES - 1)", "fetch(step + STAGES)"),
    Mutant("linear.cu", "index ^ (row / 2 % 4)", "index ^ (row / 2 % 8)"),
    Mutant("quantise.cu", "i < args.columns ?", "i <= args.columns ?"),
    Mutant("quantise.cu", "rintf(", "truncf("),
    Mutant("quantise.cu", "largest / 127.0f", "largest / 128.0f"),
    Mutant("quantise.cu", "Half::pack(low, high)", "Half::pack(high, low)"),
    Mutant("epilogue.cu", "args.row_steps[blockIdx.x] *", ""),
    # Attention.
    Mutant("attention.cuh", "end = bounds[sequence + 1]", "end = bounds[sequence + 1] - 1", "attention"),
    Mutant("attention_tiles.cuh", "if (row >= end) {", "if (row > end) {", "attention"),
    Mutant("attention_tiles.cuh", "column < head_size", "true", "attention"),
    Mutant("attention_tiles.cuh", "(pack * 16 + thread_column()) * WIDTH", "thread_column() * WIDTH", "attention"),
    Mutant("attention_tiles.cuh", "at[i][pack][part] *= factor(i)", "at[i][pack][part] *= factor(0)", "attention"),
    Mutant("attention.cu", "scores[i][j] * args.scale", "scores[i][j]"),
    Mutant("attention.cu", "expf(scores[i][j] - largest[i])", "expf(scores[i][j])"),
    Mutant("attention.cu", "inside ? scores[i][j] * args.scale : Max::first()", "scores[i][j] * args.scale"),
    Mutant("attention.cu", "warp_reduce<Max, 16>", "warp_reduce<Max, 8>"),
    Mutant("attention.cu", "total[i] *= correction[i];", ""),
    Mutant("attention.cu", "context.scale_all([&](u32 i) { return correction[i]; });", ""),
    Mutant("attention.cu", "largest[i] + logf(total[i])", "logf(total[i])"),
    Mutant("attention.cu", "query + 2 * hidden", "query + hidden"),
    Mutant("attention_half.cu", "keys + column_of(i) < place.end ? score * scale : Max::first()", "score * scale"),
    Mutant("attention_half.cu", "warp_reduce<Max, 4>", "warp_reduce<Max, 8>"),
    Mutant("attention_half.cu", "warp_reduce<Sum, 4>", "warp_reduce<Sum, 2>"),
    Mutant("attention_half.cu", "context[d][part] *= correction[part / 2]", "context[d][part] *= correction[0]"),
    Mutant("attention_half.cu", "* LN_2", ""),
    Mutant("attention_half.cu", "score - largest[half]", "score"),
    Mutant("attention_half.cuh", "i / 2 * 8 + threadIdx.x % 4 * 2", "i / 2 * 8 + threadIdx.x % 4", "attention_half"),
    Mutant("attention_half.cuh", "half * 8 + threadIdx.x % WARP / 4", "half * 8 + threadIdx.x % 8", "attention_half"),
    Mutant("attention_half.cuh", "lane / 16 * 8 + lane % 8", "lane % 16", "attention_half"),
    Mutant("attention_half.cuh", "[d + lane / 8 % 2 * 8]", "[d + lane / 16 * 8]", "attention_half"),
    Mutant("attention_half.cuh", "load_matrices_transposed", "load_matrices", "attention_half"),
    Mutant("attention_half.cuh", "column_of(i) < head_size", "true", "attention_half"),
    Mutant("attention_half.cuh", "Half::pack(low[2], low[3])", "Half::pack(high[2], high[3])", "attention_half"),
    Mutant("attention_half.cuh", "d < HEAD; d += 16", "d < HEAD - 16; d += 16", "attention_half"),
    Mutant("attention_backward.cu", "(products[i][j] - delta[i])", "products[i][j]"),
    Mutant("attention_backward.cu", "inside ? expf(scores[i][j] * args.scale - lse[i]) : 0.0f",
           "expf(scores[i][j] * args.scale - lse[i])"),
    Mutant("attention_backward.cu", "inside ? of.lse[query] : 0.0f", "of.lse[query]"),
    Mutant("attention_backward.cu", "sums.scale_all([&](u32) { return args.scale; });", ""),
    Mutant("attention_backward.cu", "sums.add(shared.weights, shared.keys)", "sums.add(shared.weights, shared.values)"),
    Mutant("attention_backward.cu", "rows_by_rows(scores, shared.keys, shared.queries)",
           "rows_by_rows(scores, shared.queries, shared.keys)"),
    Mutant("attention_backward.cuh", "(u64)head * args.tokens;", "(u64)head;", "attention_backward"),
    Mutant("attention_backward_half.cu", "(product - delta[half])", "product"),
    Mutant("attention_backward_half.cu", "(product - shared.delta[column])", "product"),
    Mutant("attention_backward_half.cu", "inside ? exp2f(scores[i / 4][i % 4] * (args.scale * LOG2_E) - lse[half]) : 0.0f",
           "exp2f(scores[i / 4][i % 4] * (args.scale * LOG2_E) - lse[half])"),
    Mutant("attention_backward_half.cu", "query < place.end ? of.lse[query] * LOG2_E : 0.0f", "of.lse[query] * LOG2_E"),
    Mutant("attention_backward_half.cu", "add_weighted<Bf16>(key_sums, products", "add_weighted<Bf16>(key_sums, weights"),
    Mutant("attention_backward_half.cu", "i % 4 / 2", "i % 2"),
    Mutant("attention_backward_half.cu", "key_sums, half, args.scale", "key_sums, half, 1.0f"),
]  # fmt: skip

MUTANTS = [*barriers(), *WRITTEN]
