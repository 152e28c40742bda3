//! Files that are read whole, as one text.

use std::io::{self, Read};
use std::path::Path;

use super::lines::BOM;
use super::open::open;
use super::record::decode;
use super::{MAX_RECORD, sniff};
use crate::error::{Error, RecordError, Result};

/// Reads a whole text file, such as the context of questions; `-` is standard input.
///
/// # Errors
/// A file that cannot be read, is too long, or is not UTF-8 (unless `lossy`).
pub fn read_text(path: &Path, lossy: bool) -> Result<String> {
    match path == Path::new("-") {
        true => read_all("stdin".to_owned(), io::stdin(), lossy),
        false => read_all(path.display().to_string(), open(path)?.0.source, lossy),
    }
}

/// Reads all of standard input as one text, without the line end that a pipe puts behind it.
///
/// # Errors
/// An input that cannot be read, is too long, or is not UTF-8.
pub fn read_stdin() -> Result<String> {
    let mut text = read_all("stdin".to_owned(), io::stdin(), false)?;
    let end = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(end);
    Ok(text)
}

fn read_all(name: String, source: impl Read, lossy: bool) -> Result<String> {
    let mut bytes = vec![];
    let read = source.take(MAX_RECORD as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| Error::Read { name: name.clone(), source })?;
    let bad = |error| Error::BadFile { name: name.clone(), error };
    if bytes.len() > MAX_RECORD {
        return Err(bad(RecordError::TooLong { limit: MAX_RECORD }));
    }
    sniff::check(&name, &bytes)?;
    let text = bytes.strip_prefix(BOM).map(<[u8]>::to_vec).unwrap_or(bytes);
    decode(text, lossy).map_err(bad)
}
