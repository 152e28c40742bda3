//! Entities as an objective: a label for every word.

use std::ops::Range;

use bert_core::ModelConfig;
use bert_core::graph::{Head, Output};

use super::target::{Target, TrainingExample};
use super::{Evaluation, Objective, Scorer, TrainingError};
use crate::data::DataError;
use crate::data::entities::{Example, TagSet};
use crate::fit::fit;
use crate::token_classification::{self, Scheme, Span};
use crate::tokenizer::Tokenizer;
use crate::{Pretrained, Result, Sequence};

/// Texts with entities to train on, and some to evaluate on.
///
/// The first token of a word is labelled, the others and special tokens are not, as usual trainers do. Words are those
/// that the tokenizer tells apart, by blanks and punctuation: the ones that
/// [`Aggregation::First`](token_classification::Aggregation::First) reads.
pub struct Entities {
    tokenizer: Tokenizer,
    tags: TagSet,
    train: Vec<Example>,
    eval: Vec<Example>,
    inexact: usize,
}

/// A text as words with labels.
struct Labelled {
    sequence: Sequence,
    /// The place of the first token of each word.
    first: Vec<usize>,
    /// The bytes of each word.
    words: Vec<Range<usize>>,
    /// The label of each word.
    labels: Vec<usize>,
    /// How many entities do not begin and end where words do.
    inexact: usize,
    truncated: bool,
}

impl Entities {
    /// The labels are those of the types in the examples to train on, in IOB2 or BIOES.
    ///
    /// # Errors
    /// [`TrainingError::NoExamples`], [`TrainingError::NoEntities`]; entities that overlap; a type to evaluate on that
    /// training has not seen.
    pub fn new(base: &Pretrained, train: Vec<Example>, eval: Vec<Example>, scheme: Scheme) -> Result<Self> {
        if train.is_empty() {
            return Err(TrainingError::NoExamples.into());
        }
        let types = || train.iter().flat_map(|example| &example.entities).map(|entity| entity.label.clone());
        if types().next().is_none() {
            return Err(TrainingError::NoEntities { count: train.len() }.into());
        }
        let tags = TagSet::new(types(), scheme)?;
        let mut task = Self { tokenizer: base.tokenizer().clone(), tags, train, eval, inexact: 0 };
        // What is wrong is told before the first step.
        for example in task.train.iter().chain(&task.eval) {
            task.inexact += task.label(example, usize::MAX)?.inexact;
        }
        Ok(task)
    }

    /// How many entities of all examples do not begin and end where words do: the whole words are labelled.
    pub fn inexact(&self) -> usize {
        self.inexact
    }

    /// How many of all examples have more tokens, so that a run which takes no more than these cuts their ends.
    ///
    /// # Errors
    /// A text that cannot be tokenised.
    pub fn longer_than(&self, max_length: usize) -> Result<usize> {
        let mut longer = 0;
        for example in self.train.iter().chain(&self.eval) {
            longer += usize::from(self.tokenizer.encode(&example.text)?.len() > max_length);
        }
        Ok(longer)
    }

    fn label(&self, example: &Example, max_length: usize) -> Result<Labelled> {
        let tokens = self.tokenizer.encode_words(&example.text)?;
        let fitted = fit(self.tokenizer.with_special(&tokens), max_length);
        let encoded = fitted.encoded;
        let (mut first, mut words): (Vec<usize>, Vec<Range<usize>>) = (vec![], vec![]);
        let mut word = None;
        for (token, source) in encoded.sources.iter().enumerate() {
            let Some(source) = source else { continue };
            match words.last_mut() {
                Some(range) if word == Some(source.word) => range.end = range.end.max(source.end),
                _ => {
                    first.push(token);
                    words.push(source.range());
                }
            }
            word = Some(source.word);
        }
        let encoded_tags = self.tags.encode(&words, &example.spans()).map_err(|error| at(error, example))?;
        Ok(Labelled {
            sequence: encoded.into(),
            first,
            words,
            labels: encoded_tags.labels,
            inexact: encoded_tags.inexact,
            truncated: fitted.truncated[0].is_some(),
        })
    }
}

/// An error about the entities of an example, with its line.
fn at(error: DataError, example: &Example) -> DataError {
    let here = Some(example.place.clone());
    match error {
        DataError::UnknownLabel { place: None, found, known } => {
            DataError::UnknownLabel { place: here, found, known }
        }
        DataError::Span { place: None, label, range, reason } => {
            DataError::Span { place: here, label, range, reason }
        }
        other => other,
    }
}

impl Objective for Entities {
    fn head(&self) -> Head {
        Head::TokenClassification
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        ModelConfig { labels: self.tags.labels().names().to_vec(), problem_type: None, ..base.clone() }
    }

    fn examples(&self) -> usize {
        self.train.len()
    }

    fn example(&self, _: u64, index: usize, max_length: usize) -> Result<TrainingExample> {
        let text = self.label(&self.train[index], max_length)?;
        let mut labels = vec![None; text.sequence.ids.len()];
        for (&token, &label) in text.first.iter().zip(&text.labels) {
            labels[token] = Some(label as u32);
        }
        Ok(TrainingExample {
            sequences: vec![text.sequence],
            target: Target::Tokens(labels),
            truncated: text.truncated,
        })
    }

    /// The F1 of entities whose types and both ends are right, among those of the part of each text that the model sees.
    fn evaluate(&self, model: &Scorer<'_>) -> Result<Option<Evaluation>> {
        if self.eval.is_empty() {
            return Ok(None);
        }
        let mut counts = token_classification::Evaluation::default();
        // Few at a time, so that memory stays flat.
        const AT_A_TIME: usize = 256;
        for examples in self.eval.chunks(AT_A_TIME) {
            let texts = examples.iter().map(|example| self.label(example, model.max_length()));
            let texts = texts.collect::<Result<Vec<_>>>()?;
            let sequences: Vec<_> = texts.iter().map(|text| text.sequence.clone()).collect();
            let scored = model.score(&sequences, &[Output::Scores(self.head())])?;
            for ((rows, text), example) in scored.iter().zip(&texts).zip(examples) {
                let seen = text.words.last().map_or(0, |word| word.end);
                let mut expected = example.spans();
                expected.retain(|entity| !text.truncated || entity.range.start < seen);
                let labels = text.first.iter().map(|&token| {
                    let row = rows[0].row(token);
                    let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a)));
                    self.tags.labels().names()[best.unwrap_or(0)].as_str()
                });
                let mut found = self.tags.scheme().spans(labels);
                for Span { range, .. } in &mut found {
                    *range = text.words[range.start].start..text.words[range.end - 1].end;
                }
                counts.add(&expected, &found);
            }
        }
        let total = counts.total();
        // Nothing to find and nothing found is as good as it can be.
        let f1 = if total.expected + total.predicted == 0 { 1.0 } else { total.f1() };
        let evaluation = Evaluation::new("f1", f1, self.eval.len());
        let evaluation = evaluation.with_detail("precision", total.precision());
        Ok(Some(evaluation.with_detail("recall", total.recall())))
    }
}
