// The product of strided matrices in f32, with bias and activation for linear layers:
// a [b0, b1, m, k], b [b0, b1, k, n] -> out [b0, b1, m, n], row-major.
//
// A block of 256 threads has a tile of TILE times TILE results, a thread (TILE / 16)² of them. Each result is
// summed along k in one order whatever the tile, so that the host may choose the tile by the number of blocks and
// the bits stay the same. `blocks = b0 * b1 * ceil(m / TILE) * ceil(n / TILE)`;
// dynamic shared memory: see SHARED_BYTES.
#include <results.cuh>

const u32 THREADS = 256;
const u32 DEPTH = 16; // of a tile of a or b

struct MatmulArgs {
    const float* a;
    const float* b;
    const float* bias; // [n] or null
    float* out;
    View a_view;
    View b_view;
    u32 activation;
};

// One row for each k, so that a thread reads four of its rows or columns at once. The padding lets the threads
// that write neighbouring k go to different banks.
template <u32 TILE>
struct Tiles {
    alignas(16) float a[DEPTH][TILE + 4];
    alignas(16) float b[DEPTH][TILE + 4];
};

template <u32 TILE>
union MatmulShared {
    Tiles<TILE> tiles;
    Results<TILE, TILE> results; // when all products are summed
};

// A tile of a factor on its way from global to shared memory: `along` numbers the rows of a or columns of b.
template <u32 TILE>
struct Fetch {
    static const u32 COUNT = TILE * DEPTH / THREADS;
    const float* start;
    u64 along_stride, k_stride;
    u32 first, along_end, k_end;
    float held[COUNT];

    // Neighbouring threads read what lies together.
    DEVICE void position(u32 i, u32& along, u32& k) const {
        u32 index = i * THREADS + threadIdx.x;
        bool k_first = k_stride == 1;
        k = k_first ? index % DEPTH : index / TILE;
        along = k_first ? index / DEPTH : index % TILE;
    }

    DEVICE void load(u32 k_start) {
#pragma unroll
        for (u32 i = 0; i < COUNT; i++) {
            u32 along, k;
            position(i, along, k);
            bool inside = first + along < along_end && k_start + k < k_end;
            held[i] = inside ? start[(first + along) * along_stride + (k_start + k) * k_stride] : 0.0f;
        }
    }

    DEVICE void store(float (&tile)[DEPTH][TILE + 4]) const {
#pragma unroll
        for (u32 i = 0; i < COUNT; i++) {
            u32 along, k;
            position(i, along, k);
            tile[k][along] = held[i];
        }
    }
};

template <u32 TILE>
DEVICE void multiply(MatmulShared<TILE>& shared, const MatmulArgs& args) {
    Tiles<TILE>& tiles = shared.tiles;
    const u32 QUADS = TILE / 64; // of a thread's rows, and of its columns
    u32 m = args.a_view.shape[2], depth = args.a_view.shape[3], n = args.b_view.shape[3];
    u32 columns = (n + TILE - 1) / TILE, rows = (m + TILE - 1) / TILE;
    u32 column = blockIdx.x % columns * TILE;
    u32 row = blockIdx.x / columns % rows * TILE;
    u32 batch = blockIdx.x / columns / rows;
    u32 b0 = batch / args.a_view.shape[1], b1 = batch % args.a_view.shape[1];
    const u64(&as)[4] = args.a_view.strides;
    const u64(&bs)[4] = args.b_view.strides;
    const float* a_start = args.a + args.a_view.offset + b0 * as[0] + b1 * as[1];
    const float* b_start = args.b + args.b_view.offset + b0 * bs[0] + b1 * bs[1];
    Fetch<TILE> a = {a_start, as[2], as[3], row, m, depth};
    Fetch<TILE> b = {b_start, bs[3], bs[2], column, n, depth};
    u32 x = threadIdx.x % 16, y = threadIdx.x / 16;

    float sums[4 * QUADS][4 * QUADS] = {};
    a.load(0);
    b.load(0);
    for (u32 k_start = 0; k_start < depth; k_start += DEPTH) {
        a.store(tiles.a);
        b.store(tiles.b);
        __syncthreads();
        a.load(k_start + DEPTH);
        b.load(k_start + DEPTH);
#pragma unroll
        for (u32 k = 0; k < DEPTH; k++) {
            Pack<4> left[QUADS], right[QUADS];
#pragma unroll
            for (u32 q = 0; q < QUADS; q++) {
                left[q] = load_pack<4>(&tiles.a[k][(q * 16 + y) * 4]);
                right[q] = load_pack<4>(&tiles.b[k][(q * 16 + x) * 4]);
            }
#pragma unroll
            for (u32 i = 0; i < 4 * QUADS; i++) {
#pragma unroll
                for (u32 j = 0; j < 4 * QUADS; j++) {
                    sums[i][j] = fmaf(left[i / 4].at[i % 4], right[j / 4].at[j % 4], sums[i][j]);
                }
            }
        }
        __syncthreads(); // all have read before the next tile comes
    }

#pragma unroll
    for (u32 i = 0; i < 4 * QUADS; i++) {
#pragma unroll
        for (u32 q = 0; q < QUADS; q++) {
            Pack<4> quad = {sums[i][4 * q], sums[i][4 * q + 1], sums[i][4 * q + 2], sums[i][4 * q + 3]};
            store_pack(&shared.results.at[(i / 4 * 16 + y) * 4 + i % 4][(q * 16 + x) * 4], quad);
        }
    }
    __syncthreads();
    shared.results.template write<THREADS>(args.out + (u64)batch * m * n, row, column, m, n, args.bias,
                                           args.activation, [](float value, u32, u32) { return value; });
}

#define MATMUL(NAME, TILE)                         \
    typedef MatmulShared<TILE> NAME##_type;        \
    SHARED_BYTES(NAME, NAME##_type);               \
    KERNEL(NAME, MatmulArgs, THREADS) {            \
        DYNAMIC_SHARED(NAME##_type, shared);       \
        multiply(shared, args);                    \
    }

MATMUL(matmul_64, 64)
MATMUL(matmul_128, 128)
