//! The matrix product `C = A B` on a tile of C, with B in panels, for every kind of number.
//!
//! A *panel* is two vectors wide: column `j` of row `k` of B lies at `panel[k * width + j]`, zeros after the
//! last column; where a step of [`Dot`] takes several rows of B, their numbers of a column lie side by side. A
//! *register tile* is up to `ROWS` rows of A times one panel; its accumulators never leave the registers while it
//! walks along k. The walk is cut into blocks, so that the piece of a panel in use stays in the first cache while
//! all rows of A pass by. Between blocks the sums rest in a scratch buffer, panel by panel: rows of C itself are
//! often a power of two apart, and would push one another out of the cache.
//!
//! Every element of C is a sum of blocks, each a chain of steps over ascending k that starts at 0, and where the
//! blocks begin depends on the depth alone. So the result for a row depends neither on the other rows nor on how
//! the work was divided, and short chains of floats keep more digits than one long one.

use bert_core::contract::Activation;

use super::dot::{Dot, Floats};
use super::epilogue::{Output, finish};
use crate::simd::{Isa, Simd, dispatch};

/// The piece of a panel that register tiles walk one after another, in bytes: 12 KiB. The next piece, which
/// is fetched meanwhile, and the rows of A share a first cache of 32 KiB with it.
const BLOCK: usize = 12 << 10;
/// Steps of the depth that are written out, and that share the fetching of what comes next.
const UNROLL: usize = 4;
/// Bytes of a cache line.
const LINE: usize = 64;

/// One piece of a product of `f32`: some rows of A times some panels of B, into some rows and columns of C.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    /// First element of A, and the distance between its rows, whose elements lie side by side.
    pub a: *const f32,
    pub a_stride: usize,
    /// First panel of B, and the distance between panels.
    pub b: *const f32,
    pub b_stride: usize,
    /// First element of C, and the distance between its rows.
    pub c: *mut f32,
    pub c_stride: usize,
    pub rows: usize,
    pub columns: usize,
    pub depth: usize,
    /// Added to each row of C at the end, and applied after that.
    pub bias: Option<&'a [f32]>,
    pub activation: Activation,
    /// [`scratch_length`] numbers, of any value.
    pub scratch: *mut f32,
}

/// The deepest product of one block.
pub(crate) fn block_depth(isa: Isa) -> usize {
    BLOCK / (2 * isa.lanes() * size_of::<f32>())
}

/// What a product of so many rows and columns needs as scratch.
pub(crate) fn scratch_length(isa: Isa, rows: usize, columns: usize) -> usize {
    rows * columns.next_multiple_of(2 * isa.lanes())
}

dispatch! {
    /// Computes a piece. See [`Product::run`].
    fn run(product: &Product<'_>) = generic;
}

impl Product<'_> {
    /// Computes the piece.
    ///
    /// # Safety
    /// For some `isa` whose panels B is made of: `rows` rows of A and C, `depth` and `columns` long, and all
    /// panels that `columns` touches, `depth` rows each, must be valid, and the scratch; nobody else may use
    /// this part of C.
    pub unsafe fn run(&self, isa: Isa) {
        debug_assert!(self.bias.is_none_or(|bias| bias.len() == self.columns));
        run(isa, self);
    }
}

#[inline(always)]
fn generic<S: Simd>(s: S, p: &Product<'_>) {
    let operands = Operands {
        a: p.a,
        a_stride: p.a_stride,
        b: p.b,
        b_stride: p.b_stride,
        rows: p.rows,
        columns: p.columns,
        steps: p.depth,
    };
    let output = Output {
        width: 2 * S::LANES,
        c: p.c,
        c_stride: p.c_stride,
        rows: p.rows,
        columns: p.columns,
        bias: p.bias,
        activation: p.activation,
    };
    // SAFETY: `Product::run` is the only caller and passes on the promise of its own caller.
    unsafe { multiply(s, Floats(s), &operands, &output, p.scratch) };
}

/// A product whose sums are `f32`, as a whole.
///
/// # Safety
/// All rows of A and of C and all panels of B that `columns` touches must be valid, and the scratch, of
/// [`scratch_length`].
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd, D: Dot<Sum = f32>>(
    s: S,
    d: D,
    operands: &Operands<D::A, D::B>,
    output: &Output<'_>,
    scratch: *mut f32,
) {
    let plain = output.bias.is_none() && output.activation == Activation::Identity;
    // SAFETY: passed on.
    unsafe {
        // A product of one block has no sums to keep, and may have nothing to add to them.
        if plain && operands.steps <= block_steps::<D>(operands.steps) {
            return operands.sums(d, Sums::Rows(output.c, output.c_stride));
        }
        operands.sums(d, Sums::Panels(scratch));
        finish(
            s,
            output,
            #[inline(always)]
            |_, _, sum| s.load(scratch.add(sum)),
        );
    }
}

