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

// Whether rows of this stride can be read four floats at a time.
DEVICE bool quads_align(const float* rows, u64 stride) {
    return reinterpret_cast<u64>(rows) % 16 == 0 && stride % 4 == 0;
}

// Floats `at` to `at + 3` of a row; 0 from `length` on.
DEVICE Pack<4> load_quad(const float* row, u32 at, u32 length, bool aligned) {
    if (aligned && at + 4 <= length) {
        return load_pack<4>(row + at);
    }
    Pack<4> quad;
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        quad.at[i] = at + i < length ? row[at + i] : 0.0f;
    }
    return quad;
}
