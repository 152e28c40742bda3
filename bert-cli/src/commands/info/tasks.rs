//! What the commands could do with a model.

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
    /// The same in a few words.
    #[serde(skip)]
    short: String,
}

impl TaskFit {
    /// Of every command.
    pub fn all(files: &Pretrained) -> Vec<Self> {
        let fit = |(task, head)| {
            let Err(error) = files.check_head(head) else {
                return Self { task, can: true, reason: None, short: String::new() };
            };
            let reason = describe(&error);
            let short = match error.is_wrong_head() {
                true => format!("no head for {head}"),
                false => reason.clone(),
            };
            Self { task, can: false, reason: Some(reason), short }
        };
        TASKS.into_iter().map(fit).collect()
    }

    /// What is said of all of them: those that can, and then those that cannot.
    pub fn facts(tasks: &[Self]) -> Vec<(&'static str, String)> {
        let can: Vec<&str> = tasks.iter().filter(|fit| fit.can).map(|fit| fit.task).collect();
        let mut facts = vec![("tasks", if can.is_empty() { "none".to_owned() } else { can.join(", ") })];
        let not = tasks.iter().filter(|fit| !fit.can);
        facts.extend(not.map(|Self { task, short, .. }| ("not", format!("{task}: {short}"))));
        facts
    }
}