/// What is multiplied: some rows of A and some panels of B, `steps` steps deep.
#[derive(Clone, Copy)]
pub(crate) struct Operands<A, B> {
    /// First element of A, and the distance between its rows, whose elements lie side by side.
    pub a: *const A,
    pub a_stride: usize,
    /// First panel of B, and the distance between panels.
    pub b: *const B,
    pub b_stride: usize,
    pub rows: usize,
    pub columns: usize,
    /// The depth in steps of [`Dot`], a multiple of its groups.
    pub steps: usize,
}

/// Where sums go.
#[derive(Clone, Copy)]
pub(crate) enum Sums<T> {
    /// Panel by panel, each with room for all of its columns.
    Panels(*mut T),
    /// Row by row at this distance, and no column that does not exist. Only for products of one block.
    Rows(*mut T, usize),
}

/// Steps in a block of a product that is so deep.
#[inline(always)]
fn block_steps<D: Dot>(steps: usize) -> usize {
    let most = BLOCK / (2 * D::LANES * D::STEP * size_of::<D::B>());
    steps.div_ceil(steps.div_ceil(most).max(1)).next_multiple_of(UNROLL)
}

impl<A, B> Operands<A, B> {
    /// Computes all sums.
    ///
    /// # Safety
    /// All rows of A and all panels of B that `columns` touches must be valid, and as much of `to` as it says.
    #[inline(always)]
    pub unsafe fn sums<D: Dot<A = A, B = B>>(&self, d: D, to: Sums<D::Sum>) {
        debug_assert!(self.steps.is_multiple_of(D::GROUP) && UNROLL.is_multiple_of(D::GROUP));
        // SAFETY: passed on.
        unsafe {
            match self.rows {
                0 => (),
                // Few rows leave the accumulators of one panel too few to hide the latency of an addition.
                1 if D::LATENT => self.blocks::<D, 4>(d, to),
                2 if D::LATENT => self.blocks::<D, 2>(d, to),
                _ => self.blocks::<D, 1>(d, to),
            }
        }
    }

    /// `PANELS` panels at a time.
    ///
    /// # Safety
    /// As [`sums`](Self::sums).
    #[inline(always)]
    unsafe fn blocks<D: Dot<A = A, B = B>, const PANELS: usize>(&self, d: D, to: Sums<D::Sum>) {
        let width = 2 * D::LANES;
        let tiles = self.rows.div_ceil(D::ROWS);
        let block = block_steps::<D>(self.steps);
        let (blocks, groups) = (self.steps.div_ceil(block), self.columns.div_ceil(PANELS * width));
        // Many rows pass by a piece of a panel before the next panel comes; few rows stream each panel as a whole.
        let (few, pieces) = (tiles <= 2, blocks * groups);
        let after = |(part, group): (usize, usize)| match few {
            true if part + 1 < blocks => (part + 1, group),
            true => (0, group + 1),
            false if group + 1 < groups => (part, group + 1),
            false if part + 1 < blocks => (part + 1, 0),
            // What lies behind the last panel: whoever comes next often begins there.
            false => (0, groups),
        };
        let step = width * D::STEP;
        let mut next = (0, 0);
        for _ in 0..pieces {
            let (part, group) = next;
            next = after(next);
            let (k, panel) = (part * block, group * PANELS);
            let (next_k, next_panel) = (next.0 * block, next.1 * PANELS);
            let column = panel * width;
            let steps = block.min(self.steps - k);
            // Lines of the next piece that each tile fetches in some steps of its depth.
            let fetch = (UNROLL * step * size_of::<B>()).div_ceil(LINE * tiles);
            // SAFETY: all offsets stay inside the operands and the sums that the caller vouches for; the
            // address for prefetching is never read.
            unsafe {
                let ahead = self.b.wrapping_add(next_panel * self.b_stride + next_k * step).cast::<u8>();
                let (sums, sums_stride, sums_panel, whole) = match to {
                    Sums::Rows(c, stride) => (c.add(column), stride, width, false),
                    Sums::Panels(all) => (all.add(self.rows * column), width, self.rows * width, true),
                };
                let mut row = 0;
                for tile in 0..tiles {
                    let rows = self.rows / tiles + usize::from(tile < self.rows % tiles);
                    let tile = Tile::<D> {
                        a: self.a.add(row * self.a_stride + k * D::STEP),
                        a_stride: self.a_stride,
                        b: self.b.add(panel * self.b_stride + k * step),
                        b_stride: self.b_stride,
                        sums: sums.add(row * sums_stride),
                        sums_stride,
                        sums_panel,
                        columns: (PANELS * width).min(self.columns - column),
                        whole,
                        steps,
                        accumulate: k > 0,
                        ahead: ahead.wrapping_add(tile * (steps / UNROLL) * fetch * LINE),
                        fetch,
                    };
                    tile.run::<PANELS>(d, rows);
                    row += rows;
                }
            }
        }
    }
}

/// One register tile, over one block of the depth.
struct Tile<D: Dot> {
    a: *const D::A,
    a_stride: usize,
    b: *const D::B,
    b_stride: usize,
    /// Where the sums go: the distances between rows and between panels.
    sums: *mut D::Sum,
    sums_stride: usize,
    sums_panel: usize,
    columns: usize,
    /// Whether there is room for all columns of a panel, those too that do not exist.
    whole: bool,
    steps: usize,
    /// Whether the sums of the blocks before are there.
    accumulate: bool,
    /// What to fetch meanwhile, and how many lines of it in some steps, for each panel.
    ahead: *const u8,
    fetch: usize,
}

