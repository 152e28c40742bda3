//! Two texts with one mask each, side by side.

use ndarray::ArrayView1;
use serde::Serialize;

use super::words::masked;
use super::{Bias, BiasError};
use crate::Result;
use crate::data::beginning;
use crate::masked_rows::masked_rows;
use crate::scores::log_sum_exp;

/// A word and how likely it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredWord {
    /// The word, as the vocabulary has it.
    pub word: String,
    /// Its probability among all words.
    pub score: f64,
}

/// A word that two groups or texts make more or less likely.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WordDifference {
    /// The word.
    pub word: String,
    /// The logarithm (base e) of its odds with the first, less that with the second: above 0 it goes with the first.
    pub log_odds: f64,
    /// Its probability with the first.
    pub first: f64,
    /// Its probability with the second.
    pub second: f64,
}

/// What a model expects in two texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideBySide {
    /// The two texts.
    pub texts: [String; 2],
    /// For each, the words that it expects most, best first.
    pub words: [Vec<ScoredWord>; 2],
    /// Of the words that either text makes likely, those that differ most: the ones of the first text, then the ones of
    /// the second, each with the greatest difference first.
    pub differences: Vec<WordDifference>,
}

/// Of each text so many words are candidates for differences: differences of words that neither expects say little.
const CANDIDATES: usize = 200;

impl Bias {
    /// Compares what the model expects in the place of the mask of two texts, such as "The man worked as a `[MASK]`."
    /// and "The woman worked as a `[MASK]`.". `[MASK]` is right for every model. `top_k` words of each are kept.
    ///
    /// # Errors
    /// [`BiasError::Masks`] of a text without exactly one mask, [`BiasError::TooLong`]; a device that failed.
    pub fn compare(&self, texts: [&str; 2], top_k: usize) -> Result<SideBySide> {
        let mut sequences = vec![];
        for text in texts {
            let sequence = masked(&self.session, &self.with_own_mask(text), self.mask)?;
            if sequence.masked.len() != 1 {
                let (text, found) = (text.to_owned(), sequence.masked.len());
                return Err(BiasError::Masks { text, found, mask: self.written.clone() }.into());
            }
            sequences.push(sequence);
        }
        if sequences[0].ids == sequences[1].ids {
            let [first, second] = texts.map(beginning);
            return Err(BiasError::Same { first, second }.into());
        }
        let rows = masked_rows(&self.session, sequences, |_, _, logits| log_probabilities(logits))?;
        let [first, second] = [0, 1].map(|at| &rows[at][0]);
        let word = |id: u32| self.session.tokenizer().token_text(id).unwrap_or_default();
        let best = |scores: &[f64], count: usize| {
            let mut ids: Vec<u32> = (0..scores.len() as u32).collect();
            ids.retain(|&id| !self.session.tokenizer().is_special(id));
            ids.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
            ids.truncate(count);
            ids
        };
        let words = [first, second].map(|scores| {
            let scored = |id: u32| ScoredWord { word: word(id), score: scores[id as usize].exp() };
            best(scores, top_k).into_iter().map(scored).collect()
        });
        let mut ids = best(first, CANDIDATES);
        ids.extend(best(second, CANDIDATES));
        ids.sort_unstable();
        ids.dedup();
        let differences =
            ids.into_iter().map(|id| difference(word(id), first[id as usize], second[id as usize]));
        let differences = extremes(differences.collect(), top_k);
        Ok(SideBySide { texts: texts.map(str::to_owned), words, differences })
    }
}

fn log_probabilities(logits: ArrayView1<'_, f32>) -> Vec<f64> {
    let all = log_sum_exp(logits);
    logits.iter().map(|&logit| f64::from(logit) - all).collect()
}

/// The logarithm of the odds that belong to a logarithm of a probability.
pub(super) fn log_odds(log_probability: f64) -> f64 {
    // A probability of 1 has infinite odds; no model gives more than about 1e-15 less.
    let other = (-log_probability.exp_m1()).max(1e-15);
    log_probability - other.ln()
}

fn difference(word: String, first: f64, second: f64) -> WordDifference {
    let log_odds = log_odds(first) - log_odds(second);
    WordDifference { word, log_odds, first: first.exp(), second: second.exp() }
}

/// The `count` greatest above 0, and the `count` least below 0, the most extreme of each first.
pub(super) fn extremes(mut all: Vec<WordDifference>, count: usize) -> Vec<WordDifference> {
    all.sort_by(|a, b| b.log_odds.total_cmp(&a.log_odds).then_with(|| a.word.cmp(&b.word)));
    let first = all.iter().take(count).filter(|word| word.log_odds > 0.0);
    let second = all.iter().rev().take(count).filter(|word| word.log_odds < 0.0);
    first.chain(second).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_follow_from_probabilities() {
        assert!(log_odds(0.5f64.ln()).abs() < 1e-12);
        assert!((log_odds(0.8f64.ln()) - 4f64.ln()).abs() < 1e-12);
        assert!((log_odds(-700.0) + 700.0).abs() < 1e-9);
        assert!(log_odds(0.0).is_finite());
    }

    #[test]
    fn extremes_are_those_of_either_side() {
        let word =
            |log_odds: f64| WordDifference { word: log_odds.to_string(), log_odds, first: 0.1, second: 0.1 };
        let found = extremes([0.5, -1.0, 2.0, 0.0, -3.0, 1.0].map(word).to_vec(), 2);
        assert_eq!(found.iter().map(|word| word.log_odds).collect::<Vec<_>>(), [2.0, 1.0, -3.0, -1.0]);
        assert_eq!(extremes(vec![word(1.0)], 5).len(), 1);
    }
}
