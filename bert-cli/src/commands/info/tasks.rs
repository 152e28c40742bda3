//! What the commands could do with a model.

use std::fmt;

use bert_tasks::{Head, Pretrained};
use serde::Serialize;

use crate::error::describe;

/// The commands that run a model, each with the head that it needs.
const TASKS: [(&str, Head); 14] = [
    ("fill-mask", Head::MaskedLm),
    ("next-sentence", Head::NextSentence),
    ("answer", Head::QuestionAnswering),
    ("entities", Head::TokenClassification),
    ("sentiment", Head::SequenceClassification),
    ("choose", Head::MultipleChoice),
    ("embed", Head::None),
    ("embed --sparse", Head::Sparse),
    ("similarity", Head::None),
    ("features", Head::None),
    ("summarize", Head::None),
    ("complete", Head::MaskedLm),
    ("generate", Head::MaskedLm),
    ("bias", Head::MaskedLm),
];

/// Whether a command can use a model.
#[derive(Serialize)]
pub struct TaskFit {
    /// The command.
    task: &'static str,
    can: bool,
    /// Why it cannot.
    reason: Option<String>,
}

impl TaskFit {
    /// Of every command.
    pub fn all(files: &Pretrained) -> Vec<Self> {
        let fit = |(task, head)| {
            let reason = files.check_head(head).err().map(|error| describe(&error));
            Self { task, can: reason.is_none(), reason }
        };
        TASKS.into_iter().map(fit).collect()
    }

    /// What is said of all of them: those that can, and for each reason those that cannot.
    pub fn facts(tasks: &[Self]) -> Vec<(&'static str, String)> {
        let can: Vec<&str> = tasks.iter().filter(|fit| fit.can).map(|fit| fit.task).collect();
        let mut facts = vec![("tasks", if can.is_empty() { "none".to_owned() } else { can.join(", ") })];
        facts.extend(tasks.iter().filter(|fit| !fit.can).map(|fit| ("not", fit.to_string())));
        facts
    }
}

impl fmt::Display for TaskFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            None => f.write_str(self.task),
            Some(reason) => write!(f, "{}: {reason}", self.task),
        }
    }
}
