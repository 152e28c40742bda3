// The loss of classification: logits [rows, classes], labels [rows] -> losses [rows], each
// log(sum(exp(logits))) - logits[label]. For training, the gradient takes the place of the logits:
// scale * (softmax - one at the label). A label IGNORED gives loss 0 and gradient 0.
//
// A block of 256 threads a row: `blocks = rows`. No second buffer of [rows, classes] is needed.
#include <common.cuh>

const u32 THREADS = 256;
const u32 IGNORED = 0xffffffff;

struct CrossEntropyArgs {
    float* logits;
    const u32* labels;
    float* losses;
    u64 row_stride;
    u32 classes;
    float scale; // of the gradient
};

template <bool GRADIENT>
DEVICE void cross_entropy(const CrossEntropyArgs& args) {
    SHARED(Partials<THREADS>, partials);
    float* row = args.logits + blockIdx.x * args.row_stride;
    u32 label = args.labels[blockIdx.x];
    float largest = Max::first();
    for (u32 i = threadIdx.x; i < args.classes; i += THREADS) {
        largest = Max::of(largest, row[i]);
    }
    largest = block_reduce<Max, THREADS>(largest, partials);
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < args.classes; i += THREADS) {
        sum += expf(row[i] - largest);
    }
    sum = block_reduce<Sum, THREADS>(sum, partials);
    if (threadIdx.x == 0) {
        args.losses[blockIdx.x] = label == IGNORED ? 0.0f : logf(sum) - (row[label] - largest);
    }
    if (!GRADIENT) {
        return;
    }
    __syncthreads(); // the label's logit is read
    float scale = label == IGNORED ? 0.0f : args.scale;
    for (u32 i = threadIdx.x; i < args.classes; i += THREADS) {
        float weight = label == IGNORED ? 0.0f : expf(row[i] - largest) / sum;
        row[i] = scale * (i == label ? weight - 1.0f : weight);
    }
}

KERNEL(cross_entropy, CrossEntropyArgs, THREADS) { cross_entropy<false>(args); }
KERNEL(cross_entropy_gradient, CrossEntropyArgs, THREADS) { cross_entropy<true>(args); }
