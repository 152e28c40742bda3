//! Beginnings with several endings: which is right.

use serde_json::json;

use super::super::run::answer_each;
use super::super::{Judged, Means, Outcome};
use crate::data::DataError;
use crate::data::multiple_choice::Example;
use crate::multiple_choice::Choices;
use crate::{Error, MultipleChoice};

/// Evaluates a model by the share of examples of which it chooses the right ending.
///
/// # Errors
/// What is wrong with an example; an error of `each`.
pub fn evaluate<E: From<Error>>(
    task: &MultipleChoice,
    examples: impl IntoIterator<Item = Result<Example, DataError>>,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<Means<1>>, E> {
    let mut outcome = Outcome::new(Means::new(["accuracy"]));
    let ask =
        |example: &Example| Choices { prompt: example.prompt.clone(), choices: example.choices.clone() };
    answer_each(
        task,
        examples,
        ask,
        |example| Some(example.place.clone()),
        |example, answer| {
            let right = answer.best == example.label;
            let judged = Judged {
                line: Judged::at(&example.place),
                id: None,
                input: json!({"prompt": example.prompt, "choices": example.choices}),
                gold: json!(example.label),
                answer: json!(answer.best),
                score: Some(f64::from(answer.probabilities[answer.best])),
                right: Some(right),
                cut: answer.truncated.iter().flatten().any(Option::is_some),
            };
            outcome.keep([f64::from(u8::from(right))], &judged);
            each(judged)
        },
    )?;
    Ok(outcome)
}