/// The accumulators of a tile.
type Accumulators<D, const ROWS: usize, const PANELS: usize> = [[[<D as Dot>::Acc; 2]; PANELS]; ROWS];

impl<D: Dot> Tile<D> {
    /// # Safety
    /// As [`Operands::sums`], for `rows <= ROWS` rows.
    #[inline(always)]
    unsafe fn run<const PANELS: usize>(&self, d: D, rows: usize) {
        debug_assert!(rows <= D::ROWS);
        // SAFETY: passed on.
        unsafe {
            macro_rules! with_rows {
                ($($rows:literal)*) => {
                    match rows {
                        // A function of its own for each, that has all registers for itself.
                        $($rows if $rows <= D::ROWS => {
                            d.vectorize(#[inline(always)] || self.multiply::<$rows, PANELS>(d))
                        })*
                        _ => unreachable!("{rows} rows in a tile"),
                    }
                };
            }
            // With more than one panel there are fewer rows than panels, see `sums`.
            match PANELS {
                4 => self.multiply::<1, PANELS>(d),
                2 => self.multiply::<2, PANELS>(d),
                _ => with_rows!(1 2 3 4 5 6 7 8 9 10 11 12),
            }
        }
    }

    /// # Safety
    /// As [`Operands::sums`], for `ROWS` rows.
    #[inline(always)]
    unsafe fn multiply<const ROWS: usize, const PANELS: usize>(&self, d: D) {
        let width = 2 * D::LANES;
        let mut sums = [[[d.zero(); 2]; PANELS]; ROWS];
        // The last group may have fewer panels: the last one then stands in for those that are missing, and
        // what comes of them is not stored.
        let last = (self.columns - 1) / width;
        // SAFETY: passed on.
        unsafe {
            let panels: [*const D::B; PANELS] =
                std::array::from_fn(|panel| self.b.add(panel.min(last) * self.b_stride));
            // What moves along the depth; everything else lies at fixed distances from it.
            let (mut a, mut b, mut ahead) = (self.a, panels, [self.ahead; PANELS]);
            for (panel, ahead) in ahead.iter_mut().enumerate() {
                *ahead = ahead.wrapping_add(panel * self.b_stride * size_of::<D::B>());
            }
            for _ in 0..self.steps / UNROLL {
                for ahead in &mut ahead {
                    d.prefetch(*ahead);
                    // Seldom: a tile is one of many that share the fetching.
                    for line in 1..self.fetch {
                        d.prefetch(ahead.wrapping_add(line * LINE));
                    }
                    *ahead = ahead.wrapping_add(self.fetch * LINE);
                }
                for i in 0..UNROLL {
                    self.step(d, i, a, &b, &mut sums);
                }
                a = a.wrapping_add(UNROLL * D::STEP);
                b = b.map(|b| b.wrapping_add(UNROLL * width * D::STEP));
            }
            for i in 0..self.steps % UNROLL {
                self.step(
                    d,
                    0,
                    a.wrapping_add(i * D::STEP),
                    &b.map(|b| b.wrapping_add(i * width * D::STEP)),
                    &mut sums,
                );
            }
            for (row, sums) in sums.iter().enumerate() {
                for (panel, &[low, high]) in sums.iter().enumerate().take(last + 1) {
                    let to = self.sums.add(row * self.sums_stride + panel * self.sums_panel);
                    let room = self.columns - panel * width;
                    if self.accumulate {
                        d.accumulate(to, low);
                        d.accumulate(to.add(D::LANES), high);
                    } else if self.whole || room >= width {
                        d.store(to, low);
                        d.store(to.add(D::LANES), high);
                    } else {
                        d.store_first(to, room.min(D::LANES), low);
                        d.store_first(to.wrapping_add(D::LANES), room.saturating_sub(D::LANES), high);
                    }
                }
            }
        }
    }

    /// Step `i` of those that are written out, and where they begin.
    ///
    /// # Safety
    /// As [`Operands::sums`].
    #[inline(always)]
    unsafe fn step<const ROWS: usize, const PANELS: usize>(
        &self,
        d: D,
        i: usize,
        a: *const D::A,
        panels: &[*const D::B; PANELS],
        sums: &mut Accumulators<D, ROWS, PANELS>,
    ) {
        for (panel, b) in panels.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let b = b.add(i * 2 * D::LANES * D::STEP);
                let columns = [d.columns(b), d.columns(b.add(D::LANES * D::STEP))];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let a = d.row(a.add(row * self.a_stride + i * D::STEP));
                    let sums = &mut sums[panel];
                    *sums = match i % D::GROUP {
                        0 => d.begin(*sums, a, columns),
                        _ => d.dot(*sums, a, columns),
                    };
                    if i % D::GROUP == D::GROUP - 1 {
                        *sums = d.settle(*sums);
                    }
                }
            }
        }
    }
}
