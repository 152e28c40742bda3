//! Where results go, and in which form.

mod json;
mod target;

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde::Serialize;
use tabwriter::TabWriter;

use crate::error::{Error, Result};
use crate::input::Inputs;
use crate::reporter::Reporter;
use crate::style::Screen;
use target::Target;

/// The form of the results.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// One JSON document: an object for one text given as an argument, else an array
    #[arg(long, group = "form")]
    pub json: bool,

    /// One JSON object a line, written as soon as it is known
    #[arg(long, group = "form")]
    pub jsonl: bool,

    /// CSV with a header line
    #[arg(long, group = "form")]
    pub csv: bool,

    /// Write to a file, which appears only when all of it has been written; `-` is stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

impl OutputArgs {
    /// Sees to it that results do not take the place of their input.
    ///
    /// # Errors
    /// The same file as output and input.
    pub fn keep_input(&self, input: Option<&Path>) -> Result<()> {
        if let (Some(output), Some(input)) = (&self.output, input)
            && let (Ok(a), Ok(b)) = (output.canonicalize(), input.canonicalize())
            && a == b
            && a.is_file()
        {
            return Err(Error::OverInput { path: output.clone() });
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// For people: colours and bars on a terminal, plain lines elsewhere.
    Text,
    Json,
    Jsonl,
    Csv,
}

/// A result that can be written in every form. Its JSON is what it serialises to.
pub trait Record: Serialize {
    /// The names of the CSV columns; the same for all records of a run.
    fn columns(&self) -> Vec<Cow<'static, str>>;

    /// The CSV rows: one, or one for each part of the result.
    fn rows(&self) -> Vec<Vec<String>>;

    /// The byte of the text behind which the model saw nothing, if the text was too long for it.
    fn cut(&self) -> Option<usize> {
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
    /// What it can show.
    pub screen: Screen,
    /// Whether results have to be told apart by their texts: there may be several, and the reader does not
    /// see the texts right above them.
    pub titled: bool,
}

impl Page<'_> {
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

/// Writes results, one after the other.
pub struct Sink {
    target: Target,
    format: Format,
    screen: Screen,
    many: bool,
    titled: bool,
    count: u64,
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

/// A record with its place in the input.
#[derive(Serialize)]
struct Located<'a, R> {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(flatten)]
    record: &'a R,
}

impl Sink {
    /// Opens the file, or standard output. `many` tells whether more than one result may come.
    ///
    /// # Errors
    /// A file that cannot be created.
    pub fn open(args: &OutputArgs, many: bool, reporter: &Reporter) -> Result<Self> {
        let (target, screen) = Target::open(args.output.as_deref(), reporter.color())?;
        let format = match (args.json, args.jsonl, args.csv) {
            (true, _, _) => Format::Json,
            (_, true, _) => Format::Jsonl,
            (_, _, true) => Format::Csv,
            _ => Format::Text,
        };
        Ok(Self { target, format, screen, many, titled: many, count: 0 })
    }

    /// Opens the file, or standard output, for one result an input.
    ///
    /// # Errors
    /// A file that cannot be created, or is the input.
    pub fn for_inputs(args: &OutputArgs, inputs: &Inputs, reporter: &Reporter) -> Result<Self> {
        args.keep_input(inputs.path())?;
        let sink = Self::open(args, !inputs.is_single(), reporter)?;
        // Somebody who types has the text before their eyes.
        let titled = sink.many && !(inputs.interactive() && sink.screen.terminal);
        Ok(Self { titled, ..sink })
    }

    /// Whether results appear on a terminal.
    pub fn is_terminal(&self) -> bool {
        self.screen.terminal
    }

    /// Writes one result; `line` is the line of the input that it belongs to.
    ///
    /// # Errors
    /// An output that cannot be written.
    pub fn write<R: Record>(&mut self, line: Option<u64>, record: &R) -> Result<()> {
        let located = Located { line, record };
        let first = self.count == 0;
        self.count += 1;
        let text = match self.format {
            Format::Text => {
                let mut page = Page { out: &mut self.target, screen: self.screen, titled: self.titled };
                return record.show(&mut page).map_err(|error| self.target.failed(error));
            }
            Format::Json if self.many => json::line(&located)
                .map(|text| if first { format!("[\n{text}") } else { format!(",\n{text}") }),
            Format::Json => json::pretty(record).map(|text| text + "\n"),
            Format::Jsonl => json::line(&located).map(|text| text + "\n"),
            Format::Csv => return self.csv(line, record, first),
        };
        self.raw(text.map_err(|error| Error::Format { format: "JSON", source: error.into() })?.as_bytes())
    }

    fn csv<R: Record>(&mut self, line: Option<u64>, record: &R, first: bool) -> Result<()> {
        let write = || {
            let mut writer = csv::Writer::from_writer(vec![]);
            let mut write = |place: Option<&str>, row: &mut dyn Iterator<Item = &str>| {
                place.map_or(Ok(()), |place| writer.write_field(place))?;
                for field in row {
                    writer.write_field(field)?;
                }
                writer.write_record(None::<&[u8]>)
            };
            if first {
                write(line.map(|_| "line"), &mut record.columns().iter().map(AsRef::as_ref))?;
            }
            let place = line.map(|line| line.to_string());
            for row in record.rows() {
                write(place.as_deref(), &mut row.iter().map(String::as_str))?;
            }
            writer.into_inner().map_err(|error| error.into_error().into())
        };
        let rows =
            write().map_err(|error: csv::Error| Error::Format { format: "CSV", source: error.into() })?;
        self.raw(&rows)
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.target.write_all(bytes).map_err(|error| self.target.failed(error))
    }

    /// Makes what has been written so far appear, where somebody waits for it.
    ///
    /// # Errors
    /// An output that cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.target.flush().map_err(|error| self.target.failed(error))
    }

    /// Completes the document and gives the file its name.
    ///
    /// # Errors
    /// An output that cannot be written; then there is no file.
    pub fn finish(mut self) -> Result<()> {
        if self.format == Format::Json && self.many {
            let end = if self.count == 0 { "[]\n" } else { "\n]\n" };
            self.raw(end.as_bytes())?;
        }
        self.target.finish()
    }
}
