// One vector a sequence: its first row, or the mean, the maximum, or the sum over the root of the length.

struct Params {
    x: Rows,
    bounds: vec2<u32>, // offset, stride
    sequences: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> bounds: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group_index(group, groups) * 128u + lane;
    let hidden = params.x.w;
    let sequence = index / hidden;
    if sequence >= params.sequences {
        return;
    }
    let start = bounds[params.bounds.x + sequence * params.bounds.y];
    let end = bounds[params.bounds.x + (sequence + 1u) * params.bounds.y];
    let column = params.x.x + index % hidden * params.x.z;
    let first = x[column + start * params.x.y];
    if POOLING == 0u {
        out[index] = first;
        return;
    }
    var largest = first;
    var sum = bitcast<f32>(first);
    for (var row = start + 1u; row < end; row++) {
        let value = x[column + row * params.x.y];
        largest = larger(largest, value);
        sum += bitcast<f32>(value);
    }
    let length = f32(end - start);
    switch POOLING {
        case 1u: { out[index] = bitcast<u32>(sum / length); }
        case 2u: { out[index] = largest; }
        default: { out[index] = bitcast<u32>(sum / sqrt(length)); }
    }
}
