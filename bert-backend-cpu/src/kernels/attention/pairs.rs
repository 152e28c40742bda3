//! Attention with products of pairs of bf16, on AVX512-BF16.
//!
//! Queries, keys and values are rounded when they are packed, and the numerators of the softmax when they are made:
//! their sums are those of the numbers before.

use std::ops::Range;

use bert_core::contract::Activation;

use super::{Factors, Head, Scratch};
use crate::kernels::dot::{Bf16Pairs, Dot};
use crate::kernels::epilogue::Output;
use crate::kernels::gemm::{Operands, multiply};
use crate::kernels::pack::Strided;
use crate::kernels::{elementwise, math, norm};
use crate::simd::{Avx512, Simd};

pub(super) struct Pairs;

/// The token for the instructions.
///
/// # Safety
/// The machine must have AVX512-BF16.
#[inline(always)]
unsafe fn instructions() -> Bf16Pairs {
    // SAFETY: passed on.
    Bf16Pairs(unsafe { Avx512::new() })
}

impl Factors for Pairs {
    fn scratch(head: &Head) -> [usize; 6] {
        let [scores, sums, products] = head.floats();
        let (pairs, token_pairs) = (head.size.div_ceil(2), head.length.div_ceil(2));
        let values = head.size.next_multiple_of(head.width) * token_pairs;
        [head.padded * pairs, values, scores, sums, products, head.length.max(head.rows) * pairs]
    }

    unsafe fn pack(head: &Head, [keys, values, .., rounded]: &mut Scratch<'_>) {
        let pairs = head.size.div_ceil(2);
        // SAFETY: the keys and values of the sequence, `size` numbers each; `Pairs` is only used where its
        // instructions are.
        unsafe {
            let dot = instructions();
            dot.vectorize(
                #[inline(always)]
                || {
                    round_rows(dot, head.key, head.stride, head.size, &mut rounded[..head.length * pairs]);
                    pack_values(dot, head, values);
                },
            );
            // Pairs move about as if they were numbers.
            let columns = Strided {
                from: rounded.as_ptr(),
                depth: pairs,
                depth_stride: 1,
                columns: head.length,
                column_stride: pairs,
            };
            columns.pack(head.isa, keys, head.width);
        }
    }

    unsafe fn attend(
        head: &Head,
        [keys, values, scores, sums, products, rounded]: &mut Scratch<'_>,
        queries: Range<usize>,
        to: *mut f32,
        to_stride: usize,
    ) {
        let &Head { length, size, width, padded, .. } = head;
        debug_assert!(head.dropout.is_none(), "training with dropout is in floats");
        let rows = queries.len();
        let (pairs, token_pairs) = (size.div_ceil(2), length.div_ceil(2));
        let (scores, sums) = (&mut scores[..rows * padded], &mut sums[..rows]);
        let to_context = Output {
            width,
            c: to,
            c_stride: to_stride,
            rows,
            columns: size,
            bias: None,
            activation: Activation::Identity,
        };
        // SAFETY: as in `pack`; the rows of `to` are the caller's promise.
        unsafe {
            let dot = instructions();
            dot.vectorize(
                #[inline(always)]
                || {
                    let query = head.query.add(queries.start * head.stride);
                    round_rows(dot, query, head.stride, size, &mut rounded[..rows * pairs]);
                    let c = scores.as_mut_ptr();
                    let to_scores = Output { c, c_stride: padded, columns: padded, ..to_context };
                    product(dot, rounded, pairs, keys, pairs, &to_scores, products);
                    for (row, sum) in scores.chunks_exact_mut(padded).zip(&mut *sums) {
                        row[length..].fill(f32::NEG_INFINITY);
                        *sum = numerators(dot, row, head.scale);
                    }
                    product(dot, scores, padded, values, token_pairs, &to_context, products);
                    for (row, sum) in sums.iter().enumerate() {
                        let row = std::slice::from_raw_parts_mut(to.add(row * to_stride), size);
                        elementwise::scale_generic(dot.0, row, 1.0 / sum);
                    }
                },
            );
        }
    }
}

