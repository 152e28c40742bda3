//! One file of the cache: magic bytes, the key, a checksum, and the parts of a packed weight as they lie in memory.
//!
//! Files are read, not mapped: what is done to them later cannot reach a running model, and the panels lie on huge
//! pages.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use bert_core::contract::{CacheProblem, Damage};
use blake3::{Hash, Hasher, OUT_LEN};

use super::digest;
use crate::thread_pool::ThreadPool;

/// Starts a file of this layout.
pub const MAGIC: [u8; 8] = *b"BERTPCK1";

const HEADER: usize = MAGIC.len() + 2 * OUT_LEN;

/// Reads the parts of the weight with this key; their lengths say how long the file has to be.
///
/// # Errors
/// `None` if there is no file.
pub fn read(
    pool: &ThreadPool,
    path: &Path,
    key: &Hash,
    mut parts: [&mut [u8]; 3],
) -> Result<(), Option<CacheProblem>> {
    let damaged = |damage| Some(CacheProblem::Damaged { path: path.to_owned(), damage });
    let failed = |source: io::Error| match source.kind() {
        // A folder that is none is for `write` to tell of.
        ErrorKind::NotFound | ErrorKind::NotADirectory => None,
        _ => Some(CacheProblem::Read { path: path.to_owned(), source }),
    };
    // Before it is opened, which a pipe might never be.
    let about = fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        return Err(damaged(Damage::NotAFile));
    }
    let expected = HEADER + parts.iter().map(|part| part.len()).sum::<usize>();
    if about.len() != expected as u64 {
        return Err(damaged(Damage::Length { expected: expected as u64, found: about.len() }));
    }
    let mut file = File::open(path).map_err(failed)?;
    let mut header = [0; HEADER];
    file.read_exact(&mut header).map_err(failed)?;
    let (magic, hashes) = header.split_at(MAGIC.len());
    let (found, sum) = hashes.split_at(OUT_LEN);
    if magic != MAGIC || found != key.as_bytes() {
        return Err(damaged(Damage::Header));
    }
    for part in &mut parts {
        file.read_exact(part).map_err(failed)?;
    }
    if sum != checksum(pool, key, parts.each_ref().map(|part| &**part)).as_bytes() {
        return Err(damaged(Damage::Checksum));
    }
    Ok(())
}

/// Writes a file. Another process may do the same at the same time: a reader sees one file or the other, never a
/// half.
///
/// # Errors
/// A folder that cannot be made or written to, or has no room; nothing is left behind then.
pub fn write(pool: &ThreadPool, path: &Path, key: &Hash, parts: [&[u8]; 3]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // A name that no other process takes, even one with the same id in another container.
    let draft = path.with_extension(format!("{:016x}.part", RandomState::new().hash_one(std::process::id())));
    let mut file = File::create_new(&draft)?;
    let sum = checksum(pool, key, parts);
    let written = [&MAGIC, key.as_bytes().as_slice(), sum.as_bytes()]
        .into_iter()
        .chain(parts)
        .try_for_each(|bytes| file.write_all(bytes));
    drop(file);
    let written = written.and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

fn checksum(pool: &ThreadPool, key: &Hash, parts: [&[u8]; 3]) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update(key.as_bytes());
    for part in parts {
        hasher.update(digest(pool, part).as_bytes());
    }
    hasher.finalize()
}
