//! From a question and its context to what the model reads, and from what it says back to answers: the same in training
//! and in use.

use std::ops::Range;

use ndarray::s;

use super::{Answers, QuestionAnsweringOptions, WindowLogits, decode};
use crate::tokenizer::{Encoded, Source, Tokenizer, Windows};
use crate::{Prepared, Result, Rows, Sequence};

/// How questions and contexts are read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub tokenizer: &'a Tokenizer,
    /// The longest sequence in tokens.
    pub max_length: usize,
    pub options: &'a QuestionAnsweringOptions,
}

impl Reader<'_> {
    /// How many tokens of question and context a sequence holds.
    pub fn room(&self) -> usize {
        self.max_length.saturating_sub(self.tokenizer.special_count(true))
    }

    /// The windows over a context, each with the question in front; both are given without special tokens.
    pub fn windows(&self, question: &Encoded, context: &Encoded) -> Result<Prepared<Context>> {
        let keep = question.len().min(self.options.max_question_tokens).min(self.room() / 2);
        let cut = question.sources[keep..].iter().flatten();
        let truncated = cut.map(Source::range).reduce(|cut, token| cut.start..cut.end.max(token.end));
        let question = question.slice(0..keep);

        let room = self.room() - keep;
        let stride = self.options.doc_stride.min(room / 2).max(1);
        let windows = Windows::new(context.len(), room, stride)?;
        let pair = |window| self.tokenizer.pair_with_special(&question, &context.slice(window));
        let in_context = |source: &Option<Source>| source.is_some_and(|source| source.sequence == 1);
        let first = windows.get(0).map(pair);
        let offset = first.and_then(|pair| pair.sources.iter().position(in_context)).unwrap_or(0);
        let sequences = windows.iter().map(|window| Sequence::from(pair(window))).collect();
        let tokens = context.sources.iter().flatten().copied().collect();
        Ok(Prepared { sequences, context: Context { tokens, windows, offset, truncated } })
    }

    /// The answers that the logits of all windows speak for.
    pub fn answers(&self, text: &str, context: Context, logits: &[WindowLogits]) -> Answers {
        let Context { tokens, windows, truncated, .. } = context;
        Answers { truncated, ..decode::decode(text, &tokens, windows, logits, self.options) }
    }
}

/// What is remembered of a question.
pub struct Context {
    /// The tokens of the context.
    tokens: Vec<Source>,
    windows: Windows,
    /// Where in a sequence the tokens of the context begin.
    offset: usize,
    /// The bytes of the question that were cut off.
    pub(crate) truncated: Option<Range<usize>>,
}

impl Context {
    /// What is kept of the scores of a window.
    pub(crate) fn logits(&self, window: usize, rows: &Rows) -> WindowLogits {
        let logits = &rows[0];
        let count = self.windows.get(window).map_or(0, |window| window.len());
        let part = logits.slice(s![self.offset..self.offset + count, ..]);
        WindowLogits {
            null: [logits[[0, 0]], logits[[0, 1]]],
            start: part.column(0).to_vec(),
            end: part.column(1).to_vec(),
        }
    }

    /// The first and the last token that say something of these bytes; `None` if none does, as of blanks.
    pub(crate) fn tokens_of(&self, range: &Range<usize>) -> Option<[usize; 2]> {
        let says = |token: &Source| token.end > range.start && token.start < range.end;
        Some([self.tokens.iter().position(says)?, self.tokens.iter().rposition(says)?])
    }

    /// Where the first and the last token of an answer stand in the sequence of a window, if it holds both.
    pub(crate) fn span(&self, window: usize, [first, last]: [usize; 2]) -> Option<[u32; 2]> {
        let window = self.windows.get(window)?;
        let place = |token: usize| (token - window.start + self.offset) as u32;
        (window.start <= first && last < window.end).then(|| [place(first), place(last)])
    }
}
