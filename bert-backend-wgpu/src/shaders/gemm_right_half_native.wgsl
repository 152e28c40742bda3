
@group(0) @binding(2) var<storage, read> right: array<vec4<f16>>;

alias Right = vec4<f16>;

// Four columns of row k of a packed weight of 16-bit floats, which is padded with zeros to whole tiles. The tile
// in shared memory stays as small as that; the arithmetic is of 32 bits.
fn load_right(start: u32, k: u32, quad: u32) -> vec4<f16> {
    return right[k * params.right.y + quad];
}

fn widened(right: Right) -> vec4<f32> {
    return vec4<f32>(right);
}
