// What attention on tensor cores and its backward pass share: tiles of rows in 16 bits and products of them.
//
// A block of four warps has 64 rows, a warp 16 of them: the rows of its products. A lane has two neighbouring columns
// of rows lane / 4 and lane / 4 + 8 of each product [16, 8], so that four lanes make a row, and what is the result
// of one product is in place as the left factor of the next.
#pragma once
#include <common.cuh>

const u32 THREADS = 128;
const u32 ROWS = 64; // of a block
const float LOG2_E = 1.44269504f; // exponentials are to base 2
const float LN_2 = 0.693147181f;

template <u32 COUNT, u32 HEAD>
struct HalfRows {
    alignas(16) u16 at[COUNT][HEAD + 8]; // rows begin in different banks

    // Rows `first` to `end` of a matrix that starts at this head's first column, then zeros.
    template <class Half>
    DEVICE void load(const float* from, u64 stride, u32 first, u32 end, u32 head_size) {
        load_rows<COUNT, HEAD, THREADS>(from, stride, first, end, head_size, [&](u32 row, u32 column, Pack<4> quad) {
            u32* to = reinterpret_cast<u32*>(&at[row][column]);
            to[0] = Half::pack(quad.at[0], quad.at[1]);
            to[1] = Half::pack(quad.at[2], quad.at[3]);
        });
    }
};

// Products of a warp's 16 rows of `a` with each row of `b`.
template <class Half, u32 COUNT, u32 HEAD>
DEVICE void rows_by_rows(float (&out)[COUNT / 8][4], const HalfRows<ROWS, HEAD>& a, const HalfRows<COUNT, HEAD>& b) {
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
#pragma unroll
    for (u32 i = 0; i < COUNT / 8 * 4; i++) {
        out[i / 4][i % 4] = 0.0f;
    }
#pragma unroll
    for (u32 d = 0; d < HEAD; d += 16) {
        u32 left[4];
        load_matrices(left, &a.at[warp * 16 + lane % 16][d + lane / 16 * 8]);
#pragma unroll
        for (u32 j = 0; j < COUNT / 8; j += 2) {
            // Rows 0-7 of b, both halves of 16 dimensions, then rows 8-15.
            u32 right[4];
            u32 row = j * 8 + lane / 16 * 8 + lane % 8;
            load_matrices(right, &b.at[row][d + lane / 8 % 2 * 8]);
            Half::multiply(out[j], left, right[0], right[1]);
            Half::multiply(out[j + 1], left, right[2], right[3]);
        }
    }
}

// Adds the rows of `values` to a warp's 16 sums, weighted by what rows_by_rows left, rounded.
template <class Half, u32 COUNT, u32 HEAD>
DEVICE void add_weighted(float (&sums)[HEAD / 8][4], const float (&weights)[COUNT / 8][4],
                         const HalfRows<COUNT, HEAD>& values) {
    u32 lane = threadIdx.x % WARP;
#pragma unroll
    for (u32 k = 0; k < COUNT; k += 16) {
        const float(&low)[4] = weights[k / 8];
        const float(&high)[4] = weights[k / 8 + 1];
        u32 left[4] = {Half::pack(low[0], low[1]), Half::pack(low[2], low[3]), Half::pack(high[0], high[1]),
                       Half::pack(high[2], high[3])};
#pragma unroll
        for (u32 d = 0; d < HEAD / 8; d += 2) {
            // Both halves of 16 rows of dimensions 0-7, then of 8-15.
            u32 right[4];
            load_matrices_transposed(right, &values.at[k + lane % 16][d * 8 + lane / 16 * 8]);
            Half::multiply(sums[d], left, right[0], right[1]);
            Half::multiply(sums[d + 1], left, right[2], right[3]);
        }
    }
}

// The column of a lane's number `i` of 2 * COUNT / 8 in each of its two rows, among those of rows_by_rows.
DEVICE u32 column_of(u32 i) {
    return i / 2 * 8 + threadIdx.x % 4 * 2 + i % 2;
}

// The row of a lane's first (0) or second (1) half of numbers.
DEVICE u32 row_of(u32 half) {
    return threadIdx.x / WARP * 16 + half * 8 + threadIdx.x % WARP / 4;
}

// Writes a warp's sums of one half, scaled, to a row that starts at this head's first column.
template <u32 HEAD>
DEVICE void store_row(float* to, const float (&sums)[HEAD / 8][4], u32 half, float scale, u32 head_size) {
#pragma unroll
    for (u32 i = 0; i < HEAD / 4; i++) {
        if (column_of(i) < head_size) {
            to[column_of(i)] = sums[i / 2][half * 2 + i % 2] * scale;
        }
    }
}
