//! Where the texts come from: arguments, lines of standard input, or a file, read as it is needed.

mod choices;
mod csv;
mod layout;
mod lines;
mod record;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use crate::error::{Error, RecordError, Result};
use layout::Layout;
use lines::Lines;

/// The longest line, and the longest CSV record, that is read. Longer ones are reported, not collected:
/// a file without line ends would fill the memory.
const MAX_RECORD: usize = if cfg!(test) { 1 << 20 } else { 64 << 20 };

/// How texts are read from a file or from standard input.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Read texts from a file: .jsonl, .csv, or anything else as one text a line; `-` is standard input
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,

    /// Read the input as this format, whatever the file is called
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub input_format: Option<InputFormat>,

    /// The JSONL field or CSV column with the text; give it twice for commands that take two texts
    #[arg(long, value_name = "NAME")]
    pub column: Vec<String>,

    /// Replace bytes that are not UTF-8 instead of reporting the line
    #[arg(long)]
    pub lossy: bool,
}

/// What an input file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// One text a line; two texts are separated by a tab
    Txt,
    /// One JSON value a line: a string, or an object with the text in a field
    Jsonl,
    /// A header line, then one text a row
    Csv,
}

impl InputFormat {
    fn of(path: &Path) -> Self {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        match extension.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Self::Jsonl,
            "csv" => Self::Csv,
            _ => Self::Txt,
        }
    }
}

/// Where an input stands in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is the only one: the arguments of the command.
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
    interactive: bool,
}

enum Reader {
    Arguments(VecDeque<Item>),
    Lines(Lines, Parse),
    Csv(csv::Rows),
}

type Parse = Box<dyn Fn(String) -> Result<Option<Vec<String>>, RecordError>>;

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
        if texts.is_empty() || texts == ["-"] {
            return Self::open(args, fields(&[name], args)?, !texts.is_empty());
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
        let items = items.map(|(index, texts)| Item { place: place(index), texts, end: 0 }).collect();
        let name = "arguments".to_owned();
        Ok(Self { name, path: None, reader: Reader::Arguments(items), size: None, interactive: false })
    }

    fn open(args: &InputArgs, layout: Box<dyn Layout>, dash: bool) -> Result<Self> {
        match &args.input {
            Some(path) if dash && path != Path::new("-") => Err(Error::TwoSources { path: path.clone() }),
            Some(path) if path != Path::new("-") => {
                let (file, size) = open_file(path)?;
                let format = args.input_format.unwrap_or_else(|| InputFormat::of(path));
                let name = path.display().to_string();
                let inputs = Self::read(name, Box::new(file), format, args, layout, size, false)?;
                Ok(Self { path: Some(path.clone()), ..inputs })
            }
            None if !dash => Err(Error::NoText),
            _ => {
                let interactive = io::stdin().is_terminal();
                let format = args.input_format.unwrap_or(InputFormat::Txt);
                // The lock is not held: it would not be `Send`, and nobody else reads.
                Self::read("stdin".to_owned(), Box::new(io::stdin()), format, args, layout, None, interactive)
            }
        }
    }

    fn read(
        name: String,
        source: Box<dyn Read>,
        format: InputFormat,
        args: &InputArgs,
        layout: Box<dyn Layout>,
        size: Option<u64>,
        interactive: bool,
    ) -> Result<Self> {
        let reader = match format {
            InputFormat::Csv => Reader::Csv(csv::Rows::new(&name, source, layout, args.lossy)?),
            InputFormat::Jsonl => Reader::Lines(
                Lines::new(&name, source, args.lossy),
                Box::new(move |line| {
                    if line.trim().is_empty() {
                        return Ok(None);
                    }
                    layout.parse_json(serde_json::from_str(&line).map_err(RecordError::Json)?).map(Some)
                }),
            ),
            InputFormat::Txt if !args.column.is_empty() => {
                return Err(Error::NeedsFile { option: "--column" });
            }
            InputFormat::Txt => Reader::Lines(
                Lines::new(&name, source, args.lossy),
                Box::new(move |line| layout.parse_line(line).map(Some)),
            ),
        };
        Ok(Self { name, path: None, reader, size, interactive })
    }

    /// What the source is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that they are read from; `None` of arguments and standard input.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether there is one input, given as arguments.
    pub fn is_single(&self) -> bool {
        matches!(&self.reader, Reader::Arguments(items) if items.front().is_some_and(|item| item.place == Place::Only))
    }

    /// Whether somebody types the inputs.
    pub fn interactive(&self) -> bool {
        self.interactive
    }

    /// The length of the source in bytes, if it is a file.
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Whether [`next`](Self::next) returns at once, instead of waiting for a person or another program.
    pub fn ready(&self) -> bool {
        match &self.reader {
            Reader::Arguments(_) | Reader::Csv(_) => true,
            Reader::Lines(lines, _) => self.size.is_some() || lines.ready(),
        }
    }

    /// The next input; `None` at the end.
    ///
    /// # Errors
    /// The outer error ends the input; the inner one is of this input alone.
    pub fn next(&mut self) -> Result<Option<Result<Item, BadItem>>> {
        match &mut self.reader {
            Reader::Arguments(items) => Ok(items.pop_front().map(Ok)),
            Reader::Csv(rows) => {
                rows.next().map_err(|source| Error::Read { name: self.name.clone(), source })
            }
            Reader::Lines(lines, parse) => loop {
                let Some(line) = lines.next()? else { return Ok(None) };
                let place = Place::Line(lines.number());
                match line.and_then(&*parse) {
                    Ok(Some(texts)) => return Ok(Some(Ok(Item { place, texts, end: lines.offset() }))),
                    Ok(None) => {}
                    Err(error) => return Ok(Some(Err(BadItem { place, error }))),
                }
            },
        }
    }
}

