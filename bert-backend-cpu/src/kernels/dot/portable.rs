//! Products of bytes in plain Rust.

use super::{ByteLimits, Dot};

/// `u8` times `i8`, whatever the compiler makes of it.
#[derive(Clone, Copy)]
pub(crate) struct PortableBytes;

impl PortableBytes {
    pub fn limits(self) -> ByteLimits {
        ByteLimits { most: 255, lane: None }
    }
}

impl Dot for PortableBytes {
    type A = u8;
    type B = i8;
    type Sum = i32;
    type Acc = [i32; 4];
    type Row = [u8; 4];
    type Columns = [[i8; 4]; 4];
    const LANES: usize = 4;
    const ROWS: usize = 4;
    const STEP: usize = 4;

    #[inline(never)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }

    #[inline(always)]
    fn prefetch(self, _at: *const u8) {}

    #[inline(always)]
    fn zero(self) -> [i32; 4] {
        [0; 4]
    }

    #[inline(always)]
    unsafe fn row(self, from: *const u8) -> [u8; 4] {
        // SAFETY: the caller's promise; bytes lie on any address.
        unsafe { from.cast::<[u8; 4]>().read() }
    }

    #[inline(always)]
    unsafe fn columns(self, from: *const i8) -> [[i8; 4]; 4] {
        // SAFETY: as above.
        unsafe { from.cast::<[[i8; 4]; 4]>().read() }
    }

    #[inline(always)]
    fn dot(self, acc: [[i32; 4]; 2], row: [u8; 4], columns: [[[i8; 4]; 4]; 2]) -> [[i32; 4]; 2] {
        let product = |column: [i8; 4]| -> i32 {
            row.iter().zip(column).map(|(&a, b)| i32::from(a) * i32::from(b)).sum()
        };
        std::array::from_fn(|i| std::array::from_fn(|lane| acc[i][lane] + product(columns[i][lane])))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut i32, acc: [i32; 4]) {
        // SAFETY: the caller's promise; an array of i32 has the alignment of i32.
        unsafe { to.cast::<[i32; 4]>().write(acc) }
    }

    #[inline(always)]
    unsafe fn accumulate(self, to: *mut i32, acc: [i32; 4]) {
        // SAFETY: as above.
        unsafe {
            let before = to.cast::<[i32; 4]>().read();
            self.store(to, std::array::from_fn(|lane| before[lane] + acc[lane]));
        }
    }
}
