
// Four signed bytes.
fn unpacked(word: u32) -> vec4<i32> {
    return (vec4<i32>(i32(word)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u);
}

fn dot_of_four(a: u32, b: u32) -> i32 {
    return dot(unpacked(a), unpacked(b));
}
