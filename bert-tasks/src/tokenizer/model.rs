//! From a word to its pieces.

use ahash::AHashMap;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{Model as _, ModelWrapper, Token};

use super::error::{Result, TokenizerError};

/// What splits words into pieces.
pub(super) enum Model {
    /// Greedy longest match, as BERT does.
    WordPiece(LongestMatch),
    /// Another algorithm, run by the library: BPE of RoBERTa, Unigram of XLM-RoBERTa.
    Other(Library),
}

/// A model of the library.
pub(super) struct Library {
    pub(super) model: ModelWrapper,
    /// One more than the greatest id; the library would copy the vocabulary each time.
    rows: usize,
}

impl From<ModelWrapper> for Model {
    fn from(model: ModelWrapper) -> Self {
        let rows = rows(model.get_vocab().values());
        Self::Other(Library { model, rows })
    }
}

impl Model {
    pub(super) fn tokenize(&self, word: &str) -> tokenizers::Result<Vec<Token>> {
        match self {
            Self::WordPiece(matcher) => Ok(matcher.pieces(word)),
            Self::Other(library) => library.model.tokenize(word),
        }
    }

    pub(super) fn token_to_id(&self, token: &str) -> Option<u32> {
        match self {
            Self::WordPiece(matcher) => matcher.vocab.token_to_id(token),
            Self::Other(library) => library.model.token_to_id(token),
        }
    }

    pub(super) fn id_to_token(&self, id: u32) -> Option<String> {
        match self {
            Self::WordPiece(matcher) => matcher.vocab.id_to_token(id),
            Self::Other(library) => library.model.id_to_token(id),
        }
    }

    /// One more than the greatest id.
    pub(super) fn rows(&self) -> usize {
        match self {
            Self::WordPiece(matcher) => matcher.rows,
            Self::Other(library) => library.rows,
        }
    }
}

/// One more than the greatest of some ids.
pub(super) fn rows<'a>(ids: impl Iterator<Item = &'a u32>) -> usize {
    ids.max().map_or(0, |&id| id as usize + 1)
}

/// WordPiece over the library's vocabulary.
///
/// The library's own matcher tries every prefix of a word, each in a newly allocated string: a megabyte
/// of 99-letter words takes it three seconds. No piece is longer than the longest token, so this one
/// starts there and shortens one string in place. The pieces are the same, which a test checks.
pub(super) struct LongestMatch {
    vocab: WordPiece,
    unk: u32,
    rows: usize,
    /// Bytes of the longest token that can begin a word.
    longest_first: usize,
    /// Bytes of the longest token that can continue one, without its prefix.
    longest_next: usize,
}

impl LongestMatch {
    /// `prefix` marks tokens that continue a word (`##`); words of more than `max_chars` chars are unknown.
    pub(super) fn new(
        vocab: AHashMap<String, u32>,
        unk_token: String,
        prefix: String,
        max_chars: usize,
    ) -> Result<Self> {
        if vocab.is_empty() {
            return Err(TokenizerError::EmptyVocab);
        }
        let Some(&unk) = vocab.get(&unk_token) else {
            return Err(TokenizerError::MissingToken { role: "unk_token", token: unk_token });
        };
        let rows = rows(vocab.values());
        let longest_first = vocab.keys().map(String::len).max().unwrap_or(0);
        let continuing = vocab.keys().filter_map(|token| token.strip_prefix(&prefix));
        let longest_next = continuing.map(str::len).max().unwrap_or(0);
        let vocab = WordPiece::builder()
            .vocab(vocab)
            .unk_token(unk_token)
            .continuing_subword_prefix(prefix)
            .max_input_chars_per_word(max_chars)
            .build()
            .map_err(|source| TokenizerError::Pipeline { stage: "vocabulary", source })?;
        Ok(Self { vocab, unk, rows, longest_first, longest_next })
    }

    /// The library's form of the same vocabulary.
    pub(super) fn library(&self) -> &WordPiece {
        &self.vocab
    }

    pub(super) fn unk(&self) -> u32 {
        self.unk
    }

    /// Pieces with byte offsets into `word`; the whole word is one unknown token when any part of it is.
    /// Only id and offsets are filled in.
    fn pieces(&self, word: &str) -> Vec<Token> {
        let token = |id, start, end| Token::new(id, String::new(), (start, end));
        let unknown = || vec![token(self.unk, 0, word.len())];
        if word.chars().count() > self.vocab.max_input_chars_per_word {
            return unknown();
        }
        let mut pieces = Vec::new();
        let mut candidate = String::with_capacity(self.longest_first.min(word.len()) + 8);
        let mut start = 0;
        while start < word.len() {
            let (prefix, longest) = match start {
                0 => ("", self.longest_first),
                _ => (self.vocab.continuing_subword_prefix.as_str(), self.longest_next),
            };
            let end = word.floor_char_boundary(start.saturating_add(longest).min(word.len()));
            candidate.clear();
            candidate.push_str(prefix);
            candidate.push_str(&word[start..end]);
            let id = loop {
                if candidate.len() == prefix.len() {
                    return unknown();
                }
                if let Some(id) = self.vocab.token_to_id(&candidate) {
                    break id;
                }
                candidate.pop();
            };
            let end = start + candidate.len() - prefix.len();
            pieces.push(token(id, start, end));
            start = end;
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matcher(tokens: &[&str], max_chars: usize) -> LongestMatch {
        let vocab = tokens.iter().zip(0..).map(|(token, id)| (token.to_string(), id)).collect();
        LongestMatch::new(vocab, "[UNK]".into(), "##".into(), max_chars).unwrap()
    }

    proptest! {
        #[test]
        fn same_pieces_as_the_library(word in "[abé한#]{1,12}", max_chars in 1usize..14) {
            let tokens =
                ["[UNK]", "a", "ab", "abé", "b", "#", "##a", "##ba", "##é", "##éab", "##한", "한a", "##", "###"];
            let matcher = matcher(&tokens, max_chars);
            let library = matcher.vocab.tokenize(&word).unwrap();
            let library: Vec<_> = library.into_iter().map(|token| (token.id, token.offsets)).collect();
            let ours: Vec<_> = matcher.pieces(&word).into_iter().map(|token| (token.id, token.offsets)).collect();
            prop_assert_eq!(ours, library);
        }
    }
}
