//! The nine tasks of GLUE: its figures, and its files of predictions.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::metrics::classification::{ClassFigure, ClassFigures};
use super::super::metrics::correlation::Correlations;
use super::super::run::answer_each;
use super::super::whole_file::WholeFile;
use super::super::{EvaluationError, Judged, Outcome};
use super::classification::{LabelMap, TextFigures, TextObservation, input};
use crate::data::DataError;
use crate::data::glue::{Example, Task as Glue};
use crate::text_classification::{Classification, Text};
use crate::{Error, Task, TextClassification};

/// Which of the task's labels each label of the model is.
///
/// Checkpoints disagree on the order, so labels are matched by their names alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlueLabels {
    /// For each label of the model, the number of the task's; `None` for one that the task does not have.
    classes: Vec<Option<usize>>,
}

impl GlueLabels {
    /// Matches labels by name.
    ///
    /// # Errors
    /// [`EvaluationError::TaskLabels`] if the model has no label of a name that one of the task's goes by;
    /// [`EvaluationError::Outputs`] for scores of a model with more than one output.
    pub fn new(task: Glue, labels: &LabelMap) -> Result<Self, EvaluationError> {
        let count = labels.names().len();
        if task.classes().is_empty() && count != 1 {
            return Err(EvaluationError::Outputs { found: count });
        }
        let mut classes = vec![None; count];
        for (class, names) in task.classes().iter().enumerate() {
            let own = names.iter().find_map(|name| labels.find(name));
            let own = own.ok_or_else(|| EvaluationError::TaskLabels {
                task: task.name(),
                wanted: names.to_vec(),
                known: labels.names().to_vec(),
            })?;
            classes[own] = Some(class);
        }
        Ok(Self { classes })
    }
}

/// GLUE's figures of a task.
fn measure(task: Glue) -> TextFigures {
    let figures = match task {
        Glue::StsB => return TextFigures::Scores(Correlations),
        Glue::Cola => vec![ClassFigure::Matthews],
        Glue::Mrpc | Glue::Qqp => vec![ClassFigure::F1(1), ClassFigure::Accuracy],
        _ => vec![ClassFigure::Accuracy],
    };
    let names = task.classes().iter().map(|class| class[0].to_owned());
    // What the model has beside the task's labels is always wrong.
    TextFigures::Classes(ClassFigures { names: names.chain(["another".to_owned()]).collect(), figures })
}

/// A file of predictions as GLUE takes it: `index<TAB>prediction`.
pub struct Submission {
    file: WholeFile,
}

impl Submission {
    /// Begins the file of a task in a folder, which is made if need be.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn create(folder: &Path, task: Glue) -> Result<Self, EvaluationError> {
        let mut file = WholeFile::create(folder.join(format!("{}.tsv", task.name())))?;
        file.write("index\tprediction\n")?;
        Ok(Self { file })
    }

    fn add(&mut self, index: &str, prediction: &str) -> Result<(), EvaluationError> {
        self.file.write(&format!("{index}\t{prediction}\n"))
    }

    /// Gives the file its name, which is returned.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(self) -> Result<PathBuf, EvaluationError> {
        self.file.finish()
    }
}

