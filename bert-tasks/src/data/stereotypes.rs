//! Pairs of sentences of which one says a stereotype and the other does not: CrowS-Pairs and WinoBias.
//!
//! ```
//! use bert_tasks::data::stereotypes;
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("crows_pairs.csv");
//! std::fs::write(&path, ",sent_more,sent_less,stereo_antistereo,bias_type\n\
//!                        0,Women cannot drive.,Men cannot drive.,stereo,gender\n")?;
//! let pairs = stereotypes::read(&path)?;
//! assert_eq!((pairs[0].more.as_str(), pairs[0].kind.as_str()), ("Women cannot drive.", "gender"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! CrowS-Pairs (Nangia et al., 2020) is a CSV file with the columns `sent_more`, `sent_less` and `bias_type`. WinoBias
//! (Zhao et al., 2018) is two files whose lines correspond, `pro_stereotyped_…` and `anti_stereotyped_…`; either is
//! given, and the other is looked for beside it.

use std::path::Path;

use super::error::{DataError, Result};
use super::rows::{Format, Reading, Rows, Wanted};
use super::{Lines, Place};

/// Two sentences that differ in who they speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The sentence that goes with the stereotype.
    pub more: String,
    /// The one that goes less with it, or against it.
    pub less: String,
    /// What it is about, such as `gender`.
    pub kind: String,
    /// Where it stands.
    pub place: Place,
}

/// Reads the pairs of a file, by whichever form it has.
///
/// # Errors
/// A file that cannot be read; a file of WinoBias without the other one beside it, or of other lines.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<Pair>> {
    let path = path.as_ref();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.contains(PRO) || name.contains(ANTI) {
        true => winobias(path, &name),
        false => crows(path),
    }
}

const PRO: &str = "pro_stereotyped";
const ANTI: &str = "anti_stereotyped";

fn crows(path: &Path) -> Result<Vec<Pair>> {
    let wanted = vec![
        Wanted::required("stereotype", &["sent_more"], &None),
        Wanted::required("other sentence", &["sent_less"], &None),
        Wanted::optional("kind of bias", &["bias_type"], &None),
    ];
    let format = Format::of(path).or(Some(Format::Csv { separator: b',' }));
    let rows = Rows::open(path, &Reading { format, header: Some(true) }, wanted)?;
    rows.map(|row| {
        let mut row = row?;
        let kind = row.optional_text(2, "kind of bias")?.unwrap_or_else(|| "all".to_owned());
        Ok(Pair {
            more: row.text(0, "stereotype")?,
            less: row.text(1, "other sentence")?,
            kind,
            place: row.place,
        })
    })
    .collect()
}

fn winobias(path: &Path, name: &str) -> Result<Vec<Pair>> {
    // "anti_stereotyped" does not hold "pro_stereotyped".
    let (pro, anti) = match name.contains(ANTI) {
        true => (path.with_file_name(name.replace(ANTI, PRO)), path.to_owned()),
        false => (path.to_owned(), path.with_file_name(name.replace(PRO, ANTI))),
    };
    let (mut pros, mut antis) = (Lines::open(pro)?, Lines::open(anti)?);
    let mut pairs = vec![];
    loop {
        match (pros.next_line()?, antis.next_line()?) {
            (None, None) => return Ok(pairs),
            (Some(more), Some(less)) if more.trim().is_empty() && less.trim().is_empty() => continue,
            (Some(more), Some(less)) => {
                let (more, less) = (sentence(more), sentence(less));
                pairs.push(Pair { more, less, kind: "gender".to_owned(), place: pros.place().clone() });
            }
            (more, _) => {
                let expected = "as many lines as the file beside it".to_owned();
                let found = if more.is_some() { "more lines" } else { "fewer lines" }.to_owned();
                let place = pros.place().clone();
                return Err(DataError::Field { place, field: "the file", found, expected });
            }
        }
    }
}

/// `12 [The developer] argued because [he] was late.` without its number and its brackets.
fn sentence(line: &str) -> String {
    let line = line.trim();
    let line = line
        .split_once(' ')
        .filter(|(number, _)| number.parse::<u64>().is_ok())
        .map_or(line, |(_, rest)| rest);
    line.replace(['[', ']'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_of_winobias_give_the_same_pairs() {
        let folder = tempfile::tempdir().unwrap();
        let [pro, anti] =
            ["pro", "anti"].map(|kind| folder.path().join(format!("{kind}_stereotyped_type1.txt.dev")));
        std::fs::write(&pro, "1 [The nurse] said [she] was late.\n2 [The guard] ran as [he] fell.\n")
            .unwrap();
        assert!(matches!(read(&pro), Err(DataError::Open { .. })));
        std::fs::write(&anti, "1 [The nurse] said [he] was late.\n2 [The guard] ran as [she] fell.\n")
            .unwrap();
        let pairs = read(&pro).unwrap();
        assert_eq!((pairs.len(), &pairs), (2, &read(&anti).unwrap()));
        assert_eq!(pairs[1].more, "The guard ran as he fell.");
        assert_eq!(pairs[1].less, "The guard ran as she fell.");
        std::fs::write(&anti, "1 [The nurse] said [he] was late.\n").unwrap();
        assert!(read(&pro).unwrap_err().to_string().contains("more lines"));
    }

    #[test]
    fn a_table_needs_its_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.csv");
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("sent_more"));
    }
}
