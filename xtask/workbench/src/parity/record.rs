//! An objective that writes down which examples a run sees.

use std::cell::RefCell;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use bert_core::ModelConfig;
use bert_core::graph::Head;
use bert_tasks::training::{Evaluation, Objective, Report, Scorer, Target, TrainingExample};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// An objective, and the examples that were asked of it.
pub struct Recording<'a> {
    objective: &'a dyn Objective,
    seen: RefCell<Vec<Value>>,
}

impl<'a> Recording<'a> {
    pub fn new(objective: &'a dyn Objective) -> Self {
        Self { objective, seen: RefCell::default() }
    }

    /// Writes the steps of a run as a line of JSON each: `batches.jsonl`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, reports: &[Report], batch_size: usize, out: &Path) -> Result<()> {
        let path = out.join("batches.jsonl");
        let fail = Error::file("write", &path);
        let seen = self.seen.borrow();
        let steps: Vec<_> = reports.iter().filter(|report| matches!(report, Report::Step { .. })).collect();
        let each_epoch = self.objective.examples().div_ceil(batch_size);
        let sizes: Vec<_> = (0..steps.len())
            .map(|step| match (step + 1) % each_epoch {
                0 => self.objective.examples() - (each_epoch - 1) * batch_size,
                _ => batch_size,
            })
            .collect();
        // What was looked at before the first step, to know the data again, comes first.
        let mut examples = seen[seen.len() - sizes.iter().sum::<usize>()..].iter();
        let mut write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(std::fs::File::create(&path)?);
            for (report, size) in steps.iter().zip(&sizes) {
                let Report::Step { step, loss, learning_rate, grad_norm, .. } = report else { continue };
                let examples: Vec<_> = examples.by_ref().take(*size).collect();
                let line = json!({
                    "step": step, "loss": loss, "learning_rate": learning_rate, "grad_norm": grad_norm,
                    "examples": examples,
                });
                writeln!(file, "{line}")?;
            }
            file.flush()
        };
        write().map_err(fail)
    }
}

fn described(example: &TrainingExample) -> Value {
    let sequences: Vec<_> = example
        .sequences
        .iter()
        .map(
            |sequence| json!({"ids": sequence.ids, "segments": sequence.segments, "masked": sequence.masked}),
        )
        .collect();
    let target = match &example.target {
        Target::Words { words, is_next } => json!({"words": words, "is_next": is_next}),
        Target::Tokens(labels) => json!({"tokens": labels}),
        Target::Class(class) => json!({"class": class}),
        Target::Labels(labels) => json!({"labels": labels}),
        Target::Number(number) => json!({"number": number}),
        Target::Span(span) => json!({"span": span}),
        Target::Choice(choice) => json!({"choice": choice}),
        other => json!({"other": format!("{other:?}")}),
    };
    json!({"sequences": sequences, "target": target})
}

impl Objective for Recording<'_> {
    fn head(&self) -> Head {
        self.objective.head()
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        self.objective.configure(base)
    }

    fn examples(&self) -> usize {
        self.objective.examples()
    }

    fn example(&self, epoch: u64, index: usize, max_length: usize) -> bert_tasks::Result<TrainingExample> {
        let example = self.objective.example(epoch, index, max_length)?;
        self.seen.borrow_mut().push(described(&example));
        Ok(example)
    }

    fn files(&self) -> &[(String, String)] {
        self.objective.files()
    }

    fn evaluate(&self, model: &Scorer<'_>) -> bert_tasks::Result<Option<Evaluation>> {
        self.objective.evaluate(model)
    }
}

/// The same objective without its evaluation.
pub struct Unscored<'a>(pub &'a dyn Objective);

impl Objective for Unscored<'_> {
    fn head(&self) -> Head {
        self.0.head()
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        self.0.configure(base)
    }

    fn examples(&self) -> usize {
        self.0.examples()
    }

    fn example(&self, epoch: u64, index: usize, max_length: usize) -> bert_tasks::Result<TrainingExample> {
        self.0.example(epoch, index, max_length)
    }

    fn files(&self) -> &[(String, String)] {
        self.0.files()
    }

    fn evaluate(&self, _: &Scorer<'_>) -> bert_tasks::Result<Option<Evaluation>> {
        Ok(None)
    }
}
