// A row of each table, added up. If TYPES is 0, there are no token types.
// If GATHERED is 1, the words' rows were gathered before, in the order of the tokens.

struct Params {
    word: Rows,
    position: Rows,
    token_type: Rows,
    ids: vec2<u32>, // offset, stride
    positions: vec2<u32>,
    segments: vec2<u32>,
    tokens: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> word: array<f32>;
@group(0) @binding(2) var<storage, read> position: array<f32>;
@group(0) @binding(3) var<storage, read> token_type: array<f32>;
@group(0) @binding(4) var<storage, read> ids: array<u32>;
@group(0) @binding(5) var<storage, read> positions: array<u32>;
@group(0) @binding(6) var<storage, read> segments: array<u32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

fn cell(table: Rows, row: u32, column: u32) -> u32 {
    return table.x + row * table.y + column * table.z;
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group_index(group, groups) * 128u + lane;
    let length = params.word.w;
    let token = index / length;
    let column = index % length;
    if token >= params.tokens {
        return;
    }
    var id = token;
    if GATHERED == 0u {
        id = ids[params.ids.x + token * params.ids.y];
    }
    var sum = word[cell(params.word, id, column)];
    if TYPES == 1u {
        let segment = segments[params.segments.x + token * params.segments.y];
        sum += token_type[cell(params.token_type, segment, column)];
    }
    let place = positions[params.positions.x + token * params.positions.y];
    out[index] = sum + position[cell(params.position, place, column)];
}
