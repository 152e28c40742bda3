//! Texts in progress: what is given, and places for tokens that are still to be chosen.

use std::ops::Range;

use super::Generation;
use crate::{Error, Result, Sequence};

/// A text in progress as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Canvas {
    pub ids: Vec<u32>,
    segments: Vec<u32>,
    /// The places that are to be filled.
    pub free: Range<usize>,
}

/// A prompt as a model sees it.
pub(super) struct Start {
    pub canvas: Canvas,
    /// The bytes of the prompt, from its beginning, that do not fit.
    pub truncated: Option<Range<usize>>,
}

impl Generation {
    /// The prompt with `length` masks and the end of a sentence behind it. Of a prompt that is too long the end is kept.
    ///
    /// # Errors
    /// A length that leaves no room for the prompt.
    pub(super) fn start(&self, prompt: &str, length: usize) -> Result<Start> {
        let tokenizer = self.session.tokenizer();
        let mut tokens = tokenizer.encode_without_special(prompt)?;
        let end = usize::from(self.end.is_some());
        let most = self.session.max_length().saturating_sub(tokenizer.special_count(false) + end);
        if length == 0 || length > most || (length == most && !tokens.is_empty()) {
            let found = length.to_string();
            return Err(Error::Setting {
                setting: "length",
                found,
                expected: "at least 1, with room left for the prompt",
            });
        }
        let cut = tokens.len().saturating_sub(most - length);
        let truncated = (cut > 0).then(|| 0..tokens.range(cut).map_or(prompt.len(), |range| range.start));
        tokens = tokens.slice(cut..tokens.len());
        let given = tokens.len();
        for id in std::iter::repeat_n(self.mask, length).chain(self.end) {
            tokens.ids.push(id);
            tokens.segments.push(0);
            tokens.sources.push(None);
        }
        let whole = tokenizer.with_special(&tokens);
        // What stands before the text: [CLS].
        let before = whole.ids.len() - tokens.len() - (tokenizer.special_count(false) - 1);
        let free = before + given..before + given + length;
        Ok(Start { canvas: Canvas { ids: whole.ids, segments: whole.segments, free }, truncated })
    }
}

impl Canvas {
    /// The sequence in which these places are masked.
    pub fn masking(&self, places: &[usize], mask: u32) -> Sequence {
        let mut ids = self.ids.clone();
        places.iter().for_each(|&place| ids[place] = mask);
        Sequence {
            ids,
            segments: self.segments.clone(),
            masked: places.iter().map(|&at| at as u32).collect(),
        }
    }

    /// The same with the places of `hidden` left out: the text seems to end behind those before them.
    pub fn without(&self, hidden: &Range<usize>) -> Self {
        let mut short = self.clone();
        short.ids.drain(hidden.clone());
        short.segments.drain(hidden.clone());
        short.free.end -= hidden.len();
        short
    }
}
