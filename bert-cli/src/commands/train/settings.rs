//! The settings of a run: flags, the same as keys of a TOML file, and the file that repeats a run.

use std::fmt::Write;
use std::path::Path;

use bert_tasks::training::TrainOptions;
use clap::{Arg, Args, Command};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::options::OptionArgs;
use super::source::FileArgs;
use crate::error::{Error, Result};
use crate::input::read_text;

/// The key that says which command a file of settings is of.
const COMMAND: &str = "command";

/// All settings of a task; `C` are the columns of its files.
#[derive(Args, Clone, Debug)]
pub struct Settings<C: Columns> {
    #[command(flatten)]
    pub files: FileArgs,
    #[command(flatten)]
    pub columns: C,
    #[command(flatten)]
    pub options: OptionArgs,
}

/// The settings that a task has of its own: how its files are read, and how it is usually trained.
pub trait Columns: Args + Clone + std::fmt::Debug + Serialize + DeserializeOwned {
    /// What the trainer is told where nothing is said.
    fn usual() -> TrainOptions {
        TrainOptions::default()
    }
}

/// Has the help of a setting tell the default of a task, where it is another than that of most.
pub fn tell_usual<C: Columns>(arg: Arg) -> Arg {
    let settings = |options| table_of(&OptionArgs::from(options)).expect("settings are numbers and words");
    let (most, own) = (settings(TrainOptions::default()), settings(C::usual()));
    let key = arg.get_long().unwrap_or_default();
    let Some(value) = own.get(key).filter(|value| most.get(key) != Some(value)) else { return arg };
    let value = match value {
        Value::String(word) => word.clone(),
        Value::Float(rate) => format!("{rate:e}"),
        other => other.to_string(),
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.split_once(" [default: ").map_or(&*help, |(help, _)| help);
    arg.help(format!("{help} [default: {value}]"))
}

impl<C: Columns> Settings<C> {
    /// What the trainer is told.
    pub fn options(&self) -> TrainOptions {
        let options = self.options.options(C::usual());
        match self.files.teacher.is_some() {
            true => TrainOptions { distillation: Some(options.distillation.unwrap_or_default()), ..options },
            false => options,
        }
    }

    /// These settings, and those of a file where nothing was set.
    ///
    /// # Errors
    /// A file that cannot be read, is no TOML, says what it cannot, or is that of another command.
    pub fn over_file(&self, path: &Path, command: &'static str) -> Result<Self> {
        let mut table = read(path, command, &Self::keys())?;
        let wrong = |error| settings_error(path, None, &error);
        // What is wrong in the file is wrong under a flag, too.
        Self::of(&table).map_err(wrong)?;
        for group in [table_of(&self.files), table_of(&self.columns), table_of(&self.options)] {
            table.extend(group?);
        }
        Self::of(&table).map_err(wrong)
    }

    fn of(table: &Table) -> Result<Self, toml::de::Error> {
        Ok(Self {
            files: table.clone().try_into()?,
            columns: table.clone().try_into()?,
            options: table.clone().try_into()?,
        })
    }

    /// The file that says the same.
    ///
    /// # Errors
    /// A path that is no UTF-8.
    pub fn to_toml(&self, command: &str) -> Result<String> {
        let mut text = "# The settings of this run. To do it again:\n".to_owned();
        let _ = writeln!(text, "# bert {command} --config THIS-FILE --out ANOTHER-FOLDER\n");
        let _ = writeln!(text, "{COMMAND} = {command:?}");
        for group in [lines_of(&self.files), lines_of(&self.columns), lines_of(&self.options)] {
            text.push_str(&group?);
        }
        Ok(text)
    }

    /// The keys that a file may have.
    fn keys() -> Vec<String> {
        let command = Self::augment_args(Command::new(""));
        command.get_arguments().filter_map(Arg::get_long).map(str::to_owned).collect()
    }
}

fn table_of(group: &impl Serialize) -> Result<Table> {
    Table::try_from(group).map_err(|error| Error::Format { format: "TOML", source: error.into() })
}

fn lines_of(group: &impl Serialize) -> Result<String> {
    toml::to_string(group).map_err(|error| Error::Format { format: "TOML", source: error.into() })
}

/// Reads a file of a command, whose keys are all known; `batch_size` is `batch-size`.
fn read(path: &Path, command: &'static str, known: &[String]) -> Result<Table> {
    let text = read_text(path, false)?;
    let mut table: Table = toml::from_str(&text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        settings_error(path, line, &error)
    })?;
    if let Some(found) = table.remove(COMMAND)
        && found.as_str() != Some(command)
    {
        let found = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
        return Err(Error::OtherCommand { path: path.to_owned(), found, expected: command });
    }
    let mut read = Table::new();
    for (key, value) in table {
        let name = key.replace('_', "-");
        if !known.contains(&name) {
            return Err(Error::UnknownKey { path: path.to_owned(), key, known: known.to_vec() });
        }
        // A column may be given by its number, which a flag has as text.
        let value = match value {
            Value::Integer(number) if name.ends_with("-column") => Value::String(number.to_string()),
            value => value,
        };
        if read.insert(name, value).is_some() {
            let reason = format!("{key} is set twice, with - and with _");
            return Err(Error::Settings { path: path.to_owned(), line: None, reason });
        }
    }
    Ok(read)
}

fn settings_error(path: &Path, line: Option<usize>, error: &toml::de::Error) -> Error {
    let mut reason = error.message().trim().replace('\n', ", ");
    // Where it stands in the file, the line says.
    if line.is_none()
        && let Some((_, key)) = error.to_string().trim().rsplit_once("in `")
    {
        let _ = write!(reason, " in {}", key.trim_end_matches('`'));
    }
    Error::Settings { path: path.to_owned(), line, reason }
}
