// The backward pass of attention in f32, as attention_backward.cuh says.
#include <attention_backward.cuh>
#include <attention_tiles.cuh>

struct AttentionDeltaArgs {
    const float* y; // [tokens, heads * head_size]
    const float* dy;
    float* delta; // [heads, tokens]
    u32 heads;
    u32 head_size;
    u32 tokens;
};

// A warp a token and head: `blocks = ceil(tokens * heads / 8)`.
KERNEL(attention_delta, AttentionDeltaArgs, THREADS) {
    u32 index = blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP;
    u32 token = index / args.heads, head = index % args.heads;
    if (token >= args.tokens) {
        return; // a whole warp
    }
    u64 start = (u64)index * args.head_size;
    float sum = 0.0f;
    for (u32 i = threadIdx.x % WARP; i < args.head_size; i += WARP) {
        sum += args.y[start + i] * args.dy[start + i];
    }
    sum = warp_reduce<Sum>(sum);
    if (threadIdx.x % WARP == 0) {
        args.delta[(u64)head * args.tokens + token] = sum;
    }
}

template <u32 ROWS, u32 HEAD>
struct BackwardShared {
    HeadRows<ROWS, HEAD> queries;
    HeadRows<ROWS, HEAD> slopes; // dy
    HeadRows<ROWS, HEAD> keys;
    HeadRows<ROWS, HEAD> values;
    Weights<ROWS> weights;
};

template <u32 ROWS, u32 HEAD>
DEVICE void backward_queries(BackwardShared<ROWS, HEAD>& shared, const AttentionBackwardArgs& args) {
    const u32 N = ROWS / 16;
    Place place(args.bounds, args.heads, args.tiles, ROWS);
    if (place.is_empty()) {
        return;
    }
    HeadOf of(args, place.head);
    shared.queries.load(of.query, of.stride, place.first, place.end, args.head_size);
    shared.slopes.load(of.dy, of.hidden, place.first, place.end, args.head_size);
    float lse[N], delta[N];
#pragma unroll
    for (u32 i = 0; i < N; i++) {
        u32 row = place.first + thread_row() + 16 * i;
        lse[i] = row < place.end ? of.lse[row] : 0.0f;
        delta[i] = row < place.end ? of.delta[row] : 0.0f;
    }
    RowSums<ROWS, HEAD> sums;
    sums.clear();
    for (u32 keys = place.start; keys < place.end; keys += ROWS) {
        __syncthreads(); // the last readers are done
        shared.keys.load(of.key, of.stride, keys, place.end, args.head_size);
        shared.values.load(of.value, of.stride, keys, place.end, args.head_size);
        __syncthreads();
        float scores[N][N], products[N][N];
        rows_by_rows(scores, shared.queries, shared.keys);
        rows_by_rows(products, shared.slopes, shared.values);
#pragma unroll
        for (u32 i = 0; i < N; i++) {
#pragma unroll
            for (u32 j = 0; j < N; j++) {
                bool inside = keys + thread_column() + 16 * j < place.end;
                float weight = inside ? expf(scores[i][j] * args.scale - lse[i]) : 0.0f;
                shared.weights.at[thread_row() + 16 * i][thread_column() + 16 * j] =
                    weight * (products[i][j] - delta[i]);
            }
        }
        __syncthreads();
        sums.add(shared.weights, shared.keys);
    }
    sums.scale_all([&](u32) { return args.scale; });
    sums.store(args.dqkv + place.head * args.head_size, of.stride, place.first, place.end, args.head_size);
}

template <u32 ROWS, u32 HEAD>
DEVICE void backward_keys(BackwardShared<ROWS, HEAD>& shared, const AttentionBackwardArgs& args) {
    const u32 N = ROWS / 16;
    Place place(args.bounds, args.heads, args.tiles, ROWS);
    if (place.is_empty()) {
        return;
    }
    HeadOf of(args, place.head);
    shared.keys.load(of.key, of.stride, place.first, place.end, args.head_size);
    shared.values.load(of.value, of.stride, place.first, place.end, args.head_size);
    RowSums<ROWS, HEAD> key_sums, value_sums;
    key_sums.clear();
    value_sums.clear();
    for (u32 queries = place.start; queries < place.end; queries += ROWS) {
        __syncthreads(); // the last readers are done
        shared.queries.load(of.query, of.stride, queries, place.end, args.head_size);
        shared.slopes.load(of.dy, of.hidden, queries, place.end, args.head_size);
        __syncthreads();
        float scores[N][N], products[N][N]; // [key][query]
        rows_by_rows(scores, shared.keys, shared.queries);
        rows_by_rows(products, shared.values, shared.slopes);
#pragma unroll
        for (u32 j = 0; j < N; j++) {
            u32 query = queries + thread_column() + 16 * j;
            // A query from the end on is 0, and so is its dy: it adds nothing, whatever its weight.
            bool inside = query < place.end;
            float lse = inside ? of.lse[query] : 0.0f;
            float delta = inside ? of.delta[query] : 0.0f;
#pragma unroll
            for (u32 i = 0; i < N; i++) {
                float weight = expf(scores[i][j] * args.scale - lse);
                shared.weights.at[thread_row() + 16 * i][thread_column() + 16 * j] = weight;
                products[i][j] = weight * (products[i][j] - delta);
            }
        }
        __syncthreads();
        value_sums.add(shared.weights, shared.slopes);
        __syncthreads(); // all weights are read
#pragma unroll
        for (u32 i = 0; i < N; i++) {
#pragma unroll
            for (u32 j = 0; j < N; j++) {
                shared.weights.at[thread_row() + 16 * i][thread_column() + 16 * j] = products[i][j];
            }
        }
        __syncthreads();
        key_sums.add(shared.weights, shared.queries);
    }
    key_sums.scale_all([&](u32) { return args.scale; });
    float* to = args.dqkv + place.head * args.head_size + of.hidden;
    key_sums.store(to, of.stride, place.first, place.end, args.head_size);
    value_sums.store(to + of.hidden, of.stride, place.first, place.end, args.head_size);
}

#define BACKWARD(NAME, PASS, ROWS, HEAD)                \
    typedef BackwardShared<ROWS, HEAD> NAME##_type;     \
    SHARED_BYTES(NAME, NAME##_type);                    \
    KERNEL(NAME, AttentionBackwardArgs, THREADS) {      \
        DYNAMIC_SHARED(NAME##_type, shared);            \
        PASS<ROWS, HEAD>(shared, args);                 \
    }

BACKWARD(attention_backward_queries_f32_32, backward_queries, 64, 32)
BACKWARD(attention_backward_queries_f32_64, backward_queries, 64, 64)
BACKWARD(attention_backward_queries_f32_128, backward_queries, 32, 128)
BACKWARD(attention_backward_queries_f32_256, backward_queries, 16, 256)
BACKWARD(attention_backward_keys_f32_32, backward_keys, 64, 32)
BACKWARD(attention_backward_keys_f32_64, backward_keys, 64, 64)
BACKWARD(attention_backward_keys_f32_128, backward_keys, 32, 128)
BACKWARD(attention_backward_keys_f32_256, backward_keys, 16, 256)
