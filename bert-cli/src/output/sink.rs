//! Results, one after the other, in one of the forms.

use std::borrow::Cow;
use std::io::Write;
use std::time::{Duration, Instant};

use csv::QuoteStyle;

use super::form::{Form, OutputArgs};
use super::target::Target;
use super::{Page, Record, json, npy};
use crate::error::{Error, Result};
use crate::input::{Inputs, Kept};
use crate::reporter::Reporter;
use crate::style::{Kinds, Screen};

/// How long results may wait before they appear on standard output.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// The field and the column of the line of an input.
const LINE: &str = "line";

/// Writes results, one after the other.
pub struct Sink {
    target: Target,
    form: Form,
    screen: Screen,
    kinds: Kinds,
    many: bool,
    titled: bool,
    count: u64,
    /// What columns that travel along are called in the results, once there is one.
    kept: Option<Vec<String>>,
    /// How many numbers a vector has.
    dimension: usize,
    flushed: Instant,
}

impl Sink {
    /// Opens the file, or standard output. `many` tells whether more than one result may come.
    ///
    /// # Errors
    /// A file that cannot be created, or whose extension is of no form.
    pub fn open(args: &OutputArgs, many: bool, reporter: &Reporter) -> Result<Self> {
        Self::open_as(args.form(false)?, args, many, reporter)
    }

    fn open_as(form: Form, args: &OutputArgs, many: bool, reporter: &Reporter) -> Result<Self> {
        let (target, screen) = Target::open(args.output.as_deref(), reporter.color())?;
        if form == Form::Npy && !target.is_file() {
            let reason = "a .npy has to be a file: its first bytes are written last";
            return Err(Error::NoMeaning { option: "--output", reason });
        }
        Ok(Self {
            target,
            form,
            screen,
            kinds: Kinds::default(),
            many,
            titled: many,
            count: 0,
            kept: None,
            dimension: 0,
            flushed: Instant::now(),
        })
    }

    /// Opens the file, or standard output, for one result an input.
    ///
    /// # Errors
    /// A file that cannot be created, is the input, or whose extension is of no form.
    pub fn for_inputs(args: &OutputArgs, inputs: &Inputs, reporter: &Reporter) -> Result<Self> {
        Self::for_inputs_as(args.form(false)?, args, inputs, reporter)
    }

    /// The same for results that are vectors. A row of an array is known by its place alone, so the first input without a
    /// vector ends the run.
    ///
    /// # Errors
    /// As [`for_inputs`](Self::for_inputs).
    pub fn for_vectors(args: &OutputArgs, inputs: &mut Inputs, reporter: &Reporter) -> Result<Self> {
        let form = args.form(true)?;
        if form == Form::Npy {
            inputs.keep_nothing("a .npy holds nothing but numbers")?;
            inputs.fail_fast();
        }
        Self::for_inputs_as(form, args, inputs, reporter)
    }

    fn for_inputs_as(form: Form, args: &OutputArgs, inputs: &Inputs, reporter: &Reporter) -> Result<Self> {
        args.keep_input(inputs.path())?;
        if form == Form::Text {
            inputs.keep_nothing(
                "results for people have no columns; ask for --json, --jsonl, --csv or --tsv",
            )?;
        }
        let sink = Self::open_as(form, args, !inputs.is_single(), reporter)?;
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
        self.write_item(line, &Kept::default(), record)
    }

    /// Writes one result with what travels along from its input.
    ///
    /// # Errors
    /// An output that cannot be written.
    pub fn write_item<R: Record>(&mut self, line: Option<u64>, kept: &Kept, record: &R) -> Result<()> {
        match self.form {
            Form::Text => {
                let (out, kinds) = (&mut self.target, &mut self.kinds);
                let mut page = Page { out, kinds, screen: self.screen, titled: self.titled };
                record.show(&mut page).map_err(|error| self.target.failed(error))?;
            }
            Form::Json | Form::Jsonl => self.json(line, kept, record)?,
            Form::Csv => self.table(b',', line, kept, record)?,
            Form::Tsv => self.table(b'\t', line, kept, record)?,
            Form::Npy => self.row(record.vector().unwrap_or_default())?,
        }
        self.count += 1;
        if self.target.is_stdout() && self.flushed.elapsed() > FLUSH_AFTER {
            self.flush()?;
        }
        Ok(())
    }

