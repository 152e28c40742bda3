// Scaled dot-product attention over packed sequences on tensor cores, as attention.cu: queries, keys, values and
// weights are rounded to 16 bits before they are multiplied; scores, maxima and sums are f32.
#include <attention.cuh>
#include <attention_half.cuh>

template <u32 KEYS, u32 HEAD>
struct AttentionShared {
    HalfRows<ROWS, HEAD> queries;
    HalfRows<KEYS, HEAD> keys;
    HalfRows<KEYS, HEAD> values;
};

template <class Half, u32 KEYS, u32 HEAD>
DEVICE void attention(AttentionShared<KEYS, HEAD>& shared, const AttentionArgs& args) {
    Place place(args.bounds, args.heads, args.tiles, ROWS);
    if (place.is_empty()) {
        return;
    }
    u64 hidden = args.heads * args.head_size;
    const float* query = args.qkv + place.head * args.head_size;
    shared.queries.template load<Half>(query, args.row_stride, place.first, place.end, args.head_size);

    float scale = args.scale * LOG2_E;
    float context[HEAD / 8][4] = {};
    float largest[2] = {Max::first(), Max::first()}; // of the scores of both rows so far
    float total[2] = {0.0f, 0.0f}; // of this lane's weights
    for (u32 keys = place.start; keys < place.end; keys += KEYS) {
        __syncthreads(); // the last readers are done
        shared.keys.template load<Half>(query + hidden, args.row_stride, keys, place.end, args.head_size);
        shared.values.template load<Half>(query + 2 * hidden, args.row_stride, keys, place.end, args.head_size);
        __syncthreads();
        float scores[KEYS / 8][4];
        rows_by_rows<Half>(scores, shared.queries, shared.keys);
        float correction[2];
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            float before = largest[half];
#pragma unroll
            for (u32 i = 0; i < KEYS / 4; i++) {
                float& score = scores[i / 2][half * 2 + i % 2];
                score = keys + column_of(i) < place.end ? score * scale : Max::first();
                largest[half] = Max::of(largest[half], score);
            }
            largest[half] = warp_reduce<Max, 4>(largest[half]);
            // What was summed so far was relative to the maximum before.
            correction[half] = exp2f(before - largest[half]);
            total[half] *= correction[half];
#pragma unroll
            for (u32 i = 0; i < KEYS / 4; i++) {
                float& score = scores[i / 2][half * 2 + i % 2];
                score = exp2f(score - largest[half]);
                total[half] += score;
            }
        }
#pragma unroll
        for (u32 d = 0; d < HEAD / 8; d++) {
#pragma unroll
            for (u32 part = 0; part < 4; part++) {
                context[d][part] *= correction[part / 2];
            }
        }
        add_weighted<Half>(context, scores, shared.values);
    }

#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        float sum = warp_reduce<Sum, 4>(total[half]);
        u32 row = place.first + row_of(half);
        if (row < place.end) {
            if (args.lse && threadIdx.x % 4 == 0) {
                args.lse[(u64)place.head * args.tokens + row] = largest[half] * LN_2 + logf(sum);
            }
            float* out = args.out + row * hidden + place.head * args.head_size;
            store_row<HEAD>(out, context, half, 1.0f / sum, args.head_size);
        }
    }
}

#define ATTENTION(NAME, HALF, KEYS, HEAD)               \
    typedef AttentionShared<KEYS, HEAD> NAME##_type;    \
    SHARED_BYTES(NAME, NAME##_type);                    \
    KERNEL(NAME, AttentionArgs, THREADS) {              \
        DYNAMIC_SHARED(NAME##_type, shared);            \
        attention<HALF, KEYS, HEAD>(shared, args);      \
    }

ATTENTION(attention_bf16_32, Bf16, 64, 32)
ATTENTION(attention_bf16_64, Bf16, 64, 64)
ATTENTION(attention_bf16_128, Bf16, 64, 128)
ATTENTION(attention_bf16_256, Bf16, 32, 256)
ATTENTION(attention_f16_32, F16, 64, 32)
ATTENTION(attention_f16_64, F16, 64, 64)
ATTENTION(attention_f16_128, F16, 64, 128)
ATTENTION(attention_f16_256, F16, 32, 256)
