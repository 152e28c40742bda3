// Layer normalisation: x [rows, hidden] -> out [rows, hidden]; with a residual, that of x + residual, which is
// also kept where `sum` is not null: the backward pass starts from it.
//
// A block of 256 threads a row: `blocks = rows`; 4 * hidden bytes of dynamic shared memory.
#include <row_norm.cuh>

struct LayerNormArgs {
    const float* x;
    const float* residual; // add_layer_norm only
    const float* weight; // [hidden]
    const float* bias; // [hidden]
    float* out;
    float* sum; // [rows, hidden] or null; add_layer_norm only
    u64 row_stride; // of x
    u64 residual_stride;
    u32 hidden;
    float eps;
};

template <bool ADD>
DEVICE void normalise(const LayerNormArgs& args) {
    SHARED(Partials<THREADS>, partials);
    DYNAMIC_FLOATS(row, args.hidden);
    const float* x = args.x + blockIdx.x * args.row_stride;
    const float* residual = ADD ? args.residual + blockIdx.x * args.residual_stride : nullptr;
    u64 to = (u64)blockIdx.x * args.hidden;
    float total = 0.0f;
    for (u32 i = threadIdx.x; i < args.hidden; i += THREADS) {
        float value = ADD ? x[i] + residual[i] : x[i];
        row[i] = value;
        total += value;
        if (ADD && args.sum) {
            args.sum[to + i] = value;
        }
    }
    Moments of = moments(row, total, args.hidden, args.eps, partials);
    write_normal(row, of, args.weight, args.bias, args.out + to, args.hidden);
}

KERNEL(layer_norm, LayerNormArgs, THREADS) { normalise<false>(args); }
KERNEL(add_layer_norm, LayerNormArgs, THREADS) { normalise<true>(args); }
