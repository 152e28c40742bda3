//! What an example should lead to, and the loss that says how far a model is from it.

use bert_core::PackedBatch;
use bert_core::contract::Tensor;
use bert_core::graph::Head;
use bert_core::train::TrainBackend;
use bert_core::train::loss::{self, Loss};

use crate::Sequence;

/// An example made ready.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingExample {
    /// One sequence, or one for each alternative.
    pub sequences: Vec<Sequence>,
    /// What it should lead to.
    pub target: Target,
    /// Whether the texts are longer than what the model is to see.
    pub truncated: bool,
}

/// What an example should lead to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// The words at the masked positions, and whether the second sentence follows the first.
    Words {
        /// Ids, as many as [`Sequence::masked`] has.
        words: Vec<u32>,
        /// `None` where there is no second sentence.
        is_next: Option<bool>,
    },
    /// A label for each token; `None` does not count.
    Tokens(Vec<Option<u32>>),
    /// One label out of several.
    Class(u32),
    /// Yes or no for each label, between 0 and 1.
    Labels(Vec<f32>),
    /// A number.
    Number(f32),
    /// The first and the last token of an answer.
    Span([u32; 2]),
    /// Which of the sequences is right.
    Choice(u32),
    /// The first two of the sequences belong together, those after them do not belong to the first one.
    Positive,
    /// The cosine that the vectors of the two sequences should have.
    Similarity(f32),
}

impl Target {
    /// How many terms of the loss of a head it has: losses are means over these.
    pub(super) fn terms(&self, head: Head) -> usize {
        match (head, self) {
            (Head::MaskedLm, Self::Words { words, .. }) => words.len(),
            (Head::NextSentence, Self::Words { is_next, .. }) => usize::from(is_next.is_some()),
            (_, Self::Tokens(labels)) => labels.iter().flatten().count(),
            (_, Self::Words { .. }) => 0,
            _ => 1,
        }
    }
}

/// The loss of what a head gave for a batch, a mean over the terms of its targets, of which there is at least one.
pub(super) fn loss<B: TrainBackend>(
    backend: &B,
    head: Head,
    scores: &Tensor<B>,
    batch: &PackedBatch,
    targets: &[&Target],
) -> bert_core::Result<Loss<B>> {
    let (mut classes, mut labels, mut numbers, mut spans, mut choices) =
        (vec![], vec![], vec![], vec![], vec![]);
    for target in targets {
        match target {
            Target::Words { words, .. } if head == Head::MaskedLm => {
                classes.extend(words.iter().copied().map(Some));
            }
            // Class 0 is "is the next sentence".
            Target::Words { is_next, .. } => classes.push(is_next.map(|is_next| u32::from(!is_next))),
            Target::Tokens(of_tokens) => classes.extend(of_tokens),
            Target::Class(class) => classes.push(Some(*class)),
            Target::Labels(of_text) => labels.extend(of_text.iter().copied().map(Some)),
            Target::Number(number) => numbers.push(*number),
            Target::Span(span) => spans.push(*span),
            Target::Choice(choice) => choices.push(*choice),
            Target::Positive | Target::Similarity(_) => unreachable!("no head scores how alike texts are"),
        }
    }
    if !labels.is_empty() {
        return loss::labels(backend, scores, &labels);
    }
    if !numbers.is_empty() {
        return loss::squares(backend, scores, &numbers);
    }
    if !spans.is_empty() {
        return loss::spans(backend, scores, batch.bounds(), &spans);
    }
    if !choices.is_empty() {
        return loss::choices(backend, scores, batch.sequences() / choices.len(), &choices);
    }
    loss::classes(backend, scores, &classes, 0.0)
}
