//! What this machine can do at best: the measure for everything else.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bert_core::ops::Activation;

use crate::kernels::gemm::{Product, block_depth, scratch_length};
use crate::memory::Filling;
use crate::pool::Pool;
use crate::simd::Isa;

/// Rates that no operation of this backend can exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// f32 arithmetic of one thread on data in its first cache, in 10⁹ operations a second; a fused
    /// multiply-add counts as two.
    pub f32_gflops_one_thread: f64,
    /// The same of all threads together.
    pub f32_gflops: f64,
    /// Reading of memory far larger than the caches, all threads together, in 10⁹ bytes a second.
    pub read_gbytes: f64,
}

/// The best of several runs of this length: a limit is what is reached undisturbed.
const RUN: Duration = Duration::from_millis(2);
const RUNS: usize = 50;
const MEMORY: usize = 256 << 20;

pub(crate) fn measure(pool: &Pool, isa: Isa) -> Limits {
    let threads = pool.threads();
    Limits {
        f32_gflops_one_thread: (0..RUNS).map(|_| multiply(isa)).fold(0.0, f64::max),
        f32_gflops: (0..RUNS).map(|_| together(pool, threads, || multiply(isa))).fold(0.0, f64::max),
        read_gbytes: read(pool, isa),
    }
}

/// The sum of what all threads reach at the same time.
fn together(pool: &Pool, threads: usize, rate: impl Fn() -> f64 + Sync) -> f64 {
    let total = std::sync::Mutex::new(0.0);
    pool.run(threads, |_| {
        let rate = rate();
        *total.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += rate;
    });
    total.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The register tile of the matrix product, again and again on one piece of a panel. In 10⁹ operations a
/// second.
fn multiply(isa: Isa) -> f64 {
    let (width, rows) = (2 * isa.lanes(), isa.tile_rows());
    let depth = block_depth(isa);
    let (a, b) = (vec![0.5f32; rows * depth], vec![0.25f32; width * depth]);
    let mut c = vec![0.0f32; rows * width];
    let mut scratch = vec![0.0f32; scratch_length(isa, rows, width)];
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < RUN {
        for _ in 0..100 {
            // SAFETY: the operands are as large as the product says.
            unsafe {
                Product {
                    a: black_box(a.as_ptr()),
                    a_stride: depth,
                    b: b.as_ptr(),
                    b_stride: width * depth,
                    c: c.as_mut_ptr(),
                    c_stride: width,
                    rows,
                    columns: width,
                    depth,
                    bias: None,
                    activation: Activation::Identity,
                    scratch: scratch.as_mut_ptr(),
                }
                .run(isa);
            }
        }
        count += 100;
    }
    let seconds = start.elapsed().as_secs_f64();
    black_box(&c);
    (2 * rows * width * depth * count) as f64 / seconds / 1e9
}

fn read(pool: &Pool, isa: Isa) -> f64 {
    let mut memory = Filling::<f32>::permanent(MEMORY / 4);
    let memory = memory.as_mut_slice();
    pool.run_pieces(memory, 1 << 16, |task, piece| piece.fill(task as f32));
    let memory = &*memory;
    let once = || {
        let start = Instant::now();
        pool.run(memory.len() >> 16, |task| {
            let piece = &memory[task << 16..][..1 << 16];
            black_box(crate::kernels::rows::reduce(isa, bert_core::ops::ReduceOp::Sum, piece));
        });
        MEMORY as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..8).map(|_| once()).fold(0.0, f64::max)
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
