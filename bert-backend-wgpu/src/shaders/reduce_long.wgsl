// The sum or the maximum of long rows: one workgroup a row.

struct Params {
    x: View,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

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
    if MAX == 1u {
        // A lane without numbers repeats the first one.
        var largest = x[start];
        for (var i = lane.index; i < length; i += LANES) {
            largest = larger(largest, x[start + i * step]);
        }
        let all = largest_of_lanes(lane, largest);
        if lane.index == 0u {
            out[row] = all;
        }
    } else {
        var sum = 0.0;
        for (var i = lane.index; i < length; i += LANES) {
            sum += bitcast<f32>(x[start + i * step]);
        }
        let all = sum_of_lanes(lane, sum);
        if lane.index == 0u {
            out[row] = bitcast<u32>(all);
        }
    }
}
