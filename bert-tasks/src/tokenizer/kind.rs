//! What kind of tokenizer a checkpoint has.

use std::fmt;

use tokenizers::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;

use super::marks;
use super::model::Model;

/// The algorithm that splits texts into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenizerKind {
    /// Words between blanks and around punctuation; pieces that continue a word begin with `##` (BERT, DistilBERT,
    /// ELECTRA).
    WordPiece,
    /// Byte-pair encoding of bytes: nothing is unknown. A token with a blank before it begins with `Ġ` in the
    /// vocabulary (RoBERTa).
    ByteLevelBpe,
    /// Byte-pair encoding of chars.
    Bpe,
    /// The pieces of SentencePiece's language model. A token that begins a word begins with `▁` in the vocabulary
    /// (XLM-RoBERTa, CamemBERT, ALBERT).
    Unigram,
    /// Whole words.
    WordLevel,
}

impl TokenizerKind {
    pub(super) fn of(
        normalizer: Option<&NormalizerWrapper>,
        pre_tokenizer: Option<&PreTokenizerWrapper>,
        model: &Model,
    ) -> Self {
        let library = match model {
            Model::WordPiece(_) => return Self::WordPiece,
            Model::Other(library) => library,
        };
        let bytes = normalizer.is_some_and(normalizes_to_bytes) || pre_tokenizer.is_some_and(splits_to_bytes);
        match library.model {
            ModelWrapper::BPE(_) if bytes => Self::ByteLevelBpe,
            ModelWrapper::BPE(_) => Self::Bpe,
            ModelWrapper::Unigram(_) => Self::Unigram,
            ModelWrapper::WordLevel(_) => Self::WordLevel,
            ModelWrapper::WordPiece(_) => Self::WordPiece,
        }
    }

    /// Whether a token of the vocabulary continues the word of the token before it: `##ing` of WordPiece; what has
    /// no mark of a blank where tokens have one.
    ///
    /// ```
    /// use bert_tasks::tokenizer::TokenizerKind::{ByteLevelBpe, Unigram, WordLevel, WordPiece};
    /// assert!(WordPiece.continues_word("##ing") && !WordPiece.continues_word("go"));
    /// assert!(ByteLevelBpe.continues_word("ing") && !ByteLevelBpe.continues_word("Ġgo"));
    /// assert!(Unigram.continues_word("ing") && !Unigram.continues_word("▁go"));
    /// assert!(!WordLevel.continues_word("going"));
    /// ```
    pub fn continues_word(self, token: &str) -> bool {
        match self {
            Self::WordPiece => token.len() > 2 && token.starts_with("##"),
            _ => self.marks_blanks() && !token.starts_with(marks::MARKS),
        }
    }

    /// Whether tokens begin with a mark where a blank stands before them.
    pub(super) fn marks_blanks(self) -> bool {
        matches!(self, Self::ByteLevelBpe | Self::Bpe | Self::Unigram)
    }
}

fn normalizes_to_bytes(normalizer: &NormalizerWrapper) -> bool {
    match normalizer {
        NormalizerWrapper::ByteLevel(_) => true,
        NormalizerWrapper::Sequence(steps) => steps.as_ref().iter().any(normalizes_to_bytes),
        _ => false,
    }
}

fn splits_to_bytes(pre_tokenizer: &PreTokenizerWrapper) -> bool {
    match pre_tokenizer {
        PreTokenizerWrapper::ByteLevel(_) => true,
        PreTokenizerWrapper::Sequence(steps) => steps.as_ref().iter().any(splits_to_bytes),
        _ => false,
    }
}

impl fmt::Display for TokenizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WordPiece => "WordPiece",
            Self::ByteLevelBpe => "byte-level BPE",
            Self::Bpe => "BPE",
            Self::Unigram => "Unigram",
            Self::WordLevel => "WordLevel",
        })
    }
}
