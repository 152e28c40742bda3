//! Bytes that are no text: compressed files, spreadsheets, pictures.

use super::lines::BOM;
use crate::error::{Error, Result};

/// How files that are no text begin.
const BEGINNINGS: [(&[u8], &str); 17] = [
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"BZh91AY&SY", "compressed with bzip2"),
    (b"PK\x03\x04", "a ZIP archive, as .xlsx and .docx are"),
    (b"\xd0\xcf\x11\xe0", "a document of Microsoft Office"),
    (b"PAR1", "Parquet"),
    (b"ARROW1", "Arrow"),
    (b"%PDF-", "PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"\x89HDF", "HDF5"),
    (b"SQLite format 3\0", "a database of SQLite"),
    (b"\x7fELF", "a program"),
    (b"GGUF", "a model"),
];

/// Sees to it that an input is text, by its first bytes.
///
/// # Errors
/// [`Error::Utf16`] (no error of one line: every line after the first would be read as text with NULs in it),
/// [`Error::NotText`].
pub fn check(name: &str, start: &[u8]) -> Result<()> {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = start {
        return Err(Error::Utf16 { name: name.to_owned() });
    }
    let found = BEGINNINGS.iter().find(|(beginning, _)| start.starts_with(beginning)).map(|(_, what)| *what);
    match found.or(is_binary(start).then_some("binary")) {
        Some(found) => Err(Error::NotText { name: name.to_owned(), found }),
        None => Ok(()),
    }
}

/// Whether these bytes are of a kind that texts seldom have: some NULs in a text are not.
fn is_binary(start: &[u8]) -> bool {
    const LOOKED_AT: usize = 4096;
    let start = &start[..start.len().min(LOOKED_AT)];
    let control = |&&byte: &&u8| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c' | b'\x1b');
    let count = start.iter().filter(control).count();
    count >= 32 && count * 10 > start.len()
}

/// Whether lines of text look like JSON: an object, or an array of strings, objects or arrays.
pub fn looks_like_json(start: &[u8]) -> bool {
    let start = start.strip_prefix(BOM).unwrap_or(start);
    let mut bytes = start.iter().filter(|byte| !byte.is_ascii_whitespace());
    let (first, second) = (bytes.next(), bytes.next());
    matches!((first, second), (Some(b'{'), Some(b'"')) | (Some(b'['), Some(b'"' | b'{' | b'[')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_named() {
        for (start, part) in [
            (&b"\x1f\x8b\x08\0"[..], "gzip"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"PK\x03\x04\x14", "ZIP"),
            (b"\xff\xfeh\0", "UTF-16"),
            (&[0; 100], "binary"),
        ] {
            let error = check("a.txt", start).unwrap_err().to_string();
            assert!(error.starts_with("a.txt is ") && error.contains(part), "{error}");
        }
        for text in [
            &b""[..],
            b"\0",
            b"a\0b\n",
            b"\xef\xbb\xbftext",
            b"caf\xe9\n",
            "漢字🍋".as_bytes(),
            b"\x1b[31mred",
        ] {
            check("a.txt", text).unwrap();
        }
    }

    #[test]
    fn json_is_told_from_text() {
        for json in ["{\"a\"", " [ \"", "\u{feff}[{", "[\n[", "{ \"a"] {
            assert!(looks_like_json(json.as_bytes()), "{json}");
        }
        for text in ["", "{", "[1]", "[MASK] is", "{a}", "\"quoted\""] {
            assert!(!looks_like_json(text.as_bytes()), "{text}");
        }
    }
}
