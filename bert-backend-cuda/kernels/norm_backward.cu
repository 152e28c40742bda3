// The backward pass of layer normalisation. With n = (x - mean) * deviation and g = dy * weight,
//   dx = deviation * (g - mean(g) - n * mean(g * n)),  dweight = sum over rows of dy * n,  dbias = that of dy.
//
// A block of 256 threads has 32 rows, one after another: `blocks = ceil(rows / 32)`; 16 * hidden bytes of dynamic
// shared memory. It leaves its part of the sums over rows in `weight_parts` and `bias_parts`, [blocks, hidden];
// column_sums adds them up.
#include <row_norm.cuh>

const u32 CHUNK = 32;

struct NormBackwardArgs {
    const float* x; // [rows, hidden], what was normalised
    const float* weight; // [hidden]
    const float* dy; // [rows, hidden]
    float* dx; // [rows, hidden]
    float* weight_parts;
    float* bias_parts;
    u32 rows;
    u32 hidden;
    float eps;
};

KERNEL(layer_norm_backward, NormBackwardArgs, THREADS) {
    SHARED(Partials<THREADS>, partials);
    DYNAMIC_FLOATS(shared, 4 * args.hidden);
    u32 hidden = args.hidden;
    float* row = shared;
    float* slope = row + hidden; // dy
    float* weight_sum = slope + hidden;
    float* bias_sum = weight_sum + hidden;
    for (u32 i = threadIdx.x; i < hidden; i += THREADS) {
        weight_sum[i] = 0.0f;
        bias_sum[i] = 0.0f;
    }
    u32 first = blockIdx.x * CHUNK;
    u32 end = min(first + CHUNK, args.rows);
    for (u32 r = first; r < end; r++) {
        u64 start = (u64)r * hidden;
        float total = 0.0f;
        for (u32 i = threadIdx.x; i < hidden; i += THREADS) {
            row[i] = args.x[start + i];
            slope[i] = args.dy[start + i];
            total += row[i];
        }
        Moments of = moments(row, total, hidden, args.eps, partials);
        float sum = 0.0f, product = 0.0f;
        for (u32 i = threadIdx.x; i < hidden; i += THREADS) {
            float normal = (row[i] - of.mean) * of.deviation;
            float g = slope[i] * args.weight[i];
            sum += g;
            product += g * normal;
            weight_sum[i] += slope[i] * normal;
            bias_sum[i] += slope[i];
        }
        float mean = block_reduce<Sum, THREADS>(sum, partials) / hidden;
        float mean_product = block_reduce<Sum, THREADS>(product, partials) / hidden;
        for (u32 i = threadIdx.x; i < hidden; i += THREADS) {
            float normal = (row[i] - of.mean) * of.deviation;
            args.dx[start + i] = of.deviation * (slope[i] * args.weight[i] - mean - normal * mean_product);
        }
    }
    u64 to = (u64)blockIdx.x * hidden;
    for (u32 i = threadIdx.x; i < hidden; i += THREADS) {
        args.weight_parts[to + i] = weight_sum[i];
        args.bias_parts[to + i] = bias_sum[i];
    }
}
