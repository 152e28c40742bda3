//! The vectors of the places of a word: which tokens it has, in as much of its line as the model sees.

use std::ops::Range;

use bert_core::graph::Output;
use ndarray::Array2;

use super::senses::{Context, Occurrence, Senses};
use crate::{Prepared, Result, Rows, Sequence, Session, Task};

/// How many chars of a line are kept on each side of the word.
const SHOWN: usize = 60;

/// Which tokens of a sequence each place of the word has.
#[doc(hidden)]
pub struct Tokens(Vec<Vec<Place>>);

/// The number of a place among those of its context, and its tokens.
type Place = (usize, Vec<usize>);

impl Task for Senses {
    type Input = Context;
    type Context = Tokens;
    /// For each place of a sequence its number and its vectors, `[layers, hidden]`.
    type Piece = Vec<(usize, Array2<f32>)>;
    type Answer = Vec<(Occurrence, Array2<f32>)>;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        (0..=self.session.config().num_hidden_layers).map(Output::HiddenState).collect()
    }

    fn prepare(&self, context: &Context) -> Result<Prepared<Tokens>> {
        let tokenizer = self.session.tokenizer();
        let tokens = tokenizer.encode_without_special(&context.text)?;
        let room = self.session.max_length().saturating_sub(tokenizer.special_count(false));
        let overlapping = |range: &Range<usize>| -> Vec<usize> {
            let overlaps = |token: &usize| {
                tokens.range(*token).is_some_and(|found| found.start < range.end && range.start < found.end)
            };
            (0..tokens.len()).filter(overlaps).collect()
        };
        let places = context.ranges.iter().map(overlapping).enumerate();
        // A word of chars that the tokenizer drops has no tokens, and one that is longer than the model no room.
        let places = places.filter(|(_, own)| !own.is_empty() && own.len() <= room);
        let mut windows: Vec<(Range<usize>, Vec<Place>)> = vec![];
        if tokens.len() <= room {
            windows.push((0..tokens.len(), places.collect()));
        } else {
            // As much on either side of the word as the model sees.
            windows.extend(places.map(|(place, own)| {
                let middle = (own[0] + own[own.len() - 1]) / 2;
                let start = middle.saturating_sub(room / 2).min(tokens.len() - room).min(own[0]);
                (start..start + room, vec![(place, own)])
            }));
        }
        let (mut sequences, mut all) = (vec![], vec![]);
        for (window, mut places) in windows {
            let encoded = tokenizer.with_special(&tokens.slice(window.clone()));
            let lead = encoded.sources.iter().take_while(|source| source.is_none()).count();
            for token in places.iter_mut().flat_map(|(_, own)| own) {
                *token = *token + lead - window.start;
            }
            sequences.push(Sequence::from(encoded));
            all.push(places);
        }
        Ok(Prepared { sequences, context: Tokens(all) })
    }

    fn reduce(&self, Tokens(all): &Tokens, index: usize, rows: Rows) -> Result<Self::Piece> {
        let mean = |own: &[usize]| {
            let mut vectors = Array2::zeros((rows.len(), rows[0].ncols()));
            for (mut vector, layer) in vectors.outer_iter_mut().zip(&rows) {
                for &token in own {
                    vector.scaled_add(1.0 / own.len() as f32, &layer.row(token));
                }
            }
            vectors
        };
        Ok(all[index].iter().map(|(place, own)| (*place, mean(own))).collect())
    }

    fn finish(&self, context: &Context, _: Tokens, pieces: Vec<Self::Piece>) -> Result<Self::Answer> {
        let place = |(place, vectors): (usize, Array2<f32>)| {
            let Range { start, end } = context.ranges[place];
            let (before, after) = (&context.text[..start], &context.text[end..]);
            let first = before.char_indices().rev().take(SHOWN).last().map_or(0, |(at, _)| at);
            let last = after.char_indices().nth(SHOWN).map_or(after.len(), |(at, _)| at);
            let cut = |cut: bool| if cut { "…" } else { "" };
            let occurrence = Occurrence {
                line: context.line,
                range: start + context.offset..end + context.offset,
                before: format!("{}{}", cut(first > 0), &before[first..]),
                word: context.text[start..end].to_owned(),
                after: format!("{}{}", &after[..last], cut(last < after.len())),
                group: 0,
                point: [0.0; 2],
            };
            (occurrence, vectors)
        };
        Ok(pieces.into_iter().flatten().map(place).collect())
    }
}
