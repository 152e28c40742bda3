
// Products of floats. Blocks of 256 halve the digits that a long sum loses.

alias Left = vec4<f32>;
alias Sums = vec4<f32>;

const BLOCK: u32 = 16u; // tiles whose sum is added to the total

fn multiply_add(left: f32, right: vec4<f32>, sums: Sums) -> Sums {
    return fma(vec4<f32>(left), right, sums);
}

fn scaled(sums: vec4<f32>, row: u32, quad: u32) -> vec4<f32> {
    return sums;
}