    fn json<R: Record>(&mut self, line: Option<u64>, kept: &Kept, record: &R) -> Result<()> {
        if self.form == Form::Json && !self.many {
            return self.raw((json::pretty(record, R::EXACT).map_err(failed)? + "\n").as_bytes());
        }
        let record_line = json::line(record, R::EXACT).map_err(failed)?;
        let mut fields: Vec<String> = line.map(|line| format!("{LINE:?}: {line}")).into_iter().collect();
        for (name, cell) in self.names(kept, record)?.iter().zip(&kept.cells) {
            fields.push(format!("{}: {}", json::line(name, false).map_err(failed)?, cell.to_json()));
        }
        let own = &record_line[1..record_line.len() - 1];
        fields.extend((!own.is_empty()).then(|| own.to_owned()));
        let text = format!("{{{}}}", fields.join(", "));
        let text = match (self.form, self.count) {
            (Form::Jsonl, _) => text + "\n",
            (_, 0) => format!("[\n{text}"),
            _ => format!(",\n{text}"),
        };
        self.raw(text.as_bytes())
    }

    fn table<R: Record>(&mut self, separator: u8, line: Option<u64>, kept: &Kept, record: &R) -> Result<()> {
        let names = self.names(kept, record)?;
        let write = || {
            // Tables with tabs are read without quotes, so that they are written without.
            let quotes = if separator == b'\t' { QuoteStyle::Never } else { QuoteStyle::Necessary };
            let mut writer =
                csv::WriterBuilder::new().delimiter(separator).quote_style(quotes).from_writer(vec![]);
            let mut write = |cells: &mut dyn Iterator<Item = &str>| {
                for text in cells {
                    let text = if separator == b'\t' { without_tabs(text) } else { Cow::Borrowed(text) };
                    writer.write_field(text.as_bytes())?;
                }
                writer.write_record(None::<&[u8]>)
            };
            if self.count == 0 {
                let columns = record.columns();
                let names = line.map(|_| LINE).into_iter().chain(names.iter().map(String::as_str));
                write(&mut names.chain(columns.iter().map(AsRef::as_ref)))?;
            }
            let line = line.map(|line| line.to_string());
            let cells: Vec<Cow<'_, str>> = kept.cells.iter().map(|cell| cell.to_text()).collect();
            for row in record.rows() {
                let before = line.iter().map(String::as_str).chain(cells.iter().map(AsRef::as_ref));
                write(&mut before.chain(row.iter().map(String::as_str)))?;
            }
            writer.into_inner().map_err(|error| error.into_error().into())
        };
        let rows =
            write().map_err(|error: csv::Error| Error::Format { format: "CSV", source: error.into() })?;
        self.raw(&rows)
    }

    /// A row of an array.
    fn row(&mut self, vector: &[f32]) -> Result<()> {
        if self.count == 0 {
            self.dimension = vector.len();
            self.raw(&npy::header(0, 0))?;
        }
        let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.raw(&bytes)
    }

    /// What columns that travel along are called: as in the input, unless results have the name themselves.
    fn names<R: Record>(&mut self, kept: &Kept, record: &R) -> Result<Vec<String>> {
        if kept.names.is_empty() {
            return Ok(vec![]);
        }
        if let Some(names) = &self.kept {
            return Ok(names.clone());
        }
        let mut own = json::keys(&json::line(record, R::EXACT).map_err(failed)?);
        own.push(LINE.to_owned());
        own.extend(record.columns().into_iter().map(Cow::into_owned));
        let mut names: Vec<String> = vec![];
        for name in kept.names.iter() {
            let mut free = name.clone();
            // What is called as a result is, or as a column that was renamed so.
            while own.contains(&free)
                || names.contains(&free)
                || (free != *name && kept.names.contains(&free))
            {
                free.insert_str(0, "input_");
            }
            names.push(free);
        }
        Ok(self.kept.insert(names).clone())
    }

    fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.target.write_all(bytes).map_err(|error| self.target.failed(error))
    }

    /// Makes what has been written so far appear, where somebody waits for it.
    ///
    /// # Errors
    /// An output that cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.target.flush().map_err(|error| self.target.failed(error))
    }

    /// Completes the document and gives the file its name.
    ///
    /// # Errors
    /// An output that cannot be written; then there is no file.
    pub fn finish(mut self) -> Result<()> {
        match self.form {
            Form::Json if self.many => {
                let end = if self.count == 0 { "[]\n" } else { "\n]\n" };
                self.raw(end.as_bytes())?;
            }
            Form::Npy => self.target.rewrite_start(&npy::header(self.count, self.dimension))?,
            _ => {}
        }
        self.target.finish()
    }
}

/// A cell of a table whose cells end with tabs and whose rows end with lines.
fn without_tabs(text: &str) -> Cow<'_, str> {
    if !text.contains(['\t', '\n', '\r']) {
        return Cow::Borrowed(text);
    }
    text.replace("\r\n", "␊").replace('\n', "␊").replace('\r', "␍").replace('\t', "␉").into()
}

fn failed(error: serde_json::Error) -> Error {
    Error::Format { format: "JSON", source: error.into() }
}
