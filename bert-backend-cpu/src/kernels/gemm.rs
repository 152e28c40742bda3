//! The matrix product `C = A B` on a tile of C, with B in panels.
//!
//! A *panel* is two vectors wide: column `j` of row `k` of B lies at `panel[k * width + j]`, zeros after the
//! last column. A *register tile* is up to `TILE_ROWS` rows of A times one panel; its accumulators never
//! leave the registers while it walks along k. The walk is cut into blocks of [`BLOCK_DEPTH`] at most, so
//! that the piece of a panel in use stays in the first cache while all rows of A pass by; between blocks the
//! sums rest in C itself.
//!
//! Every element of C is a sum of blocks, each a chain of fused multiply-adds over ascending k that starts
//! at 0, and where the blocks begin depends on the depth alone. So the result for a row depends neither on
//! the other rows nor on how the work was divided, and short chains keep more digits than one long one.

use bert_core::ops::Activation;

use super::{dispatch, math};
use crate::simd::Simd;

/// Rows of B that a register tile walks before the next one starts on the same piece of the panel: 16 KiB
/// of it with AVX2, 32 KiB with AVX-512.
pub(crate) const BLOCK_DEPTH: usize = 256;

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
    /// panels that `columns` touches, `depth` rows each, must be valid; nobody else may use this part of C.
    pub unsafe fn run(&self, isa: crate::simd::Isa) {
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
    let block = p.depth.div_ceil(p.depth.div_ceil(BLOCK_DEPTH).max(1)).next_multiple_of(8);
    let mut k = 0;
    loop {
        let depth = block.min(p.depth - k);
        let last = k + depth == p.depth;
        let mut column = 0;
        while column < p.columns {
            let columns = (PANELS * width).min(p.columns - column);
            // SAFETY: all offsets stay inside the operands that the caller vouches for; the address for
            // prefetching is never read.
            unsafe {
                let b = p.b.add(column / width * p.b_stride + k * width);
                let c = p.c.add(column);
                let ahead = b.wrapping_add(PANELS * p.b_stride);
                let mut row = 0;
                for tile in 0..tiles {
                    let rows = p.rows / tiles + usize::from(tile < p.rows % tiles);
                    let tile = Tile {
                        a: p.a.add(row * p.a_stride + k),
                        a_stride: p.a_stride,
                        b,
                        b_stride: p.b_stride,
                        c: c.add(row * p.c_stride),
                        c_stride: p.c_stride,
                        columns,
                        depth,
                        accumulate: k > 0,
                        // The tiles of a block fetch the next panel, each a part of it.
                        ahead: ahead.wrapping_add(tile * depth / 4 * width),
                    };
                    tile.run::<S, PANELS>(s, rows);
                    row += rows;
                }
                if last && (p.bias.is_some() || p.activation != Activation::Identity) {
                    let bias = p.bias.map(|bias| &bias[column..column + columns]);
                    finish(s, c, p.c_stride, p.rows, columns, bias, p.activation);
                }
            }
            column += columns;
        }
        k += depth;
        if last {
            break;
        }
    }
}

/// One register tile, over one block of the depth.
struct Tile {
    a: *const f32,
    a_stride: usize,
    b: *const f32,
    b_stride: usize,
    c: *mut f32,
    c_stride: usize,
    columns: usize,
    depth: usize,
    /// Whether C holds the sum of the blocks before.
    accumulate: bool,
    ahead: *const f32,
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
                        $($rows if $rows <= S::TILE_ROWS => self.multiply::<S, $rows, PANELS>(s),)*
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
            for k in 0..self.depth {
                if k % 4 == 0 {
                    s.prefetch(self.ahead.wrapping_add(k / 4 * width));
                }
                for (panel, b) in panels.iter().enumerate() {
                    let b = b.add(k * width);
                    let (b0, b1) = (s.load(b), s.load(b.add(S::LANES)));
                    for (row, sums) in sums.iter_mut().enumerate() {
                        let a = s.splat(*self.a.add(row * self.a_stride + k));
                        sums[panel][0] = s.fma(a, b0, sums[panel][0]);
                        sums[panel][1] = s.fma(a, b1, sums[panel][1]);
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                for (panel, &sums) in sums.iter().enumerate() {
                    let c = self.c.wrapping_add(row * self.c_stride + panel * width);
                    let sums = if self.accumulate {
                        let before = self.load(s, c, panel * width);
                        [s.add(before[0], sums[0]), s.add(before[1], sums[1])]
                    } else {
                        sums
                    };
                    self.store(s, c, panel * width, sums);
                }
            }
        }
    }

    /// # Safety
    /// `c` is where column `from` of the tile begins.
    #[inline(always)]
    unsafe fn load<S: Simd>(&self, s: S, c: *const f32, from: usize) -> [S::V; 2] {
        let room = self.columns.saturating_sub(from);
        // SAFETY: the caller's promise; only columns that exist are read.
        unsafe {
            match room >= 2 * S::LANES {
                true => [s.load(c), s.load(c.add(S::LANES))],
                false => [
                    s.load_first(c, room.min(S::LANES)),
                    s.load_first(c.wrapping_add(S::LANES), room.saturating_sub(S::LANES)),
                ],
            }
        }
    }

    /// # Safety
    /// `c` is where column `from` of the tile begins.
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, s: S, c: *mut f32, from: usize, sums: [S::V; 2]) {
        let room = self.columns.saturating_sub(from);
        // SAFETY: the caller's promise; only columns that exist are written.
        unsafe {
            if room >= 2 * S::LANES {
                s.store(c, sums[0]);
                s.store(c.add(S::LANES), sums[1]);
            } else {
                s.store_first(c, room.min(S::LANES), sums[0]);
                s.store_first(c.wrapping_add(S::LANES), room.saturating_sub(S::LANES), sums[1]);
            }
        }
    }
}

/// Bias and activation, while the tile is in the first cache.
///
/// # Safety
/// `rows` rows of `columns` numbers at `c`, `stride` apart, must be valid.
#[inline(always)]
unsafe fn finish<S: Simd>(
    s: S,
    c: *mut f32,
    stride: usize,
    rows: usize,
    columns: usize,
    bias: Option<&[f32]>,
    activation: Activation,
) {
    macro_rules! each {
        (|$x:ident| $f:expr) => {
            for from in (0..columns).step_by(S::LANES) {
                let bias = bias.map_or(s.splat(0.0), |bias| s.read(bias, from));
                let count = S::LANES.min(columns - from);
                for row in 0..rows {
                    // SAFETY: inside the tile, as the caller promises.
                    unsafe {
                        let at = c.add(row * stride + from);
                        if count == S::LANES {
                            let $x = s.add(s.load(at), bias);
                            s.store(at, $f);
                        } else {
                            let $x = s.add(s.load_first(at, count), bias);
                            s.store_first(at, count, $f);
                        }
                    }
                }
            }
        };
    }
    match activation {
        Activation::Identity => each!(|x| x),
        Activation::Gelu => each!(|x| math::gelu(s, x)),
        Activation::GeluTanh => each!(|x| math::gelu_tanh(s, x)),
        Activation::Relu => each!(|x| math::relu(s, x)),
        Activation::Tanh => each!(|x| math::tanh(s, x)),
    }
}
