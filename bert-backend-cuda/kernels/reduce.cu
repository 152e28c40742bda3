// Sums and maxima: over the last axis of a view, and over the rows of a matrix.
//
// The order in which a row is summed depends on its length alone, so that a row gives the same bits whatever
// stands beside it. A short row is a warp's work, a long one (more than 1024) a block's: both kernels are right
// for any length, but only this choice keeps the promise.
//
// reduce: x [.., n] -> out [..];  column_sums: x [rows, n] -> out [ceil(rows / 64), n]
#include <common.cuh>

const u32 THREADS = 256;
const u32 ROWS = THREADS / WARP; // of a block, where rows are short
const u32 CHUNK = 64; // rows that a block of column_sums adds up

struct ReduceArgs {
    const float* x;
    float* out;
    View view;
    u32 rows;
};

// A warp a row: `blocks = ceil(rows / 8)`.
template <class Op>
DEVICE void reduce_short(const ReduceArgs& args) {
    u32 row = blockIdx.x * ROWS + threadIdx.x / WARP;
    if (row >= args.rows) {
        return; // a whole warp
    }
    u64 start = row_place(args.view, row);
    float value = Op::first();
    for (u32 i = threadIdx.x % WARP; i < args.view.shape[3]; i += WARP) {
        value = Op::of(value, args.x[start + i * args.view.strides[3]]);
    }
    value = warp_reduce<Op>(value);
    if (threadIdx.x % WARP == 0) {
        args.out[row] = value;
    }
}

// A block a row: `blocks = rows`.
template <class Op>
DEVICE void reduce_long(const ReduceArgs& args) {
    SHARED(Partials<THREADS>, partials);
    u64 start = row_place(args.view, blockIdx.x);
    float value = Op::first();
    for (u32 i = threadIdx.x; i < args.view.shape[3]; i += THREADS) {
        value = Op::of(value, args.x[start + i * args.view.strides[3]]);
    }
    value = block_reduce<Op, THREADS>(value, partials);
    if (threadIdx.x == 0) {
        args.out[blockIdx.x] = value;
    }
}

KERNEL(reduce_sum_short, ReduceArgs, THREADS) { reduce_short<Sum>(args); }
KERNEL(reduce_max_short, ReduceArgs, THREADS) { reduce_short<Max>(args); }
KERNEL(reduce_sum_long, ReduceArgs, THREADS) { reduce_long<Sum>(args); }
KERNEL(reduce_max_long, ReduceArgs, THREADS) { reduce_long<Max>(args); }

struct ColumnSumsArgs {
    const float* x;
    float* out;
    u64 row_stride;
    u32 rows;
    u32 columns;
};

// The sum of 64 rows, column by column: gradients of biases. Asked again until one row is left, it adds up any
// number of rows in an order that depends on that number alone. `grid = (ceil(rows / 64), ceil(columns / 256))`.
KERNEL(column_sums, ColumnSumsArgs, THREADS) {
    u32 column = blockIdx.y * THREADS + threadIdx.x;
    u32 first = blockIdx.x * CHUNK;
    u32 end = min(first + CHUNK, args.rows);
    if (column >= args.columns) {
        return;
    }
    float sum = 0.0f;
    for (u32 row = first; row < end; row++) {
        sum += args.x[row * args.row_stride + column];
    }
    args.out[(u64)blockIdx.x * args.columns + column] = sum;
}
