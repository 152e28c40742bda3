// A row a workgroup: every invocation takes each 128th number, then their results meet in shared memory.
// The order of a sum depends on the length of the row alone.

const LANES: u32 = 128u;

var<workgroup> shared_sums: array<f32, LANES>;
var<workgroup> shared_bits: array<u32, LANES>;

fn sum_of_lanes(lane: u32, value: f32) -> f32 {
    shared_sums[lane] = value;
    workgroupBarrier();
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        if lane < step {
            shared_sums[lane] += shared_sums[lane + step];
        }
        workgroupBarrier();
    }
    let sum = shared_sums[0];
    workgroupBarrier();
    return sum;
}

fn largest_of_lanes(lane: u32, value: u32) -> u32 {
    shared_bits[lane] = value;
    workgroupBarrier();
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        if lane < step {
            shared_bits[lane] = larger(shared_bits[lane], shared_bits[lane + step]);
        }
        workgroupBarrier();
    }
    let largest = shared_bits[0];
    workgroupBarrier();
    return largest;
}
