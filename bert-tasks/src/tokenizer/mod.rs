//! Text to token ids, with every token's place in the text.
//!
//! The tokenizer is that of the checkpoint, run by the `tokenizers` library:
//!
//! | kind | models | files |
//! | --- | --- | --- |
//! | WordPiece | BERT, DistilBERT, ELECTRA | `tokenizer.json` or `vocab.txt` |
//! | byte-level BPE | RoBERTa, DistilRoBERTa | `tokenizer.json`, or `vocab.json` and `merges.txt` |
//! | Unigram | XLM-RoBERTa, CamemBERT, ALBERT | `tokenizer.json` |
//!
//! This module adds what tasks need beyond that: byte offsets that always slice the caller's
//! `&str`, special tokens put around tokens that exist already (for [`Windows`] over long texts), and checks
//! that turn contradicting files into errors at load instead of wrong ids later.
//!
//! ```
//! use bert_tasks::tokenizer::Tokenizer;
//!
//! let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncafe\n##s\nin\nparis\n";
//! let tokenizer = Tokenizer::from_parts(vocab, None)?;
//!
//! let text = "Cafés in [MASK]";
//! let encoded = tokenizer.encode(text)?;
//! assert_eq!(encoded.ids, [2, 5, 6, 7, 4, 3]); // [CLS] cafe ##s in [MASK] [SEP]
//! assert_eq!(&text[encoded.range(1).unwrap()], "Café");
//! assert_eq!(encoded.range(0), None); // [CLS] stands nowhere in the text
//! # Ok::<(), bert_tasks::tokenizer::TokenizerError>(())
//! ```

mod byte_level;
mod config;
mod cuts;
mod encoded;
mod error;
mod file;
mod kind;
mod load;
mod marks;
mod model;
mod pipeline;
mod template;
mod train;
mod windows;

use std::fmt;
use std::sync::Arc;

pub use encoded::{Encoded, Source};
pub use error::TokenizerError;
pub use kind::TokenizerKind;
pub use train::{WordPieceOptions, WordPieceTrainer, WordPieceVocabulary};
pub use windows::Windows;

use error::Result;
use pipeline::Pipeline;
use template::Template;

/// The tokenizer of one checkpoint. Clones share one vocabulary; calls from many threads are safe.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<Inner>,
}

struct Inner {
    pipeline: Pipeline,
    template: Template,
    special: SpecialIds,
    vocab_size: usize,
    max_length: Option<usize>,
}

/// Ids of the tokens that a model gives a meaning to, by the names that BERT has for them; RoBERTa's are `<s>`, `</s>`,
/// `<unk>`, `<pad>` and `<mask>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecialIds {
    /// `[CLS]`, before the first text.
    pub cls: u32,
    /// `[SEP]`, after each text.
    pub sep: u32,
    /// `[UNK]`, for words that the vocabulary cannot spell.
    pub unk: Option<u32>,
    /// `[PAD]`. Packed batches never hold it.
    pub pad: Option<u32>,
    /// `[MASK]`, for tokens to be guessed.
    pub mask: Option<u32>,
}

