//! What can be wrong with one of many inputs.

/// What can be wrong with one input, while the others are fine.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Bytes that are no text.
    #[error("not valid UTF-8 (byte {position} of the text); save it as UTF-8, or use --lossy")]
    NotUtf8 {
        /// The first bad byte, counted from 1.
        position: usize,
    },
    /// More than is read at once.
    #[error("longer than {} MiB; break it into several texts", limit >> 20)]
    TooLong {
        /// The most bytes that are read.
        limit: usize,
    },
    /// A value that is not JSON.
    #[error("not valid JSON ({reason}){}", if *line { "; JSONL holds one whole value per line" } else { "" })]
    Json {
        /// What is wrong with it, and where.
        reason: String,
        /// Whether it is a line of a JSONL file.
        line: bool,
    },
    /// A string that no text can be, such as one with half of a surrogate pair.
    #[error("field {name:?}: {reason}")]
    JsonText {
        /// The field.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A JSON document that does not hold together.
    #[error("not valid JSON: {reason}; what follows is not read")]
    JsonDocument {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An object in which a field that is read stands twice.
    #[error("more than one field {name:?}")]
    Twice {
        /// The field.
        name: String,
    },
    /// A quote of a table that is never closed.
    #[error("a quote is opened here and never closed; a quote inside of a text is doubled, in quotes")]
    OpenQuote,
    /// A line of a JSONL file that is another kind of value.
    #[error("expected {expected}, found {found}")]
    JsonKind {
        /// What would have been right.
        expected: String,
        /// What is there.
        found: &'static str,
    },
    /// An object without the field.
    #[error("no field {name:?}; there are {}; choose one with --column", list(found))]
    NoField {
        /// The field that was looked for.
        name: String,
        /// The fields that are there.
        found: Vec<String>,
    },
    /// A line with too many or too few texts.
    #[error("expected {} separated by tabs, found {found}", list(expected))]
    Tabs {
        /// The texts that belong together.
        expected: Vec<String>,
        /// How many there are.
        found: usize,
    },
    /// A prompt without anything to choose from.
    #[error("a prompt needs at least two choices; found {found}")]
    TooFewChoices {
        /// How many there are.
        found: usize,
    },
    /// A row that breaks the rules of CSV.
    #[error(
        "expected {expected} columns as in the header, found {found}; {}",
        match quotes {
            true => format!("texts with a {separator} need quotes"),
            false => format!("texts cannot hold a {separator}"),
        }
    )]
    Columns {
        /// How many the header has.
        expected: usize,
        /// How many the row has.
        found: usize,
        /// What stands between them.
        separator: String,
        /// Whether fields may stand in quotes.
        quotes: bool,
    },
}

/// Names in quotes, for a message.
pub fn list(names: &[String]) -> String {
    /// A file with a thousand columns needs no message of a thousand names.
    const MOST: usize = 12;
    let mut shown: Vec<String> = names.iter().take(MOST).map(|name| format!("{name:?}")).collect();
    if names.len() > MOST {
        shown.push(format!("{} more", names.len() - MOST));
    }
    match shown.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}
