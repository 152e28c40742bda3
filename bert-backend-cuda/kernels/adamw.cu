// The optimiser AdamW over all parameters at once, and the norm of all gradients. Source: "Decoupled Weight Decay
// Regularization" (Loshchilov and Hutter, 2019), algorithm 2.
//
// Parameters are a table of spans; a block of 256 threads has 4096 numbers of one span. A span of length n has
// ceil(n / 4096) blocks, counted on from span to span: `blocks` is their sum.
#include <common.cuh>

const u32 THREADS = 256;
const u32 BLOCK = 4096;

struct Span {
    float* parameter;
    float* gradient;
    float* mean; // of gradients
    float* square; // mean of their squares
    u64 length;
    u32 first_block; // how many blocks the spans before it have
    float decay;
};

struct AdamWArgs {
    const Span* spans;
    const float* clip; // [1], what gradients are multiplied by; null: 1
    u32 span_count;
    float rate;
    float beta1;
    float beta2;
    float rest1; // 1 - beta1, which f32 would round coarsely here
    float rest2; // 1 - beta2
    float eps;
    float correction1; // 1 / (1 - beta1^step)
    float correction2; // 1 / (1 - beta2^step)
};

struct SquaresArgs {
    const Span* spans;
    float* out; // [blocks]
    u32 span_count;
};

struct ClipArgs {
    const float* squares; // [1], the sum of squares of all gradients
    float* clip; // [1]
    float* norm; // [1]
    float most; // the largest norm that is left as it is
};

// The last span whose first block is not after this one.
DEVICE const Span& span_of(const Span* spans, u32 count) {
    u32 low = 0, high = count;
    while (high - low > 1) {
        u32 middle = (low + high) / 2;
        if (spans[middle].first_block <= blockIdx.x) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return spans[low];
}

KERNEL(adamw, AdamWArgs, THREADS) {
    const Span& span = span_of(args.spans, args.span_count);
    u64 start = (u64)(blockIdx.x - span.first_block) * BLOCK;
    float clip = args.clip ? *args.clip : 1.0f;
    for (u64 i = start + threadIdx.x; i < start + BLOCK && i < span.length; i += THREADS) {
        float gradient = span.gradient[i] * clip;
        float mean = args.beta1 * span.mean[i] + args.rest1 * gradient;
        float square = args.beta2 * span.square[i] + args.rest2 * gradient * gradient;
        span.mean[i] = mean;
        span.square[i] = square;
        float step = mean * args.correction1 / (sqrtf(square * args.correction2) + args.eps);
        span.parameter[i] -= args.rate * (step + span.decay * span.parameter[i]);
    }
}

// The sum of squares of each block's gradients; reduce_sum_long makes one number of them.
KERNEL(gradient_squares, SquaresArgs, THREADS) {
    SHARED(Partials<THREADS>, partials);
    const Span& span = span_of(args.spans, args.span_count);
    u64 start = (u64)(blockIdx.x - span.first_block) * BLOCK;
    float sum = 0.0f;
    for (u64 i = start + threadIdx.x; i < start + BLOCK && i < span.length; i += THREADS) {
        sum += span.gradient[i] * span.gradient[i];
    }
    sum = block_reduce<Sum, THREADS>(sum, partials);
    if (threadIdx.x == 0) {
        args.out[blockIdx.x] = sum;
    }
}

// What gradients are to be multiplied by so that their norm is `most` at most. One thread.
KERNEL(clip_factor, ClipArgs, 1) {
    float norm = sqrtf(*args.squares);
    *args.norm = norm;
    *args.clip = norm > args.most ? args.most / norm : 1.0f;
}
