//! What this machine can do at best: the measure for everything else.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bert_core::contract::{Activation, Precision};
use bytemuck::Pod;

use crate::kernels::gemm::{Product, block_depth, scratch_length};
use crate::kernels::low::{LowNumbers, LowProduct, byte_layout};
use crate::memory::Filling;
use crate::simd::Isa;
use crate::thread_pool::ThreadPool;

/// Rates that no operation of this backend can exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// f32 arithmetic of one thread on data in its first cache, in 10⁹ operations a second; a fused
    /// multiply-add counts as two.
    pub f32_gflops_one_thread: f64,
    /// The same of all threads together.
    pub f32_gflops: f64,
    /// The same with numbers of bf16, widened where the machine does not multiply them itself; of one thread.
    pub bf16_gflops_one_thread: f64,
    /// The same of all threads together.
    pub bf16_gflops: f64,
    /// The same with bytes that are added up in 32 bits; of one thread.
    pub int8_gflops_one_thread: f64,
    /// The same of all threads together.
    pub int8_gflops: f64,
    /// Reading of memory far larger than the caches, all threads together, in 10⁹ bytes a second.
    pub read_gbytes: f64,
}

impl Limits {
    /// The arithmetic of all threads together in a precision, in 10⁹ operations a second; `None` for one that
    /// the CPU does not compute in.
    pub fn gflops(&self, precision: Precision) -> Option<f64> {
        match precision {
            Precision::F32 => Some(self.f32_gflops),
            Precision::Bf16 => Some(self.bf16_gflops),
            Precision::Int8 => Some(self.int8_gflops),
            _ => None,
        }
    }

    /// That of one thread.
    pub fn gflops_one_thread(&self, precision: Precision) -> Option<f64> {
        match precision {
            Precision::F32 => Some(self.f32_gflops_one_thread),
            Precision::Bf16 => Some(self.bf16_gflops_one_thread),
            Precision::Int8 => Some(self.int8_gflops_one_thread),
            _ => None,
        }
    }
}

/// How long a run takes. Short runs find moments in which nothing else disturbs, and the best one counts.
const RUN: Duration = Duration::from_millis(2);
const RUNS: usize = 20;
/// How often each limit is looked for, and the time between: what disturbs may stay for seconds.
const ROUNDS: usize = 10;
const PAUSE: Duration = Duration::from_millis(200);
/// Numbers that are read in a run, and how many such parts there are: together far more than a cache holds.
const PART: usize = 4 << 20;
const PARTS: usize = 16;

pub(crate) fn measure(pool: &ThreadPool, isa: Isa) -> Limits {
    const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];
    let mut best = [(0.0f64, 0.0f64); PRECISIONS.len()];
    for round in 0..ROUNDS {
        if round > 0 {
            std::thread::sleep(PAUSE);
        }
        for (best, precision) in best.iter_mut().zip(PRECISIONS) {
            let (one_thread, all_threads) = rates(pool, isa, precision);
            *best = (best.0.max(one_thread), best.1.max(all_threads));
        }
    }
    let [f32_rates, bf16_rates, int8_rates] = best;
    Limits {
        f32_gflops_one_thread: f32_rates.0,
        f32_gflops: f32_rates.1,
        bf16_gflops_one_thread: bf16_rates.0,
        bf16_gflops: bf16_rates.1,
        int8_gflops_one_thread: int8_rates.0,
        int8_gflops: int8_rates.1,
        read_gbytes: read(pool, isa),
    }
}

