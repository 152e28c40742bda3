
@group(0) @binding(2) var<storage, read> right: array<vec2<u32>>;

// Four columns of row k of a packed weight of 16-bit floats, which is padded with zeros to whole tiles.
fn load_right(start: u32, k: u32, quad: u32) -> vec4<f32> {
    let halves = right[k * params.right.y + quad];
    return vec4<f32>(unpack2x16float(halves.x), unpack2x16float(halves.y));
}

alias Right = vec4<f32>;

fn widened(right: Right) -> vec4<f32> {
    return right;
}
