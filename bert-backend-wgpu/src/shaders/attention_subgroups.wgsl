
// An invocation and its place.
struct Lane {
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) inside: u32,
    @builtin(subgroup_size) size: u32,
}

// Counted by subgroups, so that eight neighbours are in one.
fn position_of(lane: Lane) -> u32 {
    return lane.subgroup * lane.size + lane.inside;
}

// The largest number of each of two rows, of which eight neighbours hold four numbers each.
fn largest_of_rows(rows: vec2<u32>, quad: u32, scores: array<vec4<f32>, 2>) -> vec2<f32> {
    var largest = vec2<f32>(largest_of(scores[0]), largest_of(scores[1]));
    largest = max(largest, subgroupShuffleXor(largest, 1u));
    largest = max(largest, subgroupShuffleXor(largest, 2u));
    return max(largest, subgroupShuffleXor(largest, 4u));
}
