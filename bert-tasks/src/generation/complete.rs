//! The next words of a text that is not finished.

use std::ops::Range;

use bert_core::random::Random;
use serde::{Deserialize, Serialize};

use super::canvas::Canvas;
use super::choose::Choice;
use super::spacing::continuation;
use super::{Generation, GenerationOptions};
use crate::masked_rows::masked_rows;
use crate::scores::log_sum_exp;
use crate::{Error, Result};

/// Which next words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionOptions {
    /// How many suggestions, each with another first word.
    pub suggestions: usize,
    /// How many words each has at most; it ends earlier with a sentence.
    pub words: usize,
}

impl Default for CompletionOptions {
    fn default() -> Self {
        Self { suggestions: 3, words: 4 }
    }
}

/// How a text may go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// What comes behind the text, with the blank between them if one is missing.
    pub text: String,
    /// How sure the model is: the geometric mean of the probabilities of its tokens, each given those before it.
    pub score: f64,
}

/// The suggestions for a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestions {
    /// The surest first.
    pub suggestions: Vec<Suggestion>,
    /// The bytes of the text, from its beginning, that the model did not see because the text was too long.
    pub truncated: Option<Range<usize>>,
}

/// How many masks stand ahead of a word: what shows the model that the text goes on.
const LOOKAHEAD: usize = 6;
/// The longest suggestion.
const MOST_WORDS: usize = 32;
/// Of so many first words for each suggestion the best continuations are kept.
const BEGINNINGS: usize = 3;

struct Beam {
    canvas: Canvas,
    tokens: usize,
    words: usize,
    sum: f64,
    ended: bool,
}

impl Generation {
    /// Suggests the next words of a text. The same text has the same suggestions.
    ///
    /// # Errors
    /// [`Error::Setting`] for no suggestions or words, or more than 32 words; a device that failed.
    pub fn complete(&self, text: &str, options: &CompletionOptions) -> Result<Suggestions> {
        let setting =
            |setting, found: usize, expected| Error::Setting { setting, found: found.to_string(), expected };
        if options.suggestions == 0 || options.suggestions > 100 {
            return Err(setting("suggestions", options.suggestions, "from 1 to 100"));
        }
        if options.words == 0 || options.words > MOST_WORDS {
            return Err(setting("words", options.words, "from 1 to 32"));
        }
        // Some words are several tokens.
        let length = 2 * options.words + LOOKAHEAD;
        let start = self.start(text, length)?;
        let mut beams = self.beginnings(&start.canvas, BEGINNINGS * options.suggestions)?;
        for _ in 1..2 * options.words {
            self.extend(&mut beams, options.words)?;
        }
        let score = |beam: &Beam| (beam.sum / beam.tokens as f64).exp();
        beams.sort_by(|a, b| score(b).total_cmp(&score(a)));
        let mut suggestions: Vec<Suggestion> = vec![];
        for beam in &beams {
            let ids = &beam.canvas.ids[beam.canvas.free.start..][..beam.tokens];
            let text = continuation(self.session.tokenizer(), text, ids, self.uncased)?;
            if suggestions.len() < options.suggestions && suggestions.iter().all(|other| other.text != text) {
                suggestions.push(Suggestion { text, score: score(beam) });
            }
        }
        Ok(Suggestions { suggestions, truncated: start.truncated })
    }

    /// The most likely first words.
    fn beginnings(&self, canvas: &Canvas, count: usize) -> Result<Vec<Beam>> {
        let place = canvas.free.start;
        let hidden = place + 1 + LOOKAHEAD..canvas.free.end;
        let seen = canvas.without(&hidden);
        let rows = masked_rows(&self.session, vec![seen.masking(&[place], self.mask)], |_, _, logits| {
            let all = log_sum_exp(logits);
            let allowed =
                |&id: &u32| self.may_stand(id, true) && !self.is_mark(id) && seen.ids[place - 1] != id;
            let mut ids: Vec<u32> = (0..logits.len() as u32).filter(allowed).collect();
            ids.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
            ids.truncate(count);
            ids.into_iter().map(|id| (id, f64::from(logits[id as usize]) - all)).collect::<Vec<_>>()
        })?;
        let beam = |&(id, sum): &(u32, f64)| {
            let mut canvas = canvas.clone();
            canvas.ids[place] = id;
            Beam { canvas, tokens: 1, words: 1, sum, ended: false }
        };
        Ok(rows[0][0].iter().map(beam).collect())
    }

    /// One more token for each that has not ended; all of them in one pass.
    fn extend(&self, beams: &mut [Beam], words: usize) -> Result<()> {
        let mut open: Vec<&mut Beam> = beams.iter_mut().filter(|beam| !beam.ended).collect();
        let Some(first) = open.first() else { return Ok(()) };
        let place = first.canvas.free.start + first.tokens;
        let end = first.canvas.free.end;
        let hidden = (place + 1 + LOOKAHEAD).min(end)..end;
        let canvases: Vec<Canvas> = open.iter().map(|beam| beam.canvas.clone()).collect();
        let places = vec![vec![place]; canvases.len()];
        let best = Choice { temperature: 0.0, top_k: 0, top_p: 1.0 };
        let options = GenerationOptions { plain: false, ..GenerationOptions::default() };
        let chosen = self.choose(&canvases, &places, &hidden, best, &options, Random::new(0))?;
        for (beam, chosen) in open.iter_mut().zip(chosen) {
            let Some(Some(chosen)) = chosen.first() else {
                beam.ended = true;
                continue;
            };
            let goes_on = self.continues(chosen.id);
            // A suggestion ends with a whole word: whether one is whole, the token behind it says.
            if beam.words == words && !goes_on {
                beam.ended = true;
                // A mark that ends a sentence is no word, and belongs to it.
                if !self.ends_sentence(chosen.id) {
                    continue;
                }
            }
            beam.canvas.ids[place] = chosen.id;
            beam.tokens += 1;
            beam.sum += chosen.log_probability;
            beam.words += usize::from(!goes_on && !self.is_mark(chosen.id));
            beam.ended |= self.ends_sentence(chosen.id);
        }
        Ok(())
    }
}
