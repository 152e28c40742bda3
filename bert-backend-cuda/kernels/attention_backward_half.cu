// The backward pass of attention on tensor cores, as attention_backward.cuh says: queries, keys, values, gradients,
// weights and slopes are rounded to bf16 before they are multiplied; everything else is f32. (F16 would lose small
// gradients.) Heads of up to 128: for wider ones the sums of keys and values do not fit in registers.
#include <attention_backward.cuh>
#include <attention_half.cuh>

template <u32 OTHERS, u32 HEAD>
struct QueriesShared {
    HalfRows<ROWS, HEAD> queries;
    HalfRows<ROWS, HEAD> slopes; // dy
    HalfRows<OTHERS, HEAD> keys;
    HalfRows<OTHERS, HEAD> values;
};

template <u32 OTHERS, u32 HEAD>
DEVICE void backward_queries(QueriesShared<OTHERS, HEAD>& shared, const AttentionBackwardArgs& args) {
    Place place(args.bounds, args.heads, args.tiles, ROWS);
    if (place.is_empty()) {
        return;
    }
    HeadOf of(args, place.head);
    shared.queries.template load<Bf16>(of.query, of.stride, place.first, place.end, args.head_size);
    shared.slopes.template load<Bf16>(of.dy, of.hidden, place.first, place.end, args.head_size);
    float lse[2], delta[2];
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        u32 row = place.first + row_of(half);
        lse[half] = row < place.end ? of.lse[row] * LOG2_E : 0.0f;
        delta[half] = row < place.end ? of.delta[row] : 0.0f;
    }
    float sums[HEAD / 8][4] = {};
    for (u32 keys = place.start; keys < place.end; keys += OTHERS) {
        __syncthreads(); // the last readers are done
        shared.keys.template load<Bf16>(of.key, of.stride, keys, place.end, args.head_size);
        shared.values.template load<Bf16>(of.value, of.stride, keys, place.end, args.head_size);
        __syncthreads();
        float scores[OTHERS / 8][4], products[OTHERS / 8][4];
        rows_by_rows<Bf16>(scores, shared.queries, shared.keys);
        rows_by_rows<Bf16>(products, shared.slopes, shared.values);
#pragma unroll
        for (u32 i = 0; i < OTHERS / 2; i++) {
            u32 half = i % 4 / 2;
            bool inside = keys + column_of(i / 4 * 2 + i % 2) < place.end;
            float& product = products[i / 4][i % 4];
            float weight = inside ? exp2f(scores[i / 4][i % 4] * (args.scale * LOG2_E) - lse[half]) : 0.0f;
            product = weight * (product - delta[half]);
        }
        add_weighted<Bf16>(sums, products, shared.keys);
    }
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        u32 row = place.first + row_of(half);
        if (row < place.end) {
            float* to = args.dqkv + row * of.stride + place.head * args.head_size;
            store_row<HEAD>(to, sums, half, args.scale, args.head_size);
        }
    }
}

template <u32 OTHERS, u32 HEAD>
struct KeysShared {
    HalfRows<ROWS, HEAD> keys;
    HalfRows<ROWS, HEAD> values;
    HalfRows<OTHERS, HEAD> queries;
    HalfRows<OTHERS, HEAD> slopes; // dy
    float lse[OTHERS];
    float delta[OTHERS];
};

template <u32 OTHERS, u32 HEAD>
DEVICE void backward_keys(KeysShared<OTHERS, HEAD>& shared, const AttentionBackwardArgs& args) {
    Place place(args.bounds, args.heads, args.tiles, ROWS);
    if (place.is_empty()) {
        return;
    }
    HeadOf of(args, place.head);
    shared.keys.template load<Bf16>(of.key, of.stride, place.first, place.end, args.head_size);
    shared.values.template load<Bf16>(of.value, of.stride, place.first, place.end, args.head_size);
    float key_sums[HEAD / 8][4] = {}, value_sums[HEAD / 8][4] = {};
    for (u32 queries = place.start; queries < place.end; queries += OTHERS) {
        __syncthreads(); // the last readers are done
        shared.queries.template load<Bf16>(of.query, of.stride, queries, place.end, args.head_size);
        shared.slopes.template load<Bf16>(of.dy, of.hidden, queries, place.end, args.head_size);
        // A query from the end on is 0, and so is its dy: it adds nothing, whatever its weight.
        if (threadIdx.x < OTHERS) {
            u32 query = queries + threadIdx.x;
            shared.lse[threadIdx.x] = query < place.end ? of.lse[query] * LOG2_E : 0.0f;
            shared.delta[threadIdx.x] = query < place.end ? of.delta[query] : 0.0f;
        }
        __syncthreads();
        float weights[OTHERS / 8][4], products[OTHERS / 8][4]; // [key][query]
        rows_by_rows<Bf16>(weights, shared.keys, shared.queries);
        rows_by_rows<Bf16>(products, shared.values, shared.slopes);
#pragma unroll
        for (u32 i = 0; i < OTHERS / 2; i++) {
            u32 column = column_of(i / 4 * 2 + i % 2);
            float& weight = weights[i / 4][i % 4];
            float& product = products[i / 4][i % 4];
            weight = exp2f(weight * (args.scale * LOG2_E) - shared.lse[column]);
            product = weight * (product - shared.delta[column]);
        }
        add_weighted<Bf16>(value_sums, weights, shared.slopes);
        add_weighted<Bf16>(key_sums, products, shared.queries);
    }
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        u32 row = place.first + row_of(half);
        if (row < place.end) {
            float* to = args.dqkv + row * of.stride + of.hidden + place.head * args.head_size;
            store_row<HEAD>(to, key_sums, half, args.scale, args.head_size);
            store_row<HEAD>(to + of.hidden, value_sums, half, 1.0f, args.head_size);
        }
    }
}

#define BACKWARD(NAME, PASS, SHARED_TYPE, OTHERS, HEAD)   \
    typedef SHARED_TYPE<OTHERS, HEAD> NAME##_type;        \
    SHARED_BYTES(NAME, NAME##_type);                      \
    KERNEL(NAME, AttentionBackwardArgs, THREADS) {        \
        DYNAMIC_SHARED(NAME##_type, shared);              \
        PASS<OTHERS, HEAD>(shared, args);                 \
    }

BACKWARD(attention_backward_queries_bf16_32, backward_queries, QueriesShared, 64, 32)
BACKWARD(attention_backward_queries_bf16_64, backward_queries, QueriesShared, 64, 64)
BACKWARD(attention_backward_queries_bf16_128, backward_queries, QueriesShared, 32, 128)
BACKWARD(attention_backward_keys_bf16_32, backward_keys, KeysShared, 64, 32)
BACKWARD(attention_backward_keys_bf16_64, backward_keys, KeysShared, 32, 64)
BACKWARD(attention_backward_keys_bf16_128, backward_keys, KeysShared, 16, 128)
