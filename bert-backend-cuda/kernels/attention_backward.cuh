// What the backward pass of attention is asked: its arguments, and where a head's matrices lie. Source:
// FlashAttention-2 (Dao, 2023), algorithm 2, in two passes, so that no sum meets an atomic and every run gives the
// same bits:
//   delta = sum over a head's dimensions of dy * y
//   weight = exp(scale * q k - lse),  slope = weight * (dy v - delta)
//   a tile of queries, over all keys:  dq = scale * slope k
//   a tile of keys, over all queries:  dk = scale * slopeᵀ q,  dv = weightᵀ dy
// The order: attention_delta, then the passes for queries and for keys and values, in any order.
#pragma once
#include <attention.cuh>

struct AttentionBackwardArgs {
    const float* qkv; // [tokens, 3 * heads * head_size]
    const float* dy; // [tokens, heads * head_size]
    const float* lse; // [heads, tokens]
    const float* delta; // [heads, tokens]
    const u32* bounds; // [sequences + 1]
    float* dqkv; // [tokens, 3 * heads * head_size]
    u32 heads;
    u32 head_size;
    u32 tiles; // of rows, in the longest sequence
    u32 tokens;
    float scale;
};

// The matrices of one head, at its first column.
struct HeadOf {
    const float *query, *key, *value, *dy, *lse, *delta;
    u64 hidden, stride;

    DEVICE HeadOf(const AttentionBackwardArgs& args, u32 head) {
        hidden = args.heads * args.head_size;
        stride = 3 * hidden;
        query = args.qkv + head * args.head_size;
        key = query + hidden;
        value = key + hidden;
        dy = args.dy + head * args.head_size;
        lse = args.lse + (u64)head * args.tokens;
        delta = args.delta + (u64)head * args.tokens;
    }
};
