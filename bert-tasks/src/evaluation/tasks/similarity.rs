//! Pairs of texts with a score of how alike they are, against the cosine of their vectors.

use std::ops::Range;

use bert_core::graph::Output;
use serde_json::json;

use super::super::metrics::correlation::Correlations;
use super::super::run::answer_each;
use super::super::{Judged, Outcome};
use crate::data::DataError;
use crate::data::pairs::{Example, Texts};
use crate::embedding::cosine;
use crate::{Embedding, Error, Prepared, Result as TaskResult, Rows, Session, Task};

/// Evaluates an embedding by how far the cosines of pairs go with their scores. Examples without a score are left out:
/// the reader gives them only if it was asked for something else.
///
/// # Errors
/// What is wrong with an example; an error of `each`.
pub fn evaluate<E: From<Error>>(
    task: &Embedding,
    examples: impl IntoIterator<Item = Result<Example, DataError>>,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<Correlations>, E> {
    let mut outcome = Outcome::new(Correlations);
    let examples = examples.into_iter().filter_map(|example| match example {
        Ok(Example { texts: Texts::Scored { first, second, score }, place }) => {
            Some(Ok(([first, second], score, place)))
        }
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    let place = |(_, _, place): &([String; 2], f64, _)| Some(crate::data::Place::clone(place));
    answer_each(
        &Pair(task),
        examples,
        |(texts, ..)| texts.clone(),
        place,
        |(texts, score, place), (cosine, cut)| {
            let cosine = f64::from(cosine);
            let judged = Judged {
                line: Judged::at(&place),
                id: None,
                input: json!(texts),
                gold: json!(score),
                answer: json!(cosine),
                score: None,
                right: None,
                cut,
            };
            outcome.keep([score, cosine], &judged);
            each(judged)
        },
    )?;
    Ok(outcome)
}

/// The cosine of two texts' vectors.
struct Pair<'a>(&'a Embedding);

impl Task for Pair<'_> {
    type Input = [String; 2];
    type Context = [Option<Range<usize>>; 2];
    type Piece = Vec<f32>;
    /// The cosine, and whether one of the texts was too long.
    type Answer = (f32, bool);

    fn session(&self) -> &Session {
        self.0.session()
    }

    fn outputs(&self) -> Vec<Output> {
        self.0.outputs()
    }

    fn prepare(&self, texts: &[String; 2]) -> TaskResult<Prepared<Self::Context>> {
        let [first, second] = texts;
        let (mut first, second) = (self.0.prepare(first)?, self.0.prepare(second)?);
        first.sequences.extend(second.sequences);
        Ok(Prepared { sequences: first.sequences, context: [first.context, second.context] })
    }

    fn reduce(&self, context: &Self::Context, index: usize, rows: Rows) -> TaskResult<Vec<f32>> {
        self.0.reduce(&context[index], 0, rows)
    }

    fn finish(
        &self,
        _: &[String; 2],
        truncated: Self::Context,
        vectors: Vec<Vec<f32>>,
    ) -> TaskResult<(f32, bool)> {
        Ok((cosine(&vectors[0], &vectors[1]), truncated.iter().any(Option::is_some)))
    }
}
