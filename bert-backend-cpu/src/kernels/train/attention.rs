//! Gradients of attention on packed sequences. Source: "FlashAttention" (Dao et al., 2022), appendix B.
//!
//! One task is one sequence and one head. It packs keys and values into panels and takes some queries at a time: their
//! scores against all keys and the softmax are made again, and what comes of them stays in a scratch buffer. How the
//! queries are divided follows from the length of the sequence, so that no sum depends on threads or neighbours.

use bert_core::contract::{Activation, Dropout};

use crate::kernels::attention::DropoutOfHead;
use crate::kernels::elementwise;
use crate::kernels::gemm::{Product, scratch_length};
use crate::kernels::norm;
use crate::kernels::pack::Strided;
use crate::kernels::transpose::Transpose;
use crate::memory::with_scratch;
use crate::simd::{Isa, Simd, dispatch};
use crate::thread_pool::{Shareable, ThreadPool};

/// Scores that are held at a time, in numbers: 128 KiB, and as much for their gradients.
const SCORES: usize = 32 << 10;
/// Queries that are taken at a time, at most.
const QUERIES: usize = 128;

dispatch! {
    /// Turns rows of numerators of a softmax into its weights, and those of the weights' gradients into the gradients of
    /// the scores. Rows lie `stride` apart and count as long as `length`; `sums` are those of the numerators.
    fn softmax_backward(
        weights: &mut [f32],
        gradients: &mut [f32],
        stride: usize,
        length: usize,
        scale: f32,
        sums: &[f32],
    ) = softmax_backward_generic;
}

/// `dS = scale * P (dP - rowsum(P dP))`
#[inline(always)]
fn softmax_backward_generic<S: Simd>(
    s: S,
    weights: &mut [f32],
    gradients: &mut [f32],
    stride: usize,
    length: usize,
    scale: f32,
    sums: &[f32],
) {
    let rows = weights.chunks_exact_mut(stride).zip(gradients.chunks_exact_mut(stride));
    for ((weights, gradients), sum) in rows.zip(sums) {
        let (weights, gradients) = (&mut weights[..length], &mut gradients[..length]);
        let share = s.splat(1.0 / sum);
        let mut along = s.splat(0.0);
        for at in (0..length).step_by(S::LANES) {
            let weight = s.mul(s.read(weights, at), share);
            s.write(weights, at, weight);
            along = s.fma(weight, s.read(gradients, at), along);
        }
        let (along, scale) = (s.splat(s.sum(along)), s.splat(scale));
        for at in (0..length).step_by(S::LANES) {
            let rest = s.sub(s.read(gradients, at), along);
            s.write(gradients, at, s.mul(s.mul(s.read(weights, at), rest), scale));
        }
    }
}

/// The sequences of a batch and the heads of a layer.
pub(crate) struct AttentionBackward<'a> {
    pub pool: &'a ThreadPool,
    pub isa: Isa,
    /// `[tokens, 3 * hidden]`: query, key and value side by side.
    pub qkv: &'a [f32],
    /// `[tokens, hidden]`: the gradient of the result.
    pub dy: &'a [f32],
    pub heads: usize,
    pub head_size: usize,
    /// What the product of a query and a key is multiplied by.
    pub scale: f32,
    /// Sequence `i` is rows `bounds[i]..bounds[i + 1]`.
    pub bounds: &'a [u32],
    /// Which weights of the softmax were dropped.
    pub dropout: Option<Dropout>,
}

impl AttentionBackward<'_> {
    /// Fills `out [tokens, 3 * hidden]`.
    pub fn run(&self, out: &mut [f32]) {
        let hidden = self.heads * self.head_size;
        let sequences = self.bounds.len() - 1;
        let tokens = self.bounds[sequences] as usize;
        assert!(self.qkv.len() == tokens * 3 * hidden && out.len() == self.qkv.len());
        assert!(self.dy.len() == tokens * hidden && self.bounds.is_sorted());
        let out = Shareable::new(out.as_mut_ptr());
        self.pool.run(sequences * self.heads, |task| {
            let (sequence, head) = (task / self.heads, task % self.heads);
            let [start, end] = [0, 1].map(|i| self.bounds[sequence + i] as usize);
            if start == end {
                return;
            }
            let column = head * self.head_size;
            let numbers = &self.qkv[start * 3 * hidden..end * 3 * hidden];
            let length = end - start;
            let width = 2 * self.isa.lanes();
            let padded = length.next_multiple_of(width);
            let most = (SCORES / padded).clamp(width, QUERIES);
            let dropout = self.dropout.map(|dropout| DropoutOfHead::new(dropout, sequence, head, length));
            let head = Head {
                isa: self.isa,
                parts: [0, 1, 2].map(|part| numbers[part * hidden + column..].as_ptr()),
                stride: 3 * hidden,
                dy: self.dy[start * hidden + column..].as_ptr(),
                dy_stride: hidden,
                gradients: [0, 1, 2].map(|part| out.at(start * 3 * hidden + part * hidden + column)),
                length,
                size: self.head_size,
                width,
                padded,
                rows: length.div_ceil(length.div_ceil(most)),
                scale: self.scale,
                dropout,
            };
            // SAFETY: the tokens were just cut out; this head of these rows of `out` belongs to this task alone.
            unsafe { head.run() };
        });
    }
}