/// The layout of inputs that are one text or several, each in a field of its own.
fn fields(names: &[&'static str], args: &InputArgs) -> Result<Box<dyn Layout>> {
    Ok(Box::new(record::Fields::new(names, &args.column)?))
}

impl InputArgs {
    /// An option that says how to read a file, if one is set.
    fn needs_file(&self) -> Option<&'static str> {
        let set = [("--input-format", self.input_format.is_some()), ("--column", !self.column.is_empty())];
        set.into_iter().find(|(_, set)| *set).map(|(name, _)| name)
    }
}

/// Opens a file for reading. Its size, unless it is a pipe or a device.
fn open_file(path: &Path) -> Result<(File, Option<u64>)> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let kind = file.metadata().map_err(failed)?;
    if kind.is_dir() {
        return Err(Error::IsFolder { path: path.to_owned() });
    }
    Ok((file, kind.is_file().then_some(kind.len())))
}

/// Reads a whole text file, such as the context of questions; `-` is standard input.
///
/// # Errors
/// A file that cannot be read, is too long, or is not UTF-8 (unless `lossy`).
pub fn read_text(path: &Path, lossy: bool) -> Result<String> {
    match path == Path::new("-") {
        true => read_all("stdin".to_owned(), io::stdin(), lossy),
        false => read_all(path.display().to_string(), open_file(path)?.0, lossy),
    }
}

/// Reads all of standard input as one text, without the line end that a pipe puts behind it.
///
/// # Errors
/// An input that cannot be read, is too long, or is not UTF-8.
pub fn read_stdin() -> Result<String> {
    let mut text = read_all("stdin".to_owned(), io::stdin(), false)?;
    let end = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(end);
    Ok(text)
}

