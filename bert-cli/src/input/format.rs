//! What an input is written in.

use std::path::Path;

use bert_tasks::data::format_extension;
use clap::ValueEnum;

use crate::error::{Error, Result};

/// What an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// One text a line; two texts are separated by a tab
    Txt,
    /// A JSON array of strings or of objects with the text in a field, or one such object
    Json,
    /// One JSON value a line: a string, or an object with the text in a field
    #[value(alias = "ndjson")]
    Jsonl,
    /// A header line, then one text a row; fields may stand in quotes
    Csv,
    /// The same with tabs between the fields, and no quotes
    Tsv,
}

impl InputFormat {
    /// The format that the name of a file tells; `None` of a name without an extension.
    ///
    /// # Errors
    /// An extension that is not read.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let Some(extension) = format_extension(path) else { return Ok(None) };
        Ok(Some(match extension.as_str() {
            "txt" | "text" => Self::Txt,
            "json" => Self::Json,
            "jsonl" | "ndjson" => Self::Jsonl,
            "csv" => Self::Csv,
            "tsv" | "tab" => Self::Tsv,
            _ => return Err(Error::InputExtension { path: path.to_owned(), found: extension }),
        }))
    }

    /// Its word, as an option has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
        }
    }
}

/// Separators that have a name.
const NAMED: [(&str, u8); 5] =
    [("comma", b','), ("semicolon", b';'), ("tab", b'\t'), ("pipe", b'|'), ("space", b' ')];

/// A separator of columns, by itself or by its name.
pub fn separator(word: &str) -> Result<u8, String> {
    let named = NAMED.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, byte)| *byte);
    match (named, word.as_bytes()) {
        (Some(byte), _) => Ok(byte),
        (None, br"\t") => Ok(b'\t'),
        (None, [byte]) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r' | b'\0') => Ok(*byte),
        _ => Err("it must be one ASCII character, or comma, semicolon, tab, pipe or space".to_owned()),
    }
}

/// What a separator is called.
pub fn separator_name(separator: u8) -> String {
    let named = NAMED.iter().find(|(_, byte)| *byte == separator);
    named.map_or_else(|| format!("{:?}", char::from(separator)), |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_format_and_others_are_refused() {
        for (name, format) in [
            ("a.txt", Some(InputFormat::Txt)),
            ("a.JSON", Some(InputFormat::Json)),
            ("a.ndjson.gz", Some(InputFormat::Jsonl)),
            ("a.csv.zst", Some(InputFormat::Csv)),
            ("a.tsv", Some(InputFormat::Tsv)),
            ("a", None),
            ("a.gz", None),
            ("/dev/stdin", None),
        ] {
            assert_eq!(InputFormat::of(Path::new(name)).unwrap(), format, "{name}");
        }
        for name in ["a.md", "a.xlsx", "a.parquet", "a.csv.bak", "a.1.gz"] {
            let error = InputFormat::of(Path::new(name)).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(".jsonl"), "{error}");
        }
    }

    #[test]
    fn separators_are_characters_or_names() {
        for (word, byte) in
            [(",", b','), ("tab", b'\t'), ("\t", b'\t'), ("\\t", b'\t'), ("Semicolon", b';'), ("-", b'-')]
        {
            assert_eq!(separator(word), Ok(byte), "{word:?}");
        }
        for word in ["", ";;", "é", "\"", "\n", "comma,"] {
            assert!(separator(word).is_err(), "{word:?}");
        }
    }
}