/// One sequence and head.
struct Head {
    isa: Isa,
    /// The first query, key and value, and where their gradients go: `size` numbers each, and the distance to the next.
    parts: [*const f32; 3],
    gradients: [*mut f32; 3],
    stride: usize,
    /// The gradient of the first token's result, and the distance to the next.
    dy: *const f32,
    dy_stride: usize,
    /// Tokens of the sequence.
    length: usize,
    size: usize,
    /// Columns of a panel, and the tokens with what fills up the last panel.
    width: usize,
    padded: usize,
    /// Queries that are taken at a time, at most.
    rows: usize,
    scale: f32,
    dropout: Option<DropoutOfHead>,
}

/// The left matrix of a product: its first number, the distance between rows, and how many there are how deep.
#[derive(Clone, Copy)]
struct Left {
    from: *const f32,
    stride: usize,
    rows: usize,
    depth: usize,
}

/// Where a product goes: the first number, the distance between rows, and their length.
#[derive(Clone, Copy)]
struct Target {
    to: *mut f32,
    stride: usize,
    columns: usize,
}

/// What the parts of a task share.
struct Scratch<'a> {
    /// All keys and all values in panels of tokens, and all keys in panels of features.
    keys: &'a mut [f32],
    values: &'a mut [f32],
    key_rows: &'a mut [f32],
    /// The weights of some queries, their gradients, which become those of the scores, and either by keys.
    weights: &'a mut [f32],
    gradients: &'a mut [f32],
    transposed: &'a mut [f32],
    /// Some queries, or gradients of their results, in panels of features.
    some: &'a mut [f32],
    /// What some queries add to a gradient.
    sum: &'a mut [f32],
    /// Of the numerators of each query.
    sums: &'a mut [f32],
    product: &'a mut [f32],
}

impl Head {
    /// # Safety
    /// All tokens must be readable, and their gradients writable and nobody else's.
    unsafe fn run(&self) {
        let &Self { length, size, padded, rows, .. } = self;
        let wide = size.next_multiple_of(self.width);
        let products = [(rows, padded.max(size)), (length, size)];
        let product = products.map(|(rows, columns)| scratch_length(self.isa, rows, columns));
        let lengths = [
            padded * size,
            padded * size,
            wide * length,
            rows * padded,
            rows * padded,
            rows * length,
            wide * rows,
            length * size,
            rows,
            product[0].max(product[1]),
        ];
        with_scratch(lengths.iter().sum(), |mut memory: &mut [f32]| {
            let [keys, values, key_rows, weights, gradients, transposed, some, sum, sums, product] =
                lengths.map(|length| memory.split_off_mut(..length).expect("as many as asked for"));
            // SAFETY: the caller's promise.
            unsafe {
                self.columns(self.parts[1], keys);
                self.columns(self.parts[2], values);
                self.rows(self.parts[1], self.stride, length, key_rows);
                let mut scratch = Scratch {
                    keys,
                    values,
                    key_rows,
                    weights,
                    gradients,
                    transposed,
                    some,
                    sum,
                    sums,
                    product,
                };
                for from in (0..length).step_by(rows) {
                    self.queries(from, rows.min(length - from), &mut scratch);
                }
            }
        });
    }