/// A product of pairs: rows of A that lie `a_stride` pairs apart, `steps` of them long, and panels of B.
///
/// # Safety
/// All rows of `output` must be writable, and A, B and the scratch hold as much as that takes.
#[inline(always)]
unsafe fn product(
    dot: Bf16Pairs,
    a: &[f32],
    a_stride: usize,
    b: &[f32],
    steps: usize,
    output: &Output<'_>,
    scratch: &mut [f32],
) {
    let &Output { width, rows, columns, .. } = output;
    let (a, a_stride) = (a.as_ptr().cast(), 2 * a_stride);
    let (b, b_stride) = (b.as_ptr().cast(), 2 * steps * width);
    let operands = Operands { a, a_stride, b, b_stride, rows, columns, steps };
    // SAFETY: the caller's promise.
    unsafe { multiply(dot.0, dot, &operands, output, scratch.as_mut_ptr()) };
}

/// Rounds rows of `size` numbers that lie `stride` apart to rows of pairs side by side, the last one filled up with 0.
///
/// # Safety
/// All rows must be readable.
#[inline(always)]
unsafe fn round_rows(dot: Bf16Pairs, from: *const f32, stride: usize, size: usize, to: &mut [f32]) {
    for (row, to) in to.chunks_exact_mut(size.div_ceil(2)).enumerate() {
        for (i, to) in to.chunks_mut(Avx512::LANES).enumerate() {
            let at = 2 * i * Avx512::LANES;
            // SAFETY: the caller's promise.
            unsafe {
                let [low, high] = load_two(dot.0, from.add(row * stride + at), size - at);
                dot.0.store_first(to.as_mut_ptr(), to.len(), dot.side_by_side(low, high));
            }
        }
    }
}

/// Values as panels: a pair is a number of one token and of the next.
///
/// # Safety
/// All tokens must be readable.
#[inline(always)]
unsafe fn pack_values(dot: Bf16Pairs, head: &Head, panels: &mut [f32]) {
    let token_pairs = head.length.div_ceil(2);
    for (panel, to) in panels.chunks_exact_mut(token_pairs * head.width).enumerate() {
        let column = panel * head.width;
        let count = head.size - column;
        for (pair, to) in to.chunks_exact_mut(head.width).enumerate() {
            // SAFETY: the caller's promise; a token that does not exist is not read.
            unsafe {
                let token = head.value.add(2 * pair * head.stride + column);
                let count_of_next = if 2 * pair + 1 < head.length { count } else { 0 };
                let first = load_two(dot.0, token, count);
                let next = load_two(dot.0, token.wrapping_add(head.stride), count_of_next);
                for (i, to) in to.chunks_exact_mut(Avx512::LANES).enumerate() {
                    dot.0.write(to, 0, dot.in_pairs(first[i], next[i]));
                }
            }
        }
    }
}

/// Two vectors, zeros beyond `count`.
///
/// # Safety
/// As many numbers must be readable, if there are so many.
#[inline(always)]
unsafe fn load_two(s: Avx512, from: *const f32, count: usize) -> [<Avx512 as Simd>::V; 2] {
    const LANES: usize = Avx512::LANES;
    // SAFETY: the caller's promise; what is masked out is not read.
    unsafe {
        if count >= 2 * LANES {
            return [s.load(from), s.load(from.add(LANES))];
        }
        let first = s.load_first(from, count.min(LANES));
        [first, s.load_first(from.wrapping_add(LANES), count.saturating_sub(LANES))]
    }
}

/// Turns a row of scores into `exp(scale * (x - max))` in bf16, in its first half, and gives their sum.
#[inline(always)]
fn numerators(dot: Bf16Pairs, row: &mut [f32], scale: f32) -> f32 {
    const LANES: usize = Avx512::LANES;
    let s = dot.0;
    let (largest, scale) = (s.splat(norm::largest(s, row)), s.splat(scale));
    let mut sums = [s.splat(0.0); 2];
    for at in (0..row.len()).step_by(2 * LANES) {
        let low = math::exp_of_negative(s, s.mul(s.sub(s.read(row, at), largest), scale));
        let high = math::exp_of_negative(s, s.mul(s.sub(s.read(row, at + LANES), largest), scale));
        sums = [s.add(sums[0], low), s.add(sums[1], high)];
        // Nothing that is still to be read is written.
        s.write(row, at / 2, dot.side_by_side(low, high));
    }
    s.sum(s.add(sums[0], sums[1]))
}
