//! Distillation: a student learns to answer as a teacher does, beside or in place of what its examples say.
//!
//! The teacher computes each batch just before the student does, on the same device, and its scores stay there.

use bert_core::config::ProblemType;
use bert_core::contract::Tensor;
use bert_core::graph::{Head, Output};
use bert_core::train::TrainBackend;
use bert_core::train::loss::{self, Loss};
use bert_core::{ModelConfig, PackedBatch};
use serde::{Deserialize, Serialize};

use super::target::Target;
use super::{Objective, TrainOptions, TrainingError};
use crate::{Pretrained, Result};

/// How a student follows its teacher. The loss is `(1 - weight) * hard + weight * soft + hidden_weight * cosine`: what
/// the examples say, what the teacher says, and how far the last hidden states point from the teacher's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistillationOptions {
    /// What scores are divided by before they become distributions: above 1, the classes that the teacher thinks little
    /// of count for more.
    pub temperature: f64,
    /// The share of the teacher's distributions in the loss, called alpha in papers. With 1, labels do not count.
    pub weight: f64,
    /// What the distance of the hidden states is multiplied with. 0 leaves it out; more needs a teacher whose hidden
    /// states are as wide as the student's.
    pub hidden_weight: f64,
}

impl Default for DistillationOptions {
    /// Temperature 2 as DistilBERT has it, and halves.
    fn default() -> Self {
        Self { temperature: 2.0, weight: 0.5, hidden_weight: 0.0 }
    }
}

impl DistillationOptions {
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        let Self { temperature, weight, hidden_weight } = *self;
        let wrong = |setting, found: f64, expected| {
            Err(TrainingError::Setting { setting, found: found.to_string(), expected })
        };
        if !(temperature.is_finite() && temperature > 0.0) {
            return wrong("temperature", temperature, "a number above 0");
        }
        if !(0.0..=1.0).contains(&weight) {
            return wrong("distillation weight", weight, "a number between 0 and 1");
        }
        if !(hidden_weight.is_finite() && hidden_weight >= 0.0) {
            return wrong("hidden weight", hidden_weight, "a number of at least 0");
        }
        if weight == 0.0 && hidden_weight == 0.0 {
            return wrong(
                "distillation weight",
                weight,
                "above 0 unless the hidden weight is, or nothing is learnt from the teacher",
            );
        }
        Ok(())
    }
}

/// Whether a teacher can teach a student what an objective asks for: the same classes, from the same tokens.
pub(super) fn check_teacher(
    teacher: &Pretrained,
    student: &Pretrained,
    config: &ModelConfig,
    objective: &dyn Objective,
    options: &TrainOptions,
) -> Result<()> {
    let wrong = |reason: String| Err(TrainingError::Teacher { reason }.into());
    let head = objective.head();
    let refused = match (head, config.problem_type) {
        _ if objective.vectors().is_some() => Some("vectors of texts"),
        (Head::SequenceClassification, Some(ProblemType::Regression)) => Some("a regression"),
        (Head::SequenceClassification, Some(ProblemType::MultiLabelClassification)) => {
            Some("a choice of several labels")
        }
        (Head::None | Head::ReplacedTokens | Head::Sparse, _) => Some(head.hub_task()),
        _ => None,
    };
    if let Some(refused) = refused {
        return wrong(format!(
            "{refused} cannot be distilled: the task does not score classes of which exactly one is right"
        ));
    }
    let of = teacher.config();
    for &part in head.parts() {
        if !Head::of(of).is_some_and(|made_for| made_for.serves(part)) {
            let classes = of.architectures.join(", ");
            return wrong(format!("it is a {classes} and has no {}", Output::Scores(part).name()));
        }
    }
    let has_labels = matches!(head, Head::SequenceClassification | Head::TokenClassification);
    if has_labels && of.labels != config.labels {
        let (its, own) = (of.labels.join(", "), config.labels.join(", "));
        return wrong(format!(
            "its labels are {its}, and the labels of the student are {own}; they must be the same, in the same order"
        ));
    }
    if let Some(difference) = vocabulary_difference(teacher, student) {
        return wrong(format!("{difference}; teacher and student need the same vocabulary"));
    }
    let (longest, most) = (options.longest(student), of.max_tokens());
    if longest > most {
        return wrong(format!(
            "it takes up to {most} tokens and the student {longest}; set the max length to {most}, so that both see the same tokens"
        ));
    }
    let Some(DistillationOptions { hidden_weight, .. }) = options.distillation else { return Ok(()) };
    if hidden_weight > 0.0 && of.hidden_size != config.hidden_size {
        return wrong(format!(
            "it has {} hidden features and the student {}: hidden states of different widths have no cosine; set \
             the hidden weight to 0",
            of.hidden_size, config.hidden_size
        ));
    }
    Ok(())
}

/// In what the vocabularies of two models differ.
fn vocabulary_difference(teacher: &Pretrained, student: &Pretrained) -> Option<String> {
    let sizes = [teacher, student].map(|model| model.config().vocab_size);
    if sizes[0] != sizes[1] {
        return Some(format!("its vocabulary has {} tokens and the student's has {}", sizes[0], sizes[1]));
    }
    let token = |model: &Pretrained, id| model.tokenizer().id_to_token(id);
    let id = (0..sizes[0] as u32).find(|&id| token(teacher, id) != token(student, id))?;
    let [its, own] = [teacher, student]
        .map(|model| token(model, id).map_or("nothing".to_owned(), |token| format!("{token:?}")));
    Some(format!("its token {id} is {its} and the student's {own}"))
}

/// How far the scores of a head are from the teacher's, a mean over the terms of the targets.
pub(super) fn soft_loss<B: TrainBackend>(
    backend: &B,
    head: Head,
    [scores, teacher]: [&Tensor<B>; 2],
    batch: &PackedBatch,
    targets: &[&Target],
    temperature: f64,
) -> bert_core::Result<Loss<B>> {
    match head {
        Head::QuestionAnswering => loss::soft_spans(backend, scores, teacher, batch.bounds(), temperature),
        Head::MultipleChoice => {
            let choices = batch.sequences() / targets.len();
            loss::soft_choices(backend, scores, teacher, choices, temperature)
        }
        // Rows without a label do not count, as they do not in the loss of the labels.
        _ => {
            let mut counts = vec![];
            for target in targets {
                match target {
                    Target::Words { words, .. } if head == Head::MaskedLm => {
                        counts.extend(words.iter().map(|_| true))
                    }
                    Target::Words { is_next, .. } => counts.push(is_next.is_some()),
                    Target::Tokens(labels) => counts.extend(labels.iter().map(Option::is_some)),
                    _ => counts.push(true),
                }
            }
            loss::soft_targets(backend, scores, teacher, &counts, temperature)
        }
    }
}