    /// What `count` queries from `from` on give: their own gradients, and a part of those of all keys and values.
    ///
    /// # Safety
    /// As [`run`](Self::run), in order from the first query.
    unsafe fn queries(&self, from: usize, count: usize, scratch: &mut Scratch<'_>) {
        let &Self { length, size, padded, stride, dy_stride, scale, isa, .. } = self;
        let Scratch { keys, values, key_rows, weights, gradients, transposed, some, sum, sums, product } =
            scratch;
        let query = self.parts[0].wrapping_add(from * stride);
        let dy = self.dy.wrapping_add(from * dy_stride);
        let [dquery, dkey, dvalue] = self.gradients;
        let (weights, gradients) = (&mut weights[..count * padded], &mut gradients[..count * padded]);
        // SAFETY: every matrix is as large as its product wants it, in tokens, as the caller promises, or in scratch.
        unsafe {
            let queries = Left { from: query, stride, rows: count, depth: size };
            let to = Target { to: weights.as_mut_ptr(), stride: padded, columns: padded };
            self.product(queries, keys, to, product);
            let results = Left { from: dy, stride: dy_stride, ..queries };
            let to = Target { to: gradients.as_mut_ptr(), ..to };
            self.product(results, values, to, product);
            norm::softmax_numerators(isa, weights, padded, length, scale, &mut sums[..count]);
            // The gradients of the weights before some were dropped, from those after; and at last, as all else wants
            // the weights before, those that the values were multiplied by.
            if let Some(dropout) = self.dropout {
                dropout.apply(from, gradients, padded);
            }
            softmax_backward(isa, weights, gradients, padded, length, scale, &sums[..count]);
            if let Some(dropout) = self.dropout {
                dropout.apply(from, weights, padded);
            }

            let scores = Left { from: gradients.as_ptr(), stride: padded, rows: count, depth: length };
            let to = Target { to: dquery.wrapping_add(from * stride), stride, columns: size };
            self.product(scores, key_rows, to, product);
            for (scores, right, to) in [(&*weights, results, dvalue), (&*gradients, queries, dkey)] {
                self.transpose(scores, count, transposed);
                self.rows(right.from, right.stride, count, some);
                let left = Left { from: transposed.as_ptr(), stride: count, rows: length, depth: count };
                if from == 0 {
                    self.product(left, some, Target { to, stride, columns: size }, product);
                    continue;
                }
                let part = Target { to: sum.as_mut_ptr(), stride: size, columns: size };
                self.product(left, some, part, product);
                for (token, sum) in sum.chunks_exact(size).enumerate() {
                    let to = std::slice::from_raw_parts_mut(to.add(token * stride), size);
                    elementwise::add_to(isa, to, sum);
                }
            }
        }
    }

    /// A product with panels as deep as the left matrix.
    ///
    /// # Safety
    /// As [`Product::run`].
    unsafe fn product(&self, a: Left, b: &[f32], c: Target, scratch: &mut [f32]) {
        let product = Product {
            a: a.from,
            a_stride: a.stride,
            b: b.as_ptr(),
            b_stride: a.depth * self.width,
            c: c.to,
            c_stride: c.stride,
            rows: a.rows,
            columns: c.columns,
            depth: a.depth,
            bias: None,
            activation: Activation::Identity,
            scratch: scratch.as_mut_ptr(),
        };
        // SAFETY: passed on.
        unsafe { product.run(self.isa) };
    }

    /// Packs all tokens of a part as columns.
    ///
    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn columns(&self, from: *const f32, panels: &mut [f32]) {
        let (depth, columns) = (self.size, self.length);
        let part = Strided { from, depth, depth_stride: 1, columns, column_stride: self.stride };
        // SAFETY: passed on.
        unsafe { part.pack(self.isa, panels, self.width) };
    }

    /// Packs some tokens of a part as rows.
    ///
    /// # Safety
    /// So many tokens must be readable.
    unsafe fn rows(&self, from: *const f32, stride: usize, count: usize, panels: &mut [f32]) {
        let part = Strided { from, depth: count, depth_stride: stride, columns: self.size, column_stride: 1 };
        let panels = &mut panels[..self.size.next_multiple_of(self.width) * count];
        // SAFETY: passed on.
        unsafe { part.pack(self.isa, panels, self.width) };
    }

    /// Writes scores of some queries as rows of keys.
    fn transpose(&self, scores: &[f32], count: usize, to: &mut [f32]) {
        let (rows, columns) = (self.length, count);
        assert!(scores.len() >= columns * self.padded && to.len() >= rows * columns);
        let (from, to) = (scores.as_ptr(), to.as_mut_ptr());
        // SAFETY: as was just checked.
        unsafe {
            Transpose { from, from_stride: self.padded, to, to_stride: columns, rows, columns }.run(self.isa);
        }
    }
}
