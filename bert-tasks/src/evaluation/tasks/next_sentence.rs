//! Raw text: whether a model tells what follows a sentence from what does not.

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use serde_json::json;

use super::super::run::answer_each;
use super::super::{Judged, Means, Outcome};
use crate::pretraining::{self, Example, PretrainingError};
use crate::scores::softmax;
use crate::{Device, Error, Prepared, Pretrained, Result as TaskResult, Rows, Sequence, Session, Task};

/// A model with a next-sentence head that is asked about the pairs of pre-training examples.
#[derive(Clone, Debug)]
pub struct SentencePairs {
    session: Session,
}

impl SentencePairs {
    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that has no next-sentence head, or is damaged.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> TaskResult<Self> {
        Ok(Self { session: files.load(Head::NextSentence, device, precision)? })
    }
}

/// Evaluates a model by the share of pairs of which it is right whether the second part follows the first. Examples
/// are those of [`pretraining`], masks included, as in BERT's own evaluation; those that are no pairs are left out.
///
/// # Errors
/// What is wrong with an example; an error of `each`.
pub fn evaluate<E: From<Error>>(
    task: &SentencePairs,
    examples: impl IntoIterator<Item = pretraining::Result<Example>>,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<Means<1>>, E> {
    let mut outcome = Outcome::new(Means::new(["accuracy"]));
    let mut broken: Option<PretrainingError> = None;
    let examples = examples.into_iter().map_while(|example| match example {
        Ok(example) => Some(example.is_next.map(|is_next| Ok((example, is_next)))),
        Err(error) => {
            broken = Some(error);
            None
        }
    });
    answer_each(
        task,
        examples.flatten(),
        |(example, _)| sequence(example),
        |_| None,
        |(example, is_next), found| {
            let name = |&id: &u32| task.session.tokenizer().token_text(id).unwrap_or_default();
            let tokens: Vec<String> = example.ids.iter().map(name).collect();
            // Of equals, that it follows, as argmax has it.
            let right = (found >= 0.5) == is_next;
            let judged = Judged {
                line: None,
                id: None,
                input: json!(tokens.join(" ")),
                gold: json!(is_next),
                answer: json!(found >= 0.5),
                score: Some(f64::from(found)),
                right: Some(right),
                cut: false,
            };
            outcome.keep([f64::from(u8::from(right))], &judged);
            each(judged)
        },
    )?;
    match broken {
        Some(error) => Err(E::from(error.into())),
        None => Ok(outcome),
    }
}

fn sequence(example: &Example) -> Sequence {
    Sequence { ids: example.ids.clone(), segments: example.segments.clone(), masked: vec![] }
}

impl Task for SentencePairs {
    type Input = Sequence;
    type Context = ();
    type Piece = f32;
    type Answer = f32;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::NextSentence)]
    }

    fn prepare(&self, sequence: &Sequence) -> TaskResult<Prepared<()>> {
        Ok(Prepared { sequences: vec![sequence.clone()], context: () })
    }

    fn reduce(&self, (): &(), _: usize, rows: Rows) -> TaskResult<f32> {
        // Label 0 is "is the next sentence", as BERT was trained.
        Ok(softmax(rows[0].row(0))[0])
    }

    fn finish(&self, _: &Sequence, (): (), pieces: Vec<f32>) -> TaskResult<f32> {
        Ok(pieces[0])
    }
}
