//! Overlapping windows over a run of tokens that is longer than a model's input.

use std::ops::Range;

use super::error::{Result, TokenizerError};

/// Windows of equal length, each `stride` tokens after the one before, that together cover every token.
///
/// This is the sliding window of BERT's SQuAD code: `stride` is the distance between the starts of two
/// neighbours (its `doc_stride`), the last window ends with the last token, and no window lies inside
/// another. No tokens, no windows.
///
/// ```
/// use bert_tasks::tokenizer::Windows;
///
/// let windows = Windows::new(10, 5, 3)?;
/// assert_eq!(windows.iter().collect::<Vec<_>>(), [0..5, 3..8, 6..10]);
/// assert_eq!(windows.best(4), Some(1)); // one token to its left in window 1, none to its right in window 0
/// # Ok::<(), bert_tasks::tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    len: usize,
    max_len: usize,
    stride: usize,
}

impl Windows {
    /// Windows over `len` tokens, each of at most `max_len` tokens, starting `stride` tokens apart.
    ///
    /// # Errors
    /// [`TokenizerError::Windows`] unless `1 <= stride <= max_len`: tokens would be left out.
    pub fn new(len: usize, max_len: usize, stride: usize) -> Result<Self> {
        if stride == 0 || stride > max_len {
            return Err(TokenizerError::Windows { max_len, stride });
        }
        Ok(Self { len, max_len, stride })
    }

    /// How many windows there are.
    pub fn count(&self) -> usize {
        match self.len {
            0 => 0,
            len => 1 + len.saturating_sub(self.max_len).div_ceil(self.stride),
        }
    }

    /// The tokens of one window; `None` beyond the last window.
    pub fn get(&self, window: usize) -> Option<Range<usize>> {
        (window < self.count()).then(|| {
            let start = window * self.stride;
            start..self.len.min(start.saturating_add(self.max_len))
        })
    }

    /// All windows, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        (0..self.count()).map(|window| {
            let start = window * self.stride;
            start..self.len.min(start.saturating_add(self.max_len))
        })
    }

    /// The window that sees most of a token's surroundings; `None` beyond the last token.
    ///
    /// SQuAD's rule: the greatest `min(tokens to the left, tokens to the right) + 0.01 × window length`,
    /// the first of equals. Counting a token only in its best window counts it exactly once.
    pub fn best(&self, token: usize) -> Option<usize> {
        if token >= self.len {
            return None;
        }
        let first = (token + 1).saturating_sub(self.max_len).div_ceil(self.stride);
        let last = (token / self.stride).min(self.count() - 1);
        let score = |window: usize| {
            let start = window * self.stride;
            let end = self.len.min(start.saturating_add(self.max_len));
            let context = (token - start).min(end - 1 - token);
            context as u128 * 100 + (end - start) as u128
        };
        (first..=last).rev().max_by_key(|&window| score(window))
    }
}
