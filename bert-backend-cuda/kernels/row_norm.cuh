// Normalising one row that lies in shared memory, a block a row. A thread has every THREADS-th number and
// touches no other, so that the row itself needs no barrier.
#pragma once
#include <common.cuh>

const u32 THREADS = 256;

struct Moments {
    float mean;
    float deviation; // 1 / sqrt(variance + eps)
};

// The mean, then the variance around it: the difference of two large sums would lose the digits that matter.
// `sum` is what this thread's numbers add up to.
DEVICE Moments moments(const float* row, float sum, u32 length, float eps, Partials<THREADS>& partials) {
    Moments result;
    result.mean = block_reduce<Sum, THREADS>(sum, partials) / length;
    float squares = 0.0f;
    for (u32 i = threadIdx.x; i < length; i += THREADS) {
        float centred = row[i] - result.mean;
        squares += centred * centred;
    }
    squares = block_reduce<Sum, THREADS>(squares, partials);
    result.deviation = 1.0f / sqrtf(squares / length + eps);
    return result;
}

DEVICE void write_normal(const float* row, const Moments& of, const float* weight, const float* bias, float* out,
                         u32 length) {
    for (u32 i = threadIdx.x; i < length; i += THREADS) {
        out[i] = (row[i] - of.mean) * of.deviation * weight[i] + bias[i];
    }
}
