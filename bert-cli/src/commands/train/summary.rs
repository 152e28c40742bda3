//! How a run ended.

use std::borrow::Cow;
use std::io;

use bert_tasks::training::Evaluation;
use serde::Serialize;

use crate::output::{Page, Record};
use crate::style::{thousands, visible};

/// What came out of a run.
#[derive(Serialize)]
pub struct Trained {
    /// Steps in all.
    pub steps: u64,
    /// The best evaluation, which is that of the model.
    pub best: Option<Evaluation>,
    /// How many examples an epoch has.
    pub examples: usize,
    /// Where the model is.
    pub folder: String,
}

impl Record for Trained {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        ["steps", "metric", "value", "examples", "folder"].map(Cow::Borrowed).to_vec()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let (metric, value) = match &self.best {
            Some(best) => (best.metric.clone(), best.value.to_string()),
            None => Default::default(),
        };
        vec![vec![self.steps.to_string(), metric, value, self.examples.to_string(), self.folder.clone()]]
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        page.table(|table| {
            writeln!(table, "  steps\t{}", thousands(self.steps))?;
            writeln!(table, "  examples\t{}", thousands(self.examples as u64))?;
            if let Some(best) = &self.best {
                let examples = thousands(best.examples as u64);
                writeln!(table, "  {}\t{:.4} of {examples} others", visible(&best.metric), best.value)?;
                for (name, value) in &best.details {
                    writeln!(table, "  {}\t{value:.4}", visible(name))?;
                }
            }
            writeln!(table, "  model\t{}", visible(&self.folder))
        })
    }
}
