//! In which form results are written.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::error::{Error, Result};

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

    /// CSV with tabs in place of commas
    #[arg(long, group = "form")]
    pub tsv: bool,

    /// Write to a file, which appears only when all of it has been written, in the form that its extension names: .json,
    /// .jsonl, .csv, .tsv or .txt (as for people), and .npy of vectors; `-` is stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// A form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people: colours and bars on a terminal, plain lines elsewhere.
    Text,
    /// One document.
    Json,
    /// One value a line.
    Jsonl,
    /// A table with commas between its columns.
    Csv,
    /// A table with tabs.
    Tsv,
    /// An array of NumPy: a row for each vector.
    Npy,
}

/// What the extensions of files name.
const EXTENSIONS: [(&str, Form); 8] = [
    ("json", Form::Json),
    ("jsonl", Form::Jsonl),
    ("ndjson", Form::Jsonl),
    ("csv", Form::Csv),
    ("tsv", Form::Tsv),
    ("tab", Form::Tsv),
    ("txt", Form::Text),
    ("npy", Form::Npy),
];

impl OutputArgs {
    /// The form that is asked for: by an option, or else by the name of the file. `vectors` tells whether the results are
    /// vectors.
    ///
    /// # Errors
    /// A file whose extension is of no form that can be written.
    pub fn form(&self, vectors: bool) -> Result<Form> {
        let asked = [
            (self.json, Form::Json),
            (self.jsonl, Form::Jsonl),
            (self.csv, Form::Csv),
            (self.tsv, Form::Tsv),
        ];
        if let Some((_, form)) = asked.into_iter().find(|(asked, _)| *asked) {
            return Ok(form);
        }
        let Some(path) = self.output.as_deref().filter(|&path| path != Path::new("-")) else {
            return Ok(Form::Text);
        };
        let Some(extension) = path.extension() else { return Ok(Form::Text) };
        let extension = extension.to_string_lossy().to_ascii_lowercase();
        match EXTENSIONS.iter().find(|(known, _)| *known == extension) {
            Some((_, Form::Npy)) if !vectors => {}
            Some((_, form)) => return Ok(*form),
            // A folder says that it is one.
            None if path.is_dir() => return Ok(Form::Text),
            None => {}
        }
        Err(Error::Extension {
            path: path.to_owned(),
            written: match vectors {
                true => ".json, .jsonl, .csv, .tsv, .txt and .npy",
                false => ".json, .jsonl, .csv, .tsv and .txt",
            },
        })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn form(name: &str, vectors: bool) -> Result<Form, String> {
        let args = OutputArgs { output: Some(name.into()), ..OutputArgs::default() };
        args.form(vectors).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_has_the_form_of_its_extension() {
        for (name, expected) in [
            ("a.json", Form::Json),
            ("a.JSONL", Form::Jsonl),
            ("a.b.csv", Form::Csv),
            ("a.tsv", Form::Tsv),
            ("a.txt", Form::Text),
            ("a", Form::Text),
            ("-", Form::Text),
            ("/dev/null", Form::Text),
            ("a.npy", Form::Npy),
        ] {
            assert_eq!(form(name, true), Ok(expected), "{name}");
        }
        for name in ["a.xlsx", "a.csv.gz", "a.npz", "a.jsn"] {
            let error = form(name, true).unwrap_err();
            assert!(error.contains(name) && error.contains(".npy"), "{error}");
        }
        let error = form("a.npy", false).unwrap_err();
        assert!(error.contains("a.npy") && !error.contains("and .npy"), "{error}");
        let asked = OutputArgs { output: Some("a.xlsx".into()), csv: true, ..OutputArgs::default() };
        assert_eq!(asked.form(false).unwrap(), Form::Csv);
    }
}
