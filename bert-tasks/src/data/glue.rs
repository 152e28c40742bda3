//! The nine tasks of GLUE, as their files are published: which columns hold what differs by task and split, and some
//! have no header.
//!
//! ```
//! use bert_tasks::data::glue::{self, Task};
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("dev.tsv");
//! std::fs::write(&path, "gj04\t1\t\tThe sailors rode the breeze.\n")?;
//! let example = glue::read(&path, Task::Cola)?.next().unwrap()?;
//! assert_eq!((example.text.as_str(), example.label.as_deref()), ("The sailors rode the breeze.", Some("1")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::error::{DataError, Result};
use super::rows::{Reading, Row, Rows, Wanted};
use super::{Format, Lines, Place};

/// A task of GLUE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Whether a sentence is acceptable English.
    Cola,
    /// Whether a film review is positive.
    Sst2,
    /// Whether two sentences say the same.
    Mrpc,
    /// How alike two sentences are, from 0 to 5.
    StsB,
    /// Whether two questions ask the same.
    Qqp,
    /// Whether a sentence entails another, contradicts it, or neither; on the kinds of texts that models learn from.
    MnliMatched,
    /// The same on other kinds of texts.
    MnliMismatched,
    /// Whether a sentence answers a question.
    Qnli,
    /// Whether a text entails a sentence.
    Rte,
    /// Whether a sentence follows from another that has a pronoun in it.
    Wnli,
}

/// A label of a task: how files spell it, and the names that models have for it.
pub type Class = &'static [&'static str];

impl Task {
    /// All of them, in GLUE's order.
    pub const ALL: [Self; 10] = [
        Self::Cola,
        Self::Sst2,
        Self::Mrpc,
        Self::StsB,
        Self::Qqp,
        Self::MnliMatched,
        Self::MnliMismatched,
        Self::Qnli,
        Self::Rte,
        Self::Wnli,
    ];

