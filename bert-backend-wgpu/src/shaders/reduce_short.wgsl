// The sum or the maximum of short rows: one invocation a row.

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
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group_index(group, groups) * 128u + lane;
    let length = params.x.shape.w;
    if row >= params.x.length / length {
        return;
    }
    let start = row_place(params.x, row);
    var largest = x[start];
    var sum = bitcast<f32>(largest);
    for (var i = 1u; i < length; i++) {
        let value = x[start + i * params.x.strides.w];
        largest = larger(largest, value);
        sum += bitcast<f32>(value);
    }
    out[row] = select(bitcast<u32>(sum), largest, MAX == 1u);
}
