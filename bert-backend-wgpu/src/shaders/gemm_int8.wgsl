
// Products of 8-bit numbers, four to a word, exact in a block and then scaled by the steps of row and column.
// Rows come from `quantise`; a weight's last row holds the steps of its columns.

alias Left = vec4<u32>;
alias Right = vec4<u32>;
alias Sums = vec4<i32>;

const BLOCK: u32 = 512u; // tiles: 32,768 products of 127 x 127 are far from overflow

@group(0) @binding(1) var<storage, read> left: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> right: array<vec4<u32>>;

fn load_left(start: u32, row: u32, quad: u32) -> vec4<u32> {
    if row < params.m {
        return left[row * params.left.y + quad];
    }
    return vec4<u32>();
}

fn load_right(start: u32, k: u32, quad: u32) -> vec4<u32> {
    return right[k * params.right.y + quad];
}

fn widened(right: vec4<u32>) -> vec4<u32> {
    return right;
}

fn multiply_add(left: u32, right: vec4<u32>, sums: Sums) -> Sums {
    return sums + vec4<i32>(dot_of_four(left, right.x), dot_of_four(left, right.y), dot_of_four(left, right.z), dot_of_four(left, right.w));
}

fn scaled(sums: vec4<f32>, row: u32, quad: u32) -> vec4<f32> {
    let row_step = bitcast<f32>(left[row * params.left.y + params.k / 4u].x);
    let column_steps = bitcast<vec4<f32>>(right[params.k * params.right.y + quad]);
    return sums * row_step * column_steps;
}
