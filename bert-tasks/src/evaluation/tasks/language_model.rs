//! Raw text: which masked words a model guesses.

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use serde_json::{Value, json};

use super::super::metrics::language_model::{Guess, Guesses, LanguageModelFigures, TextGuesses};
use super::super::run::answer_each;
use super::super::{Judged, Outcome};
use crate::pretraining::{self, Example, PretrainingError, Vocabulary};
use crate::{Device, Error, Prepared, Pretrained, Result as TaskResult, Rows, Sequence, Session, Task};

/// A masked language model that is asked for the words of pre-training examples.
#[derive(Clone, Debug)]
pub struct MaskedWords {
    session: Session,
}

impl MaskedWords {
    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that is not a masked language model, or damaged.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> TaskResult<Self> {
        Ok(Self { session: files.load(Head::MaskedLm, device, precision)? })
    }
}

/// Evaluates a masked language model on examples as [`pretraining`] makes them: some of the words
/// are masked together. Of the first `alone` examples, every word is masked alone as well, for the pseudo-perplexity,
/// which takes as many passes as there are words.
///
/// # Errors
/// What is wrong with an example; an error of `each`.
pub fn evaluate<E: From<Error>>(
    task: &MaskedWords,
    examples: impl IntoIterator<Item = pretraining::Result<Example>>,
    alone: u64,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<LanguageModelFigures>, E> {
    let vocabulary = Vocabulary::new(task.session.tokenizer()).map_err(|error| E::from(error.into()))?;
    let mask = task.session.tokenizer().special().mask.ok_or_else(|| E::from(Error::NoMaskToken))?;
    let mut outcome = Outcome::new(LanguageModelFigures { pseudo: alone > 0 });
    let mut broken: Option<PretrainingError> = None;
    let mut count = 0;
    // Nothing can be guessed where every token is special, such as of characters that the vocabulary does not have.
    let examples =
        examples.into_iter().filter(|example| example.as_ref().map_or(true, |one| !one.masked.is_empty()));
    // What cannot be read ends the examples; the error comes out below.
    let examples = examples.map_while(|example| match example {
        Ok(example) => {
            count += 1;
            Some(Ok(Asked { words: Words::of(&example), alone: None, example }).map(|asked| {
                match count <= alone {
                    true => asked.with_each_word_alone(&vocabulary, mask),
                    false => asked,
                }
            }))
        }
        Err(error) => {
            broken = Some(error);
            None
        }
    });
    let ask = |asked: &Asked| Masked { words: asked.words.clone(), alone: asked.alone.clone() };
    answer_each(
        task,
        examples,
        ask,
        |_| None,
        |asked, answer| {
            let name = |&id: &u32| task.session.tokenizer().token_text(id).unwrap_or_default();
            let tokens: Vec<String> = asked.example.ids.iter().map(name).collect();
            let gold: Value = asked.example.labels.iter().map(name).collect();
            let found: Value = answer.best.iter().map(name).collect();
            let judged = Judged {
                line: None,
                id: None,
                input: json!(tokens.join(" ")),
                right: Some(asked.example.labels == answer.best),
                gold,
                answer: found,
                score: None,
                cut: false,
            };
            outcome.keep(TextGuesses { masked: answer.masked, alone: answer.alone }, &judged);
            each(judged)
        },
    )?;
    match broken {
        Some(error) => Err(E::from(error.into())),
        None => Ok(outcome),
    }
}

/// An example on its way.
struct Asked {
    example: Example,
    words: Words,
    alone: Option<Vec<Words>>,
}

impl Asked {
    fn with_each_word_alone(mut self, vocabulary: &Vocabulary, mask: u32) -> Self {
        let mut ids = self.example.ids.clone();
        for (&at, &label) in self.example.masked.iter().zip(&self.example.labels) {
            ids[at as usize] = label;
        }
        let alone = |at: usize| {
            let mut sequence = Sequence {
                ids: ids.clone(),
                segments: self.example.segments.clone(),
                masked: vec![at as u32],
            };
            sequence.ids[at] = mask;
            Words { sequence, labels: vec![ids[at]] }
        };
        let ordinary = (0..ids.len()).filter(|&at| !vocabulary.is_special(ids[at]));
        self.alone = Some(ordinary.map(alone).collect());
        self
    }
}

/// A sequence with masked words.
#[derive(Clone, Debug)]
struct Words {
    sequence: Sequence,
    labels: Vec<u32>,
}

impl Words {
    fn of(example: &Example) -> Self {
        let Example { ids, segments, masked, labels, .. } = example.clone();
        Self { sequence: Sequence { ids, segments, masked }, labels }
    }
}

/// A sequence whose words are masked together, and the same with each of them masked alone.
#[derive(Clone, Debug)]
pub struct Masked {
    words: Words,
    alone: Option<Vec<Words>>,
}

/// What a model said.
#[derive(Clone, Debug)]
pub struct Guessed {
    masked: Guesses,
    alone: Guesses,
    /// The first guess at each word that was masked together with others.
    best: Vec<u32>,
}

impl Task for MaskedWords {
    type Input = Masked;
    /// The words that belong to each sequence.
    type Context = Vec<Vec<u32>>;
    type Piece = (Guesses, Vec<u32>);
    type Answer = Guessed;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::MaskedLm)]
    }

    fn prepare(&self, input: &Masked) -> TaskResult<Prepared<Self::Context>> {
        let all = || [&input.words].into_iter().chain(input.alone.iter().flatten());
        Ok(Prepared {
            sequences: all().map(|words| words.sequence.clone()).collect(),
            context: all().map(|words| words.labels.clone()).collect(),
        })
    }

    fn reduce(&self, labels: &Self::Context, index: usize, rows: Rows) -> TaskResult<Self::Piece> {
        let mut guesses = Guesses::default();
        let mut best = vec![];
        for (row, &label) in rows[0].outer_iter().zip(&labels[index]) {
            guesses.add(Guess::of(row, label as usize));
            let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
            best.push((0..row.len()).fold(0, better) as u32);
        }
        Ok((guesses, best))
    }

    fn finish(&self, _: &Masked, _: Self::Context, pieces: Vec<Self::Piece>) -> TaskResult<Guessed> {
        let mut pieces = pieces.into_iter();
        let (masked, best) = pieces.next().unwrap_or_default();
        let alone = pieces.fold(Guesses::default(), |sum, (guesses, _)| sum.plus(guesses));
        Ok(Guessed { masked, alone, best })
    }
}
