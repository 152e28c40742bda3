// Scaled dot-product attention over packed sequences on tensor cores, as attention.cu: queries, keys, values and
// weights are rounded to 16 bits before they are multiplied; scores, maxima and sums are f32.
//
// A block of four warps has 64 queries, a warp 16 of them: its products' rows. A lane has two neighbouring columns
// of rows lane / 4 and lane / 4 + 8 of each product [16, 8], so that four lanes make a row, and what is the result
// of one product is in place as the left factor of the next.
#include <attention.cuh>

const u32 THREADS = 128;
const u32 QUERIES = 64;

template <u32 ROWS, u32 HEAD>
struct HalfRows {
    alignas(16) u16 at[ROWS][HEAD + 8]; // rows begin in different banks

    // Rows `first` to `end` of a matrix that starts at this head's first column, then zeros.
    template <class Half>
    DEVICE void load(const float* from, u64 stride, u32 first, u32 end, u32 head_size) {
        bool aligned = quads_align(from, stride);
#pragma unroll 8
        for (u32 i = threadIdx.x; i < ROWS * HEAD / 4; i += THREADS) {
            u32 row = i / (HEAD / 4), column = i % (HEAD / 4) * 4;
            u32 length = first + row < end ? head_size : 0;
            Pack<4> quad = load_quad(from + (first + row) * stride, column, length, aligned);
            u32* to = reinterpret_cast<u32*>(&at[row][column]);
            to[0] = Half::pack(quad.at[0], quad.at[1]);
            to[1] = Half::pack(quad.at[2], quad.at[3]);
        }
    }
};

template <u32 KEYS, u32 HEAD>
struct AttentionShared {
    HalfRows<QUERIES, HEAD> queries;
    HalfRows<KEYS, HEAD> keys;
    HalfRows<KEYS, HEAD> values;
};

template <class Half, u32 KEYS, u32 HEAD>
DEVICE void attention(AttentionShared<KEYS, HEAD>& shared, const AttentionArgs& args) {
    const u32 SCORES = KEYS / 8; // products [16, 8] of a warp
    const u32 DIMENSIONS = HEAD / 8;
    Place place(args.bounds, args.heads, args.tiles, QUERIES);
    if (place.is_empty()) {
        return;
    }
    u64 hidden = args.heads * args.head_size;
    const float* query = args.qkv + place.head * args.head_size;
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    shared.queries.template load<Half>(query, args.row_stride, place.first, place.end, args.head_size);

    // Exponentials are to base 2.
    float scale = args.scale * 1.44269504f;
    float context[DIMENSIONS][4] = {};
    float largest[2] = {Max::first(), Max::first()}; // of the scores of both rows so far
    float total[2] = {0.0f, 0.0f}; // of this lane's weights
    for (u32 keys = place.start; keys < place.end; keys += KEYS) {
        __syncthreads(); // the last readers are done
        shared.keys.template load<Half>(query + hidden, args.row_stride, keys, place.end, args.head_size);
        shared.values.template load<Half>(query + 2 * hidden, args.row_stride, keys, place.end, args.head_size);
        __syncthreads();

        float scores[SCORES][4] = {};
#pragma unroll
        for (u32 d = 0; d < HEAD; d += 16) {
            u32 left[4];
            load_matrices(left, &shared.queries.at[warp * 16 + lane % 16][d + lane / 16 * 8]);
#pragma unroll
            for (u32 j = 0; j < SCORES; j += 2) {
                // Keys 0-7, both halves of 16 dimensions, then keys 8-15.
                u32 right[4];
                u32 key = j * 8 + lane / 16 * 8 + lane % 8;
                load_matrices(right, &shared.keys.at[key][d + lane / 8 % 2 * 8]);
                Half::multiply(scores[j], left, right[0], right[1]);
                Half::multiply(scores[j + 1], left, right[2], right[3]);
            }
        }

        float correction[2];
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            float before = largest[half];
#pragma unroll
            for (u32 i = 0; i < SCORES * 2; i++) {
                u32 key = keys + i / 2 * 8 + lane % 4 * 2 + i % 2;
                float& score = scores[i / 2][half * 2 + i % 2];
                score = key < place.end ? score * scale : Max::first();
                largest[half] = Max::of(largest[half], score);
            }
            largest[half] = warp_reduce<Max, 4>(largest[half]);
            // What was summed so far was relative to the maximum before.
            correction[half] = exp2f(before - largest[half]);
            total[half] *= correction[half];
#pragma unroll
            for (u32 i = 0; i < SCORES * 2; i++) {
                float& score = scores[i / 2][half * 2 + i % 2];
                score = exp2f(score - largest[half]);
                total[half] += score;
            }
        }
#pragma unroll
        for (u32 d = 0; d < DIMENSIONS; d++) {
#pragma unroll
            for (u32 part = 0; part < 4; part++) {
                context[d][part] *= correction[part / 2];
            }
        }

#pragma unroll
        for (u32 k = 0; k < KEYS; k += 16) {
            float(&low)[4] = scores[k / 8];
            float(&high)[4] = scores[k / 8 + 1];
            u32 left[4] = {Half::pack(low[0], low[1]), Half::pack(low[2], low[3]), Half::pack(high[0], high[1]),
                           Half::pack(high[2], high[3])};
#pragma unroll
            for (u32 d = 0; d < DIMENSIONS; d += 2) {
                // Both halves of 16 keys of dimensions 0-7, then of 8-15.
                u32 right[4];
                load_matrices_transposed(right, &shared.values.at[k + lane % 16][d * 8 + lane / 16 * 8]);
                Half::multiply(context[d], left, right[0], right[1]);
                Half::multiply(context[d + 1], left, right[2], right[3]);
            }
        }
    }

#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        float sum = warp_reduce<Sum, 4>(total[half]);
        u32 row = place.first + warp * 16 + half * 8 + lane / 4;
        if (row >= place.end) {
            continue;
        }
        if (args.lse && lane % 4 == 0) {
            args.lse[(u64)place.head * args.tokens + row] = largest[half] * 0.693147181f + logf(sum);
        }
        float* out = args.out + row * hidden + place.head * args.head_size;
#pragma unroll
        for (u32 i = 0; i < DIMENSIONS * 2; i++) {
            u32 dimension = i / 2 * 8 + lane % 4 * 2 + i % 2;
            if (dimension < args.head_size) {
                out[dimension] = context[i / 2][half * 2 + i % 2] / sum;
            }
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
