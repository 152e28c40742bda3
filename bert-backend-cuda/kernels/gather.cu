// Rows of a table: table [rows, n], indices [k] -> out [k, n]. A block a row: `blocks = k`.
#include <common.cuh>

const u32 THREADS = 128;

struct GatherArgs {
    const u32* table;
    const u32* indices;
    u32* out;
    u64 row_stride;
    u64 column_stride;
    u64 index_stride;
    u32 columns;
};

KERNEL(gather_rows, GatherArgs, THREADS) {
    u64 from = args.indices[blockIdx.x * args.index_stride] * args.row_stride;
    u64 to = (u64)blockIdx.x * args.columns;
    for (u32 column = threadIdx.x; column < args.columns; column += THREADS) {
        args.out[to + column] = args.table[from + column * args.column_stride];
    }
}
