//! The matrix product `C = A B` on a tile of C, with B in panels.
//!
//! A *panel* is two vectors wide: column `j` of row `k` of B lies at `panel[k * width + j]`, zeros after the
//! last column. A *register tile* is up to `TILE_ROWS` rows of A times one panel; its accumulators never
//! leave the registers while it walks along k. The walk is cut into blocks, so that the piece of a panel in
//! use stays in the first cache while all rows of A pass by. Between blocks the sums rest in a scratch
//! buffer, panel by panel: rows of C itself are often a power of two apart, and would push one another out
//! of the cache.
//!
//! Every element of C is a sum of blocks, each a chain of fused multiply-adds over ascending k that starts
//! at 0, and where the blocks begin depends on the depth alone. So the result for a row depends neither on
//! the other rows nor on how the work was divided, and short chains keep more digits than one long one.

use bert_core::ops::Activation;

use super::{dispatch, math};
use crate::simd::{Isa, Simd};

/// The piece of a panel that register tiles walk one after another, in numbers: 12 KiB. The next piece, which
/// is fetched meanwhile, and the rows of A share a first cache of 32 KiB with it.
const BLOCK: usize = 3072;
/// Steps of the depth that are written out, and that share the fetching of what comes next.
const UNROLL: usize = 4;
/// Numbers in a cache line.
const LINE: usize = 16;

/// One piece of a product: some rows of A times some panels of B, into some rows and columns of C.
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
    BLOCK / (2 * isa.lanes())
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
    // SAFETY: `Product::run` is the only caller and passes on the promise of its own caller.
    unsafe {
        match p.rows {
            0 => (),
            // Few rows leave the accumulators of one panel too few to hide the latency of an addition.
            1 => blocks::<S, 4>(s, p),
            2 => blocks::<S, 2>(s, p),
            _ => blocks::<S, 1>(s, p),
        }
    }
}

/// `PANELS` panels at a time.
///
/// # Safety
/// As [`Product::run`].
#[inline(always)]
unsafe fn blocks<S: Simd, const PANELS: usize>(s: S, p: &Product<'_>) {
    let width = 2 * S::LANES;
    let tiles = p.rows.div_ceil(S::TILE_ROWS);
    let block = p.depth.div_ceil(p.depth.div_ceil(BLOCK / width).max(1)).next_multiple_of(UNROLL);
    let plain = p.bias.is_none() && p.activation == Activation::Identity;
    // A product of one block has no sums to keep, and may have nothing to add to them.
    let direct = plain && block >= p.depth;
    let (blocks, groups) = (p.depth.div_ceil(block), p.columns.div_ceil(PANELS * width));
    // Many rows pass by a piece of a panel before the next panel comes; few rows stream each panel as a whole.
    let (few, pieces) = (tiles <= 2, blocks * groups);
    let place = |piece: usize| match few {
        true => (piece % blocks * block, piece / blocks * PANELS),
        false => (piece / groups * block, piece % groups * PANELS),
    };
    for piece in 0..pieces {
        let (k, panel) = place(piece);
        let (next_k, next_panel) = place((piece + 1).min(pieces - 1));
        let column = panel * width;
        let depth = block.min(p.depth - k);
        // Lines of the next piece that each tile fetches in a step of its depth.
        let fetch = (UNROLL * width / LINE).div_ceil(tiles);
        // SAFETY: all offsets stay inside the operands and the scratch that the caller vouches for; the
        // address for prefetching is never read.
        unsafe {
            let ahead = p.b.add(next_panel * p.b_stride + next_k * width);
            let (sums, sums_stride, sums_panel) = match direct {
                true => (p.c.add(column), p.c_stride, width),
                false => (p.scratch.add(p.rows * column), width, p.rows * width),
            };
            let mut row = 0;
            for tile in 0..tiles {
                let rows = p.rows / tiles + usize::from(tile < p.rows % tiles);
                let tile = Tile {
                    a: p.a.add(row * p.a_stride + k),
                    a_stride: p.a_stride,
                    b: p.b.add(panel * p.b_stride + k * width),
                    b_stride: p.b_stride,
                    sums: sums.add(row * sums_stride),
                    sums_stride,
                    sums_panel,
                    columns: (PANELS * width).min(p.columns - column),
                    whole: !direct,
                    depth,
                    accumulate: k > 0,
                    ahead: ahead.wrapping_add(tile * (depth / UNROLL) * fetch * LINE),
                    fetch,
                };
                tile.run::<S, PANELS>(s, rows);
                row += rows;
            }
        }
    }
    if !direct {
        // SAFETY: passed on.
        unsafe { finish(s, p) };
    }
}

/// One register tile, over one block of the depth.
struct Tile {
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    b_stride: usize,
    /// Where the sums go: the distances between rows and between panels.
    sums: *mut f32,
    sums_stride: usize,
    sums_panel: usize,
    columns: usize,
    /// Whether there is room for all columns of a panel, those too that do not exist.
    whole: bool,
    depth: usize,
    /// Whether the sums of the blocks before are there.
    accumulate: bool,
    /// What to fetch meanwhile, and how many lines of it in each step, for each panel.
    ahead: *const f32,
    fetch: usize,
}

