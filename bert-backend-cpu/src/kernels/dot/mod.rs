//! How numbers of two matrices meet in registers: what the one matrix product of [`gemm`](super::gemm) is made
//! of, for each kind of number and each instruction set.
//!
//! | kind | A | B | a step | sums |
//! | --- | --- | --- | --- | --- |
//! | [`Floats`] | `f32` | `f32` | a fused multiply-add | `f32` |
//! | [`Widened`] | `f32`, rounded to bf16 | `bf16`, widened on the way into a register | the same | `f32` |
//! | `Bf16Pairs` (AVX512-BF16) | pairs of `bf16` | pairs of `bf16` | two products and their sum | `f32` |
//! | [`PortableBytes`] and its like | four `u8` | four `i8` | four products and their sum | `i32` |
//!
//! Products of bytes are exact on every instruction set. What an instruction set cannot hold, it forbids: see
//! [`ByteLimits`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod floats;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2Bytes;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::{Bf16Pairs, VnniBytes};
use bytemuck::Pod;
pub(crate) use floats::{Floats, Widened};
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::NeonBytes;
pub(crate) use portable::PortableBytes;

use crate::simd::Isa;

/// Products of rows of A with panels of B, two vectors of sums wide.
///
/// Where [`STEP`](Self::STEP) is more than one, that many numbers of a column lie side by side in a panel, and
/// one step takes them all.
pub(crate) trait Dot: Copy + Send + Sync + 'static {
    /// A number of A.
    type A: Pod;
    /// A number of B.
    type B: Pod;
    /// A sum in memory.
    type Sum: Pod;
    /// A vector of sums while they grow.
    type Acc: Copy;
    /// The numbers of a row that a step takes, for all lanes.
    type Row: Copy;
    /// The numbers of `LANES` columns that a step takes.
    type Columns: Copy;

    /// Sums in a vector.
    const LANES: usize;
    /// Rows of the register tile.
    const ROWS: usize;
    /// Numbers along the depth that a step takes.
    const STEP: usize;
    /// Steps from [`begin`](Self::begin) to [`settle`](Self::settle).
    const GROUP: usize = 1;
    /// Whether a step waits so long for the one before that few rows need several panels to keep it busy.
    const LATENT: bool = true;

    /// As [`Simd::vectorize`](crate::simd::Simd::vectorize).
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;
    /// Asks for the cache line at an address, which need not be valid.
    fn prefetch(self, at: *const u8);

    fn zero(self) -> Self::Acc;
    /// # Safety
    /// `STEP` numbers must be readable.
    unsafe fn row(self, from: *const Self::A) -> Self::Row;
    /// # Safety
    /// `LANES * STEP` numbers must be readable.
    unsafe fn columns(self, from: *const Self::B) -> Self::Columns;
    /// The first step of a group: a row times the two vectors of columns of a panel.
    #[inline(always)]
    fn begin(self, acc: [Self::Acc; 2], row: Self::Row, columns: [Self::Columns; 2]) -> [Self::Acc; 2] {
        self.dot(acc, row, columns)
    }
    /// Another step of a group.
    fn dot(self, acc: [Self::Acc; 2], row: Self::Row, columns: [Self::Columns; 2]) -> [Self::Acc; 2];
    /// The end of a group.
    #[inline(always)]
    fn settle(self, acc: [Self::Acc; 2]) -> [Self::Acc; 2] {
        acc
    }

    /// # Safety
    /// `LANES` sums must be writable.
    unsafe fn store(self, to: *mut Self::Sum, acc: Self::Acc);
    /// Adds to what is there.
    /// # Safety
    /// `LANES` sums must be readable and writable.
    unsafe fn accumulate(self, to: *mut Self::Sum, acc: Self::Acc);
    /// The first `count` sums alone.
    /// # Safety
    /// `count <= LANES` sums must be writable.
    #[inline(always)]
    unsafe fn store_first(self, to: *mut Self::Sum, count: usize, acc: Self::Acc) {
        let mut sums = [<Self::Sum as bytemuck::Zeroable>::zeroed(); 16];
        debug_assert!(Self::LANES <= sums.len());
        // SAFETY: the array holds the lanes of the widest vector; the rest is the caller's promise.
        unsafe {
            self.store(sums.as_mut_ptr(), acc);
            std::ptr::copy_nonoverlapping(sums.as_ptr(), to, count.min(Self::LANES));
        }
    }
}

/// What products of bytes ask of their operands, so that no sum on the way overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteLimits {
    /// The largest number of A; the smallest is 0.
    pub most: u8,
    /// How much the positive numbers of B may add up to, and the negative ones, among those whose products meet
    /// in one 16-bit lane. `None` where there are no such lanes.
    pub lane: Option<Lane>,
}

/// The numbers of a column whose products are added in 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    /// The largest sum of the positive numbers, or of the magnitudes of the negative ones.
    pub most: u32,
    /// How many steps of four numbers make a group; a lane takes every other pair of them.
    pub steps: usize,
}

/// How the panels of a kind of number are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Columns in a panel.
    pub width: usize,
    /// See [`Dot::STEP`].
    pub step: usize,
    /// Numbers along the depth that come together; the depth is filled up to a multiple of them.
    pub group: usize,
}

impl Layout {
    /// That of a kind.
    pub fn of<D: Dot>(_: D) -> Self {
        Self { width: 2 * D::LANES, step: D::STEP, group: D::STEP * D::GROUP }
    }

    /// Where a number of a column lies in its panel.
    pub fn place(&self, k: usize, column: usize) -> usize {
        (k / self.step * self.width + column) * self.step + k % self.step
    }

    /// The depth with what fills it up.
    pub fn depth(&self, depth: usize) -> usize {
        depth.next_multiple_of(self.group)
    }
}

/// Calls a function generic over [`Dot`] with the kind for bytes of an instruction set.
macro_rules! with_bytes {
    ($isa:expr, |$dot:ident| $body:expr) => {{
        use $crate::kernels::dot::*;
        use $crate::simd::*;
        let isa: Isa = $isa;
        match isa.level() {
            #[cfg(target_arch = "x86_64")]
            $crate::level::SimdLevel::Avx512 if isa.has_vnni() => {
                // SAFETY: an `Isa` is only made for instructions that this machine has.
                let $dot = VnniBytes(unsafe { Avx512::new() });
                $body
            }
            #[cfg(target_arch = "x86_64")]
            $crate::level::SimdLevel::Avx512 | $crate::level::SimdLevel::Avx2 => {
                // SAFETY: as above; whatever has AVX-512 has AVX2.
                let $dot = Avx2Bytes(unsafe { Avx2::new() });
                $body
            }
            #[cfg(target_arch = "aarch64")]
            $crate::level::SimdLevel::Neon => {
                // SAFETY: as above.
                let $dot = NeonBytes(unsafe { Neon::new() });
                $body
            }
            _ => {
                let $dot = PortableBytes;
                $body
            }
        }
    }};
}
pub(crate) use with_bytes;

/// The limits of [`Dot`] for bytes on an instruction set.
pub(crate) fn byte_limits(isa: Isa) -> ByteLimits {
    with_bytes!(isa, |dot| dot.limits())
}
