//! Where in a file something stands.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A line of a file. Every example and every error has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file, as it was named to the reader.
    pub file: Arc<Path>,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: u64,
}

impl Place {
    /// A file as a whole.
    pub fn of(file: impl AsRef<Path>) -> Self {
        Self { file: file.as_ref().into(), line: 0 }
    }

    /// A line of the same file.
    #[must_use]
    pub fn at(&self, line: u64) -> Self {
        Self { file: Arc::clone(&self.file), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        match self.line {
            0 => Ok(()),
            line => write!(f, ":{line}"),
        }
    }
}
