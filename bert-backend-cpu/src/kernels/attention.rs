//! Scaled dot-product attention on packed sequences.
//!
//! One task is one sequence and one head, or a part of its queries where there are few of them. It packs
//! the keys and values of the head into panels, and then takes some queries at a time: their scores against
//! all keys, the softmax, and the weighted sum of the values stay in a scratch buffer that fits in the
//! second cache. No score is ever written further away, and a token meets no other sequence's numbers.
//!
//! What is multiplied is `f32`, see [`Floats`], or where the layer is in less than that and the machine has
//! instructions for it, pairs of bf16, see `Pairs`. Scores, their softmax and all sums are `f32` in both.

mod floats;
#[cfg(target_arch = "x86_64")]
mod pairs;

use std::ops::Range;

use bert_core::contract::Dropout;

use self::floats::Floats;
use super::gemm::scratch_length;
use crate::memory::with_scratch;
use crate::simd::Isa;
use crate::thread_pool::{Shareable, ThreadPool};

/// Scores that are held at a time, in numbers: 128 KiB.
const SCORES: usize = 32 << 10;
/// Queries that are taken at a time, at most, and the fewest that a task gets.
const QUERIES: usize = 96;

/// The sequences of a batch and the heads of a layer.
pub(crate) struct Attention<'a> {
    pub pool: &'a ThreadPool,
    pub isa: Isa,
    /// `[tokens, 3 * hidden]`: query, key and value side by side.
    pub qkv: &'a [f32],
    pub heads: usize,
    pub head_size: usize,
    /// What the product of a query and a key is multiplied by.
    pub scale: f32,
    /// Sequence `i` is rows `bounds[i]..bounds[i + 1]`.
    pub bounds: &'a [u32],
    /// Whether the products may be of numbers rounded to bf16.
    pub rounded: bool,
    /// In training, which weights of the softmax are dropped.
    pub dropout: Option<Dropout>,
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
    fn head(&self, sequence: usize, head: usize, queries: Range<usize>, out: &Shareable<f32>) {
        let (start, length) = (self.bounds[sequence] as usize, self.length(sequence));
        let size = self.head_size;
        let hidden = self.heads * size;
        let stride = 3 * hidden;
        let width = 2 * self.isa.lanes();
        let padded = length.next_multiple_of(width);
        let column = head * size;
        let numbers = &self.qkv[start * stride..(start + length) * stride];
        let [query, key, value] = [0, 1, 2].map(|part| numbers[part * hidden + column..].as_ptr());
        let rows = (SCORES / padded).clamp(width, QUERIES);
        let scale = self.scale;
        let dropout = self.dropout.map(|dropout| DropoutOfHead::new(dropout, sequence, head, length));
        let head = Head {
            isa: self.isa,
            query,
            key,
            value,
            stride,
            length,
            size,
            width,
            padded,
            rows,
            scale,
            dropout,
        };
        let to = |row: usize| out.at((start + row) * hidden + column);
        // SAFETY: the tokens were just cut out; these rows of this head of `out` belong to this task alone.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if self.rounded && self.isa.has_bf16() && self.dropout.is_none() {
                return head.attend::<pairs::Pairs>(queries, to, hidden);
            }
            head.attend::<Floats>(queries, to, hidden);
        }
    }
}

/// One sequence and head.
struct Head {
    isa: Isa,
    /// The first query, key and value, `size` numbers each, and the distance to the next.
    query: *const f32,
    key: *const f32,
    value: *const f32,
    stride: usize,
    /// Tokens of the sequence.
    length: usize,
    size: usize,
    /// Columns of a panel, and the tokens with what fills up the last panel.
    width: usize,
    padded: usize,
    /// Queries that are taken at a time, at most.
    rows: usize,
    /// What scores are multiplied with.
    scale: f32,
    dropout: Option<DropoutOfHead>,
}

/// Which weights of one sequence and head are dropped: the stream of the sequence by its number, positions in
/// `[heads, length, length]`, forwards and backwards.
#[derive(Clone, Copy)]
pub(crate) struct DropoutOfHead {
    dropout: Dropout,
    /// The position of the head's first weight.
    first: u64,
    length: usize,
}

impl DropoutOfHead {
    pub fn new(dropout: Dropout, sequence: usize, head: usize, length: usize) -> Self {
        let random = dropout.random.numbered(sequence as u64);
        let first = head as u64 * length as u64 * length as u64;
        Self { dropout: Dropout { random, ..dropout }, first, length }
    }

    /// Multiplies the weights of queries from `from` on, in rows of `stride` of which as many count as there are keys.
    pub fn apply(&self, from: usize, rows: &mut [f32], stride: usize) {
        for (row, weights) in rows.chunks_exact_mut(stride).enumerate() {
            let position = self.first + (from + row) as u64 * self.length as u64;
            self.dropout.apply(position, &mut weights[..self.length]);
        }
    }
}

impl Head {
    /// Attends to the values of the sequence for some of its queries: query `i` gives the `size` numbers at `to(i)`,
    /// which lie `to_stride` apart.
    ///
    /// # Safety
    /// All tokens must be readable, and what is written must be writable and belong to the caller alone.
    unsafe fn attend<F: Factors>(
        &self,
        queries: Range<usize>,
        to: impl Fn(usize) -> *mut f32,
        to_stride: usize,
    ) {
        let lengths = F::scratch(self);
        with_scratch(lengths.iter().sum(), |mut memory: &mut [f32]| {
            let mut scratch =
                lengths.map(|length| memory.split_off_mut(..length).expect("as many as asked for"));
            // SAFETY: passed on.
            unsafe {
                F::pack(self, &mut scratch);
                for from in queries.clone().step_by(self.rows) {
                    let now = from..queries.end.min(from + self.rows);
                    F::attend(self, &mut scratch, now, to(from), to_stride);
                }
            }
        });
    }

    /// The lengths of the pieces of scratch that hold `f32`: scores, their sums, and what the products need.
    fn floats(&self) -> [usize; 3] {
        let products = scratch_length(self.isa, self.rows, self.padded.max(self.size));
        [self.rows * self.padded, self.rows, products]
    }
}

/// Pieces of scratch: packed keys, packed values, scores, the sum of each row of scores, what the products need, and
/// what is rounded on the way.
type Scratch<'a> = [&'a mut [f32]; 6];

/// The numbers that are multiplied.
trait Factors {
    /// The length of each piece of scratch.
    fn scratch(head: &Head) -> [usize; 6];

    /// Packs keys and values into scratch that may hold anything.
    ///
    /// # Safety
    /// All tokens must be readable.
    unsafe fn pack(head: &Head, scratch: &mut Scratch<'_>);

    /// Some queries, at most `head.rows`, once keys and values are packed.
    ///
    /// # Safety
    /// The queries must be readable, and as many rows of `to` writable and nobody else's.
    unsafe fn attend(
        head: &Head,
        scratch: &mut Scratch<'_>,
        queries: Range<usize>,
        to: *mut f32,
        to_stride: usize,
    );
}
