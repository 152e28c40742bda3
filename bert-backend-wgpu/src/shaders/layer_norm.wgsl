// Each row of x, or of x + residual if ADD is 1, normalised by its mean and then the variance around it.

struct Params {
    x: Rows,
    residual: Rows,
    weight: vec2<u32>, // offset, stride
    bias: vec2<u32>,
    rows: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> residual: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

fn value_at(row: u32, i: u32) -> f32 {
    let value = x[params.x.x + row * params.x.y + i * params.x.z];
    if ADD == 1u {
        return value + residual[params.residual.x + row * params.residual.y + i * params.residual.z];
    }
    return value;
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
    var sum = 0.0;
    for (var i = lane.index; i < length; i += LANES) {
        sum += value_at(row, i);
    }
    let mean = sum_of_lanes(lane, sum) / f32(length);
    var squares = 0.0;
    for (var i = lane.index; i < length; i += LANES) {
        let centred = value_at(row, i) - mean;
        squares = fma(centred, centred, squares);
    }
    let variance = sum_of_lanes(lane, squares) / f32(length);
    let scale = 1.0 / sqrt(variance + params.eps);
    for (var i = lane.index; i < length; i += LANES) {
        let normal = (value_at(row, i) - mean) * scale;
        out[row * length + i] =
            fma(normal, weight[params.weight.x + i * params.weight.y], bias[params.bias.x + i * params.bias.y]);
    }
}
