//! Texts, or pairs of texts, with one label, several, or a score.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::metrics::classification::{ClassFigure, ClassFigures, LabelSetFigures};
use super::super::metrics::correlation::Correlations;
use super::super::run::answer_each;
use super::super::{EvaluationError, Judged, Measure, Outcome};
use crate::data::classification::{Example, Label};
use crate::data::{DataError, Place};
use crate::text_classification::{Classification, Text};
use crate::{Error, ProblemType, Task, TextClassification};

/// What the model calls the labels of the examples.
///
/// A label of an example is the model's label of the same name, whatever its case; `3` is also `LABEL_3`, the name
/// that `transformers` gives to labels without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    /// By the model's numbers.
    names: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl LabelMap {
    /// The labels of a model, by its own names or, in its order, by others.
    ///
    /// # Errors
    /// [`EvaluationError::LabelNames`] for more or fewer names than it has labels.
    pub fn new(labels: &[String], names: Option<&[String]>) -> Result<Self, EvaluationError> {
        let names = names.unwrap_or(labels);
        if names.len() != labels.len() {
            return Err(EvaluationError::LabelNames { found: names.len(), known: labels.to_vec() });
        }
        let numbers = names.iter().enumerate().rev().map(|(number, name)| (key(name), number)).collect();
        Ok(Self { names: names.to_vec(), numbers })
    }

    /// The names by the model's numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of a label, if the model has it.
    pub fn find(&self, label: &str) -> Option<usize> {
        let exact = self.names.iter().position(|name| name == label);
        let numbered = || self.numbers.get(&format!("label_{}", label.trim()));
        exact.or_else(|| self.numbers.get(&key(label)).or_else(numbered).copied())
    }

    /// The same for a label of an example.
    fn number(&self, label: &str, place: &Place) -> Result<u32, EvaluationError> {
        let number = self.find(label).ok_or_else(|| EvaluationError::UnknownLabel {
            place: place.clone(),
            found: label.to_owned(),
            known: self.names.clone(),
        })?;
        Ok(number as u32)
    }
}

/// What two names of one label have in common.
fn key(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// The figures of texts of one kind.
#[derive(Clone, Debug)]
pub enum TextFigures {
    /// Of one label a text.
    Classes(ClassFigures),
    /// Of any number of labels a text.
    Sets(LabelSetFigures),
    /// Of a score a text.
    Scores(Correlations),
}

/// What is kept of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum TextObservation {
    /// The right label and the model's.
    Class([u32; 2]),
    /// The right labels and the model's.
    Set([Box<[u32]>; 2]),
    /// The right score and the model's.
    Score([f64; 2]),
}

impl Measure for TextFigures {
    type Observation = TextObservation;

    fn names(&self) -> Vec<String> {
        match self {
            Self::Classes(measure) => measure.names(),
            Self::Sets(measure) => measure.names(),
            Self::Scores(measure) => measure.names(),
        }
    }

    fn values(&self, sample: &[&TextObservation]) -> Vec<f64> {
        fn pick<'a, T>(
            sample: &[&'a TextObservation],
            pick: impl Fn(&'a TextObservation) -> Option<&'a T>,
        ) -> Vec<&'a T> {
            sample.iter().filter_map(|observation| pick(observation)).collect()
        }
        match self {
            Self::Classes(measure) => measure.values(&pick(sample, |observation| match observation {
                TextObservation::Class(pair) => Some(pair),
                _ => None,
            })),
            Self::Sets(measure) => measure.values(&pick(sample, |observation| match observation {
                TextObservation::Set(pair) => Some(pair),
                _ => None,
            })),
            Self::Scores(measure) => measure.values(&pick(sample, |observation| match observation {
                TextObservation::Score(pair) => Some(pair),
                _ => None,
            })),
        }
    }
}

