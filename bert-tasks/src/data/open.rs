//! Opening files, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::error::{DataError, Result};
use super::zstd::Zstd;

/// Bytes that are read from a file at a time.
const BUFFER: usize = 128 << 10;

/// A file that is open to be read from its beginning.
pub type Source = Box<dyn BufRead + Send>;

/// Opens a file. `.gz` and `.zst` are decompressed while they are read; others are read as they are.
///
/// ```
/// use std::io::Read;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("text.txt");
/// std::fs::write(&path, "a line\n")?;
/// let mut text = String::new();
/// bert_tasks::data::open(&path)?.read_to_string(&mut text)?;
/// assert_eq!(text, "a line\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`DataError::Open`] if it cannot be opened, [`DataError::Compression`] for other compressions. What is
/// wrong inside a compressed file comes out as an error of reading it.
pub fn open(path: impl AsRef<Path>) -> Result<Source> {
    let path = path.as_ref();
    let fail = |source| DataError::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Err(fail(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a file")));
    }
    decompressed(path, file)
}

/// What a file that is open already holds, by its name: as [`open`].
///
/// ```
/// use std::io::Read;
/// let mut text = String::new();
/// bert_tasks::data::decompressed("text.txt", &b"a line\n"[..])?.read_to_string(&mut text)?;
/// assert_eq!(text, "a line\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`DataError::Compression`] for compressions that are not read.
pub fn decompressed(name: impl AsRef<Path>, file: impl Read + Send + 'static) -> Result<Source> {
    let extension = extension(name.as_ref());
    let file = BufReader::with_capacity(BUFFER, file);
    Ok(match extension.as_deref() {
        Some("gz") => buffered(MultiGzDecoder::new(file)),
        Some("zst") => buffered(Zstd::new(file)),
        Some("bz2" | "xz" | "lzma" | "lz4" | "br" | "z" | "zip" | "7z") => {
            let path = name.as_ref().to_owned();
            return Err(DataError::Compression { path, found: extension.unwrap_or_default() });
        }
        _ => Box::new(file),
    })
}

/// Reads a whole text file.
pub(super) fn read_to_string(path: &Path) -> Result<String> {
    let place = super::Place::of(path);
    let mut bytes = vec![];
    open(path)?.read_to_end(&mut bytes).map_err(|source| DataError::Read { place: place.clone(), source })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| DataError::NotText { place, found: "bytes that are not UTF-8" })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// The extension of a file's name without that of its compression, in lower case.
///
/// ```
/// use bert_tasks::data::format_extension;
/// assert_eq!(format_extension("Train.TSV.gz".as_ref()).as_deref(), Some("tsv"));
/// ```
pub fn format_extension(path: &Path) -> Option<String> {
    match extension(path)?.as_str() {
        "gz" | "zst" => extension(Path::new(path.file_stem()?)),
        other => Some(other.to_owned()),
    }
}

fn extension(path: &Path) -> Option<String> {
    path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase())
}

fn buffered(source: impl Read + Send + 'static) -> Source {
    Box::new(BufReader::with_capacity(BUFFER, source))
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    #[test]
    fn a_folder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let Err(DataError::Open { source, .. }) = open(folder.path()) else { panic!("it was opened") };
        assert!(source.to_string().contains("a folder"));
    }

    #[test]
    fn the_name_tells_the_compression() {
        let folder = tempfile::tempdir().unwrap();
        let zst = compress_to_vec(&b"a\nb\n"[..], CompressionLevel::Fastest);
        for (name, bytes) in [("a.txt.zst", &zst[..]), ("a.TXT.ZST", &zst[..]), ("a", b"a\nb\n")] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let mut text = String::new();
            open(&path).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "a\nb\n", "{name}");
        }
        let formats =
            ["a.csv", "a.CSV.gz", "a.csv.zst", "a.gz", "a"].map(|name| format_extension(Path::new(name)));
        assert_eq!(
            formats.each_ref().map(Option::as_deref),
            [Some("csv"), Some("csv"), Some("csv"), None, None]
        );
    }
}
