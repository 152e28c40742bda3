// exp(x - max) / sum over the last axis of a view -> row-major. A block of 256 threads a row: `blocks = rows`.
#include <common.cuh>

const u32 THREADS = 256;

struct SoftmaxArgs {
    const float* x;
    float* out;
    View view;
};

KERNEL(softmax, SoftmaxArgs, THREADS) {
    SHARED(Partials<THREADS>, partials);
    u32 length = args.view.shape[3];
    const float* row = args.x + row_place(args.view, blockIdx.x);
    float* out = args.out + (u64)blockIdx.x * length;
    float largest = Max::first();
    for (u32 i = threadIdx.x; i < length; i += THREADS) {
        largest = Max::of(largest, row[i * args.view.strides[3]]);
    }
    largest = block_reduce<Max, THREADS>(largest, partials);
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < length; i += THREADS) {
        float weight = expf(row[i * args.view.strides[3]] - largest);
        out[i] = weight;
        sum += weight;
    }
    float scale = 1.0f / block_reduce<Sum, THREADS>(sum, partials);
    for (u32 i = threadIdx.x; i < length; i += THREADS) {
        out[i] *= scale; // this thread's own
    }
}
