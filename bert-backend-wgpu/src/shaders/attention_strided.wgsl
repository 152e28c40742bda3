
@group(0) @binding(1) var<storage, read> qkv: array<f32>;

// Four dimensions of a head that starts at `column`, 0 beyond the sequence or the head.
fn load(row: u32, end: u32, column: u32, quad: u32) -> vec4<f32> {
    var numbers = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
        let dimension = quad * 4u + i;
        if row < end && dimension < params.head_size {
            numbers[i] = qkv[params.qkv.x + row * params.qkv.y + (column + dimension) * params.qkv.z];
        }
    }
    return numbers;
}
