//! Where the bytes of a checkpoint come from.

use std::fs::File;
use std::io;
#[cfg(unix)]
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

use crate::tensor::ByteSource;

/// A model file as part of the address space: nothing is read before it is used, and what was used can
/// leave memory again.
pub(super) struct MappedFile(Mmap);

impl MappedFile {
    /// Maps a regular file. Pipes and devices are refused rather than waited for.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let file = File::open(path)?;
        // SAFETY: the mapping is read-only and lives as long as the slices that `bytes` lends. It is sound
        // as long as nobody shortens or rewrites the file in place while the model is in use, which is the
        // contract that `Checkpoint::open` states; model files are written once and replaced by renaming.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Self(map))
    }
}

impl ByteSource for MappedFile {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg(unix)]
    fn release(&self, range: Range<usize>) {
        // The smallest page of any supported system. Where pages are larger, the call widens the range to
        // whole pages, and a neighbour's bytes at its edges are read from the file once more.
        const PAGE: usize = 4096;
        let end = range.end.min(self.0.len()) / PAGE * PAGE;
        let start = range.start.div_ceil(PAGE).saturating_mul(PAGE);
        if start < end {
            // SAFETY: `DontNeed` takes away contents only where a page is private and written to. This is a
            // shared mapping of a file that is never written through, so a dropped page is read again from
            // the file, with the same contents, whoever touches it next.
            let advised = unsafe {
                self.0.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start)
            };
            // A system that refuses the advice keeps the pages: slower to free, no less right.
            let _ = advised;
        }
    }
}

/// Bytes compiled into the program.
impl ByteSource for &'static [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_pages_read_the_same_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        let content: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let file = MappedFile::open(&path).unwrap();
        assert_eq!(file.bytes(), content);
        for range in [0..200_000, 1..4096, 5000..5001, 4096..8192, 100..100, 199_999..usize::MAX] {
            file.release(range);
            assert_eq!(file.bytes(), content);
        }
        file.release(usize::MAX - 1..usize::MAX);
    }

    #[test]
    fn only_regular_files_are_mapped() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(MappedFile::open(folder.path()).err().unwrap().kind(), io::ErrorKind::InvalidInput);
        let empty = folder.path().join("empty");
        std::fs::write(&empty, b"").unwrap();
        assert_eq!(MappedFile::open(&empty).unwrap().bytes(), b"");
    }
}
