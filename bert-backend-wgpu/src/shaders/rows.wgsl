// A row a workgroup: every invocation takes each 128th number, then their results meet in shared memory.
// The order of a sum depends on the length of the row alone.

const LANES: u32 = 128u;

// An invocation and its place.
struct Lane {
    @builtin(local_invocation_index) index: u32,
}

var<workgroup> shared_sums: array<f32, LANES>;
var<workgroup> shared_bits: array<u32, LANES>;

fn sum_of_lanes(lane: Lane, value: f32) -> f32 {
    shared_sums[lane.index] = value;
    workgroupBarrier();
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        if lane.index < step {
            shared_sums[lane.index] += shared_sums[lane.index + step];
        }
        workgroupBarrier();
    }
    let sum = shared_sums[0];
    workgroupBarrier();
    return sum;
}

// The largest of floats given by their bits; a NaN wins.
fn largest_of_lanes(lane: Lane, value: u32) -> u32 {
    shared_bits[lane.index] = value;
    workgroupBarrier();
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        if lane.index < step {
            shared_bits[lane.index] = larger(shared_bits[lane.index], shared_bits[lane.index + step]);
        }
        workgroupBarrier();
    }
    let largest = shared_bits[0];
    workgroupBarrier();
    return largest;
}
