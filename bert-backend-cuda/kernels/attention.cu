// Scaled dot-product attention over packed sequences in f32, in the manner of FlashAttention (Dao et al., 2022,
// algorithm 1): a tile of queries meets tile after tile of keys, and a row's maximum and sum are corrected as the
// tiles go by, so that no matrix of scores is stored. What is computed for a query depends on its own sequence
// alone.
//
// HEAD is the head size, rounded up to a size there is a kernel for; a tile is 64 rows, or 32 of the widest heads.
#include <attention.cuh>
#include <attention_tiles.cuh>

template <u32 ROWS, u32 HEAD>
struct AttentionShared {
    HeadRows<ROWS, HEAD> queries;
    HeadRows<ROWS, HEAD> others; // keys, then values
    Weights<ROWS> weights;
};

template <u32 ROWS, u32 HEAD>
DEVICE void attention(AttentionShared<ROWS, HEAD>& shared, const AttentionArgs& args) {
    const u32 N = ROWS / 16;
    Place place(args.bounds, args.heads, args.tiles, ROWS);
    if (place.is_empty()) {
        return;
    }
    u64 hidden = args.heads * args.head_size;
    const float* query = args.qkv + place.head * args.head_size;
    shared.queries.load(query, args.row_stride, place.first, place.end, args.head_size);

    RowSums<ROWS, HEAD> context;
    context.clear();
    float largest[N], total[N]; // of all scores so far; of this thread's weights
#pragma unroll
    for (u32 i = 0; i < N; i++) {
        largest[i] = Max::first();
        total[i] = 0.0f;
    }
    for (u32 keys = place.start; keys < place.end; keys += ROWS) {
        __syncthreads(); // the last readers of `others` are done
        shared.others.load(query + hidden, args.row_stride, keys, place.end, args.head_size);
        __syncthreads();
        float scores[N][N];
        rows_by_rows(scores, shared.queries, shared.others);
        float correction[N];
#pragma unroll
        for (u32 i = 0; i < N; i++) {
            float before = largest[i];
#pragma unroll
            for (u32 j = 0; j < N; j++) {
                bool inside = keys + thread_column() + 16 * j < place.end;
                scores[i][j] = inside ? scores[i][j] * args.scale : Max::first();
                largest[i] = Max::of(largest[i], scores[i][j]);
            }
            largest[i] = warp_reduce<Max, 16>(largest[i]);
            // What was summed so far was relative to the maximum before.
            correction[i] = expf(before - largest[i]);
            total[i] *= correction[i];
#pragma unroll
            for (u32 j = 0; j < N; j++) {
                float weight = expf(scores[i][j] - largest[i]);
                total[i] += weight;
                shared.weights.at[thread_row() + 16 * i][thread_column() + 16 * j] = weight;
            }
        }
        context.scale_all([&](u32 i) { return correction[i]; });
        __syncthreads(); // all weights are written, all keys are read
        shared.others.load(query + 2 * hidden, args.row_stride, keys, place.end, args.head_size);
        __syncthreads();
        context.add(shared.weights, shared.others);
    }

#pragma unroll
    for (u32 i = 0; i < N; i++) {
        total[i] = warp_reduce<Sum, 16>(total[i]);
        u32 row = place.first + thread_row() + 16 * i;
        if (args.lse && thread_column() == 0 && row < place.end) {
            args.lse[(u64)place.head * args.tokens + row] = largest[i] + logf(total[i]);
        }
    }
    context.scale_all([&](u32 i) { return 1.0f / total[i]; });
    context.store(args.out + place.head * args.head_size, hidden, place.first, place.end, args.head_size);
}

#define ATTENTION(NAME, ROWS, HEAD)                      \
    typedef AttentionShared<ROWS, HEAD> NAME##_type;     \
    SHARED_BYTES(NAME, NAME##_type);                     \
    KERNEL(NAME, AttentionArgs, THREADS) {               \
        DYNAMIC_SHARED(NAME##_type, shared);             \
        attention<ROWS, HEAD>(shared, args);             \
    }

ATTENTION(attention_f32_32, 64, 32)
ATTENTION(attention_f32_64, 64, 64)
ATTENTION(attention_f32_128, 64, 128)
ATTENTION(attention_f32_256, 32, 256)
