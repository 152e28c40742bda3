
@group(0) @binding(2) var<storage, read> right: array<vec4<f32>>;

// Four columns of row k of a packed weight, which is padded with zeros to whole tiles.
fn load_right(start: u32, k: u32, quad: u32) -> vec4<f32> {
    return right[k * params.right.y + quad];
}

alias Right = vec4<f32>;

fn widened(right: Right) -> vec4<f32> {
    return right;
}
