//! A file that has its name only once all of it is written.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::EvaluationError;

/// A file in the making. Dropped before [`finish`](Self::finish), it leaves nothing.
pub(super) struct WholeFile {
    path: PathBuf,
    unfinished: PathBuf,
    out: Option<BufWriter<File>>,
}

impl WholeFile {
    /// Begins a file; its folder is made if need be.
    pub fn create(path: PathBuf) -> Result<Self, EvaluationError> {
        let fail = |source| EvaluationError::Write { path: path.clone(), source };
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(fail)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".incomplete");
        let unfinished = path.with_file_name(name);
        let file = File::create(&unfinished).map_err(fail)?;
        Ok(Self { path, unfinished, out: Some(BufWriter::new(file)) })
    }

    pub fn write(&mut self, text: &str) -> Result<(), EvaluationError> {
        let Some(out) = &mut self.out else { return Ok(()) };
        out.write_all(text.as_bytes())
            .map_err(|source| EvaluationError::Write { path: self.path.clone(), source })
    }

    /// Gives the file its name.
    pub fn finish(mut self) -> Result<PathBuf, EvaluationError> {
        let fail = |source| EvaluationError::Write { path: self.path.clone(), source };
        if let Some(mut out) = self.out.take() {
            out.flush().map_err(fail)?;
        }
        fs::rename(&self.unfinished, &self.path).map_err(fail)?;
        Ok(std::mem::take(&mut self.path))
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if self.out.is_some() {
            // There is nobody left to tell, and a file of this name says what it is.
            let _ = fs::remove_file(&self.unfinished);
        }
    }
}
