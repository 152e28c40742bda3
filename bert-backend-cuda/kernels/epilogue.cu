// What follows a product that another library made, in place: bias and activation, for 8-bit products the scales
// too; and the backward pass of an activation. GELU is the one with the error function, which epilogues of
// cuBLASLt do not offer.
//
// x [rows, n]; a block of 256 threads a row: `blocks = rows`.
#include <math.cuh>

const u32 THREADS = 256;

struct EpilogueArgs {
    float* x; // for scale_bias_activation 32-bit integers, which become floats
    const float* bias; // [n] or null
    const float* row_steps; // [rows], scale_bias_activation only
    const float* column_steps; // [n], scale_bias_activation only
    u32 columns;
    u32 activation;
};

template <bool SCALE>
DEVICE void epilogue(const EpilogueArgs& args) {
    float* row = args.x + (u64)blockIdx.x * args.columns;
    for (u32 i = threadIdx.x; i < args.columns; i += THREADS) {
        float value = row[i];
        if (SCALE) {
            value = (float)(int)bits_of(value) * args.row_steps[blockIdx.x] * args.column_steps[i];
        }
        if (args.bias) {
            value += args.bias[i];
        }
        row[i] = activate(args.activation, value);
    }
}

KERNEL(bias_activation, EpilogueArgs, THREADS) { epilogue<false>(args); }
KERNEL(scale_bias_activation, EpilogueArgs, THREADS) { epilogue<true>(args); }

struct ActivationBackwardArgs {
    const float* x; // before the activation
    const float* dy;
    float* dx;
    u32 length;
    u32 activation;
};

// dx = dy * slope(x). One thread a number: `blocks = ceil(length / 256)`.
KERNEL(activation_backward, ActivationBackwardArgs, THREADS) {
    u32 index = blockIdx.x * THREADS + threadIdx.x;
    if (index < args.length) {
        args.dx[index] = args.dy[index] * activation_slope(args.activation, args.x[index]);
    }
}
