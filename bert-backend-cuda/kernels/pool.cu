// One vector a sequence: x [tokens, hidden] -> out [sequences, hidden]. One thread a number:
// `grid = (sequences, ceil(hidden / 128))`.
#include <common.cuh>

const u32 THREADS = 128;

struct PoolArgs {
    const float* x;
    const u32* bounds; // [sequences + 1]
    float* out;
    u64 row_stride;
    u32 hidden;
};

enum class Pooling { Cls, Mean, Max, MeanSqrtLength };

template <Pooling POOLING>
DEVICE void pool(const PoolArgs& args) {
    u32 column = blockIdx.y * THREADS + threadIdx.x;
    if (column >= args.hidden) {
        return;
    }
    u32 start = args.bounds[blockIdx.x];
    u32 end = POOLING == Pooling::Cls ? start + 1 : args.bounds[blockIdx.x + 1];
    float value = args.x[start * args.row_stride + column];
    for (u32 row = start + 1; row < end; row++) {
        float next = args.x[row * args.row_stride + column];
        value = POOLING == Pooling::Max ? Max::of(value, next) : value + next;
    }
    if (POOLING == Pooling::Mean) {
        value /= end - start;
    }
    if (POOLING == Pooling::MeanSqrtLength) {
        value /= sqrtf(end - start);
    }
    args.out[(u64)blockIdx.x * args.hidden + column] = value;
}

KERNEL(pool_cls, PoolArgs, THREADS) { pool<Pooling::Cls>(args); }
KERNEL(pool_mean, PoolArgs, THREADS) { pool<Pooling::Mean>(args); }
KERNEL(pool_max, PoolArgs, THREADS) { pool<Pooling::Max>(args); }
KERNEL(pool_mean_sqrt_length, PoolArgs, THREADS) { pool<Pooling::MeanSqrtLength>(args); }
