//! The one error type of the command: what was asked, what was found, what to do.

mod record;

use std::io;
use std::path::PathBuf;

use bert_tasks::evaluation::EvaluationError;
use bert_tasks::training::TrainingError;

pub use record::{RecordError, list};

use crate::style::counted;

/// What is read, by the extensions of files.
const FORMATS: &str = ".txt (a text a line), .json, .jsonl, .csv and .tsv";

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that ends a command early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader of our standard output went away, which is its right.
    #[error("the reader of stdout is gone")]
    ClosedPipe,

    /// A model, a device or a text.
    #[error(transparent)]
    Tasks(#[from] bert_tasks::Error),
    /// A command without a model that has no default.
    #[error("this command needs {kind}: name one with --model FOLDER or --model OWNER/NAME")]
    NoModel {
        /// The kind of model that it needs, in words.
        kind: &'static str,
        /// A model of that kind on the hub.
        example: &'static str,
    },
    /// A model that the command cannot use.
    #[error("{source}")]
    Load {
        /// The kind of model that it should have been, in words.
        kind: &'static str,
        /// A model of that kind on the hub.
        example: &'static str,
        /// What is wrong with it.
        source: Box<bert_tasks::Error>,
    },
    /// A name that is not a folder, and that the hub does not give.
    #[cfg(feature = "hub")]
    #[error("there is no folder {name:?}, and no such model from the hub")]
    NeitherFolderNorHub {
        /// The name.
        name: String,
        /// What the hub said.
        source: Box<bert_tasks::hub::HubError>,
    },
    /// The hub, or its cache.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] bert_tasks::hub::HubError),

    /// A server that does not start.
    #[cfg(feature = "serve")]
    #[error(transparent)]
    Server(#[from] bert_server::ServerError),

    /// A model that has not been downloaded.
    #[cfg(feature = "hub")]
    #[error(
        "no complete copy of {id} (revision {revision}) in the cache; get it with: bert models pull {id}"
    )]
    NotCached {
        /// The model.
        id: String,
        /// The branch, tag or commit.
        revision: String,
    },

    /// A command for texts, without one.
    #[error("no text given")]
    NoText,
    /// A command for documents, without one.
    #[error("no document given")]
    NoDocument,
    /// An input without a single line.
    #[error("{name} holds no text: it is empty")]
    EmptyInput {
        /// The input.
        name: String,
    },
    /// Texts that do not hold the word in question.
    #[error("the word {word:?} is in none of the texts")]
    WordNotFound {
        /// The word.
        word: String,
    },
    /// Arguments that are not one text and its other text.
    #[error("expected two texts, {} and {}; found {found}", names[0], names[1])]
    NotAPair {
        /// What the two texts are.
        names: [&'static str; 2],
        /// How many there are.
        found: usize,
    },
    /// Arguments that are not a prompt and its choices.
    #[error("expected a prompt and at least two choices, so three texts or more; found {found}")]
    NoChoices {
        /// How many texts there are.
        found: usize,
    },
    /// `--column`s that are not those of a prompt and its choices.
    #[error(
        "a prompt and its choices need --column for the prompt and for each choice, or in JSONL for the prompt and the list of choices; number of --column options found: {found}"
    )]
    ChoiceColumns {
        /// How many columns were given.
        found: usize,
    },
    /// Texts as arguments and from a file.
    #[error("texts were given as arguments and by --input {}; choose one", path.display())]
    TwoSources {
        /// The file.
        path: PathBuf,
    },
    /// An option about files, without a file.
    #[error("{option} needs a file or standard input, and texts were given as arguments")]
    NeedsFile {
        /// The option.
        option: &'static str,
    },
    /// An option about fields, with an input that has none.
    #[error("{option} needs {needs}, and this is read as {found}; --input-format says otherwise")]
    NeedsFormat {
        /// The option.
        option: &'static str,
        /// What it needs.
        needs: &'static str,
        /// The format.
        found: &'static str,
    },
    /// A file whose extension is of no format that is read.
    #[error(
        "{}: files named .{found} are not read; what is read is {}, each also as .gz or .zst",
        path.display(),
        FORMATS
    )]
    InputExtension {
        /// The file.
        path: PathBuf,
        /// Its extension.
        found: String,
    },
    /// An option that does nothing beside the others.
    #[error("{option} has no meaning here: {reason}")]
    NoMeaning {
        /// The option.
        option: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// A file to write whose extension is of no form that the command writes.
    #[error("{}: no form is known by this extension; this command writes {written}", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
        /// The extensions that it writes.
        written: &'static str,
    },
    /// More or fewer `--column`s than texts.
    #[error("give --column once for each text of an input: expected {expected}, found {found}")]
    ColumnCount {
        /// How many texts make an input.
        expected: usize,
        /// How many columns were given.
        found: usize,
    },

    /// A file that cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder in the place of a file that is to be written.
    #[error("{} is a folder, not a file", path.display())]
    OutputIsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A file in a folder that is not there.
    #[error("cannot write {}: there is no folder {}", path.display(), folder.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// Results that would take the place of what they are the results of.
    #[error("{} is the input, which the results would replace", path.display())]
    OverInput {
        /// The file.
        path: PathBuf,
    },
    /// A folder in the place of a file.
    #[error("{} is a folder, not a file", path.display())]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A file in the way of one that is to be made.
    #[error("{} exists already; name another folder, or remove it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// An input that stops in the middle.
    #[error("cannot read {name}")]
    Read {
        /// The input.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// An input in another encoding.
    #[error("{name} is UTF-16; save it as UTF-8")]
    Utf16 {
        /// The input.
        name: String,
    },
    /// An input that is no text.
    #[error("{name} is {found}, and not text")]
    NotText {
        /// The input.
        name: String,
        /// What it is.
        found: &'static str,
    },
    /// A record without which no other can be read, or that is wrong as all others are.
    #[error("{name}, line {line}: {error}")]
    BadRecord {
        /// The input.
        name: String,
        /// The line.
        line: u64,
        /// What is wrong with it.
        error: RecordError,
    },
    /// More inputs that failed than the user allowed.
    #[error("given up: {failed} could not be read or answered", failed = counted(*failed, "text", "texts"))]
    TooManyErrors {
        /// How many failed.
        failed: u64,
    },
    /// A file that is no text.
    #[error("{name}: {error}")]
    BadFile {
        /// The file.
        name: String,
        /// What is wrong with it.
        error: RecordError,
    },
    /// A CSV file without the column, or with two of that name.
    #[error(
        "{name} has {} column {column:?}; its columns are {}",
        if *twice { "more than one" } else { "no" },
        list(found)
    )]
    Column {
        /// The file.
        name: String,
        /// The column that was looked for.
        column: String,
        /// Whether it is there more than once.
        twice: bool,
        /// The columns that are there.
        found: Vec<String>,
    },

    /// A setting without which there is nothing to train.
    #[error("this command needs --{flag}, or {flag} in the file of --config")]
    NoSetting {
        /// Its name.
        flag: &'static str,
    },
    /// A setting that changes nothing without another one.
    #[error("--{flag} does nothing without --{needs}")]
    NoEffect {
        /// Its name.
        flag: &'static str,
        /// The setting that it belongs to.
        needs: &'static str,
    },
    /// A run of one command that another one is to go on with or repeat.
    #[error("{}: these are the settings of `bert {found}`, not of `bert {expected}`", path.display())]
    OtherCommand {
        /// The file of settings.
        path: PathBuf,
        /// The command that made it.
        found: String,
        /// The command that reads it.
        expected: &'static str,
    },
    /// A student that has its own numbers is to begin with those of its teacher.
    #[error("--init-from-teacher needs a config.json as --student, and {student} is not one")]
    NoLayersToTake {
        /// The student.
        student: String,
    },
    /// A file of settings that cannot be used.
    #[error("{}{}: {reason}", path.display(), line.map_or(String::new(), |line| format!(":{line}")))]
    Settings {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: Option<usize>,
        /// What is wrong with it.
        reason: String,
    },
    /// A setting that there is not.
    #[error("{}: unknown key {key:?}; the known ones are {}", path.display(), known.join(", "))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A variable of the environment that means nothing.
    #[error("the environment variable {name} is {found:?}: {reason}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
        /// Why it means nothing.
        reason: String,
    },
    /// A file of examples without one.
    #[error("{} holds no examples", path.display())]
    NoExamples {
        /// The file.
        path: PathBuf,
    },

    /// Two models that cut the same text into other words.
    #[error(
        "{first} and {second} have different tokenizers: they are asked for different tokens, so their figures cannot be compared"
    )]
    OtherTokenizer {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },

    /// A result that cannot be written.
    #[error("cannot write {name}")]
    Write {
        /// The file, or `stdout`.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Results that cannot be put in a CSV file or a JSON document.
    #[error("cannot write the result as {format}")]
    Format {
        /// The format.
        format: &'static str,
        /// What the writer said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// What the user may do, where the message does not say it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoModel { example, .. } => {
                format!("for example --model {example}; the variable BERT_MODEL sets it for all commands")
            }
            Self::Load { kind, example, source } if source.is_wrong_head() => {
                format!("this command needs {kind}, for example --model {example}")
            }
            Self::NoText => "give texts as arguments, `-` for lines of stdin, or --input FILE".to_owned(),
            Self::NoDocument => {
                "name a text file, `-` for stdin, or --input FILE for a document a line".to_owned()
            }
            Self::InputExtension { found, .. } => match found.as_str() {
                "parquet" => "save it as JSON lines, in Python: pandas.read_parquet(FILE).to_json(\"texts.jsonl\", \
                              orient=\"records\", lines=True)"
                    .to_owned(),
                "xlsx" | "xls" | "ods" => "save it as CSV".to_owned(),
                _ => "say what it holds with --input-format".to_owned(),
            },
            Self::NotText { found, .. } if found.starts_with("compressed") => {
                "a file is unpacked if its name ends with .gz or .zst; others, and standard input, have to be text"
                    .to_owned()
            }
            Self::NotAPair { .. } | Self::NoChoices { .. } => {
                "put each text in quotes; for many inputs there is --input FILE".to_owned()
            }
            Self::Column { .. } => "the text is in --column NAME, and --keep NAME takes others along".to_owned(),
            Self::ColumnCount { .. } => "choose a column with --column NAME".to_owned(),
            Self::OutputIsFolder { path } => {
                format!("name a file in it: --output {}", path.join("results.jsonl").display())
            }
            Self::OverInput { .. } => "name another file as --output".to_owned(),
            Self::IsFolder { .. } => {
                "give a file; several can be joined: cat FOLDER/*.txt | bert … -".to_owned()
            }
            Self::Tasks(bert_tasks::Error::Training(error)) => return hint_on_training(error),
            Self::Tasks(bert_tasks::Error::Evaluation(
                EvaluationError::UnknownLabel { .. } | EvaluationError::TaskLabels { .. },
            )) => "name the model's labels in its order: --label-names A,B,C".to_owned(),
            Self::Tasks(bert_tasks::Error::Evaluation(EvaluationError::NoLabels { .. })) => {
                "--predictions FOLDER writes them".to_owned()
            }
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "free some space, or write elsewhere with --output FILE".to_owned()
            }
            _ => return None,
        })
    }
}

fn hint_on_training(error: &TrainingError) -> Option<String> {
    Some(match error {
        TrainingError::NothingToResume { .. } => "start a run without --resume".to_owned(),
        TrainingError::OtherRun { .. } => {
            "--resume with --out alone continues with the settings in the config.toml of the run".to_owned()
        }
        _ => return None,
    })
}

/// An error with its causes, in one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some libraries put the cause into their message too.
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}
