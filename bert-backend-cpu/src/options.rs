//! How many threads compute, and with which instructions.

use std::env;
use std::num::NonZeroUsize;
use std::str::FromStr;

use crate::error::CpuError;
use crate::level::SimdLevel;
use crate::thread_pool::MAX_THREADS;

/// What a [`CpuBackend`](crate::CpuBackend) makes use of. What is left open comes from the environment
/// (`BERT_THREADS`, `BERT_SIMD`), or else from the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuOptions {
    /// How many threads compute, the caller's own counted in. By default as many as the process may use, by
    /// its affinity and by the quota of its cgroup.
    pub threads: Option<usize>,
    /// The instruction set. By default the best that the machine has.
    pub simd: Option<SimdLevel>,
}

impl CpuOptions {
    /// The number of threads that these options come to.
    ///
    /// # Errors
    /// [`CpuError::Threads`] for a number below 1 or above [`MAX_THREADS`], and for a `BERT_THREADS` that is
    /// no number.
    pub fn resolve_threads(&self) -> Result<usize, CpuError> {
        let (count, found) = match (self.threads, env::var_os("BERT_THREADS")) {
            (Some(count), _) => (Some(count), count.to_string()),
            (None, Some(text)) => {
                let text = text.to_string_lossy().into_owned();
                (text.trim().parse().ok(), text)
            }
            (None, None) => {
                let count = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
                return Ok(count.min(MAX_THREADS));
            }
        };
        count.filter(|count| (1..=MAX_THREADS).contains(count)).ok_or(CpuError::Threads { found })
    }

    /// The instruction set that these options come to, whether this machine has it or not.
    ///
    /// # Errors
    /// [`CpuError::UnknownSimd`] for a `BERT_SIMD` that means nothing.
    pub fn resolve_simd(&self) -> Result<SimdLevel, CpuError> {
        match (self.simd, env::var_os("BERT_SIMD")) {
            (Some(level), _) => Ok(level),
            (None, Some(text)) => text.to_string_lossy().trim().parse(),
            (None, None) => Ok(SimdLevel::detect()),
        }
    }
}

impl FromStr for SimdLevel {
    type Err = CpuError;

    fn from_str(text: &str) -> Result<Self, CpuError> {
        match text.to_ascii_lowercase().as_str() {
            "portable" => Ok(Self::Portable),
            "avx2" => Ok(Self::Avx2),
            "avx512" => Ok(Self::Avx512),
            "neon" => Ok(Self::Neon),
            _ => Err(CpuError::UnknownSimd { found: text.to_owned() }),
        }
    }
}
