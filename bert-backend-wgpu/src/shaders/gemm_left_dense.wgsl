
@group(0) @binding(1) var<storage, read> left: array<vec4<f32>>;

// Four numbers of a row, 0 beyond the matrix. Offset, stride and k are multiples of 4.
fn load_left(start: u32, row: u32, quad: u32) -> vec4<f32> {
    if row < params.m && quad < params.k / 4u {
        return left[(start + row * params.left.y) / 4u + quad];
    }
    return vec4<f32>();
}
