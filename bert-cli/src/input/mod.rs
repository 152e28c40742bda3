//! Where the texts come from: arguments, lines of standard input, or a file, read as it is needed.

mod args;
mod buffered;
mod choices;
mod document;
mod format;
mod json;
mod kept;
mod layout;
mod lines;
mod open;
mod reader;
mod record;
mod records;
mod sniff;
mod table;
mod whole;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::error::{Error, RecordError, Result};
pub use args::InputArgs;
use format::InputFormat;
pub use kept::Kept;
use layout::Layout;
use open::{Opened, Origin, Position};
use reader::Reader;
pub use whole::{read_stdin, read_text};

/// The longest line, and the longest record of a table, that is read. Longer ones are reported, not collected:
/// a file without line ends would fill the memory.
const MAX_RECORD: usize = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// The name that stands for every column.
const ALL: &str = "all";

/// Where an input stands in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the only one: the arguments of the command, or a whole file.
    Only,
    /// One of several arguments, counted from 1.
    Argument(usize),
    /// A line, counted from 1.
    Line(u64),
}

impl Place {
    /// The line, where there are lines.
    pub fn line(self) -> Option<u64> {
        if let Self::Line(line) = self { Some(line) } else { None }
    }
}

/// One input of a task: a text, or the texts that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it stands.
    pub place: Place,
    /// As many texts as the task takes.
    pub texts: Vec<String>,
    /// What travels along into the result.
    pub kept: Kept,
    /// How many bytes of the source have been read when this item has.
    pub end: u64,
}

/// An input that cannot be read, while the ones after it can.
#[derive(Debug)]
pub struct BadItem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong with it.
    pub error: RecordError,
}

/// The inputs of a command, one after the other.
pub struct Inputs {
    name: String,
    /// The file that they are read from, if it is one.
    path: Option<PathBuf>,
    reader: Reader,
    size: Option<u64>,
    /// How far a compressed file has been read.
    position: Option<Position>,
    interactive: bool,
    /// Whether the format was assumed: nothing told it.
    assumed: bool,
    keeps: bool,
    most_errors: Option<u64>,
    /// What was found out about the source and not yet said.
    notice: Option<String>,
}

impl Inputs {
    /// The inputs of a command that takes one text at a time: `texts` are the arguments.
    ///
    /// # Errors
    /// No text at all, or a file that cannot be opened.
    pub fn texts(args: &InputArgs, texts: Vec<String>) -> Result<Self> {
        Self::named_texts(args, "text", texts)
    }

    /// As [`texts`](Self::texts), with another name for the text in JSON and CSV.
    ///
    /// # Errors
    /// As [`texts`](Self::texts).
    pub fn named_texts(args: &InputArgs, name: &'static str, texts: Vec<String>) -> Result<Self> {
        let dash = texts == ["-"];
        if args.whole_file && (dash || texts.is_empty()) {
            return Self::whole(args, dash);
        }
        if texts.is_empty() || dash {
            return Self::open(args, fields(&[name], args)?, dash);
        }
        let count = texts.len();
        Self::arguments(args, texts.into_iter().map(|text| vec![text]).collect(), count == 1)
    }

