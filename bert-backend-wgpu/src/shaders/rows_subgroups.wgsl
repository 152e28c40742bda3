// The same as `rows`, with two barriers in place of nine: subgroups reduce what their invocations hold, and
// then each of them reduces the results of all. Which invocations make a subgroup is left to the device; all
// that counts is that every subgroup is full.

const LANES: u32 = 128u;

// An invocation and its place.
struct Lane {
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_invocation_id) inside: u32,
    @builtin(subgroup_size) size: u32,
}

var<workgroup> shared_sums: array<f32, LANES>;
var<workgroup> shared_bits: array<u32, LANES>;

fn sum_of_lanes(lane: Lane, value: f32) -> f32 {
    // One invocation of a subgroup has its sum, the others add nothing.
    let part = subgroupAdd(value);
    shared_sums[lane.index] = select(0.0, part, lane.inside == 0u);
    workgroupBarrier();
    var rest = 0.0;
    for (var i = lane.inside; i < LANES; i += lane.size) {
        rest += shared_sums[i];
    }
    let sum = subgroupAdd(rest);
    workgroupBarrier();
    return sum;
}

// The largest of floats given by their bits; a NaN wins.
fn largest_of_lanes(lane: Lane, value: u32) -> u32 {
    shared_bits[lane.index] = subgroupMax(select(order(value), 0xffffffffu, is_nan(value)));
    workgroupBarrier();
    var rest = 0u;
    for (var i = lane.inside; i < LANES; i += lane.size) {
        rest = max(rest, shared_bits[i]);
    }
    let largest = subgroupMax(rest);
    workgroupBarrier();
    return select(~largest, largest & 0x7fffffffu, (largest & 0x80000000u) != 0u);
}
