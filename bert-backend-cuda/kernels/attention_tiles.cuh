// What attention in f32 and its backward pass share: tiles of rows in shared memory and products of them.
//
// A block has 16 times 16 threads. Of a tile's rows, thread row y has y, y + 16, …; of its columns (rows of the
// other factor), thread column x has x, x + 16, … A warp is two thread rows: the 16 threads of a row meet by
// shuffles.
#pragma once
#include <common.cuh>

const u32 THREADS = 256;

DEVICE u32 thread_row() {
    return threadIdx.x / 16;
}

DEVICE u32 thread_column() {
    return threadIdx.x % 16;
}

// ROWS rows of queries, keys, values or gradients of one head. Rows begin in different banks.
template <u32 ROWS, u32 HEAD>
struct HeadRows {
    alignas(16) float at[ROWS][HEAD + 4];

    // Rows `first` to `end` of a matrix that starts at this head's first column, then zeros.
    DEVICE void load(const float* from, u64 stride, u32 first, u32 end, u32 head_size) {
        load_rows<ROWS, HEAD, THREADS>(from, stride, first, end, head_size, [&](u32 row, u32 column, Pack<4> quad) {
            store_pack(&at[row][column], quad);
        });
    }
};

// Weights of pairs: `[row][column]`.
template <u32 ROWS>
struct Weights {
    alignas(16) float at[ROWS][ROWS + 4];
};

// Products of each row of `a` with each row of `b`.
template <u32 ROWS, u32 HEAD>
DEVICE void rows_by_rows(float (&out)[ROWS / 16][ROWS / 16], const HeadRows<ROWS, HEAD>& a,
                         const HeadRows<ROWS, HEAD>& b) {
    const u32 N = ROWS / 16;
#pragma unroll
    for (u32 i = 0; i < N; i++) {
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            out[i][j] = 0.0f;
        }
    }
#pragma unroll 4
    for (u32 d = 0; d < HEAD; d += 4) {
        Pack<4> left[N], right[N];
#pragma unroll
        for (u32 i = 0; i < N; i++) {
            left[i] = load_pack<4>(&a.at[thread_row() + 16 * i][d]);
            right[i] = load_pack<4>(&b.at[thread_column() + 16 * i][d]);
        }
#pragma unroll
        for (u32 i = 0; i < N; i++) {
#pragma unroll
            for (u32 j = 0; j < N; j++) {
#pragma unroll
                for (u32 part = 0; part < 4; part++) {
                    out[i][j] = fmaf(left[i].at[part], right[j].at[part], out[i][j]);
                }
            }
        }
    }
}

// A thread's part of sums of rows of one head: its rows, and HEAD / 16 dimensions of each, in packs that lie
// 16 packs apart.
template <u32 ROWS, u32 HEAD>
struct RowSums {
    static const u32 WIDTH = HEAD / 16 < 4 ? HEAD / 16 : 4; // of a pack
    static const u32 PACKS = HEAD / 16 / WIDTH;
    float at[ROWS / 16][PACKS][WIDTH];

    DEVICE void clear() {
#pragma unroll
        for (u32 i = 0; i < ROWS / 16; i++) {
#pragma unroll
            for (u32 pack = 0; pack < PACKS; pack++) {
#pragma unroll
                for (u32 part = 0; part < WIDTH; part++) {
                    at[i][pack][part] = 0.0f;
                }
            }
        }
    }

    // Multiplies row `i` of this thread by `factor(i)`.
    template <class Factor>
    DEVICE void scale_all(Factor factor) {
#pragma unroll
        for (u32 i = 0; i < ROWS / 16; i++) {
#pragma unroll
            for (u32 pack = 0; pack < PACKS; pack++) {
#pragma unroll
                for (u32 part = 0; part < WIDTH; part++) {
                    at[i][pack][part] *= factor(i);
                }
            }
        }
    }

    // Adds the rows of `values`, weighted.
    DEVICE void add(const Weights<ROWS>& weights, const HeadRows<ROWS, HEAD>& values) {
#pragma unroll 2
        for (u32 k = 0; k < ROWS; k += 4) {
            Pack<4> weight[ROWS / 16];
#pragma unroll
            for (u32 i = 0; i < ROWS / 16; i++) {
                weight[i] = load_pack<4>(&weights.at[thread_row() + 16 * i][k]);
            }
#pragma unroll
            for (u32 part = 0; part < 4; part++) {
#pragma unroll
                for (u32 pack = 0; pack < PACKS; pack++) {
                    u32 column = (pack * 16 + thread_column()) * WIDTH;
                    Pack<WIDTH> value = load_pack<WIDTH>(&values.at[k + part][column]);
#pragma unroll
                    for (u32 i = 0; i < ROWS / 16; i++) {
#pragma unroll
                        for (u32 j = 0; j < WIDTH; j++) {
                            at[i][pack][j] = fmaf(weight[i].at[part], value.at[j], at[i][pack][j]);
                        }
                    }
                }
            }
        }
    }

    // Writes rows `first` to `end` of a matrix that starts at this head's first column.
    DEVICE void store(float* to, u64 stride, u32 first, u32 end, u32 head_size) const {
#pragma unroll
        for (u32 i = 0; i < ROWS / 16; i++) {
            u32 row = first + thread_row() + 16 * i;
            if (row >= end) {
                continue;
            }
#pragma unroll
            for (u32 pack = 0; pack < PACKS; pack++) {
#pragma unroll
                for (u32 j = 0; j < WIDTH; j++) {
                    u32 column = (pack * 16 + thread_column()) * WIDTH + j;
                    if (column < head_size) {
                        to[row * stride + column] = at[i][pack][j];
                    }
                }
            }
        }
    }
};
