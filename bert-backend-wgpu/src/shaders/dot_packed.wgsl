
fn dot_of_four(a: u32, b: u32) -> i32 {
    return dot4I8Packed(a, b);
}