fn read_all(name: String, source: impl Read, lossy: bool) -> Result<String> {
    let mut bytes = vec![];
    let read = source.take(MAX_RECORD as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| Error::Read { name: name.clone(), source })?;
    let bad = |error| Error::BadFile { name: name.clone(), error };
    if bytes.len() > MAX_RECORD {
        return Err(bad(RecordError::TooLong { limit: MAX_RECORD }));
    }
    lines::check_encoding(&name, &bytes)?;
    let text = bytes.strip_prefix(lines::BOM).map(<[u8]>::to_vec).unwrap_or(bytes);
    record::decode(text, lossy).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    fn args(path: &Path, column: &[&str]) -> InputArgs {
        let column = column.iter().map(ToString::to_string).collect();
        InputArgs { input: Some(path.to_owned()), column, ..InputArgs::default() }
    }

    /// Line numbers with texts, or with what is wrong.
    fn all(mut inputs: Inputs) -> Vec<(u64, Result<Vec<String>, String>)> {
        let mut found = vec![];
        while let Some(item) = inputs.next().unwrap() {
            let (place, result) = match item {
                Ok(item) => (item.place, Ok(item.texts)),
                Err(bad) => (bad.place, Err(bad.error.to_string())),
            };
            let Place::Line(line) = place else { panic!("{place:?}") };
            found.push((line, result));
        }
        found
    }

    fn texts(name: &str, content: &[u8], column: &[&str]) -> Vec<(u64, Result<Vec<String>, String>)> {
        let (_folder, path) = write(name, content);
        all(Inputs::texts(&args(&path, column), vec![]).unwrap())
    }

    fn good(line: u64, text: &str) -> (u64, Result<Vec<String>, String>) {
        (line, Ok(vec![text.to_owned()]))
    }

    #[test]
    fn lines_keep_their_place_whatever_ends_them() {
        let content = b"\xef\xbb\xbfone\r\n\r\n  \nnul \0 inside\nlast \xf0\x9f\x8d\x8b";
        let expected =
            [good(1, "one"), good(2, ""), good(3, "  "), good(4, "nul \0 inside"), good(5, "last 🍋")];
        assert_eq!(texts("a.txt", content, &[]), expected);
        assert_eq!(texts("a", content, &[]), expected);
        assert_eq!(texts("a.txt", b"", &[]), []);
        assert_eq!(texts("a.txt", b"\n", &[]), [good(1, "")]);
    }

    #[test]
    fn a_bad_line_does_not_stop_the_next() {
        let found = texts("a.txt", b"fine\nb\xffd\nalso fine\n", &[]);
        assert_eq!((&found[0], &found[2]), (&good(1, "fine"), &good(3, "also fine")));
        assert_eq!(found[1].0, 2);
        assert!(found[1].1.as_ref().unwrap_err().contains("UTF-8"), "{found:?}");

        let (_folder, path) = write("a.txt", b"b\xffd\n");
        let lossy = InputArgs { lossy: true, ..args(&path, &[]) };
        assert_eq!(all(Inputs::texts(&lossy, vec![]).unwrap()), [good(1, "b\u{fffd}d")]);
    }

    #[test]
    fn jsonl_takes_strings_and_objects() {
        let content =
            "\u{feff}\"a\\u0000b\"\n\n{\"text\": \"x\", \"id\": 7}\r\n{\"id\": 7}\n{\"text\": 3}\n[\n";
        let found = texts("a.jsonl", content.as_bytes(), &[]);
        assert_eq!(&found[..2], [good(1, "a\0b"), good(3, "x")]);
        let errors: Vec<_> =
            found[2..].iter().map(|(line, error)| (*line, error.clone().unwrap_err())).collect();
        assert_eq!(errors.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 5, 6]);
        assert!(errors[0].1.contains("\"text\"") && errors[0].1.contains("\"id\""), "{errors:?}");
        assert!(errors[1].1.contains("number"), "{errors:?}");
        assert!(errors[2].1.contains("JSON"), "{errors:?}");
        assert_eq!(texts("a.ndjson", b"{\"body\": \"x\"}", &["body"]), [good(1, "x")]);
    }

    #[test]
    fn csv_takes_the_named_column() {
        let content = b"\xef\xbb\xbfid,text\r\n1,plain\r\n2,\"two\nlines, \"\"quoted\"\"\"\r\n3\r\n4,\r\n";
        let found = texts("a.csv", content, &[]);
        assert_eq!(found[0], good(2, "plain"));
        assert_eq!(found[1], good(3, "two\nlines, \"quoted\""));
        assert_eq!(found[2].0, 5);
        assert!(found[2].1.is_err());
        assert_eq!(found[3], good(6, ""));
        assert_eq!(texts("a.csv", b"a,b\n1,2\n", &["b"]), [good(2, "2")]);
        assert_eq!(texts("a.csv", b"only\n1\n", &[]), [good(2, "1")]);
        assert_eq!(texts("a.CSV", b"text\nb\xff\nc\n", &[])[1], good(3, "c"));
    }

    #[test]
    fn a_missing_column_lists_what_is_there() {
        for (content, column) in [("a,b\n1,2\n", "c"), ("a,a\n1,2\n", "a"), ("", "c")] {
            let (_folder, path) = write("a.csv", content.as_bytes());
            let error = Inputs::texts(&args(&path, &[column]), vec![]).err().unwrap().to_string();
            assert!(error.contains(&format!("{column:?}")), "{error}");
        }
    }

    #[test]
    fn pairs_in_every_format() {
        let names = ["question", "context"];
        let pair = |line, first: &str, second: &str| (line, Ok(vec![first.to_owned(), second.to_owned()]));
        let read = |name, content: &str, column: &[&str]| {
            let (_folder, path) = write(name, content.as_bytes());
            all(Inputs::pairs(&args(&path, column), names, vec![]).unwrap())
        };
        assert_eq!(read("a.txt", "q\tc\n", &[]), [pair(1, "q", "c")]);
        assert!(read("a.txt", "q\n", &[])[0].1.is_err());
        assert!(read("a.txt", "q\tc\td\n", &[])[0].1.is_err());
        assert_eq!(read("a.jsonl", r#"{"context": "c", "question": "q"}"#, &[]), [pair(1, "q", "c")]);
        assert_eq!(read("a.jsonl", r#"["q", "c"]"#, &[]), [pair(1, "q", "c")]);
        assert!(read("a.jsonl", r#""q""#, &[])[0].1.is_err());
        assert_eq!(read("a.csv", "context,id,question\nc,1,q\n", &[]), [pair(2, "q", "c")]);
        assert_eq!(read("a.csv", "x,y\nq,c\n", &["x", "y"]), [pair(2, "q", "c")]);
        assert_eq!(read("a.csv", "x,y\nq,c\n", &["y", "x"]), [pair(2, "c", "q")]);
    }

    #[test]
    fn what_cannot_be_opened_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let open = |path: &Path| Inputs::texts(&args(path, &[]), vec![]).err().unwrap();
        assert!(matches!(open(&folder.path().join("none.txt")), Error::Open { .. }));
        assert!(matches!(open(folder.path()), Error::IsFolder { .. }));
        let (_folder, path) = write("a.txt", b"\xff\xfeh\0i\0");
        assert!(matches!(Inputs::texts(&args(&path, &[]), vec![]).unwrap().next(), Err(Error::Utf16 { .. })));
        assert!(matches!(Inputs::texts(&InputArgs::default(), vec![]), Err(Error::NoText)));
        assert!(matches!(Inputs::texts(&args(&path, &[]), vec!["a".into()]), Err(Error::TwoSources { .. })));
    }

    #[test]
    fn the_end_of_each_item_is_known() {
        let (_folder, path) = write("a.txt", b"one\ntwo\nthree");
        let mut inputs = Inputs::texts(&args(&path, &[]), vec![]).unwrap();
        assert_eq!(inputs.size(), Some(13));
        let mut ends = vec![];
        while let Some(item) = inputs.next().unwrap() {
            ends.push(item.unwrap().end);
        }
        assert_eq!(ends, [4, 8, 13]);
    }
}