impl Tile {
    /// # Safety
    /// As [`Product::run`], for `rows <= TILE_ROWS` rows.
    #[inline(always)]
    unsafe fn run<S: Simd, const PANELS: usize>(&self, s: S, rows: usize) {
        debug_assert!(rows <= S::TILE_ROWS);
        // SAFETY: passed on.
        unsafe {
            macro_rules! with_rows {
                ($($rows:literal)*) => {
                    match rows {
                        // A function of its own for each, that has all registers for itself.
                        $($rows if $rows <= S::TILE_ROWS => {
                            s.vectorize(#[inline(always)] || self.multiply::<S, $rows, PANELS>(s))
                        })*
                        _ => unreachable!("{rows} rows in a tile"),
                    }
                };
            }
            // With more than one panel there are fewer rows than panels, see `generic`.
            match PANELS {
                4 => self.multiply::<S, 1, PANELS>(s),
                2 => self.multiply::<S, 2, PANELS>(s),
                _ => with_rows!(1 2 3 4 5 6 7 8 9 10 11 12),
            }
        }
    }

    /// # Safety
    /// As [`Product::run`], for `ROWS` rows.
    #[inline(always)]
    unsafe fn multiply<S: Simd, const ROWS: usize, const PANELS: usize>(&self, s: S) {
        let width = 2 * S::LANES;
        let mut sums = [[[s.splat(0.0); 2]; PANELS]; ROWS];
        // The last group may have fewer panels: the last one then stands in for those that are missing, and
        // what comes of them is not stored.
        let last = (self.columns - 1) / width;
        // SAFETY: passed on.
        unsafe {
            let panels: [*const f32; PANELS] =
                std::array::from_fn(|panel| self.b.add(panel.min(last) * self.b_stride));
            let whole = self.depth / UNROLL * UNROLL;
            for k in (0..whole).step_by(UNROLL) {
                for panel in 0..PANELS {
                    let ahead =
                        self.ahead.wrapping_add(panel * self.b_stride + k / UNROLL * self.fetch * LINE);
                    for line in 0..self.fetch {
                        s.prefetch(ahead.wrapping_add(line * LINE));
                    }
                }
                for i in 0..UNROLL {
                    self.step(s, k + i, &panels, &mut sums);
                }
            }
            for k in whole..self.depth {
                self.step(s, k, &panels, &mut sums);
            }
            for (row, sums) in sums.iter().enumerate() {
                for (panel, &[mut low, mut high]) in sums.iter().enumerate().take(last + 1) {
                    let to = self.sums.add(row * self.sums_stride + panel * self.sums_panel);
                    if self.accumulate {
                        low = s.add(s.load(to), low);
                        high = s.add(s.load(to.add(S::LANES)), high);
                    }
                    let room = self.columns - panel * width;
                    if self.whole || room >= width {
                        s.store(to, low);
                        s.store(to.add(S::LANES), high);
                    } else {
                        s.store_first(to, room.min(S::LANES), low);
                        s.store_first(to.wrapping_add(S::LANES), room.saturating_sub(S::LANES), high);
                    }
                }
            }
        }
    }

    /// One step of the depth.
    ///
    /// # Safety
    /// As [`Product::run`].
    #[inline(always)]
    unsafe fn step<S: Simd, const ROWS: usize, const PANELS: usize>(
        &self,
        s: S,
        k: usize,
        panels: &[*const f32; PANELS],
        sums: &mut [[[S::V; 2]; PANELS]; ROWS],
    ) {
        for (panel, b) in panels.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let b = b.add(k * 2 * S::LANES);
                let (b0, b1) = (s.load(b), s.load(b.add(S::LANES)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let a = s.splat(*self.a.add(row * self.a_stride + k));
                    sums[panel][0] = s.fma(a, b0, sums[panel][0]);
                    sums[panel][1] = s.fma(a, b1, sums[panel][1]);
                }
            }
        }
    }
}

/// Bias and activation, on the way from the scratch to C. Row by row, so that each line and page of C is met
/// once.
///
/// # Safety
/// As [`Product::run`].
#[inline(always)]
unsafe fn finish<S: Simd>(s: S, p: &Product<'_>) {
    let width = 2 * S::LANES;
    macro_rules! each {
        (|$x:ident| $f:expr) => {
            for row in 0..p.rows {
                for column in (0..p.columns).step_by(S::LANES) {
                    let bias = p.bias.map_or(s.splat(0.0), |bias| s.read(bias, column));
                    let count = S::LANES.min(p.columns - column);
                    // SAFETY: inside the scratch and C, as the caller promises.
                    unsafe {
                        let panel = p.scratch.add(column / width * p.rows * width);
                        let $x = s.add(s.load(panel.add(row * width + column % width)), bias);
                        let to = p.c.add(row * p.c_stride + column);
                        if count == S::LANES { s.store(to, $f) } else { s.store_first(to, count, $f) }
                    }
                }
            }
        };
    }
    match p.activation {
        Activation::Identity => each!(|x| x),
        Activation::Gelu => each!(|x| math::gelu(s, x)),
        Activation::GeluTanh => each!(|x| math::gelu_tanh(s, x)),
        Activation::Relu => each!(|x| math::relu(s, x)),
        Activation::Tanh => each!(|x| math::tanh(s, x)),
    }
}
