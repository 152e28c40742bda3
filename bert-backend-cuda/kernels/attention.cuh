// What attention is asked: its arguments, and which rows a block has.
//
// qkv [tokens, 3 * heads * head_size] -> out [tokens, heads * head_size]; a token sees the tokens of its own
// sequence. `lse` [heads, tokens], where not null, gets each row's log of the sum of exponentials of scores, from
// which the backward pass makes the weights again.
#pragma once
#include <common.cuh>

struct AttentionArgs {
    const float* qkv;
    const u32* bounds; // [sequences + 1]
    float* out;
    float* lse;
    u64 row_stride; // of qkv
    u32 heads;
    u32 head_size;
    u32 tiles; // of rows, in the longest sequence
    u32 tokens;
    float scale;
};

// A tile of rows of one head of one sequence; `blocks = sequences * heads * tiles`.
struct Place {
    u32 head;
    u32 start, end; // of the sequence
    u32 first; // of the tile

    DEVICE Place(const u32* bounds, u32 heads, u32 tiles, u32 rows) {
        u32 sequence = blockIdx.x / tiles / heads;
        head = blockIdx.x / tiles % heads;
        start = bounds[sequence];
        end = bounds[sequence + 1];
        first = start + blockIdx.x % tiles * rows;
    }

    // Shorter sequences have fewer tiles.
    DEVICE bool is_empty() const {
        return first >= end;
    }
};