impl Tokenizer {
    /// Tokenises one text and puts the special tokens around it: `[CLS] text [SEP]`, or RoBERTa's `<s> text </s>`.
    ///
    /// Special tokens that the text spells out, such as `[MASK]`, are recognised. RoBERTa's `<mask>` takes the blanks
    /// before it, so that there is no token for them; its range is that of `<mask>` alone. Words of more than 100 chars are unknown to BERT. An empty text gives the special tokens alone.
    ///
    /// # Errors
    /// Only when a `tokenizer.json` asks for steps that fail while they run; BERT's own do not.
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        Ok(self.with_special(&self.encode_without_special(text)?))
    }

    /// Tokenises two texts into one input: `[CLS] first [SEP] second [SEP]`, or RoBERTa's
    /// `<s> first </s></s> second </s>`, where all segments are 0.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<Encoded> {
        let [first, second] = [first, second].map(|text| self.encode_without_special(text));
        Ok(self.pair_with_special(&first?, &second?))
    }

    /// The tokens of a text alone, for [`with_special`](Self::with_special) or
    /// [`pair_with_special`](Self::pair_with_special) to finish, whole or by [`Windows`].
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_without_special(&self, text: &str) -> Result<Encoded> {
        self.inner.pipeline.encode(text)
    }

    /// Puts the special tokens around the tokens of one text.
    pub fn with_special(&self, tokens: &Encoded) -> Encoded {
        self.inner.template.apply(tokens, None)
    }

    /// Joins the tokens of two texts with the special tokens between and around them. Segments and the
    /// sources' `sequence` are set for the pair.
    pub fn pair_with_special(&self, first: &Encoded, second: &Encoded) -> Encoded {
        self.inner.template.apply(first, Some(second))
    }

    /// How many special tokens an input gets: with BERT 2 for one text, 3 for a pair; with RoBERTa 2 and 4.
    pub fn special_count(&self, pair: bool) -> usize {
        self.inner.template.added(pair)
    }

    /// The text that ids stand for, pieces joined to words; ids without a token are left out.
    ///
    /// # Errors
    /// Only when a `tokenizer.json` asks for a decoder that fails while it runs; BERT's own does not.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        self.inner.pipeline.decode(ids, skip_special)
    }

    /// What kind of tokenizer this is.
    pub fn kind(&self) -> TokenizerKind {
        self.inner.pipeline.kind()
    }

    /// The tokens of a text alone, with words numbered as entities are put together: for BERT they are as they are, for
    /// tokenizers that do not mark the pieces of a word they begin after blanks.
    pub(crate) fn encode_words(&self, text: &str) -> Result<Encoded> {
        let mut encoded = self.encode_without_special(text)?;
        if self.kind() != TokenizerKind::WordPiece {
            marks::number_words(text, &mut encoded, self.special().unk);
        }
        Ok(encoded)
    }

    /// A token as a reader expects it. WordPiece keeps its `##`; where a vocabulary writes a blank as `Ġ` or `▁`, it is a
    /// blank here, and letters that stand for bytes are these bytes' text (U+FFFD for a part of a char).
    ///
    /// It is what transformers' pipelines print as `token_str`, but for Unigram, of which these leave out the blank.
    ///
    /// ```
    /// use bert_tasks::tokenizer::{Tokenizer, TokenizerKind};
    ///
    /// let json = r#"{
    ///     "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
    ///     "post_processor": {"type": "RobertaProcessing", "cls": ["<s>", 0], "sep": ["</s>", 1],
    ///                        "trim_offsets": true, "add_prefix_space": false},
    ///     "model": {"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "a": 2, "Ġ": 3, "Ã": 4, "©": 5, "Ã©": 6, "ĠÃ©": 7},
    ///               "merges": ["Ã ©", "Ġ Ã©"]}
    /// }"#;
    /// let tokenizer = Tokenizer::from_bytes(json.as_bytes())?;
    /// assert_eq!(tokenizer.kind(), TokenizerKind::ByteLevelBpe);
    /// let encoded = tokenizer.encode("a é")?;
    /// assert_eq!(encoded.ids, [0, 2, 7, 1]);
    /// assert_eq!(tokenizer.token_text(7).as_deref(), Some(" é")); // the vocabulary has "ĠÃ©"
    /// assert_eq!(encoded.range(2), Some(2..4)); // é without the blank
    /// # Ok::<(), bert_tasks::tokenizer::TokenizerError>(())
    /// ```
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.inner.pipeline.token_text(id)
    }

    /// A token as the vocabulary has it: with `##` where it continues a word of WordPiece, with `Ġ` or `▁` for a blank
    /// before it in other kinds.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.pipeline.id_to_token(id)
    }

    /// The id of exactly this token: no normalisation, no splitting.
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.pipeline.token_to_id(token)
    }

    /// Whether the words of a text, between blanks (space, tab, line ends), give the same tokens one by one as
    /// together. BERT's do, unless an added token holds a blank.
    pub(crate) fn splits_at_blanks(&self) -> bool {
        self.inner.pipeline.splits_at_blanks()
    }

    /// Whether this is the id of a token that takes the blanks before it, as RoBERTa's mask does.
    pub(crate) fn takes_blanks_before(&self, id: u32) -> bool {
        self.inner.pipeline.takes_blanks_before(id)
    }

    /// Whether this is the id of a special token, such as `[SEP]`.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.pipeline.is_special(id)
    }

    /// The special tokens' ids.
    pub fn special(&self) -> SpecialIds {
        self.inner.special
    }

    /// One more than the greatest id: the rows that an embedding table must have.
    pub fn vocab_size(&self) -> usize {
        self.inner.vocab_size
    }

    /// `model_max_length` of `tokenizer_config.json`, in tokens with the special ones.
    pub fn max_length(&self) -> Option<usize> {
        self.inner.max_length
    }

    /// Checks that every id has a row in an embedding table of `table` rows. A table may have more rows than
    /// there are tokens.
    ///
    /// # Errors
    /// [`TokenizerError::VocabTooLarge`] when ids could lie outside the table.
    pub fn check_vocab_size(&self, table: usize) -> Result<()> {
        match self.vocab_size() {
            vocab if vocab > table => Err(TokenizerError::VocabTooLarge { vocab, table }),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("kind", &self.kind())
            .field("vocab_size", &self.vocab_size())
            .field("special", &self.special())
            .field("max_length", &self.max_length())
            .finish_non_exhaustive()
    }
}
