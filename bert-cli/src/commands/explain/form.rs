//! Where an explanation goes, and in which form.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::error::Result;
use crate::input::read_stdin;
use crate::output::{Document, OutputArgs, Record, Sink};
use crate::reporter::Reporter;

/// The form of an explanation.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct FormArgs {
    /// One JSON document
    #[arg(long, group = "form")]
    json: bool,

    /// CSV with a header line
    #[arg(long, group = "form")]
    csv: bool,

    /// Write to a file, which appears only when all of it has been written: an HTML page, unless another form is asked
    /// for; `-` is stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

/// Where an explanation goes.
pub enum Place {
    /// A document, such as a page.
    Document(Document),
    /// Records.
    Sink(Sink),
}

impl FormArgs {
    /// Opens the file, or standard output. With `document`, another document than a page is written.
    ///
    /// # Errors
    /// A file that cannot be created.
    pub fn open(self, document: bool, reporter: &Reporter) -> Result<Place> {
        let Self { json, csv, output } = self;
        if document || output.is_some() && !json && !csv {
            return Ok(Place::Document(Document::open(output.as_deref(), reporter)?));
        }
        Ok(Place::Sink(Sink::open(
            &OutputArgs { json, csv, output, ..OutputArgs::default() },
            false,
            reporter,
        )?))
    }
}

impl Place {
    /// Writes an answer: as a record, or as the document that `document` makes of it.
    ///
    /// # Errors
    /// An output that cannot be written; then there is no file.
    pub fn write<R: Record>(self, record: &R, document: impl FnOnce(&R) -> String) -> Result<()> {
        match self {
            Self::Document(place) => place.write(document(record).as_bytes()),
            Self::Sink(mut sink) => {
                sink.write(None, record)?;
                sink.finish()
            }
        }
    }
}

/// The texts, of which one may be `-`: all of standard input.
///
/// # Errors
/// A standard input that cannot be read, is too long, or is not UTF-8.
pub fn texts(arguments: Vec<String>) -> Result<Vec<String>> {
    let text = |text: String| if Path::new(&text) == Path::new("-") { read_stdin() } else { Ok(text) };
    arguments.into_iter().map(text).collect()
}
