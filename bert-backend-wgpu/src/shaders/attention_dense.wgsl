
@group(0) @binding(1) var<storage, read> qkv: array<vec4<f32>>;

// Four dimensions of a head that starts at `column`, 0 beyond the sequence or the head. Everything is a
// multiple of 4.
fn load(row: u32, end: u32, column: u32, quad: u32) -> vec4<f32> {
    if row < end && quad < params.head_size / 4u {
        return qkv[(params.qkv.x + row * params.qkv.y + column) / 4u + quad];
    }
    return vec4<f32>();
}
