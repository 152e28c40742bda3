//! Where an explanation goes, and in which form.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::error::{Error, Result};
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

    /// Write to a file, which appears only when all of it has been written, in the form that its extension names: .html (as
    /// without one), .json, .jsonl, .csv or .tsv, and .svg of attention; `-` is stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

/// Where an explanation goes.
pub enum Place {
    /// An HTML page.
    Page(Document),
    /// A drawing.
    Svg(Document),
    /// Records.
    Sink(Sink),
}

/// What a command can draw beside its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawing {
    /// Nothing.
    None,
    /// An SVG drawing, if it is asked for by the name of a file.
    Possible,
    /// An SVG drawing, which was asked for.
    Asked,
}

impl FormArgs {
    /// Opens the file, or standard output. What is asked for by an option comes before what the file's name says.
    ///
    /// # Errors
    /// A file that cannot be created, or whose extension is of no form that the command writes.
    pub fn open(&self, drawing: Drawing, reporter: &Reporter) -> Result<Place> {
        let Self { json, csv, output } = self;
        let (json, csv) = (*json, *csv);
        let path = output.as_deref();
        let sink = |json, csv| {
            let args = OutputArgs { json, csv, output: output.clone(), ..OutputArgs::default() };
            Ok(Place::Sink(Sink::open(&args, false, reporter)?))
        };
        if drawing == Drawing::Asked {
            return Ok(Place::Svg(Document::open(path, reporter)?));
        }
        let Some(path) = path.filter(|_| !json && !csv) else { return sink(json, csv) };
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            None | Some("html" | "htm") => Ok(Place::Page(Document::open(Some(path), reporter)?)),
            Some("svg") if drawing == Drawing::Possible => {
                Ok(Place::Svg(Document::open(Some(path), reporter)?))
            }
            Some("json" | "jsonl" | "ndjson" | "csv" | "tsv" | "tab") => sink(false, false),
            Some(_) => Err(Error::Extension {
                path: path.to_owned(),
                written: match drawing {
                    Drawing::None => ".html, .json, .jsonl, .csv and .tsv",
                    _ => ".html, .json, .jsonl, .csv, .tsv and .svg",
                },
            }),
        }
    }
}

impl Place {
    /// Writes an answer: as a record, or as the document that `document` makes of it.
    ///
    /// # Errors
    /// An output that cannot be written; then there is no file.
    pub fn write<R: Record>(self, record: &R, document: impl FnOnce(&R) -> String) -> Result<()> {
        match self {
            Self::Page(place) | Self::Svg(place) => place.write(document(record).as_bytes()),
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
