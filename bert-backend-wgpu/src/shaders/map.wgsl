// A function of each element; OP says which. Numbers are read and written as bits: a copy keeps them all.

struct Params {
    x: View,
    operand: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

fn function_of(bits: u32) -> u32 {
    let x = bitcast<f32>(bits);
    switch OP {
        case 1u: { return bitcast<u32>(f32(bits)); }
        case 2u: { return u32(x); }
        case 3u: { return bitcast<u32>(x * params.operand); }
        case 4u: { return bitcast<u32>(x + params.operand); }
        case 5u: { return bitcast<u32>(exponential(x)); }
        case 6u: { return bitcast<u32>(log(x)); }
        case 7u: { return bitcast<u32>(sqrt(x)); }
        case 8u: { return bitcast<u32>(1.0 / x); }
        case 9u: { return bitcast<u32>(hyperbolic_tangent(x)); }
        case 10u: { return bitcast<u32>(logistic(x)); }
        case 11u: { return bitcast<u32>(relu(x)); }
        case 12u: { return bitcast<u32>(gelu(x)); }
        case 13u: { return bitcast<u32>(gelu_tanh(x)); }
        default: { return bits; }
    }
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group_index(group, groups) * 128u + lane;
    if index < params.x.length {
        out[index] = function_of(x[place(params.x, index)]);
    }
}