    /// Its name, which is that of its file in a submission.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cola => "CoLA",
            Self::Sst2 => "SST-2",
            Self::Mrpc => "MRPC",
            Self::StsB => "STS-B",
            Self::Qqp => "QQP",
            Self::MnliMatched => "MNLI-m",
            Self::MnliMismatched => "MNLI-mm",
            Self::Qnli => "QNLI",
            Self::Rte => "RTE",
            Self::Wnli => "WNLI",
        }
    }

    /// The labels; none of STS-B, which has scores. The first name of each is the one in the files.
    pub fn classes(self) -> &'static [Class] {
        match self {
            Self::StsB => &[],
            Self::Cola => &[&["0", "unacceptable", "LABEL_0"], &["1", "acceptable", "LABEL_1"]],
            Self::Sst2 => &[&["0", "negative", "LABEL_0"], &["1", "positive", "LABEL_1"]],
            Self::Mrpc => &[&["0", "not_equivalent", "LABEL_0"], &["1", "equivalent", "LABEL_1"]],
            Self::Qqp => &[&["0", "not_duplicate", "LABEL_0"], &["1", "duplicate", "LABEL_1"]],
            Self::Wnli => &[&["0", "not_entailment", "LABEL_0"], &["1", "entailment", "LABEL_1"]],
            Self::MnliMatched | Self::MnliMismatched => &[&["entailment"], &["neutral"], &["contradiction"]],
            Self::Qnli | Self::Rte => &[&["entailment"], &["not_entailment"]],
        }
    }

    /// The columns of the text, the second text and the label in files with a header.
    fn columns(self) -> [Option<&'static str>; 3] {
        let label = Some("label");
        match self {
            Self::Cola | Self::Sst2 => [Some("sentence"), None, label],
            Self::Mrpc => [Some("#1 String"), Some("#2 String"), Some("Quality")],
            Self::StsB => [Some("sentence1"), Some("sentence2"), Some("score")],
            Self::Qqp => [Some("question1"), Some("question2"), Some("is_duplicate")],
            Self::MnliMatched | Self::MnliMismatched => {
                [Some("sentence1"), Some("sentence2"), Some("gold_label")]
            }
            Self::Qnli => [Some("question"), Some("sentence"), label],
            Self::Rte | Self::Wnli => [Some("sentence1"), Some("sentence2"), label],
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Task {
    type Err = DataError;

    fn from_str(word: &str) -> Result<Self> {
        let plain = |name: &str| name.to_lowercase().replace(['-', '_'], "");
        let found = plain(word.trim());
        let known = Self::ALL.into_iter().find(|task| plain(task.name()) == found);
        known
            .or(match &*found {
                "mnli" | "mnlimatched" => Some(Self::MnliMatched),
                "mnlimismatched" => Some(Self::MnliMismatched),
                _ => None,
            })
            .ok_or_else(|| DataError::Setting {
                setting: "task",
                found: format!("{word:?}"),
                expected: "cola, sst-2, mrpc, sts-b, qqp, mnli-m, mnli-mm, qnli, rte or wnli",
            })
    }
}

/// An example; of a test file, without its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What its answer is filed under in a submission: the number in the file, or the count of those before.
    pub index: String,
    /// The text; the first of two.
    pub text: String,
    /// The second text.
    pub second: Option<String>,
    /// As the file has it.
    pub label: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// Reads a file of a task: any of its splits.
///
/// # Errors
/// A file that cannot be opened. What is wrong inside comes out as an item.
pub fn read(path: impl AsRef<Path>, task: Task) -> Result<Examples> {
    let path = path.as_ref();
    let [text, second, label] = task.columns().map(|name| name.map(str::to_owned));
    // CoLA's files to train and evaluate on have no header, and the label before the text.
    let bare = task == Task::Cola && !has_header(path)?;
    let column = |role, name: &Option<String>, number: usize, required| Wanted {
        role,
        names: &[],
        given: if bare { Some(number.to_string()) } else { name.clone() },
        otherwise: None,
        required,
    };
    let mut wanted = vec![column("text", &text, 4, true), column("label", &label, 2, false)];
    if !bare {
        wanted.push(Wanted { given: None, names: &["index", "id"], ..column("index", &None, 1, false) });
    }
    let pair = second.is_some();
    if pair {
        wanted.push(column("second text", &second, 1, true));
    }
    let reading = Reading { format: Some(Format::Tsv), header: Some(!bare) };
    let index = (!bare).then_some(2);
    Ok(Examples {
        rows: Rows::open(path, &reading, wanted)?,
        index,
        second: pair.then_some(3),
        count: 0,
        task,
    })
}

/// Whether the first line of a file of CoLA names its columns.
fn has_header(path: &Path) -> Result<bool> {
    let mut lines = Lines::open(path)?;
    let first = lines.next_line()?.unwrap_or_default();
    Ok(first.split('\t').any(|name| name.trim() == "sentence"))
}

/// The examples of a file, one at a time; made by [`read`].
pub struct Examples {
    rows: Rows,
    /// Where rows have the number of their example, and the second text.
    index: Option<usize>,
    second: Option<usize>,
    count: u64,
    task: Task,
}

impl Examples {
    fn example(&mut self, mut row: Row) -> Result<Example> {
        let text = row.text(0, "text")?;
        let label = row.optional_text(1, "label")?;
        let number = self.index.map(|at| row.optional_text(at, "index")).transpose()?.flatten();
        let second = self.second.map(|at| row.text(at, "second text")).transpose()?;
        let index = number.unwrap_or_else(|| self.count.to_string());
        self.count += 1;
        if let Some(label) = &label {
            let classes = self.task.classes();
            if !classes.is_empty() && !classes.iter().any(|class| class[0] == label) {
                let expected = classes.iter().map(|class| class[0]).collect::<Vec<_>>().join(" or ");
                return Err(row.wrong("label", &label.as_str().into(), expected));
            }
        }
        Ok(Example { index, text, second, label, place: row.place })
    }
}

impl Iterator for Examples {
    type Item = Result<Example>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(row.and_then(|row| self.example(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number, the texts and the label of an example.
    type Parts = (String, String, Option<String>, Option<String>);

    fn read_text(task: Task, text: &str) -> Result<Vec<Parts>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.tsv");
        std::fs::write(&path, text).unwrap();
        let parts = |example: Example| (example.index, example.text, example.second, example.label);
        read(&path, task)?.map(|example| example.map(parts)).collect()
    }

    /// The first lines of each file as GLUE publishes it: to evaluate on, and to predict.
    #[test]
    fn every_task_has_its_columns() {
        let mnli = "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t\
            sentence2_parse\tsentence1\tsentence2";
        let (mnli_dev, mnli_test) = (
            format!(
                "{mnli}\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label\n\
                0\t1\t1c\tg\tp\tp\tp\tp\ta\tb\tneutral\tneutral\tentailment\tneutral\tneutral\tneutral\n"
            ),
            format!("{mnli}\n9\t1\t1c\tg\tp\tp\tp\tp\ta\tb\n"),
        );
        for (task, file, index, second, label) in [
            (Task::Cola, "gj04\t1\t\ta\n", "0", None, Some("1")),
            (Task::Cola, "index\tsentence\n7\ta\n", "7", None, None),
            (Task::Sst2, "sentence\tlabel\na\t0\n", "0", None, Some("0")),
            (Task::Sst2, "index\tsentence\n3\ta\n", "3", None, None),
            (
                Task::Mrpc,
                "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t8\t9\ta\tb\n",
                "0",
                Some("b"),
                Some("1"),
            ),
            (Task::Mrpc, "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n4\t8\t9\ta\tb\n", "4", Some("b"), None),
            (
                Task::StsB,
                "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n\
                    5\tg\tf\t2012\t24\tx\ty\ta\tb\t3.8\n",
                "5",
                Some("b"),
                Some("3.8"),
            ),
            (
                Task::Qqp,
                "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n6\t1\t2\ta\tb\t0\n",
                "6",
                Some("b"),
                Some("0"),
            ),
            (Task::Qqp, "id\tquestion1\tquestion2\n6\ta\tb\n", "6", Some("b"), None),
            (Task::MnliMatched, &mnli_dev, "0", Some("b"), Some("neutral")),
            (Task::MnliMismatched, &mnli_test, "9", Some("b"), None),
            (
                Task::Qnli,
                "index\tquestion\tsentence\tlabel\n2\ta\tb\tentailment\n",
                "2",
                Some("b"),
                Some("entailment"),
            ),
            (Task::Rte, "index\tsentence1\tsentence2\n2\ta\tb\n", "2", Some("b"), None),
            (Task::Wnli, "index\tsentence1\tsentence2\tlabel\n2\ta\tb\t1\n", "2", Some("b"), Some("1")),
        ] {
            let owned = |text: &str| text.to_owned();
            let expected = (owned(index), owned("a"), second.map(owned), label.map(owned));
            assert_eq!(read_text(task, file).unwrap(), [expected], "{task}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (task, file, wrong) in [
            (Task::Cola, "gj04\t2\t\ta\n", "file.tsv:1: the label is \"2\"; it must be 0 or 1"),
            (Task::Rte, "index\tsentence1\tsentence2\tlabel\n2\ta\tb\tneutral\n", "file.tsv:2: the label"),
            (Task::Sst2, "text\tlabel\na\t0\n", "no column for the text"),
            (Task::Sst2, "sentence\tlabel\na\tb\t0\n", "file.tsv:2: 3 fields"),
        ] {
            let error = read_text(task, file).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn tasks_are_named_by_words() {
        for task in Task::ALL {
            assert_eq!(task.to_string().to_lowercase().parse::<Task>().unwrap(), task);
        }
        assert_eq!("mnli".parse::<Task>().unwrap(), Task::MnliMatched);
        assert_eq!("STSB".parse::<Task>().unwrap(), Task::StsB);
        assert!("ax".parse::<Task>().unwrap_err().to_string().contains("wnli"));
    }
}
