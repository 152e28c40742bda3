//! The options that say where texts come from.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::format::{InputFormat, separator};
use crate::error::{Error, Result};

/// How texts are read from a file or from standard input.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Read texts from a file: .txt (a text a line), .json, .jsonl, .csv or .tsv, each also compressed as .gz or .zst;
    /// `-` is standard input
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,

    /// Read the input as this format, whatever the file is called. Standard input and files without an extension are
    /// txt, if not given
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub input_format: Option<InputFormat>,

    /// What stands between the columns of a table: a character, or its name (comma, semicolon, tab, pipe, space); the
    /// header tells it, if not given
    #[arg(long, value_name = "CHARACTER", value_parser = separator, allow_hyphen_values = true)]
    pub delimiter: Option<u8>,

    /// The JSON field or the column with the text; `meta.text` is the field text inside the field meta. Give it once for
    /// each text that a command takes at a time; where it takes one, several are joined
    #[arg(long, value_name = "NAME")]
    pub column: Vec<String>,

    /// What is put between the texts of several columns; a blank, if not given
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub join: Option<String>,

    /// Copy this column or field into the results (JSON, JSONL, CSV, TSV); may be given several times; `all` stands for
    /// every column that is no text. A name that the results have already gets the prefix input_
    #[arg(long, value_name = "NAME")]
    pub keep: Vec<String>,

    /// Read the whole file as one text
    #[arg(long, conflicts_with_all = ["input_format", "delimiter", "column", "keep"])]
    pub whole_file: bool,

    /// Replace bytes that are not UTF-8 instead of reporting the line
    #[arg(long)]
    pub lossy: bool,

    /// Stop at the first text that cannot be read or answered
    #[arg(long, conflicts_with = "max_errors")]
    pub fail_fast: bool,

    /// Stop when more than COUNT texts could not be read or answered; if not given, all others are answered
    #[arg(long, value_name = "COUNT")]
    pub max_errors: Option<u64>,
}

impl InputArgs {
    /// An option that says how to read a file, if one is set.
    pub fn needs_file(&self) -> Option<&'static str> {
        let set = [
            ("--input-format", self.input_format.is_some()),
            ("--column", !self.column.is_empty()),
            ("--delimiter", self.delimiter.is_some()),
            ("--keep", !self.keep.is_empty()),
            ("--whole-file", self.whole_file),
        ];
        set.into_iter().find(|(_, set)| *set).map(|(name, _)| name)
    }

    /// Sees to it that the format has what the options ask for.
    ///
    /// # Errors
    /// An option for tables or JSON with a format that is none.
    pub fn check(&self, format: InputFormat) -> Result<()> {
        let table = matches!(format, InputFormat::Csv | InputFormat::Tsv);
        let fields = format != InputFormat::Txt;
        let needs = [
            ("--column", !self.column.is_empty(), fields, "a CSV, TSV or JSON input"),
            ("--keep", !self.keep.is_empty(), fields, "a CSV, TSV or JSON input"),
            ("--delimiter", self.delimiter.is_some(), table, "a CSV or TSV input"),
        ];
        match needs.into_iter().find(|(_, set, has, _)| *set && !has) {
            Some((option, .., needs)) => Err(Error::NeedsFormat { option, needs, found: format.word() }),
            None => Ok(()),
        }
    }

    /// The most inputs that may fail before the run is given up.
    pub fn most_errors(&self) -> Option<u64> {
        if self.fail_fast { Some(0) } else { self.max_errors }
    }
}
