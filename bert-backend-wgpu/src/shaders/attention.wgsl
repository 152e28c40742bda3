// Scaled dot-product attention over packed sequences, in the manner of FlashAttention (Dao et al., 2022,
// algorithm 1): tiles of 32 queries meet tiles of 32 keys, and a row's maximum and sum are corrected as the
// tiles go by, so that no matrix of scores is stored. The head is walked in chunks of 32, so that shared memory
// does not grow with it; CHUNKS of them make a head.
//
// A workgroup of 16 times 8 invocations takes 32 queries of one head of one sequence. An invocation has two rows
// and, of a tile, four keys or four dimensions. What is computed for a query depends on its own sequence alone.
// How numbers are read is in a piece of its own, `load`, and how the invocations of a row meet in another one,
// `largest_of_rows`.

struct Params {
    qkv: Rows, // extent of a row: 3 * hidden
    bounds: vec2<u32>, // offset, stride
    heads: u32,
    head_size: u32,
    blocks: u32, // of queries, in the longest sequence
    sequences: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> bounds: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const TILE: u32 = 32u; // queries and keys
const QUADS: u32 = 8u; // of four dimensions in a chunk, of four keys in a tile
const STRIDE: u32 = QUADS + 1u; // rows begin in different banks
const MASKED: f32 = -1e30;

var<workgroup> queries: array<vec4<f32>, TILE * STRIDE>;
// A chunk of keys, key 4 * i + j in row 8 * j + i; later a chunk of values, in order.
var<workgroup> others: array<vec4<f32>, TILE * STRIDE>;
// Scores, then their exponentials; four keys a quad.
var<workgroup> weights: array<vec4<f32>, TILE * STRIDE>;

fn sum_of(v: vec4<f32>) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

fn largest_of(v: vec4<f32>) -> f32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

fn exponentials(v: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(exponential(v.x), exponential(v.y), exponential(v.z), exponential(v.w));
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    lane: Lane,
) {
    let index = group_index(group, groups);
    let sequence = index / params.blocks / params.heads;
    let head = index / params.blocks % params.heads;
    if sequence >= params.sequences {
        return;
    }
    let start = bounds[params.bounds.x + sequence * params.bounds.y];
    let end = bounds[params.bounds.x + (sequence + 1u) * params.bounds.y];
    let first = start + index % params.blocks * TILE;
    if first >= end {
        return;
    }
    let hidden = params.heads * params.head_size;
    let column = head * params.head_size;
    let position = position_of(lane);
    let quad = position % 8u;
    let rows = vec2<u32>(position / 8u, position / 8u + 16u);

    var context: array<vec4<f32>, 2u * CHUNKS>;
    for (var i = 0u; i < 2u * CHUNKS; i++) {
        context[i] = vec4<f32>();
    }
    var maximum = vec2<f32>(MASKED);
    var total = vec2<f32>();

    for (var keys = start; keys < end; keys += TILE) {
        var scores: array<vec4<f32>, 8>;
        for (var i = 0u; i < 8u; i++) {
            scores[i] = vec4<f32>();
        }
        for (var chunk = 0u; chunk < CHUNKS; chunk++) {
            workgroupBarrier(); // the last readers of `others` are done
            for (var i = position; i < TILE * QUADS; i += 128u) {
                let row = i / QUADS;
                let part = chunk * QUADS + i % QUADS;
                queries[row * STRIDE + i % QUADS] = load(first + row, end, column, part);
                let key_row = row % 4u * 8u + row / 4u;
                others[key_row * STRIDE + i % QUADS] = load(keys + row, end, hidden + column, part);
            }
            workgroupBarrier();
            for (var d = 0u; d < QUADS; d++) {
                let query_0 = queries[rows.x * STRIDE + d];
                let query_1 = queries[rows.y * STRIDE + d];
                for (var j = 0u; j < 4u; j++) {
                    let key = others[(j * 8u + quad) * STRIDE + d];
                    scores[j] = fma(query_0, key, scores[j]);
                    scores[4u + j] = fma(query_1, key, scores[4u + j]);
                }
            }
        }

        var row_scores: array<vec4<f32>, 2>;
        for (var j = 0u; j < 4u; j++) {
            let inside = keys + quad * 4u + j < end;
            row_scores[0][j] = select(MASKED, sum_of(scores[j]) * params.scale, inside);
            row_scores[1][j] = select(MASKED, sum_of(scores[4u + j]) * params.scale, inside);
        }
        let before = maximum;
        maximum = max(maximum, largest_of_rows(rows, quad, row_scores));
        weights[rows.x * STRIDE + quad] = exponentials(row_scores[0] - maximum.x);
        weights[rows.y * STRIDE + quad] = exponentials(row_scores[1] - maximum.y);

        // What was summed so far was relative to the maximum before.
        let correction = vec2<f32>(exponential(before.x - maximum.x), exponential(before.y - maximum.y));
        total *= correction;
        for (var chunk = 0u; chunk < CHUNKS; chunk++) {
            workgroupBarrier();
            for (var i = position; i < TILE * QUADS; i += 128u) {
                let row = i / QUADS;
                let part = chunk * QUADS + i % QUADS;
                others[row * STRIDE + i % QUADS] = load(keys + row, end, 2u * hidden + column, part);
            }
            workgroupBarrier();
            var sum_0 = context[2u * chunk] * correction.x;
            var sum_1 = context[2u * chunk + 1u] * correction.y;
            for (var i = 0u; i < QUADS; i++) {
                let weight_0 = weights[rows.x * STRIDE + i];
                let weight_1 = weights[rows.y * STRIDE + i];
                if chunk == 0u {
                    total += vec2<f32>(sum_of(weight_0), sum_of(weight_1));
                }
                for (var j = 0u; j < 4u; j++) {
                    let value = others[(i * 4u + j) * STRIDE + quad];
                    sum_0 = fma(vec4<f32>(weight_0[j]), value, sum_0);
                    sum_1 = fma(vec4<f32>(weight_1[j]), value, sum_1);
                }
            }
            context[2u * chunk] = sum_0;
            context[2u * chunk + 1u] = sum_1;
        }
    }

    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
        for (var j = 0u; j < 4u; j++) {
            let dimension = (chunk * QUADS + quad) * 4u + j;
            if dimension < params.head_size {
                if first + rows.x < end {
                    out[(first + rows.x) * hidden + column + dimension] = context[2u * chunk][j] / total.x;
                }
                if first + rows.y < end {
                    out[(first + rows.y) * hidden + column + dimension] = context[2u * chunk + 1u][j] / total.y;
                }
            }
        }
    }
}
