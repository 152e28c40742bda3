// A product of matrices: out[m, n] = left[m, k] right[k, n], then a bias and an activation.
//
// A workgroup of 16 x 8 invocations makes a tile of 8 * MICRO rows and 64 columns; an invocation makes MICRO
// rows (each 8th) of four columns. How the factors are read is in pieces of their own, `load_left` and
// `load_right`; what they are is in another one: floats, or words of four 8-bit numbers along k, which then
// counts these words.
//
// Every number is summed in the order of k, in blocks whose sums are then added: the same for any number of
// rows and any MICRO.

struct Params {
    left: vec4<u32>, // offset, stride of rows, stride of columns, unused
    right: vec4<u32>, // the same; of a packed weight the second is the length of a row in quads
    left_batch: vec2<u32>, // strides of the two leading axes
    right_batch: vec2<u32>,
    m: u32,
    n: u32,
    k: u32,
    inner_batch: u32, // extent of the second leading axis
    row_tiles: u32,
    column_tiles: u32,
    tiles: u32, // of all products
    out_columns: u32, // length of a row of the output, of which a part of a weight makes a part
    first_column: u32,
    bias: u32, // offset
    bias_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const DEPTH: u32 = 16u; // of a tile
const QUADS: u32 = DEPTH / 4u;
const LEFT_STRIDE: u32 = QUADS + 1u; // rows of the tile begin in different banks
const ROWS: u32 = 8u * MICRO;

var<workgroup> left_tile: array<Left, ROWS * LEFT_STRIDE>;
var<workgroup> right_tile: array<Right, DEPTH * 16u>;

@compute @workgroup_size(16, 8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = group_index(group, groups);
    if tile >= params.tiles {
        return;
    }
    let column_tile = tile % params.column_tiles;
    let row_tile = tile / params.column_tiles % params.row_tiles;
    let matrix = tile / params.column_tiles / params.row_tiles;
    let batch = vec2<u32>(matrix / params.inner_batch, matrix % params.inner_batch);
    let left_start = params.left.x + batch.x * params.left_batch.x + batch.y * params.left_batch.y;
    let right_start = params.right.x + batch.x * params.right_batch.x + batch.y * params.right_batch.y;
    let first_row = row_tile * ROWS;
    let first_quad = column_tile * 16u;

    var total: array<vec4<f32>, MICRO>;
    var sum: array<Sums, MICRO>;
    for (var r = 0u; r < MICRO; r++) {
        total[r] = vec4<f32>();
        sum[r] = Sums();
    }
    let steps = (params.k + DEPTH - 1u) / DEPTH;
    for (var step = 0u; step < steps; step++) {
        for (var i = lane; i < ROWS * QUADS; i += 128u) {
            let row = i / QUADS;
            let quad = i % QUADS;
            left_tile[row * LEFT_STRIDE + quad] = load_left(left_start, first_row + row, step * QUADS + quad);
        }
        for (var i = lane; i < DEPTH * 16u; i += 128u) {
            right_tile[i] = load_right(right_start, step * DEPTH + i / 16u, first_quad + i % 16u);
        }
        workgroupBarrier();
        for (var quad = 0u; quad < QUADS; quad++) {
            let at = quad * 64u + local.x;
            let right_0 = widened(right_tile[at]);
            let right_1 = widened(right_tile[at + 16u]);
            let right_2 = widened(right_tile[at + 32u]);
            let right_3 = widened(right_tile[at + 48u]);
            for (var r = 0u; r < MICRO; r++) {
                let left = left_tile[(r * 8u + local.y) * LEFT_STRIDE + quad];
                var s = sum[r];
                s = multiply_add(left.x, right_0, s);
                s = multiply_add(left.y, right_1, s);
                s = multiply_add(left.z, right_2, s);
                sum[r] = multiply_add(left.w, right_3, s);
            }
        }
        workgroupBarrier();
        if step % BLOCK == BLOCK - 1u {
            for (var r = 0u; r < MICRO; r++) {
                total[r] += vec4<f32>(sum[r]);
                sum[r] = Sums();
            }
        }
    }

    for (var r = 0u; r < MICRO; r++) {
        let row = first_row + r * 8u + local.y;
        let result = scaled(total[r] + vec4<f32>(sum[r]), min(row, params.m - 1u), first_quad + local.x);
        for (var c = 0u; c < 4u; c++) {
            let column = (first_quad + local.x) * 4u + c;
            if row < params.m && column < params.n {
                var value = result[c];
                let out_column = params.first_column + column;
                if BIAS == 1u {
                    value += bias[params.bias + out_column * params.bias_stride];
                }
                out[(matrix * params.m + row) * params.out_columns + out_column] = activate(ACTIVATION, value);
            }
        }
    }
}
