//! A tokenised text: ids for the model, and for every token the place in the text that it came from.

use std::ops::Range;

/// Where in the caller's texts a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Which text: 0 for the first or only one, 1 for the second of a pair.
    pub sequence: u8,
    /// Which word of that text, counted from 0; the pieces of one word share its number. What a word is, the
    /// tokenizer says before it splits words into pieces: BERT's end at whitespace and around every punctuation mark,
    /// RoBERTa's at whitespace and between letters, digits and other chars, those of SentencePiece at whitespace.
    pub word: u32,
    /// First byte of the token in that text. Always a char boundary: tokens that are parts of one char each have
    /// the whole char. The blank before a word is no part of it.
    pub start: usize,
    /// One past the last byte of the token in that text. Always a char boundary, never beyond the text.
    pub end: usize,
}

impl Source {
    /// The token's bytes in its text: `&text[source.range()]` never panics.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// One input of the model, as columns of equal length: a row is a token.
///
/// Nothing is padded and nothing is cut off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, rows of the embedding table.
    pub ids: Vec<u32>,
    /// Segment (token type) ids: BERT has 0 up to and with the first `[SEP]`, 1 after it; RoBERTa has 0 alone.
    pub segments: Vec<u32>,
    /// Where each token came from; `None` for the special tokens that were put around the texts.
    /// A `[MASK]` that the caller wrote has a source like any other word.
    pub sources: Vec<Option<Source>>,
}

impl Encoded {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The bytes of a token in its text; `None` for an added special token, or beyond the last token.
    pub fn range(&self, token: usize) -> Option<Range<usize>> {
        self.sources.get(token)?.as_ref().map(Source::range)
    }

    /// The positions at which `id` stands, such as those of the mask.
    pub fn positions(&self, id: u32) -> impl Iterator<Item = usize> + '_ {
        self.ids.iter().enumerate().filter(move |&(_, &found)| found == id).map(|(position, _)| position)
    }

    /// The tokens of `range` alone, sources unchanged.
    ///
    /// # Panics
    /// When `range` goes beyond the last token, as slicing does.
    pub fn slice(&self, range: Range<usize>) -> Self {
        Self {
            ids: self.ids[range.clone()].to_vec(),
            segments: self.segments[range.clone()].to_vec(),
            sources: self.sources[range].to_vec(),
        }
    }

    pub(super) fn with_capacity(tokens: usize) -> Self {
        Self {
            ids: Vec::with_capacity(tokens),
            segments: Vec::with_capacity(tokens),
            sources: Vec::with_capacity(tokens),
        }
    }

    pub(super) fn push(&mut self, id: u32, segment: u32, source: Option<Source>) {
        self.ids.push(id);
        self.segments.push(segment);
        self.sources.push(source);
    }
}
