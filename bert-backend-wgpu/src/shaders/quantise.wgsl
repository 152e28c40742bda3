// Rows in 8 bits: each number as one of 255 steps of its row's largest magnitude, four to a word, then the
// length of a step. A row is padded with zeros to `words` words. What is below any use becomes 0; a row that
// is not finite gets a step that is not.

struct Params {
    x: Rows,
    rows: u32,
    words: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

// From here on neither the length of a step nor its reciprocal is subnormal or infinite.
const LEAST: f32 = 1.5e-36;

fn value_at(row: u32, i: u32) -> f32 {
    return x[params.x.x + row * params.x.y + i * params.x.z];
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    lane: Lane,
) {
    let row = group_index(group, groups);
    if row >= params.rows {
        return;
    }
    let length = params.x.w;
    var bits = 0u;
    for (var i = lane.index; i < length; i += LANES) {
        bits = larger(bits, bitcast<u32>(value_at(row, i)) & 0x7fffffffu);
    }
    let largest = bitcast<f32>(largest_of_lanes(lane, bits));
    var step = largest / 127.0;
    var steps = 127.0 / largest;
    if largest < LEAST {
        step = 0.0;
        steps = 0.0;
    }
    let start = row * (params.words + 4u);
    for (var word = lane.index; word < params.words; word += LANES) {
        var packed = 0u;
        for (var j = 0u; j < 4u; j++) {
            let i = word * 4u + j;
            if i < length {
                let level = i32(clamp(round(value_at(row, i) * steps), -127.0, 127.0));
                packed |= (u32(level) & 0xffu) << (8u * j);
            }
        }
        out[start + word] = packed;
    }
    if lane.index == 0u {
        out[start + params.words] = bitcast<u32>(step);
    }
}