/// Evaluates a classifier on the examples of a task; those without a label are only predicted.
///
/// # Errors
/// What is wrong with an example; a submission that cannot be written; an error of `each`.
pub fn evaluate<E: From<Error>>(
    task: &TextClassification,
    glue: Glue,
    labels: &GlueLabels,
    examples: impl IntoIterator<Item = Result<Example, DataError>>,
    mut submission: Option<&mut Submission>,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<TextFigures>, E> {
    let mut outcome = Outcome::new(measure(glue));
    let ask = |example: &Example| Text { text: example.text.clone(), pair: example.second.clone() };
    answer_each(
        task,
        examples,
        ask,
        |example| Some(example.place.clone()),
        |example, answer| {
            let found = match glue {
                Glue::StsB => Found::Score(f64::from(answer.scores[0].score)),
                _ => Found::Class(class(task, labels, &answer)),
            };
            if let Some(submission) = &mut submission {
                let written = submission.add(&example.index, &found.written(glue));
                written.map_err(|error| E::from(error.into()))?;
            }
            let kept = observe(glue, &example, &found).map_err(|error| E::from(error.into()))?;
            let judged = Judged {
                line: Judged::at(&example.place),
                id: Some(example.index),
                input: input(&example.text, example.second.as_deref()),
                gold: json!(example.label),
                answer: match found {
                    Found::Score(score) => json!(score),
                    Found::Class(_) => json!(answer.scores[0].label),
                },
                score: matches!(found, Found::Class(_)).then(|| f64::from(answer.scores[0].score)),
                right: match &kept {
                    Some(TextObservation::Class([gold, answer])) => Some(gold == answer),
                    _ => None,
                },
                cut: answer.truncated.iter().any(Option::is_some),
            };
            if let Some(observation) = kept {
                outcome.keep(observation, &judged);
            }
            each(judged)
        },
    )?;
    Ok(outcome)
}

/// What the model said, in the terms of the task.
enum Found {
    Class(Option<usize>),
    Score(f64),
}

impl Found {
    /// As a submission has it.
    fn written(&self, glue: Glue) -> String {
        match self {
            // GLUE's own scores lie in this range.
            Self::Score(score) => format!("{:.3}", score.clamp(0.0, 5.0)),
            Self::Class(Some(class)) => glue.classes()[*class][0].to_owned(),
            // A label that the task does not have cannot be handed in; any of its own is as wrong.
            Self::Class(None) => glue.classes()[0][0].to_owned(),
        }
    }
}

fn class(task: &TextClassification, labels: &GlueLabels, answer: &Classification) -> Option<usize> {
    let names = &task.session().config().labels;
    let own = names.iter().position(|name| *name == answer.scores[0].label)?;
    labels.classes[own]
}

/// What is kept of an example; nothing of one without a label.
fn observe(glue: Glue, example: &Example, found: &Found) -> Result<Option<TextObservation>, DataError> {
    let Some(label) = &example.label else { return Ok(None) };
    Ok(Some(match found {
        Found::Class(class) => {
            let classes = glue.classes();
            let gold = classes.iter().position(|class| class[0] == label);
            // The reader takes no other labels.
            let gold = gold.unwrap_or(classes.len());
            TextObservation::Class([gold, class.unwrap_or(classes.len())].map(|number| number as u32))
        }
        Found::Score(score) => {
            let gold: f64 = label.trim().parse().map_err(|_| DataError::Field {
                place: example.place.clone(),
                field: "score",
                found: format!("{label:?}"),
                expected: "a number".to_owned(),
            })?;
            TextObservation::Score([gold, *score])
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(task: Glue, names: &[&str]) -> Result<Vec<Option<usize>>, EvaluationError> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        GlueLabels::new(task, &LabelMap::new(&names, None).unwrap()).map(|labels| labels.classes)
    }

    #[test]
    fn labels_are_matched_by_name_whatever_their_order() {
        for (task, names, expected) in [
            (Glue::MnliMatched, &["CONTRADICTION", "NEUTRAL", "ENTAILMENT"][..], [Some(2), Some(1), Some(0)]),
            (Glue::MnliMatched, &["entailment", "neutral", "contradiction"], [Some(0), Some(1), Some(2)]),
            (Glue::Sst2, &["POSITIVE", "NEGATIVE", "mixed"], [Some(1), Some(0), None]),
        ] {
            assert_eq!(labels(task, names).unwrap(), expected);
        }
        assert_eq!(labels(Glue::Cola, &["LABEL_0", "LABEL_1"]).unwrap(), [Some(0), Some(1)]);
        // The files of RTE have words, and LABEL_1 says nothing about words.
        let error = labels(Glue::Rte, &["LABEL_0", "LABEL_1"]).unwrap_err().to_string();
        assert!(error.contains("RTE's entailment; it has LABEL_0, LABEL_1"), "{error}");
        assert!(matches!(labels(Glue::StsB, &["a", "b"]), Err(EvaluationError::Outputs { found: 2 })));
        assert!(labels(Glue::StsB, &["LABEL_0"]).is_ok());
    }

    #[test]
    fn predictions_are_written_as_glue_has_them() {
        assert_eq!(Found::Score(5.3).written(Glue::StsB), "5.000");
        assert_eq!(Found::Score(-0.1).written(Glue::StsB), "0.000");
        assert_eq!(Found::Score(2.34567).written(Glue::StsB), "2.346");
        assert_eq!(Found::Class(Some(2)).written(Glue::MnliMatched), "contradiction");
        assert_eq!(Found::Class(Some(1)).written(Glue::Qqp), "1");
    }
}
