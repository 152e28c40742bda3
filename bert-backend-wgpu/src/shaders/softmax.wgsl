// exp(x) / sum(exp(x)) of each row, the maximum subtracted first.

struct Params {
    x: View,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    lane: Lane,
) {
    let row = group_index(group, groups);
    let length = params.x.shape.w;
    if row >= params.x.length / length {
        return;
    }
    let start = row_place(params.x, row);
    let step = params.x.strides.w;
    var largest = x[start];
    for (var i = lane.index; i < length; i += LANES) {
        largest = larger(largest, x[start + i * step]);
    }
    let maximum = bitcast<f32>(largest_of_lanes(lane, largest));
    var sum = 0.0;
    for (var i = lane.index; i < length; i += LANES) {
        let value = exponential(bitcast<f32>(x[start + i * step]) - maximum);
        out[row * length + i] = value;
        sum += value;
    }
    let all = sum_of_lanes(lane, sum);
    // Every invocation reads only what it wrote itself.
    for (var i = lane.index; i < length; i += LANES) {
        out[row * length + i] /= all;
    }
}
