// Rows made ready for tensor cores: rounded to 16-bit floats, or to 8 bits with a scale a row. Rows of the result
// are padded with zeros to `pitch` bytes, a multiple of 64, as linear.cu reads them.
//
// round_rows: x [rows, n] -> out [rows, pitch / 2]. A block of 128 threads a row: `blocks = rows`.
// quantise_rows: x [rows, n] -> out [rows, pitch], steps [rows]. The same.
#include <common.cuh>

const u32 THREADS = 128;

struct QuantiseArgs {
    const float* x;
    u32* out;
    float* steps; // quantise_rows only
    u64 row_stride;
    u64 column_stride;
    u32 columns;
    u32 pitch;
};

// Number `i` of a row, 0 from its end on.
DEVICE float value_at(const QuantiseArgs& args, const float* row, u32 i) {
    return i < args.columns ? row[i * args.column_stride] : 0.0f;
}

template <class Half>
DEVICE void round_rows(const QuantiseArgs& args) {
    const float* row = args.x + blockIdx.x * args.row_stride;
    u32 words = args.pitch / 4;
    for (u32 word = threadIdx.x; word < words; word += THREADS) {
        float low = value_at(args, row, 2 * word);
        float high = value_at(args, row, 2 * word + 1);
        args.out[(u64)blockIdx.x * words + word] = Half::pack(low, high);
    }
}

KERNEL(round_rows_bf16, QuantiseArgs, THREADS) { round_rows<Bf16>(args); }
KERNEL(round_rows_f16, QuantiseArgs, THREADS) { round_rows<F16>(args); }

// From here on neither the length of a step nor its reciprocal is subnormal or infinite.
const float LEAST = 1.5e-36f;

// Each number as one of 255 steps of its row's largest magnitude. What is below any use becomes 0; a row that is
// not finite gets a step that is not.
KERNEL(quantise_rows, QuantiseArgs, THREADS) {
    SHARED(Partials<THREADS>, partials);
    const float* row = args.x + blockIdx.x * args.row_stride;
    float largest = 0.0f;
    for (u32 i = threadIdx.x; i < args.columns; i += THREADS) {
        largest = Max::of(largest, fabsf(value_at(args, row, i)));
    }
    largest = block_reduce<Max, THREADS>(largest, partials);
    float step = largest < LEAST ? 0.0f : largest / 127.0f;
    float steps = largest < LEAST ? 0.0f : 127.0f / largest;
    u32 words = args.pitch / 4;
    for (u32 word = threadIdx.x; word < words; word += THREADS) {
        u32 packed = 0;
#pragma unroll
        for (u32 j = 0; j < 4; j++) {
            float level = rintf(value_at(args, row, 4 * word + j) * steps);
            packed |= ((u32)(int)fminf(fmaxf(level, -127.0f), 127.0f) & 0xff) << (8 * j);
        }
        args.out[(u64)blockIdx.x * words + word] = packed;
    }
    if (threadIdx.x == 0) {
        args.steps[blockIdx.x] = step;
    }
}
