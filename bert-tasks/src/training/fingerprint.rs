//! What tells examples and teachers from others, so that a run goes on with what it began with.

use bert_core::graph::{self, Head};

use super::target::Target;
use super::{Objective, TrainingExample};
use crate::{Pretrained, Result};

/// How many examples are looked at: enough to notice another file, few enough to take no time.
const LOOKED_AT: usize = 64;

/// That of examples: the tokens and the targets of some, spread evenly over the first epoch.
///
/// # Errors
/// An example that cannot be used.
pub fn of_examples(objective: &dyn Objective, max_length: usize) -> Result<String> {
    let count = objective.examples();
    let looked_at = count.min(LOOKED_AT);
    let mut hasher = blake3::Hasher::new();
    for number in 0..looked_at {
        add(&mut hasher, &objective.example(0, number * count / looked_at, max_length)?);
    }
    Ok(short(&hasher))
}

fn add(hasher: &mut blake3::Hasher, example: &TrainingExample) {
    let mut numbers = |numbers: &mut dyn ExactSizeIterator<Item = u32>| {
        // With its length before it, no list runs into the next one.
        hasher.update(&(numbers.len() as u64).to_le_bytes());
        numbers.for_each(|number| {
            hasher.update(&number.to_le_bytes());
        });
    };
    for sequence in &example.sequences {
        for list in [&sequence.ids, &sequence.segments, &sequence.masked] {
            numbers(&mut list.iter().copied());
        }
    }
    const NONE: u32 = u32::MAX;
    match &example.target {
        Target::Words { words, is_next } => {
            numbers(&mut words.iter().copied());
            numbers(&mut [is_next.map_or(NONE, u32::from)].into_iter());
        }
        Target::Tokens(labels) => numbers(&mut labels.iter().map(|label| label.unwrap_or(NONE))),
        Target::Class(number) | Target::Choice(number) => numbers(&mut [*number].into_iter()),
        Target::Labels(labels) => numbers(&mut labels.iter().map(|label| label.to_bits())),
        Target::Number(number) | Target::Similarity(number) => numbers(&mut [number.to_bits()].into_iter()),
        Target::Span(span) => numbers(&mut span.iter().copied()),
        Target::Positive => {}
    }
}

/// That of a teacher: all of its numbers.
///
/// # Errors
/// A file that cannot be read.
pub fn of_teacher(teacher: &Pretrained, head: Head) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(teacher.config().to_json().as_bytes());
    for spec in graph::parameters(teacher.config(), head)? {
        if let Some(tensor) = teacher.parameters().optional(&spec)? {
            hasher.update(spec.name.as_bytes()).update(tensor.bytes());
        }
    }
    Ok(short(&hasher))
}

/// Sixteen digits: nobody forges examples, and people have to read it.
fn short(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex()[..16].to_owned()
}
