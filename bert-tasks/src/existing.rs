//! Small text files that are read whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The most that is read: a table of runs, a card, the answers to a data set.
const LIMIT: u64 = 64 << 20;

/// What a file holds; nothing if there is none yet. A device or a pipe, which could be read for ever, is refused.
pub(crate) fn existing_text(path: &Path) -> io::Result<Option<String>> {
    let kind = match fs::metadata(path) {
        Ok(kind) => kind,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is a device or a pipe, not a file"));
    }
    bounded_text(path).map(Some)
}

/// What a file or a pipe holds, which may be no more than 64 MiB: a device never ends.
pub(crate) fn bounded_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LIMIT + 1).read_to_string(&mut text)?;
    match text.len() as u64 > LIMIT {
        true => Err(io::Error::new(ErrorKind::FileTooLarge, "it is larger than 64 MiB")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_what_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.md");
        assert_eq!(existing_text(&path).unwrap(), None);
        fs::write(&path, "text").unwrap();
        assert_eq!(existing_text(&path).unwrap().as_deref(), Some("text"));
        assert_eq!(existing_text(folder.path()).unwrap_err().kind(), ErrorKind::IsADirectory);
        #[cfg(unix)]
        {
            assert!(existing_text(Path::new("/dev/zero")).unwrap_err().to_string().contains("a device"));
            let endless = bounded_text(Path::new("/dev/zero")).unwrap_err();
            assert_eq!(endless.kind(), ErrorKind::FileTooLarge);
        }
    }
}
