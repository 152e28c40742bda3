//! What is trained on, and what is kept for measuring: split once, before anything is trained.

mod corpus;
mod entities;
mod questions;
mod sentiment;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Splits the data, unless it is done.
///
/// # Errors
/// Data that is not there; a disk that is full.
pub fn prepare(shared: &Path, data: &Path) -> Result<()> {
    fs::create_dir_all(data).map_err(|source| file("make", data, source))?;
    type Split = fn(&Path, &Path) -> Result<()>;
    let parts: [(&str, Split); 4] = [
        ("corpus", corpus::split),
        ("questions", questions::split),
        ("entities", entities::split),
        ("sentiment", sentiment::split),
    ];
    for (name, split) in parts {
        let done = data.join(format!("{name}.done"));
        if !done.exists() {
            eprintln!("data: {name}");
            split(&shared.join("data"), data)?;
            fs::write(&done, "").map_err(|source| file("write", &done, source))?;
        }
    }
    Ok(())
}

/// A file that is written.
struct Output {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Output {
    fn create(path: PathBuf) -> Result<Self> {
        let opened = File::create(&path).map_err(|source| file("make", &path, source))?;
        Ok(Self { path, file: BufWriter::new(opened) })
    }

    fn line(&mut self, line: impl std::fmt::Display) -> Result<()> {
        writeln!(self.file, "{line}").map_err(|source| file("write", &self.path, source))
    }

    fn finish(mut self) -> Result<()> {
        self.file.flush().map_err(|source| file("write", &self.path, source))
    }
}

fn file(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}
