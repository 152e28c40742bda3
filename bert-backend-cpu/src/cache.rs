//! Packed weights, kept in a folder from one start to the next.
//!
//! A file is found by the hash of all that made it: the numbers of the weight, how they are to be packed, and
//! what packing does. What changes any of them changes the name, so nothing is ever out of date, and nothing has
//! to be believed that a file says of itself. A cache saves time and does nothing else: whatever is wrong with
//! it, the weight is packed as if there were none.
//!
//! ```
//! use bert_backend_cpu::{CpuBackend, CpuOptions};
//! use bert_core::contract::{Backend, PackedCache, Precision};
//! use bert_core::tensor::HostTensor;
//!
//! let folder = tempfile::tempdir()?;
//! let cache = PackedCache::new(folder.path());
//! let backend = CpuBackend::new(CpuOptions::default())?.with_packed_cache(&cache).expect("the CPU keeps weights");
//! let weight = HostTensor::from_vec(vec![0.5f32; 64 * 32], [64, 32]);
//! backend.prepare_weight((&weight).into(), Precision::Int8)?;
//! backend.prepare_weight((&weight).into(), Precision::Int8)?;
//! assert_eq!((cache.written(), cache.read()), (1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod file;

use bert_core::Result;
use bert_core::contract::{CacheProblem, PackedCache, Precision};
use bert_core::tensor::HostTensor;
use blake3::{Hash, Hasher};

use crate::kernels::pack::PackedMatrix;
use crate::simd::Isa;
use crate::thread_pool::ThreadPool;

/// Bytes that a task hashes.
const PIECE: usize = 256 << 10;

/// A weight packed for [`Precision::Int8`], from the folder if it is there.
///
/// # Errors
/// Those of [`PackedMatrix::new`].
pub fn prepare(
    cache: &PackedCache,
    pool: &ThreadPool,
    isa: Isa,
    weight: &HostTensor,
) -> Result<PackedMatrix> {
    let key = key(pool, isa, weight)?;
    let path = cache.folder().join(format!("{key}.int8"));
    match PackedMatrix::from_parts(isa, weight, |parts| file::read(pool, &path, &key, parts))? {
        Ok(matrix) => {
            cache.count_read();
            return Ok(matrix);
        }
        Err(None) => (),
        Err(Some(problem)) => cache.note(problem),
    }
    let matrix = PackedMatrix::new(pool, isa, weight, Precision::Int8)?;
    if cache.is_writable() {
        match file::write(pool, &path, &key, matrix.parts()) {
            Ok(()) => cache.count_written(),
            Err(source) => cache.note(CacheProblem::Write { path, source }),
        }
    }
    Ok(matrix)
}

/// The hash of all that decides what a weight becomes.
fn key(pool: &ThreadPool, isa: Isa, weight: &HostTensor) -> Result<Hash> {
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
fn digest(pool: &ThreadPool, bytes: &[u8]) -> Hash {
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