    /// The inputs of a command that takes two texts at a time, called `names` in JSON and CSV: `texts` are
    /// the arguments.
    ///
    /// # Errors
    /// No text at all, a first text without a second, or a file that cannot be opened.
    pub fn pairs(args: &InputArgs, names: [&'static str; 2], texts: Vec<String>) -> Result<Self> {
        match texts.len() {
            0 => Self::open(args, fields(&names, args)?, false),
            1 if texts == ["-"] => Self::open(args, fields(&names, args)?, true),
            2 => Self::arguments(args, vec![texts], true),
            found => Err(Error::NotAPair { names, found }),
        }
    }

    /// The inputs of a command that takes a prompt and its choices at a time: `texts` are the arguments. The texts of an
    /// input are the prompt, and then the choices, of which there are at least two.
    ///
    /// # Errors
    /// No text at all, a prompt with fewer than two choices, or a file that cannot be opened.
    pub fn choices(args: &InputArgs, texts: Vec<String>) -> Result<Self> {
        let layout = || Ok::<_, Error>(Box::new(choices::Choices::new(&args.column)?));
        match texts.len() {
            0 => Self::open(args, layout()?, false),
            1 if texts == ["-"] => Self::open(args, layout()?, true),
            found @ 1..=2 => Err(Error::NoChoices { found }),
            _ => Self::arguments(args, vec![texts], true),
        }
    }

    fn arguments(args: &InputArgs, inputs: Vec<Vec<String>>, only: bool) -> Result<Self> {
        if let Some(path) = &args.input {
            return Err(Error::TwoSources { path: path.clone() });
        }
        if let Some(option) = args.needs_file() {
            return Err(Error::NeedsFile { option });
        }
        let place = |index| if only { Place::Only } else { Place::Argument(index + 1) };
        let items = inputs.into_iter().enumerate();
        let item = |(index, texts)| Item { place: place(index), texts, kept: Kept::default(), end: 0 };
        Ok(Self::new("arguments".to_owned(), Reader::Items(items.map(item).collect()), args))
    }

    fn new(name: String, reader: Reader, args: &InputArgs) -> Self {
        Self {
            name,
            path: None,
            reader,
            size: None,
            position: None,
            interactive: false,
            assumed: false,
            keeps: !args.keep.is_empty(),
            most_errors: args.most_errors(),
            notice: None,
        }
    }

    /// A whole file as one text.
    fn whole(args: &InputArgs, dash: bool) -> Result<Self> {
        let (text, path) = match args.source(dash)? {
            Some(path) => (read_text(path, args.lossy)?, Some(path.to_owned())),
            None => (read_text(Path::new("-"), args.lossy)?, None),
        };
        let item = Item { place: Place::Only, texts: vec![text], kept: Kept::default(), end: 0 };
        let name = path.as_ref().map_or_else(|| "stdin".to_owned(), |path| path.display().to_string());
        Ok(Self { path, ..Self::new(name, Reader::Items(VecDeque::from([item])), args) })
    }

    fn open(args: &InputArgs, layout: Box<dyn Layout>, dash: bool) -> Result<Self> {
        if args.whole_file {
            let reason = "this command takes several texts at a time";
            return Err(Error::NoMeaning { option: "--whole-file", reason });
        }
        let Some(path) = args.source(dash)? else {
            return Self::read("stdin".to_owned(), open::stdin(), None, args, layout);
        };
        let (opened, size) = open::open(path)?;
        let told = if args.input_format.is_none() { InputFormat::of(path)? } else { None };
        let inputs = Self::read(path.display().to_string(), opened, told, args, layout)?;
        Ok(Self { path: Some(path.to_owned()), size, ..inputs })
    }

    fn read(
        name: String,
        opened: Opened,
        told: Option<InputFormat>,
        args: &InputArgs,
        layout: Box<dyn Layout>,
    ) -> Result<Self> {
        let known = args.input_format.or(told);
        let format = known.unwrap_or(InputFormat::Txt);
        args.check(format)?;
        let Opened { source, position, origin } = opened;
        let interactive = origin == Origin::Person;
        let (reader, notice) = Reader::open(&name, (source, origin), format, args, layout)?;
        Ok(Self { assumed: known.is_none(), interactive, position, notice, ..Self::new(name, reader, args) })
    }

    /// What the source is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that they are read from; `None` of arguments and standard input.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether there is one input: arguments, or a whole file.
    pub fn is_single(&self) -> bool {
        matches!(&self.reader, Reader::Items(items) if items.front().is_some_and(|item| item.place == Place::Only))
    }

    /// Whether somebody types the inputs.
    pub fn interactive(&self) -> bool {
        self.interactive
    }

    /// The length of the source in bytes, if it is a file.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether the source may be right without any input: a table of nothing but a header, or an empty array.
    pub fn may_be_empty(&self) -> bool {
        matches!(self.reader, Reader::Table(_) | Reader::Document(..))
    }

    /// The most inputs that may fail before the run is given up.
    pub fn most_errors(&self) -> Option<u64> {
        self.most_errors
    }

    /// Gives the run up at the first input that fails.
    pub fn fail_fast(&mut self) {
        self.most_errors = Some(0);
    }

    /// Sees to it that nothing is to travel along, where results do not belong to one input each.
    ///
    /// # Errors
    /// `--keep`.
    pub fn keep_nothing(&self, reason: &'static str) -> Result<()> {
        if self.keeps { Err(Error::NoMeaning { option: "--keep", reason }) } else { Ok(()) }
    }

    /// Whether [`next`](Self::next) returns at once, instead of waiting for a person or another program.
    pub fn ready(&self) -> bool {
        self.size.is_some() || self.reader.ready()
    }

    /// What was found out about the source and not yet said.
    pub fn notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// The next input; `None` at the end.
    ///
    /// # Errors
    /// The outer error ends the input; the inner one is of this input alone.
    pub fn next(&mut self) -> Result<Option<Result<Item, BadItem>>> {
        let mut next = self.reader.next()?;
        if let (Some(Ok(item)), Some(position)) = (&mut next, &self.position) {
            item.end = position.get();
        }
        if std::mem::take(&mut self.assumed) && self.reader.looks_like_json() {
            let name = &self.name;
            self.notice = Some(format!(
                "{name} is read as one text a line, but begins as JSON does: --input-format json or jsonl reads it so"
            ));
        }
        Ok(next)
    }
}

/// The layout of inputs that are one text or several, each in a field of its own.
fn fields(names: &[&'static str], args: &InputArgs) -> Result<Box<dyn Layout>> {
    Ok(Box::new(record::Fields::new(names, args)?))
}

impl InputArgs {
    /// The file that is named; `None` for standard input.
    fn source(&self, dash: bool) -> Result<Option<&Path>> {
        match self.input.as_deref().filter(|&path| path != Path::new("-")) {
            Some(path) if dash => Err(Error::TwoSources { path: path.to_owned() }),
            Some(path) => Ok(Some(path)),
            None if dash || self.input.is_some() => Ok(None),
            None => Err(Error::NoText),
        }
    }
}

#[cfg(test)]
mod tests;
