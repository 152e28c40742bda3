//! How likely words are in the place of a mask, also those that are several tokens.

use std::collections::HashSet;

use serde::Serialize;

use super::BiasError;
use crate::data::beginning;
use crate::masked_rows::masked_rows;
use crate::scores::log_sum_exp;
use crate::tokenizer::TokenizerKind;
use crate::{Result, Sequence, Session};

/// A word that cannot be scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkippedWord {
    /// The word.
    pub word: String,
    /// Why not.
    pub reason: &'static str,
}

/// Words as tokens of a model.
pub(super) struct Words {
    /// Each word and its tokens.
    pub known: Vec<(String, Vec<u32>)>,
    pub skipped: Vec<SkippedWord>,
}

impl Words {
    pub fn new(session: &Session, words: &[String]) -> Result<Self> {
        let tokenizer = session.tokenizer();
        let (mut known, mut skipped, mut seen) = (vec![], vec![], HashSet::new());
        for word in words {
            let encoded = match tokenizer.kind() {
                TokenizerKind::WordPiece | TokenizerKind::WordLevel => {
                    tokenizer.encode_without_special(word)?
                }
                // Such a vocabulary tells words after a blank from others.
                _ => tokenizer.encode_without_special(&format!(" {}", word.trim_start()))?,
            };
            let unknown = encoded.ids.iter().any(|&id| Some(id) == tokenizer.special().unk);
            let twice = !seen.insert(encoded.ids.clone());
            match (encoded.ids.is_empty() || unknown, twice) {
                (true, _) => {
                    skipped.push(SkippedWord { word: word.clone(), reason: "not in the vocabulary" })
                }
                (_, true) => skipped.push(SkippedWord { word: word.clone(), reason: "there twice" }),
                _ => known.push((word.clone(), encoded.ids)),
            }
        }
        Ok(Self { known, skipped })
    }

    /// How many words are several tokens.
    pub fn several_tokens(&self) -> usize {
        self.known.iter().filter(|(_, ids)| ids.len() > 1).count()
    }

    /// The logarithm of the probability of each word in each text, `[texts][words]`. Every text has one mask, written
    /// `written`. A word of several tokens takes as many masks, and its probability is the product of theirs.
    pub fn log_probabilities(
        &self,
        session: &Session,
        texts: &[String],
        written: &str,
        mask: u32,
    ) -> Result<Vec<Vec<f64>>> {
        let mut lengths: Vec<usize> = self.known.iter().map(|(_, ids)| ids.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let mut sequences = vec![];
        for text in texts {
            for &length in &lengths {
                sequences.push(masked(session, &text.replacen(written, &written.repeat(length), 1), mask)?);
            }
        }
        let rows = masked_rows(session, sequences, |number, at, logits| {
            let length = lengths[number % lengths.len()];
            let all = log_sum_exp(logits);
            let of_length = self.known.iter().filter(|(_, ids)| ids.len() == length);
            of_length.map(|(_, ids)| f64::from(logits[ids[at] as usize]) - all).collect::<Vec<_>>()
        })?;
        let mut found = vec![];
        for rows in rows.chunks(lengths.len().max(1)) {
            let sums = rows.iter().map(|masks| {
                let mut sums = vec![0.0; masks[0].len()];
                masks.iter().flat_map(|mask| mask.iter().enumerate()).for_each(|(at, part)| sums[at] += part);
                sums.into_iter()
            });
            let mut of_length: Vec<_> = sums.collect();
            let word = |(_, ids): &(String, Vec<u32>)| {
                let group = lengths.iter().position(|&length| length == ids.len());
                group.and_then(|group| of_length[group].next()).expect("each word has a sum")
            };
            found.push(self.known.iter().map(word).collect());
        }
        Ok(found)
    }
}

/// A text as the model sees it, with its masks marked.
pub(super) fn masked(session: &Session, text: &str, mask: u32) -> Result<Sequence> {
    let encoded = session.tokenizer().encode(text)?;
    let (found, most) = (encoded.len(), session.max_length());
    if found > most {
        return Err(BiasError::TooLong { text: beginning(text), found, most }.into());
    }
    let masked = encoded.positions(mask).map(|position| position as u32).collect();
    Ok(Sequence { masked, ..encoded.into() })
}
