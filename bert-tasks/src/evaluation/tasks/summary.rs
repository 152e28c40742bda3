//! Summaries against those that people wrote, beside the first sentences of each text.

use serde_json::json;

use super::super::metrics::rouge::{rouge_l, rouge_n};
use super::super::{EvaluationError, Judged, Means, Outcome};
use crate::data::DataError;
use crate::data::summaries::Example;
use crate::summary::{Method, SummaryOptions};
use crate::{Error, Summarizer};

/// The figures: ROUGE of the summaries (F1), and of as many first sentences of the texts.
pub const FIGURES: [&str; 6] = ["rouge1", "rouge2", "rougeL", "lead_rouge1", "lead_rouge2", "lead_rougeL"];

/// Evaluates a summariser by ROUGE, as `rouge_score` has it without its stemmer. The first sentences of each text, cut by
/// the same length, are the baseline.
///
/// # Errors
/// What is wrong with an example; an error of `each`.
pub fn evaluate<E: From<Error>>(
    summarizer: &Summarizer,
    options: &SummaryOptions,
    examples: impl IntoIterator<Item = Result<Example, DataError>>,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<Means<6>>, E> {
    let mut outcome = Outcome::new(Means::new(FIGURES));
    let lead = SummaryOptions { method: Method::Lead, ranking: false, ..options.clone() };
    for example in examples {
        let Example { text, summary: gold, place } = example.map_err(Error::from)?;
        let answer = |options: &SummaryOptions| {
            summarizer.summarize(&text, options).map_err(|source| {
                let source = Box::new(source);
                Error::from(EvaluationError::Answer { place: place.clone(), source })
            })
        };
        let (made, lead) = (answer(options)?, answer(&lead)?);
        let figures = |answer: &str| {
            [rouge_n(&gold, answer, 1), rouge_n(&gold, answer, 2), rouge_l(&gold, answer)]
                .map(|rouge| rouge.f1())
        };
        let answer = made.text();
        let ([a, b, c], [d, e, f]) = (figures(&answer), figures(&lead.text()));
        let judged = Judged {
            line: Judged::at(&place),
            id: None,
            input: json!(text),
            gold: json!(gold),
            answer: json!(answer),
            score: Some(c),
            right: None,
            cut: made.cut > 0,
        };
        outcome.keep([a, b, c, d, e, f], &judged);
        each(judged)?;
    }
    Ok(outcome)
}
