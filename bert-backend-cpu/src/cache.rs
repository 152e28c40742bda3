//! Packed weights, kept in a folder from one start to the next.
//!
//! A file is found by the hash of all that made it: the numbers of the weight, how they are to be packed, and
//! what packing does. What changes any of them changes the name, so nothing is ever out of date, and nothing has
//! to be believed that a file says of itself. A cache saves time and does nothing else: whatever is wrong with
//! it, the weight is packed as if there were none.

mod file;
mod trouble;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use bert_core::Result;
use bert_core::contract::Precision;
use bert_core::tensor::HostTensor;
use blake3::{Hash, Hasher};

use crate::kernels::pack::PackedMatrix;
use crate::pool::Pool;
use crate::simd::Isa;
pub use trouble::{CacheTrouble, Damage};

/// Bytes that a task hashes.
const PIECE: usize = 256 << 10;

/// A folder in which a [`CpuBackend`](crate::CpuBackend) keeps the packed weights of [`Precision::Int8`], one file
/// each. Those of other precisions are packed as fast as a file would be read and checked, and are not kept.
///
/// Files are named by what is in them, so any number of models, instruction sets and processes may share a
/// folder, and any file may be deleted at any time; nobody else deletes them. Whoever can write to the folder can
/// change the answers, as with the checkpoint itself. Clones share one count.
///
/// ```
/// use bert_backend_cpu::{CpuBackend, CpuOptions, PackedCache};
/// use bert_core::{Backend, contract::Precision, tensor::HostTensor};
///
/// let folder = tempfile::tempdir()?;
/// let cache = PackedCache::new(folder.path());
/// let backend = CpuBackend::new(CpuOptions::default())?.with_packed_cache(cache.clone());
/// let weight = HostTensor::from_vec(vec![0.5f32; 64 * 32], [64, 32]);
/// backend.prepare_weight((&weight).into(), Precision::Int8)?;
/// backend.prepare_weight((&weight).into(), Precision::Int8)?;
/// assert_eq!((cache.written(), cache.read()), (1, 1));
/// assert!(cache.take_troubles().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PackedCache(Arc<State>);

#[derive(Debug)]
struct State {
    folder: PathBuf,
    read: AtomicUsize,
    written: AtomicUsize,
    troubles: Mutex<Troubles>,
}

#[derive(Debug, Default)]
struct Troubles {
    untold: Vec<CacheTrouble>,
    /// Writing failed once: one message is enough, and so is one attempt.
    unwritable: bool,
}

impl PackedCache {
    /// A cache in this folder, which is made when there is something to keep.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let (read, written) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self(Arc::new(State { folder: folder.into(), read, written, troubles: Mutex::default() }))
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// How many weights came from the folder.
    pub fn read(&self) -> usize {
        self.0.read.load(Relaxed)
    }

    /// How many weights were packed and are now in the folder.
    pub fn written(&self) -> usize {
        self.0.written.load(Relaxed)
    }

    /// What went wrong since the last call, none of which keeps a weight from being right.
    pub fn take_troubles(&self) -> Vec<CacheTrouble> {
        std::mem::take(&mut self.troubles().untold)
    }

    /// A weight packed for [`Precision::Int8`], from the folder if it is there.
    ///
    /// # Errors
    /// Those of [`PackedMatrix::new`].
    pub(crate) fn prepare(&self, pool: &Pool, isa: Isa, weight: &HostTensor) -> Result<PackedMatrix> {
        let key = key(pool, isa, weight)?;
        let path = self.0.folder.join(format!("{key}.int8"));
        match PackedMatrix::from_parts(isa, weight, |parts| file::read(pool, &path, &key, parts))? {
            Ok(matrix) => {
                self.0.read.fetch_add(1, Relaxed);
                return Ok(matrix);
            }
            Err(None) => (),
            Err(Some(trouble)) => self.troubles().untold.push(trouble),
        }
        let matrix = PackedMatrix::new(pool, isa, weight, Precision::Int8)?;
        if !self.troubles().unwritable {
            match file::write(pool, &path, &key, matrix.parts()) {
                Ok(()) => drop(self.0.written.fetch_add(1, Relaxed)),
                Err(source) => {
                    let mut troubles = self.troubles();
                    if !std::mem::replace(&mut troubles.unwritable, true) {
                        troubles.untold.push(CacheTrouble::Write { path, source });
                    }
                }
            }
        }
        Ok(matrix)
    }

    fn troubles(&self) -> std::sync::MutexGuard<'_, Troubles> {
        self.0.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hash of all that decides what a weight becomes.
fn key(pool: &Pool, isa: Isa, weight: &HostTensor) -> Result<Hash> {
    let mut hasher = Hasher::new_derive_key("bert 2026 a weight and how it is packed");
    hasher.update(&file::MAGIC);
    // Files hold numbers in the machine's order of bytes.
    hasher.update(&1u16.to_ne_bytes());
    // What these kernels make of a small weight on these instructions stands for all that they do: there is no
    // version that somebody has to remember to raise.
    let sample = PackedMatrix::new(pool, isa, &sample(), Precision::Int8)?;
    for part in sample.parts() {
        hasher.update(digest(pool, part).as_bytes());
    }
    hasher.update(format!("{isa:?} {} {:?}", weight.dtype(), &*weight.shape()).as_bytes());
    hasher.update(digest(pool, weight.bytes()).as_bytes());
    Ok(hasher.finalize())
}

/// Rows that reach every limit of packing: even ones, ones with a large number, zeros, tiny numbers, and sizes
/// that fill no panel.
fn sample() -> HostTensor {
    const SHAPE: [usize; 2] = [35, 67];
    let number = |i: usize| {
        let (row, column) = (i / SHAPE[1], i % SHAPE[1]);
        let wave = ((i * 7919) % 1009) as f32 / 1009.0 - 0.5;
        match row % 5 {
            0 => wave,
            1 => 0.25 + wave / 64.0,
            2 if column == row => 30.0,
            2 | 4 => wave * 1e-3,
            _ => wave * f32::MIN_POSITIVE * row as f32,
        }
    };
    HostTensor::from_vec((0..SHAPE[0] * SHAPE[1]).map(number).collect(), SHAPE)
}

/// The hash of the hashes of all pieces, which threads share.
fn digest(pool: &Pool, bytes: &[u8]) -> Hash {
    let mut hashes = vec![[0; blake3::OUT_LEN]; bytes.len().div_ceil(PIECE)];
    pool.run_pieces(&mut hashes, 1, |index, hash| {
        let piece = &bytes[index * PIECE..bytes.len().min((index + 1) * PIECE)];
        hash[0] = *blake3::hash(piece).as_bytes();
    });
    let mut hasher = Hasher::new();
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(hashes.as_flattened());
    hasher.finalize()
}
