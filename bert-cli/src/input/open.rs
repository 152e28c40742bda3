//! Opening files, compressed or not.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bert_tasks::data::{Source, decompressed};

use crate::error::{Error, Result};

/// A source that is open.
pub struct Opened {
    /// What it holds, decompressed.
    pub source: Source,
    /// How far it has been read, where that cannot be told from what it holds.
    pub position: Option<Position>,
    /// Where its bytes come from.
    pub origin: Origin,
}

/// Where bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, all of which is there.
    File,
    /// Another program, or a device.
    Pipe,
    /// Somebody who types.
    Person,
}

/// How many bytes of a compressed file have been read.
#[derive(Clone, Debug, Default)]
pub struct Position(Arc<AtomicU64>);

impl Position {
    /// The number of bytes.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Opens a file for reading; `.gz` and `.zst` are decompressed. Its length as it lies on the disk, unless it is a pipe or a
/// device.
///
/// # Errors
/// A file that cannot be opened, a folder, and a compression that is not read.
pub fn open(path: &Path) -> Result<(Opened, Option<u64>)> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?;
    if kind.is_dir() {
        return Err(Error::IsFolder { path: path.to_owned() });
    }
    let position = Position::default();
    let counted = Counted { file, position: position.clone() };
    let source = decompressed(path, counted).map_err(bert_tasks::Error::from)?;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let compressed = ["gz", "zst"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    let size = kind.is_file().then_some(kind.len());
    let origin = if size.is_some() { Origin::File } else { Origin::Pipe };
    Ok((Opened { source, position: compressed.then_some(position), origin }, size))
}

/// Opens standard input.
pub fn stdin() -> Opened {
    let origin = if io::stdin().is_terminal() { Origin::Person } else { Origin::Pipe };
    // The lock is not held: it would not be `Send`, and nobody else reads.
    Opened { source: Box::new(BufReader::new(io::stdin())), position: None, origin }
}

/// A file that counts what has been read of it.
struct Counted {
    file: File,
    position: Position,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.position.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
