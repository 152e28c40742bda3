//! Where the entries of a zip archive lie.
//!
//! PyTorch stores tensors uncompressed, so that all this project wants from the archive is a byte range an
//! entry. Crates for the format decode streams and bring hashing, paths and dates along; the directory is
//! a table of fixed layout, which is all that is read here. Compressed and encrypted entries are refused,
//! archives in several parts too. Checksums are not verified: that would read every weight twice.

use std::collections::HashMap;
use std::ops::Range;

const END: &[u8] = b"PK\x05\x06";
const END_LENGTH: usize = 22;
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const LOCATOR_64_LENGTH: usize = 20;
const END_64: &[u8] = b"PK\x06\x06";
const CENTRAL: &[u8] = b"PK\x01\x02";
const CENTRAL_LENGTH: usize = 46;
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_LENGTH: usize = 30;
const EXTRA_64: u16 = 1;

/// Why an archive or one of its entries cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZipError {
    /// There is no zip directory at the end.
    #[error(
        "this is not a complete zip archive: the directory at its end is missing; download the file again"
    )]
    NoDirectory,
    /// The directory or a header points outside the file or contradicts itself.
    #[error("the zip {part} is damaged near byte {at}; download the file again")]
    Damaged {
        /// The structure that was read.
        part: &'static str,
        /// Where it was read.
        at: usize,
    },
    /// Two entries have one name.
    #[error("the zip archive holds two entries named {name:?}")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// The entry is not stored as plain bytes.
    #[error(
        "the zip entry {name:?} is compressed or encrypted; weights are read in place, so save them with \
         `torch.save`, which stores them uncompressed"
    )]
    NotStored {
        /// The name.
        name: String,
    },
}

/// The directory of an archive.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    entries: HashMap<&'a [u8], Record>,
}

struct Record {
    plain: bool,
    length: u64,
    header: u64,
}

impl<'a> Archive<'a> {
    /// Reads the directory; the entries themselves are looked at when they are asked for.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ZipError> {
        let (count, mut at) = directory(bytes)?;
        let mut entries = HashMap::new();
        // A lying count ends at the first entry that is not there: each takes 46 bytes at least.
        for _ in 0..count {
            let damaged = ZipError::Damaged { part: "directory", at };
            let (name, record, next) = central_entry(bytes, at).ok_or(damaged)?;
            if entries.insert(name, record).is_some() {
                return Err(ZipError::Duplicate { name: String::from_utf8_lossy(name).into_owned() });
            }
            at = next;
        }
        Ok(Self { bytes, entries })
    }

    /// The names of all entries, as bytes: the format fixes no encoding.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.entries.keys().copied()
    }

    /// The bytes of the file that the entry `name` takes, or `None` if there is no such entry.
    pub(super) fn range(&self, name: &str) -> Result<Option<Range<usize>>, ZipError> {
        let Some(record) = self.entries.get(name.as_bytes()) else { return Ok(None) };
        if !record.plain {
            return Err(ZipError::NotStored { name: name.to_owned() });
        }
        let at = usize::try_from(record.header).unwrap_or(usize::MAX);
        let data = local_data(self.bytes, at, record.length);
        data.map(Some).ok_or(ZipError::Damaged { part: "entry", at })
    }
}

/// The count of entries and the position of the first one in the directory.
fn directory(bytes: &[u8]) -> Result<(u64, usize), ZipError> {
    // The end record is last, but for a comment of up to 64 KiB whose length it states.
    let last = bytes.len().checked_sub(END_LENGTH).ok_or(ZipError::NoDirectory)?;
    let end = (last.saturating_sub(usize::from(u16::MAX))..=last).rev().find(|&at| {
        bytes[at..].starts_with(END)
            && u16_at(bytes, at + 20).is_some_and(|n| at + END_LENGTH + usize::from(n) == bytes.len())
    });
    let end = end.ok_or(ZipError::NoDirectory)?;
    let damaged = || ZipError::Damaged { part: "directory", at: end };

    let count = u16_at(bytes, end + 10).ok_or_else(damaged)?;
    let offset = u32_at(bytes, end + 16).ok_or_else(damaged)?;
    let locator = end.checked_sub(LOCATOR_64_LENGTH).filter(|&at| bytes[at..].starts_with(LOCATOR_64));
    let (count, offset) = match locator {
        // Fields that are too small for their value are all ones, and the real ones stand in a record that
        // the locator points to.
        Some(locator) if count == u16::MAX || offset == u32::MAX => {
            let record = usize_at(bytes, locator + 8).ok_or_else(damaged)?;
            if slice(bytes, record, END_64.len()) != Some(END_64) {
                return Err(damaged());
            }
            let field = |skip| u64_at(bytes, record.checked_add(skip)?);
            (field(32).ok_or_else(damaged)?, field(48).ok_or_else(damaged)?)
        }
        _ => (u64::from(count), u64::from(offset)),
    };
    Ok((count, usize::try_from(offset).map_err(|_| damaged())?))
}

/// One entry of the directory, and where the next one begins.
fn central_entry(bytes: &[u8], at: usize) -> Option<(&[u8], Record, usize)> {
    let header = slice(bytes, at, CENTRAL_LENGTH).filter(|header| header.starts_with(CENTRAL))?;
    let (flags, method) = (u16_at(header, 8)?, u16_at(header, 10)?);
    let (mut packed, mut length) = (u64::from(u32_at(header, 20)?), u64::from(u32_at(header, 24)?));
    let mut local = u64::from(u32_at(header, 42)?);
    let name_length = usize::from(u16_at(header, 28)?);
    let extra_length = usize::from(u16_at(header, 30)?);
    let comment_length = usize::from(u16_at(header, 32)?);

    let name_at = at + CENTRAL_LENGTH;
    let name = slice(bytes, name_at, name_length)?;
    let mut extra = slice(bytes, name_at + name_length, extra_length)?;
    while let (Some(kind), Some(size)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let mut field = slice(extra, 4, usize::from(size))?;
        if kind == EXTRA_64 {
            // Only the fields that did not fit stand here, in this order.
            for value in [&mut length, &mut packed, &mut local] {
                if *value == u64::from(u32::MAX) {
                    *value = u64_at(field, 0)?;
                    field = &field[8..];
                }
            }
        }
        extra = &extra[4 + usize::from(size)..];
    }
    let plain = method == 0 && flags & 1 == 0 && packed == length;
    let next = name_at + name_length + extra_length + comment_length;
    Some((name, Record { plain, length, header: local }, next))
}

/// The bytes behind a local header, which repeats the name and has padding of its own.
fn local_data(bytes: &[u8], at: usize, length: u64) -> Option<Range<usize>> {
    let header = slice(bytes, at, LOCAL_LENGTH).filter(|header| header.starts_with(LOCAL))?;
    let start = at + LOCAL_LENGTH + usize::from(u16_at(header, 26)?) + usize::from(u16_at(header, 28)?);
    let length = usize::try_from(length).ok()?;
    slice(bytes, start, length).map(|_| start..start + length)
}

fn slice(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    slice(bytes, at, N)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    u64_at(bytes, at)?.try_into().ok()
}
