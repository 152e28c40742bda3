//! Text files of a checkpoint folder.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

use super::error::{Result, TokenizerError};

/// A text with the path that errors about it name.
pub(super) struct TextFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl TextFile {
    /// Reads a file; `None` when there is none.
    pub(super) fn read(path: PathBuf) -> Result<Option<Self>> {
        match fs::read(&path) {
            Ok(bytes) => Self::from_bytes(path, bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(TokenizerError::Read { path, source }),
        }
    }

    /// Takes bytes that must be UTF-8. A byte order mark, which some editors write, is no part of the text.
    pub(super) fn from_bytes(path: PathBuf, bytes: Vec<u8>) -> Result<Self> {
        let mut text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
            TokenizerError::NotUtf8 { path: path.clone(), line }
        })?;
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        Ok(Self { path, text })
    }

    /// Parses it as JSON.
    pub(super) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        json(&self.path, &self.text)
    }
}

/// Parses JSON that stands in the file at `path`.
pub(super) fn json<'a, T: Deserialize<'a>>(path: &Path, text: &'a str) -> Result<T> {
    serde_json::from_str(text).map_err(|source| TokenizerError::Json { path: path.to_owned(), source })
}
