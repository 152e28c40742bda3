//! Which tokens a model has to guess, and what it sees in their place.

use bert_core::random::Random;

use super::Vocabulary;
use super::error::{PretrainingError, Result};

/// How tokens are masked.
///
/// Special tokens, the unknown one among them, are never chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Masking {
    /// The part of the tokens that is to be guessed: 0.15. At least one token of an example is.
    pub rate: f64,
    /// The part of those that the mask token replaces: 0.8.
    pub mask: f64,
    /// The part that a random token replaces: 0.1. The rest stays as it is.
    pub random: f64,
    /// Whether the tokens of a word are chosen together. A vocabulary that marks blanks tells words by them alone:
    /// a comma belongs to the word before it.
    pub whole_words: bool,
    /// The most tokens of an example that are to be guessed.
    pub max_predictions: Option<usize>,
}

impl Default for Masking {
    fn default() -> Self {
        Self { rate: 0.15, mask: 0.8, random: 0.1, whole_words: false, max_predictions: None }
    }
}

impl Masking {
    /// Whether the settings make sense.
    pub(super) fn check(&self) -> Result<()> {
        let wrong = |setting, found: f64, expected| {
            Err(PretrainingError::Setting { setting, found: found.to_string(), expected })
        };
        let part = |number: f64| (0.0..=1.0).contains(&number);
        match self {
            Self { rate, .. } if !(part(*rate) && *rate > 0.0) => {
                wrong("rate", *rate, "above 0 and at most 1")
            }
            Self { mask, .. } if !part(*mask) => wrong("mask", *mask, "from 0 to 1"),
            Self { mask, random, .. } if !part(*random) || mask + random > 1.0 + 1e-9 => {
                wrong("random", *random, "from 0 to 1, and at most 1 minus the share of masked tokens")
            }
            Self { max_predictions: Some(0), .. } => wrong("max_predictions", 0.0, "at least 1"),
            _ => Ok(()),
        }
    }

    /// Masks tokens of an example in place. Gives the positions in order, and what stood there.
    pub(super) fn apply(
        &self,
        ids: &mut [u32],
        vocabulary: &Vocabulary,
        random: Random,
    ) -> (Vec<u32>, Vec<u32>) {
        let (mut groups, candidates) = self.groups(ids, vocabulary);
        let wanted = ((candidates as f64 * self.rate).round() as usize).max(1);
        let wanted = wanted.min(self.max_predictions.unwrap_or(usize::MAX));
        random.named("choice").shuffle(&mut groups);
        let mut masked: Vec<u32> = vec![];
        for &(start, end) in &groups {
            // A word that is too long for what is left is passed over.
            if masked.len() + (end - start) as usize <= wanted {
                masked.extend(start..end);
            }
            if masked.len() == wanted {
                break;
            }
        }
        if masked.is_empty()
            && let Some(&(start, end)) = groups.iter().min_by_key(|(start, end)| end - start)
        {
            // Every word is too long. One token at least has to be guessed.
            masked.extend((start..end).take(self.max_predictions.unwrap_or(usize::MAX)));
        }
        masked.sort_unstable();
        let (actions, tokens) = (random.named("action"), random.named("token"));
        let mut labels = Vec::with_capacity(masked.len());
        for &position in &masked {
            let id = &mut ids[position as usize];
            labels.push(*id);
            let action = actions.uniform(u64::from(position));
            if action < self.mask {
                *id = vocabulary.mask();
            } else if action < self.mask + self.random {
                let replacements = vocabulary.replacements();
                *id = replacements[tokens.below(u64::from(position), replacements.len())];
            }
        }
        (masked, labels)
    }

    /// The runs of positions that are chosen together, and how many positions they have.
    fn groups(&self, ids: &[u32], vocabulary: &Vocabulary) -> (Vec<(u32, u32)>, usize) {
        let mut groups: Vec<(u32, u32)> = Vec::with_capacity(ids.len());
        let mut candidates = 0;
        for (position, &id) in (0u32..).zip(ids) {
            if vocabulary.is_special(id) {
                continue;
            }
            candidates += 1;
            match groups.last_mut() {
                Some((_, end)) if self.whole_words && *end == position && vocabulary.continues(id) => {
                    *end += 1
                }
                _ => groups.push((position, position + 1)),
            }
        }
        (groups, candidates)
    }
}

#[cfg(test)]
mod tests;
