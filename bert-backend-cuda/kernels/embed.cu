// The first hidden state: a row of each table added up, then normalised -> out [tokens, hidden]. The sum is kept
// where `sum` is not null: the backward pass starts from it.
//
// A block of 256 threads a token: `blocks = tokens`; 4 * hidden bytes of dynamic shared memory.
#include <row_norm.cuh>

struct EmbedArgs {
    const float* word; // [vocab_size, hidden]
    const float* token_type; // [type_vocab_size, hidden] or null
    const float* position; // [max_position_embeddings, hidden]
    const u32* ids; // [tokens]
    const u32* segments; // [tokens]
    const u32* positions; // [tokens]
    const float* weight; // [hidden]
    const float* bias; // [hidden]
    float* out;
    float* sum; // [tokens, hidden] or null
    u64 word_stride; // of rows
    u64 token_type_stride;
    u64 position_stride;
    u32 hidden;
    float eps;
};

KERNEL(embed, EmbedArgs, THREADS) {
    SHARED(Partials<THREADS>, partials);
    DYNAMIC_FLOATS(row, args.hidden);
    u32 token = blockIdx.x;
    const float* word = args.word + args.ids[token] * args.word_stride;
    const float* position = args.position + args.positions[token] * args.position_stride;
    const float* type = args.token_type ? args.token_type + args.segments[token] * args.token_type_stride : nullptr;
    u64 to = (u64)token * args.hidden;
    float total = 0.0f;
    for (u32 i = threadIdx.x; i < args.hidden; i += THREADS) {
        float value = (type ? word[i] + type[i] : word[i]) + position[i];
        row[i] = value;
        total += value;
        if (args.sum) {
            args.sum[to + i] = value;
        }
    }
    Moments of = moments(row, total, args.hidden, args.eps, partials);
    write_normal(row, of, args.weight, args.bias, args.out + to, args.hidden);
}
