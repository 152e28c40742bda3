//! What can go wrong in this crate.

use crate::level::SimdLevel;
use crate::thread_pool::MAX_THREADS;

/// What can go wrong when a [`CpuBackend`](crate::CpuBackend) is made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpuError {
    /// A name of an instruction set that means nothing.
    #[error("unknown instruction set {found:?}; the known ones are portable, avx2, avx512, neon")]
    UnknownSimd {
        /// What was given.
        found: String,
    },

    /// An instruction set that this machine does not have.
    #[error("this machine does not have {asked}; the best that it has is {best}")]
    SimdUnavailable {
        /// What was asked for.
        asked: SimdLevel,
        /// What there is.
        best: SimdLevel,
    },

    /// A number of threads that is none, or beyond reason.
    #[error("{found:?} is not a number of threads; give 1 to {MAX_THREADS}")]
    Threads {
        /// What was given.
        found: String,
    },

    /// The system did not start a thread.
    #[error("cannot start {threads} threads; ask for fewer")]
    Spawn {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        source: std::io::Error,
    },

    /// A weight with so many input features that a sum of products of bytes might not fit in 32 bits.
    #[error("int8 takes at most {most} input features, but a weight has {found}; use f32 or bf16")]
    TooDeep {
        /// How many it has.
        found: usize,
        /// How many there may be.
        most: usize,
    },

    /// A buffer that does not hold what an operation takes: a packed weight where numbers are needed, or the
    /// other way around.
    #[error("{op} takes {expected}, but the buffer holds {found}")]
    Buffer {
        /// The operation.
        op: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        found: &'static str,
    },
}

impl From<CpuError> for bert_core::Error {
    fn from(error: CpuError) -> Self {
        Self::Device { backend: "cpu", source: Box::new(error) }
    }
}
