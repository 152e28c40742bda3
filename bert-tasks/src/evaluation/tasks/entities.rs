//! Texts with marked entities: which are found.

use std::iter::Peekable;
use std::ops::Range;

use serde_json::{Value, json};

use super::super::metrics::entities::{EntityFigures, TextCounts, strict_iob2};
use super::super::run::answer_each;
use super::super::{Judged, Outcome};
use crate::data::DataError;
use crate::data::entities::Example;
use crate::token_classification::{
    Aggregation, Entity, OUTSIDE, Scheme, Span, TokenClassification, TokenClassificationOptions,
};
use crate::{Error, Task};

/// Evaluates a token classifier.
///
/// Words that the file gives have the label of their first token, as `conlleval` and seqeval are used; labels become
/// entities leniently and, of models whose labels are IOB, strictly as well. Where the file gives no words, entities
/// are those that [`TokenClassification`] finds by its options, and must have the same chars.
///
/// What is right are the entities of the examples, however the file's labels spell them: IOB1, IOB2, BIOES.
///
/// # Errors
/// What is wrong with an example; an error of `each`.
pub fn evaluate<E: From<Error>>(
    task: &TokenClassification,
    options: &TokenClassificationOptions,
    examples: impl IntoIterator<Item = Result<Example, DataError>>,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<EntityFigures>, E> {
    let mut examples = examples.into_iter().peekable();
    let by_words = gives_words(&mut examples);
    let task = match by_words {
        true => {
            let (aggregation, ignore_labels) = (Aggregation::None, vec![]);
            task.clone().with_options(TokenClassificationOptions {
                aggregation,
                ignore_labels,
                ..options.clone()
            })?
        }
        false => task.clone().with_options(options.clone())?,
    };
    let scheme = task.scheme();
    let strict = by_words && scheme == Scheme::Iob;
    let mut outcome = Outcome::new(EntityFigures { strict, ..EntityFigures::default() });
    // Types that the model knows are reported, whether the file has them or not.
    for label in &task.session().config().labels {
        let kind = scheme.kind(label);
        if kind != OUTSIDE {
            outcome.measure.number(kind);
        }
    }
    let place = |example: &Example| Some(example.place.clone());
    answer_each(
        &task,
        examples,
        |example: &Example| example.text.clone(),
        place,
        |example, found| {
            let gold = example.spans();
            let labels =
                example.words.as_deref().filter(|_| by_words).map(|words| word_labels(words, &found));
            let (lenient, strictly) = match (&labels, &example.words) {
                (Some(labels), Some(words)) => {
                    let labels = || labels.iter().copied();
                    let strictly = if strict { in_bytes(strict_iob2(labels()), words) } else { vec![] };
                    (in_bytes(scheme.spans(labels()), words), strictly)
                }
                _ => (found.iter().map(Entity::span).collect(), vec![]),
            };
            let counts = TextCounts {
                lenient: outcome.measure.count(&gold, &lenient),
                strict: if strict { outcome.measure.count(&gold, &strictly) } else { vec![] },
            };
            let right = {
                let mut gold: Vec<_> = gold.iter().collect();
                gold.sort_by_key(|span| span.range.start);
                gold.into_iter().eq(&lenient)
            };
            let judged = Judged {
                line: Judged::at(&example.place),
                id: None,
                input: json!(example.text),
                gold: shown(&example.text, &gold),
                answer: shown(&example.text, &lenient),
                score: None,
                right: Some(right),
                // Long texts are read through windows.
                cut: false,
            };
            outcome.keep(counts, &judged);
            each(judged)
        },
    )?;
    Ok(outcome)
}

/// Whether the examples come in words. A file is of one kind.
fn gives_words(examples: &mut Peekable<impl Iterator<Item = Result<Example, DataError>>>) -> bool {
    examples.peek().is_some_and(|first| first.as_ref().is_ok_and(|example| example.words.is_some()))
}

/// The label of each word: that of its first token, or `O` if it has none, such as a word of control characters.
fn word_labels<'a>(words: &[Range<usize>], tokens: &'a [Entity]) -> Vec<&'a str> {
    let mut tokens = tokens.iter().peekable();
    let label = |word: &Range<usize>| {
        // A token over two words belongs to the first of them.
        while tokens.next_if(|token| token.range.start < word.start).is_some() {}
        match tokens.next_if(|token| token.range.start < word.end) {
            Some(token) => &*token.label,
            None => OUTSIDE,
        }
    };
    words.iter().map(label).collect()
}

/// Spans of words as spans of bytes.
fn in_bytes<'a>(mut spans: Vec<Span<'a>>, words: &[Range<usize>]) -> Vec<Span<'a>> {
    for span in &mut spans {
        span.range = words[span.range.start].start..words[span.range.end - 1].end;
    }
    spans
}

fn shown(text: &str, spans: &[Span<'_>]) -> Value {
    let entity = |Span { label, range }: &Span<'_>| json!({"label": label, "start": range.start, "end": range.end, "text": text.get(range.clone())});
    spans.iter().map(entity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_the_label_of_its_first_token() {
        let token = |label: &str, range: Range<usize>| Entity {
            label: label.to_owned(),
            score: 1.0,
            range,
            text: String::new(),
        };
        let tokens =
            [token("B-A", 0..2), token("I-A", 2..4), token("O", 4..5), token("I-B", 8..9), token("O", 9..12)];
        assert_eq!(word_labels(&[0..4, 4..5, 6..7, 8..9, 10..12], &tokens), ["B-A", "O", "O", "I-B", "O"]);
        assert_eq!(word_labels(&[0..1, 2..3], &[]), ["O", "O"]);
    }
}
