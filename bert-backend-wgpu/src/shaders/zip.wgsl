// A function of pairs of elements; OP says which.

struct Params {
    a: View,
    b: View,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> out: array<u32>;

fn function_of(a_bits: u32, b_bits: u32) -> u32 {
    let a = bitcast<f32>(a_bits);
    let b = bitcast<f32>(b_bits);
    switch OP {
        case 0u: { return bitcast<u32>(a + b); }
        case 1u: { return bitcast<u32>(a - b); }
        case 2u: { return bitcast<u32>(a * b); }
        case 3u: { return bitcast<u32>(a / b); }
        default: { return larger(a_bits, b_bits); }
    }
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group_index(group, groups) * 128u + lane;
    if index < params.a.length {
        out[index] = function_of(a[place(params.a, index)], b[place(params.b, index)]);
    }
}
