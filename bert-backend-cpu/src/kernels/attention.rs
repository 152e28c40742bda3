//! Scaled dot-product attention on packed sequences.
//!
//! One task is one sequence and one head, or a part of its queries where there are few of them. It packs
//! the keys and values of the head into panels, and then takes some queries at a time: their scores against
//! all keys, the softmax, and the weighted sum of the values stay in a scratch buffer that fits in the
//! second cache. No score is ever written further away, and a token meets no other sequence's numbers.

use std::sync::Arc;

use bert_core::ops::Activation;

use super::gemm::{Product, scratch_length};
use super::pack::Strided;
use super::{elementwise, norm};
use crate::memory::Arena;
use crate::pool::{Pool, Shareable};
use crate::simd::Isa;

/// Scores that are held at a time, in numbers: 128 KiB.
const SCORES: usize = 32 << 10;
/// Queries that are taken at a time, at most, and the fewest that a task gets.
const QUERIES: usize = 96;

/// The sequences of a batch and the heads of a layer.
pub(crate) struct Attention<'a> {
    pub pool: &'a Pool,
    pub isa: Isa,
    pub arena: &'a Arc<Arena>,
    /// `[tokens, 3 * hidden]`: query, key and value side by side.
    pub qkv: &'a [f32],
    pub heads: usize,
    pub head_size: usize,
    /// Sequence `i` is rows `bounds[i]..bounds[i + 1]`.
    pub bounds: &'a [u32],
}

impl Attention<'_> {
    /// Fills `out [tokens, hidden]`.
    pub fn run(&self, out: &mut [f32]) {
        let hidden = self.heads * self.head_size;
        let sequences = self.bounds.len() - 1;
        let tokens = self.bounds[sequences] as usize;
        assert!(self.qkv.len() == tokens * 3 * hidden && out.len() == tokens * hidden);
        assert!(self.bounds.is_sorted());

        // Few sequences and heads are cut into several tasks each, at the price of packing keys again.
        let whole = sequences * self.heads;
        let parts = (4 * self.pool.threads()).div_ceil(whole.max(1));
        let longest = (0..sequences).map(|i| self.length(i)).max().unwrap_or(0);
        let part = if parts == 1 { longest } else { longest.div_ceil(parts).max(QUERIES) }.max(1);
        let parts = longest.div_ceil(part);

        let out = Shareable::new(out.as_mut_ptr());
        self.pool.run(whole * parts, |task| {
            let (sequence, task) = (task / (self.heads * parts), task % (self.heads * parts));
            let (head, from) = (task / parts, task % parts * part);
            let queries = from..self.length(sequence).min(from + part);
            if !queries.is_empty() {
                self.head(sequence, head, queries, &out);
            }
        });
    }

    fn length(&self, sequence: usize) -> usize {
        (self.bounds[sequence + 1] - self.bounds[sequence]) as usize
    }

    /// Some queries of one sequence and head.
    fn head(&self, sequence: usize, head: usize, queries: std::ops::Range<usize>, out: &Shareable<f32>) {
        let (start, length) = (self.bounds[sequence] as usize, self.length(sequence));
        let size = self.head_size;
        let hidden = self.heads * size;
        let stride = 3 * hidden;
        let width = 2 * self.isa.lanes();
        let padded = length.next_multiple_of(width);
        let rows = (SCORES / padded).clamp(width, QUERIES);

        let products = scratch_length(self.isa, rows, padded.max(size));
        let lengths = [padded * size, size.next_multiple_of(width) * length, rows * padded, rows, products];
        let mut scratch = self.arena.take::<f32>(lengths.iter().sum());
        let (keys, rest) = scratch.as_mut_slice().split_at_mut(lengths[0]);
        let (values, rest) = rest.split_at_mut(lengths[1]);
        let (scores, rest) = rest.split_at_mut(lengths[2]);
        let (sums, products) = rest.split_at_mut(lengths[3]);

        let sequence = &self.qkv[start * stride..(start + length) * stride];
        let query = sequence[head * size..].as_ptr();
        let key = sequence[hidden + head * size..].as_ptr();
        let value = sequence[2 * hidden + head * size..].as_ptr();
        let key_columns =
            Strided { from: key, depth: size, depth_stride: 1, columns: length, column_stride: stride };
        let value_columns =
            Strided { from: value, depth: length, depth_stride: stride, columns: size, column_stride: 1 };
        // SAFETY: the keys and values of the sequence, `size` numbers each.
        unsafe {
            key_columns.pack(self.isa, keys, width);
            value_columns.pack(self.isa, values, width);
        }

        let scale = 1.0 / (size as f32).sqrt();
        for from in queries.clone().step_by(rows) {
            let rows = rows.min(queries.end - from);
            // SAFETY: `scores` holds `rows` rows of `padded` numbers, a multiple of the width; queries and
            // panels are as the product wants them.
            unsafe {
                Product {
                    a: query.add(from * stride),
                    a_stride: stride,
                    b: keys.as_ptr(),
                    b_stride: size * width,
                    c: scores.as_mut_ptr(),
                    c_stride: padded,
                    rows,
                    columns: padded,
                    depth: size,
                    bias: None,
                    activation: Activation::Identity,
                    scratch: products.as_mut_ptr(),
                }
                .run(self.isa);
            }
            let (scores, sums) = (&mut scores[..rows * padded], &mut sums[..rows]);
            norm::softmax_numerators(self.isa, scores, padded, length, scale, sums);
            let c = out.at((start + from) * hidden + head * size);
            // SAFETY: these rows of this head belong to this task alone.
            unsafe {
                Product {
                    a: scores.as_ptr(),
                    a_stride: padded,
                    b: values.as_ptr(),
                    b_stride: length * width,
                    c,
                    c_stride: hidden,
                    rows,
                    columns: size,
                    depth: length,
                    bias: None,
                    activation: Activation::Identity,
                    scratch: products.as_mut_ptr(),
                }
                .run(self.isa);
                for (row, sum) in sums.iter().enumerate() {
                    let row = std::slice::from_raw_parts_mut(c.add(row * hidden), size);
                    elementwise::scale(self.isa, row, 1.0 / sum);
                }
            }
        }
    }
}