/// The arithmetic of one thread, and of all of them.
fn rates(pool: &ThreadPool, isa: Isa, precision: Precision) -> (f64, f64) {
    let multiply = |times| match precision {
        Precision::F32 => multiply(isa, times),
        _ => multiply_low(isa, precision, times),
    };
    let (rows, columns, depth) = tiles_shape(isa, precision);
    // As often as takes about a run.
    let times = (1000.0 * RUN.as_secs_f64() / seconds(|| multiply(1000))).max(1.0) as usize;
    let rate = |threads: usize, work: &dyn Fn()| {
        let best = (0..RUNS).map(|_| seconds(work)).fold(f64::INFINITY, f64::min);
        (2 * rows * columns * depth * times * threads) as f64 / best / 1e9
    };
    let threads = pool.threads();
    (rate(1, &|| multiply(times)), rate(threads, &|| pool.run(threads, |_| multiply(times))))
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Rows, columns and depth of a product that stays in the first cache: some register tiles.
fn tiles_shape(isa: Isa, precision: Precision) -> (usize, usize, usize) {
    match precision {
        Precision::Int8 => {
            let width = byte_layout(isa).width;
            (36, width, block_depth(isa) * 8 * isa.lanes() / width)
        }
        _ => (3 * isa.tile_rows(), 2 * isa.lanes(), block_depth(isa)),
    }
}

/// A piece of a panel where weights lie too: at the start of a cache line. A vector that lies across two lines takes
/// twice the time to load.
fn panel<T: Pod>(length: usize, value: T) -> Filling<T> {
    let mut panel = Filling::permanent(length);
    panel.as_mut_slice().fill(value);
    panel
}

/// The register tile of the matrix product, again and again on one piece of a panel.
fn multiply(isa: Isa, times: usize) {
    let (rows, width, depth) = tiles_shape(isa, Precision::F32);
    let a = vec![0.5f32; rows * depth];
    let mut b = panel(width * depth, 0.25f32);
    let b = &*b.as_mut_slice();
    let mut space = Vec::new();
    for _ in 0..times {
        product(isa, (rows, width, depth), black_box(&a), black_box(b), &mut space);
    }
    black_box(space);
}

/// The same in fewer bits.
fn multiply_low(isa: Isa, precision: Precision, times: usize) {
    let (rows, width, depth) = tiles_shape(isa, precision);
    // As large as `f32`, which is larger than any of the numbers; 1 as bf16, and about 1 as f32. Zeros would be
    // pages that nobody wrote, which share one page of memory and get in one another's way in the cache.
    const ONES: u32 = 0x3f80_3f80;
    let a = vec![ONES; rows * depth];
    let mut b = panel(width * depth, ONES);
    let b = &*b.as_mut_slice();
    let mut scratch = vec![0i32; rows * width];
    let (numbers, a_stride) = match precision {
        Precision::Int8 => (LowNumbers::Int8 { rows: &[], columns: &[], sums: &[] }, depth),
        _ => (LowNumbers::Bf16, depth * size_of::<f32>()),
    };
    for _ in 0..times {
        let product = LowProduct {
            numbers,
            a: black_box(&a).as_ptr().cast(),
            a_stride,
            b: black_box(b).as_ptr().cast(),
            b_stride: width * depth,
            c: std::ptr::null_mut(),
            c_stride: 0,
            rows,
            columns: width,
            depth,
            bias: None,
            activation: Activation::Identity,
            scratch: scratch.as_mut_ptr(),
        };
        // SAFETY: the operands are as large as the product says, or larger; C is not written.
        unsafe { product.sums(isa) };
    }
    black_box(scratch);
}

/// The product of one row with a part of memory, which is as fast as reading it.
fn read(pool: &ThreadPool, isa: Isa) -> f64 {
    const PIECE: usize = 1 << 16;
    let mut memory = Filling::<f32>::permanent(PART * PARTS);
    pool.run_pieces(memory.as_mut_slice(), PIECE, |_, piece| piece.fill(1.0));
    let depth = 512;
    let row = vec![1.0f32; depth];
    let once = |part: &[f32]| {
        seconds(|| {
            pool.run(part.len() / PIECE, |task| {
                let mut space = Vec::new();
                let piece = &part[task * PIECE..][..PIECE];
                product(isa, (1, PIECE / depth, depth), &row, piece, &mut space);
                black_box(space);
            });
        })
    };
    let parts = memory.as_mut_slice().chunks(PART).cycle().take(3 * PARTS);
    (PART * size_of::<f32>()) as f64 / parts.map(once).fold(f64::INFINITY, f64::min) / 1e9
}

/// Multiplies `rows x depth` numbers with as many whole panels as `columns` are, into `space`.
fn product(
    isa: Isa,
    (rows, columns, depth): (usize, usize, usize),
    a: &[f32],
    b: &[f32],
    space: &mut Vec<f32>,
) {
    space.resize(rows * columns + scratch_length(isa, rows, columns), 0.0);
    let (c, scratch) = space.split_at_mut(rows * columns);
    assert!(a.len() == rows * depth && b.len() == columns * depth);
    assert!(columns.is_multiple_of(2 * isa.lanes()));
    // SAFETY: the operands are as large as the product says.
    unsafe {
        Product {
            a: a.as_ptr(),
            a_stride: depth,
            b: b.as_ptr(),
            b_stride: 2 * isa.lanes() * depth,
            c: c.as_mut_ptr(),
            c_stride: columns,
            rows,
            columns,
            depth,
            bias: None,
            activation: Activation::Identity,
            scratch: scratch.as_mut_ptr(),
        }
        .run(isa);
    }
}

/// The processor, in its maker's words.
pub(crate) fn cpu_name() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::__cpuid;
        if __cpuid(0x8000_0000).eax >= 0x8000_0004 {
            let registers = (2..=4).map(|leaf| __cpuid(0x8000_0000 + leaf));
            let bytes: Vec<u8> = registers
                .flat_map(|r| [r.eax, r.ebx, r.ecx, r.edx])
                .flat_map(u32::to_le_bytes)
                .take_while(|&byte| byte != 0)
                .collect();
            let name = String::from_utf8_lossy(&bytes);
            if !name.trim().is_empty() {
                return name.split_whitespace().collect::<Vec<_>>().join(" ");
            }
        }
    }
    format!("{} CPU", std::env::consts::ARCH)
}
