//! What can go wrong with a cache. None of it makes a weight wrong.

use std::io;
use std::path::PathBuf;

/// A file or a folder of a [`PackedCache`](super::PackedCache) that could not be used. A message does not repeat its
/// cause; print the chain of [`source`](std::error::Error::source)s.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheProblem {
    /// A file that is not what it should be.
    #[error("the packed weight {} is not used and is packed again: {damage}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A file that is there and cannot be read.
    #[error("the packed weight {} cannot be read and is packed again", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that cannot be written. No other is tried after it.
    #[error("packed weights are not kept, and the next start packs them again: cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A folder, a device or a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// It is truncated, or is not a packed weight.
    #[error("it has {found} bytes and should have {expected}")]
    Length {
        /// The length that it should have, in bytes.
        expected: u64,
        /// The length that it has.
        found: u64,
    },
    /// It holds another weight than its name says, or none.
    #[error("its header is wrong")]
    Header,
    /// Its bytes have changed since it was written.
    #[error("its checksum is wrong")]
    Checksum,
}
