
// An invocation and its place.
struct Lane {
    @builtin(local_invocation_index) index: u32,
}

fn position_of(lane: Lane) -> u32 {
    return lane.index;
}

// The largest number of each of two rows, of which eight invocations hold four numbers each.
fn largest_of_rows(rows: vec2<u32>, quad: u32, scores: array<vec4<f32>, 2>) -> vec2<f32> {
    weights[rows.x * STRIDE + quad] = scores[0];
    weights[rows.y * STRIDE + quad] = scores[1];
    workgroupBarrier();
    var largest_0 = scores[0];
    var largest_1 = scores[1];
    for (var i = 0u; i < QUADS; i++) {
        largest_0 = max(largest_0, weights[rows.x * STRIDE + i]);
        largest_1 = max(largest_1, weights[rows.y * STRIDE + i]);
    }
    workgroupBarrier(); // everybody has read the scores
    return vec2<f32>(largest_of(largest_0), largest_of(largest_1));
}
