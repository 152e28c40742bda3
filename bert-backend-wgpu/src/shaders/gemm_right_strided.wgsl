
@group(0) @binding(2) var<storage, read> right: array<f32>;

// Four columns of row k, 0 beyond the matrix.
fn load_right(start: u32, k: u32, quad: u32) -> vec4<f32> {
    var numbers = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
        let column = quad * 4u + i;
        if k < params.k && column < params.n {
            numbers[i] = right[start + k * params.right.y + column * params.right.z];
        }
    }
    return numbers;
}

alias Right = vec4<f32>;

fn widened(right: Right) -> vec4<f32> {
    return right;
}
