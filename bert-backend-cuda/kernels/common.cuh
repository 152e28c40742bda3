// What most kernels share: how views are walked, and how the threads of a row meet.
#pragma once
#include <device.cuh>

const u32 WARP = 32;

// A view of up to four axes; missing ones are in front, with extent 1. Strides and offset count elements. A
// stride may be 0.
struct View {
    u64 offset;
    u64 strides[4];
    u32 shape[4];
};

// Where the element lies that is number `index` in row-major order.
DEVICE u64 place(const View& view, u32 index) {
    u64 place = view.offset;
#pragma unroll
    for (int axis = 3; axis > 0; axis--) {
        place += index % view.shape[axis] * view.strides[axis];
        index /= view.shape[axis];
    }
    return place + index * view.strides[0];
}

// Where row `row` of a view starts: rows lie along the last axis.
DEVICE u64 row_place(const View& view, u32 row) {
    return place(view, row * view.shape[3]);
}

DEVICE bool is_nan(float x) {
    return x != x;
}

// How numbers of a row become one. A NaN makes a NaN of either.
struct Sum {
    static DEVICE float first() {
        return 0.0f;
    }
    static DEVICE float of(float a, float b) {
        return a + b;
    }
};

struct Max {
    static DEVICE float first() {
        return float_of(0xff800000); // minus infinity
    }
    // fmaxf would lose a NaN.
    static DEVICE float of(float a, float b) {
        return a >= b || is_nan(a) ? a : b;
    }
};

// One of each lane's numbers, in every lane. LANES lanes that lie together meet.
template <class Op, u32 LANES = WARP>
DEVICE float warp_reduce(float value) {
#pragma unroll
    for (u32 mask = LANES / 2; mask > 0; mask /= 2) {
        value = Op::of(value, shuffle_xor(value, mask));
    }
    return value;
}

// A number of each warp.
template <u32 THREADS>
using Partials = float[THREADS / WARP];

// One of each thread's numbers, in every thread. The order is that of the threads, whatever else runs.
template <class Op, u32 THREADS>
DEVICE float block_reduce(float value, Partials<THREADS>& partials) {
    value = warp_reduce<Op>(value);
    __syncthreads(); // the readers of the reduction before are done
    if (threadIdx.x % WARP == 0) {
        partials[threadIdx.x / WARP] = value;
    }
    __syncthreads();
    float result = partials[0];
#pragma unroll
    for (u32 warp = 1; warp < THREADS / WARP; warp++) {
        result = Op::of(result, partials[warp]);
    }
    return result;
}

// Rows `first` to `end` of a matrix, then zeros: `put(row, column, quad)` gets four neighbouring numbers of each of
// COUNT rows of WIDTH, of which the matrix has `length`.
template <u32 COUNT, u32 WIDTH, u32 THREADS, class Put>
DEVICE void load_rows(const float* from, u64 stride, u32 first, u32 end, u32 length, Put put) {
    if (reinterpret_cast<u64>(from) % 16 == 0 && stride % 4 == 0 && length % 4 == 0) {
        // So many at once: 16 KiB of a block's registers.
#pragma unroll (1024 / THREADS)
        for (u32 i = threadIdx.x; i < COUNT * WIDTH / 4; i += THREADS) {
            u32 row = i / (WIDTH / 4), column = i % (WIDTH / 4) * 4;
            Pack<4> quad = {};
            if (first + row < end && column < length) {
                quad = load_pack<4>(from + (first + row) * stride + column);
            }
            put(row, column, quad);
        }
        return;
    }
#pragma unroll 1
    for (u32 i = threadIdx.x; i < COUNT * WIDTH / 4; i += THREADS) {
        u32 row = i / (WIDTH / 4), column = i % (WIDTH / 4) * 4;
        Pack<4> quad;
#pragma unroll
        for (u32 part = 0; part < 4; part++) {
            bool inside = first + row < end && column + part < length;
            quad.at[part] = inside ? from[(first + row) * stride + column + part] : 0.0f;
        }
        put(row, column, quad);
    }
}