/// Evaluates a classifier on labelled texts. What kind of labels they have says the model's
/// [`problem_type`](TextClassification::problem_type), which has to be that of the reader.
///
/// # Errors
/// A label that the model does not have; a model with several outputs where examples have scores; what is wrong with
/// an example; an error of `each`.
pub fn evaluate<E: From<Error>>(
    task: &TextClassification,
    labels: &LabelMap,
    examples: impl IntoIterator<Item = Result<Example, DataError>>,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<TextFigures>, E> {
    let fail = |error: EvaluationError| E::from(error.into());
    let names = labels.names();
    let measure = match task.problem_type() {
        ProblemType::Regression if names.len() != 1 => {
            return Err(fail(EvaluationError::Outputs { found: names.len() }));
        }
        ProblemType::Regression => TextFigures::Scores(Correlations),
        ProblemType::MultiLabelClassification => TextFigures::Sets(LabelSetFigures { names: names.to_vec() }),
        ProblemType::SingleLabelClassification => {
            let overall = [ClassFigure::Accuracy, ClassFigure::MacroF1, ClassFigure::Matthews];
            let by_label = (0..names.len()).map(ClassFigure::Label);
            let figures = overall.into_iter().chain(by_label).collect();
            TextFigures::Classes(ClassFigures { names: names.to_vec(), figures })
        }
    };
    let mut outcome = Outcome::new(measure);
    let ask = |example: &Example| Text { text: example.text.clone(), pair: example.second.clone() };
    answer_each(
        task,
        examples,
        ask,
        |example| Some(example.place.clone()),
        |example, answer| {
            let (observation, judged) = judge(task, labels, &example, &answer).map_err(fail)?;
            outcome.keep(observation, &judged);
            each(judged)
        },
    )?;
    Ok(outcome)
}

fn judge(
    task: &TextClassification,
    labels: &LabelMap,
    example: &Example,
    answer: &Classification,
) -> Result<(TextObservation, Judged), EvaluationError> {
    let number = |label: &str| labels.number(label, &example.place);
    // The answer names labels as the model does, which may be another name for the same number.
    let own = |label: &str| {
        task.session().config().labels.iter().position(|name| name == label).unwrap_or_default()
    };
    let best = &answer.scores[0];
    let name = |number: u32| labels.names()[number as usize].as_str();
    let (observation, gold, found, right) = match &example.label {
        Label::Score(score) => {
            let found = f64::from(best.score);
            (TextObservation::Score([*score, found]), json!(score), json!(best.score), None)
        }
        Label::One(label) => {
            let pair = [number(label)?, own(&best.label) as u32];
            let [gold, found] = pair.map(|number| json!(name(number)));
            (TextObservation::Class(pair), gold, found, Some(pair[0] == pair[1]))
        }
        Label::Many(names) => {
            let mut gold = names.iter().map(|label| number(label)).collect::<Result<Vec<_>, _>>()?;
            let chosen = answer.scores.iter().filter(|label| label.score > 0.5);
            let mut found: Vec<u32> = chosen.map(|label| own(&label.label) as u32).collect();
            gold.sort_unstable();
            gold.dedup();
            found.sort_unstable();
            let right = gold == found;
            let list = |numbers: &[u32]| numbers.iter().map(|&number| json!(name(number))).collect::<Value>();
            let (gold_names, found_names) = (list(&gold), list(&found));
            (TextObservation::Set([gold.into(), found.into()]), gold_names, found_names, Some(right))
        }
    };
    let score = matches!(observation, TextObservation::Class(_)).then(|| f64::from(best.score));
    let line = Judged::at(&example.place);
    let cut = answer.truncated.iter().any(Option::is_some);
    let input = input(&example.text, example.second.as_deref());
    Ok((observation, Judged { line, id: None, input, gold, answer: found, score, right, cut }))
}

/// A text, or two, as they are shown.
pub(super) fn input(text: &str, second: Option<&str>) -> Value {
    match second {
        Some(second) => json!([text, second]),
        None => json!(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_name() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let map = LabelMap::new(&names(&["CONTRADICTION", "ENTAILMENT", "Not Sure"]), None).unwrap();
        assert_eq!(map.find("entailment"), Some(1));
        assert_eq!(map.find("not_sure"), Some(2));
        assert_eq!((map.find("1"), map.find("neutral")), (None, None));
        let model = names(&["LABEL_0", "LABEL_1"]);
        assert_eq!(LabelMap::new(&model, None).unwrap().find("1"), Some(1));
        let map = LabelMap::new(&model, Some(&names(&["yes", "no"]))).unwrap();
        assert_eq!((map.find("no"), map.find("1")), (Some(1), None));
        // Exact names come first.
        let map = LabelMap::new(&names(&["A", "a"]), None).unwrap();
        assert_eq!((map.find("A"), map.find("a")), (Some(0), Some(1)));
        let error = LabelMap::new(&model, Some(&names(&["yes"]))).unwrap_err().to_string();
        assert!(error.contains("LABEL_0, LABEL_1"), "{error}");
    }
}
