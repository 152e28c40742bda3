//! Where results go, and in which form.

mod form;
mod json;
mod npy;
mod sink;
mod target;

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use anstyle::Style;
use serde::Serialize;
use tabwriter::TabWriter;

use crate::error::Result;
use crate::reporter::Reporter;
use crate::style::{Kinds, Screen};
pub use form::OutputArgs;
pub use json::rounded;
pub use sink::Sink;
use target::Target;

/// A result that can be written in every form. Its JSON is what it serialises to.
pub trait Record: Serialize {
    /// Whether its numbers keep every digit: they are compared with those of others.
    const EXACT: bool = false;

    /// The names of the CSV columns; the same for all records of a run.
    fn columns(&self) -> Vec<Cow<'static, str>>;

    /// The CSV rows: one, or one for each part of the result.
    fn rows(&self) -> Vec<Vec<String>>;

    /// The byte of the text behind which the model saw nothing, if the text was too long for it.
    fn cut(&self) -> Option<usize> {
        None
    }

    /// The numbers of the result, if it is a vector.
    fn vector(&self) -> Option<&[f32]> {
        None
    }

    /// The form for people.
    ///
    /// # Errors
    /// Those of the page.
    fn show(&self, page: &mut Page<'_>) -> io::Result<()>;
}

/// Where the form for people is written.
pub struct Page<'a> {
    out: &'a mut dyn Write,
    kinds: &'a mut Kinds,
    /// What it can show.
    pub screen: Screen,
    /// Whether results have to be told apart by their texts: there may be several, and the reader does not
    /// see the texts right above them.
    pub titled: bool,
}

impl Page<'_> {
    /// The style of a kind of things: the same for the same kind in all results of a run, and another for others.
    pub fn kind(&mut self, kind: &str) -> Style {
        self.kinds.style(kind)
    }

    /// Writes lines whose cells, separated by tabs, are put in columns.
    ///
    /// # Errors
    /// Those of `write` and of the page.
    pub fn table(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut table = TabWriter::new(&mut *self.out).ansi(true);
        write(&mut table)?;
        table.flush()
    }
}

impl Write for Page<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.out.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A document that is no list of records, such as a page.
pub struct Document(Target);

impl Document {
    /// Opens the file, or standard output.
    ///
    /// # Errors
    /// A file that cannot be created.
    pub fn open(path: Option<&Path>, reporter: &Reporter) -> Result<Self> {
        Ok(Self(Target::open(path, reporter.color())?.0))
    }

    /// Writes all of it, and gives the file its name.
    ///
    /// # Errors
    /// An output that cannot be written; then there is no file.
    pub fn write(mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes).map_err(|error| self.0.failed(error))?;
        self.0.finish()
    }
}

/// Writes something that is not a record to standard output.
///
/// # Errors
/// An output that cannot be written.
pub fn print(bytes: &[u8], reporter: &Reporter) -> Result<()> {
    Document::open(None, reporter)?.write(bytes)
}
