
@group(0) @binding(1) var<storage, read> left: array<f32>;

// Four numbers of a row, 0 beyond the matrix.
fn load_left(start: u32, row: u32, quad: u32) -> vec4<f32> {
    var numbers = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
        let k = quad * 4u + i;
        if row < params.m && k < params.k {
            numbers[i] = left[start + row * params.left.y + k * params.left.z];
        }
    }
    return numbers;
}
