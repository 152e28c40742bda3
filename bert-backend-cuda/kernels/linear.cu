// Linear layers on tensor cores: x [rows, in_features] times weight [out_features, in_features], both as
// quantise.cu leaves them -> out [rows, out_features] in f32, with bias and activation.
//
// A block has a tile of ROWS times COLUMNS results, two warps down and COLUMNS / 32 across, and walks along the rows
// of both factors 64 bytes at a time; four such steps are on their way from global to shared memory. Each result is
// summed in one order whatever the tile, so that the host may choose it by the number of blocks and the bits stay
// the same. `grid = (ceil(rows / ROWS), ceil(out_features / COLUMNS))`; dynamic shared memory: see SHARED_BYTES.
#include <results.cuh>

const u32 STEP = 64; // bytes
const u32 STAGES = 4;

struct LinearArgs {
    const u8* x; // [rows, pitch]
    const u8* weight; // [out_features, pitch]
    const float* row_steps; // [rows], 8 bits only
    const float* column_steps; // [out_features], 8 bits only
    const float* bias; // [out_features] or null
    float* out;
    u32 rows;
    u32 out_features;
    u32 pitch; // bytes of a row, a multiple of 64
    u32 activation;
};

struct Int8 {
    static DEVICE void multiply(int (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
        multiply_int8(d, a, b0, b1);
    }
};

template <u32 ROWS>
struct Stage {
    // Row r's piece of 16 bytes number p lies at p ^ (r / 2 % 4), so that eight rows fill all banks.
    alignas(16) u8 rows[ROWS][STEP];

    DEVICE u8* piece(u32 row, u32 index) {
        return &rows[row][(index ^ (row / 2 % 4)) * 16];
    }

    template <u32 THREADS>
    DEVICE void fetch(const u8* from, u32 first, u32 end, u32 pitch, u32 at) {
#pragma unroll
        for (u32 i = threadIdx.x; i < ROWS * 4; i += THREADS) {
            u32 row = i / 4;
            bool inside = first + row < end;
            copy_async(piece(row, i % 4), from + (inside ? (u64)(first + row) * pitch + at + i % 4 * 16 : 0), inside);
        }
    }
};

template <u32 ROWS, u32 COLUMNS>
struct Stages {
    Stage<ROWS> x[STAGES];
    Stage<COLUMNS> weight[STAGES];
};

template <u32 ROWS, u32 COLUMNS>
union LinearShared {
    Stages<ROWS, COLUMNS> stages;
    Results<ROWS, COLUMNS> results; // when all steps are done
};

template <class Number, class Total, u32 ROWS, u32 COLUMNS>
DEVICE void linear(LinearShared<ROWS, COLUMNS>& shared, const LinearArgs& args) {
    Stages<ROWS, COLUMNS>& stages = shared.stages;
    const u32 THREADS = COLUMNS * 2; // two warps down, one for each 32 columns
    const u32 DOWN = ROWS / 32; // of a warp's products [16, 8]
    const u32 ACROSS = 4;
    u32 first_row = blockIdx.x * ROWS, first_column = blockIdx.y * COLUMNS;
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    u32 warp_row = warp % 2 * (ROWS / 2), warp_column = warp / 2 * 32;
    u32 steps = args.pitch / STEP;

    auto fetch = [&](u32 step) {
        if (step < steps) {
            u32 to = step % STAGES;
            stages.x[to].template fetch<THREADS>(args.x, first_row, args.rows, args.pitch, step * STEP);
            stages.weight[to].template fetch<THREADS>(args.weight, first_column, args.out_features, args.pitch,
                                                      step * STEP);
        }
        copies_commit(); // an empty group keeps the count
    };

    Total sums[DOWN][ACROSS][4] = {};
#pragma unroll
    for (u32 step = 0; step < STAGES - 1; step++) {
        fetch(step);
    }
    for (u32 step = 0; step < steps; step++) {
        copies_wait<STAGES - 2>();
        __syncthreads(); // this step has come, and all are done with the one before
        fetch(step + STAGES - 1);
        Stage<ROWS>& x = stages.x[step % STAGES];
        Stage<COLUMNS>& weight = stages.weight[step % STAGES];
#pragma unroll
        for (u32 half = 0; half < 2; half++) { // of 32 bytes
            // Matrices of a fragment: rows 0-7 and 8-15 of the first 16 bytes, then of the second.
            u32 a[DOWN][4], b[ACROSS / 2][4];
#pragma unroll
            for (u32 i = 0; i < DOWN; i++) {
                load_matrices(a[i], x.piece(warp_row + i * 16 + lane % 16, half * 2 + lane / 16));
            }
            // Here columns 0-7 of both pieces of 16 bytes, then columns 8-15.
#pragma unroll
            for (u32 j = 0; j < ACROSS / 2; j++) {
                u32 column = warp_column + j * 16 + lane / 16 * 8 + lane % 8;
                load_matrices(b[j], weight.piece(column, half * 2 + lane / 8 % 2));
            }
#pragma unroll
            for (u32 i = 0; i < DOWN; i++) {
#pragma unroll
                for (u32 j = 0; j < ACROSS; j++) {
                    Number::multiply(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
                }
            }
        }
    }

    __syncthreads(); // all are done with the last step
    // A lane has two neighbouring columns of rows lane / 4 and lane / 4 + 8 of each product.
#pragma unroll
    for (u32 i = 0; i < DOWN; i++) {
#pragma unroll
        for (u32 j = 0; j < ACROSS; j++) {
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                u32 row = warp_row + i * 16 + half * 8 + lane / 4;
                u32 column = warp_column + j * 8 + lane % 4 * 2;
                Pack<2> pair = {(float)sums[i][j][half * 2], (float)sums[i][j][half * 2 + 1]};
                store_pack(&shared.results.at[row][column], pair);
            }
        }
    }
    __syncthreads();
    auto scaled = [&](float value, u32 row, u32 column) {
        return args.row_steps ? value * args.row_steps[row] * args.column_steps[column] : value;
    };
    shared.results.template write<THREADS>(args.out, first_row, first_column, args.rows, args.out_features, args.bias,
                                           args.activation, scaled);
}

#define LINEAR(NAME, NUMBER, TOTAL, ROWS, COLUMNS)           \
    typedef LinearShared<ROWS, COLUMNS> NAME##_type;         \
    SHARED_BYTES(NAME, NAME##_type);                         \
    KERNEL(NAME, LinearArgs, COLUMNS * 2) {                  \
        DYNAMIC_SHARED(NAME##_type, shared);                 \
        linear<NUMBER, TOTAL, ROWS, COLUMNS>(shared, args);  \
    }

LINEAR(linear_bf16_64, Bf16, float, 64, 64)
LINEAR(linear_bf16_128, Bf16, float, 128, 128)
LINEAR(linear_f16_64, F16, float, 64, 64)
LINEAR(linear_f16_128, F16, float, 128, 128)
LINEAR(linear_int8_64, Int8, int, 64, 64)
LINEAR(linear_int8_128, Int8, int, 128, 128)
