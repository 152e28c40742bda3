// The gradient of gather: the rows of x [k, n] added to those rows of out [rows, n] that their ids name.
//
// The host sorts: `order` [k] lists the rows of x so that equal ids are neighbours, in rising order of rows among
// themselves, and `ids` [k] are the ids in that order. The first row of an id adds up all of them, so that no
// two blocks write to one row and the order of the sum is always the same. `grid = (k, ceil(n / 128))`.
#include <common.cuh>

const u32 THREADS = 128;

struct ScatterArgs {
    const float* x;
    const u32* order;
    const u32* ids;
    float* out;
    u64 row_stride; // of x
    u32 count; // k
    u32 columns; // n
};

KERNEL(scatter_rows, ScatterArgs, THREADS) {
    u32 first = blockIdx.x;
    u32 column = blockIdx.y * THREADS + threadIdx.x;
    u32 id = args.ids[first];
    if ((first > 0 && args.ids[first - 1] == id) || column >= args.columns) {
        return;
    }
    float sum = 0.0f;
    for (u32 i = first; i < args.count && args.ids[i] == id; i++) {
        sum += args.x[args.order[i] * args.row_stride + column];
    }
    args.out[(u64)id * args.columns + column] += sum;
}
