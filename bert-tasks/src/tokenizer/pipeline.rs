//! Text to tokens: added tokens, normalisation, words, pieces, and the way back to byte offsets.
//!
//! The steps are the library's; this module runs them over pieces of a long text and turns the library's
//! result into an [`Encoded`].

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ahash::AHashMap;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, AddedVocabulary, Decoder as _, Encoding, NormalizedString, Normalizer as _, OffsetType,
    PreTokenizer as _,
};

use super::cuts::Cuts;
use super::encoded::{Encoded, Source};
use super::error::{Result, TokenizerError};
use super::kind::TokenizerKind;
use super::marks::without_blanks;
use super::model::{Model, rows};

/// Texts are tokenised in pieces of about this many bytes. The library keeps 16 bytes of alignment and two
/// copies of each byte, so a long text runs out of the processor's caches, and of memory, in one piece.
const PIECE: usize = 16 << 10;

/// Everything between a text and its tokens.
pub(super) struct Pipeline {
    kind: TokenizerKind,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    model: Model,
    decoder: Option<DecoderWrapper>,
    added: AddedVocabulary,
    /// How to cut texts into pieces, where that is sure to change no token.
    cuts: Option<Cuts>,
}

impl Pipeline {
    /// `added` are the tokens that are matched in the text first, with the ids that they must get.
    pub(super) fn new(
        normalizer: Option<NormalizerWrapper>,
        pre_tokenizer: Option<PreTokenizerWrapper>,
        model: Model,
        decoder: Option<DecoderWrapper>,
        added: Vec<(Option<u32>, AddedToken)>,
    ) -> Result<Self> {
        let cuts = match (&normalizer, &pre_tokenizer, &model) {
            (
                Some(NormalizerWrapper::BertNormalizer(normalizer)),
                Some(PreTokenizerWrapper::BertPreTokenizer(_)),
                Model::WordPiece(_),
            ) => Cuts::new(*normalizer, added.iter().map(|(_, token)| token)),
            _ => None,
        };
        let kind = TokenizerKind::of(normalizer.as_ref(), pre_tokenizer.as_ref(), &model);
        let vocabulary = AddedVocabulary::new();
        let mut pipeline = Self { kind, normalizer, pre_tokenizer, model, decoder, added: vocabulary, cuts };
        pipeline.add(added)?;
        Ok(pipeline)
    }

    /// Adds tokens and checks the ids that the library gives them: it numbers unknown ones after the
    /// vocabulary, whatever the files say.
    fn add(&mut self, tokens: Vec<(Option<u32>, AddedToken)>) -> Result<()> {
        let mut next = self.model.rows();
        let mut expected = Vec::with_capacity(tokens.len());
        let mut seen = AHashMap::new();
        for (id, token) in &tokens {
            if token.normalized {
                // The library keeps both and matches either.
                let before = seen.insert(self.normalized(&token.content)?, &token.content);
                if let Some(first) = before.filter(|&first| first != &token.content) {
                    let (first, second) = (first.clone(), token.content.clone());
                    return Err(TokenizerError::SameAddedToken { first, second });
                }
            }
            let known = self.model.token_to_id(&token.content);
            let id = id.or(known).unwrap_or(u32::try_from(next).unwrap_or(u32::MAX));
            next = next.max(id as usize + 1);
            expected.push((token.content.clone(), id));
        }
        let tokens = tokens.into_iter().map(|(_, token)| token);
        let added = &mut self.added;
        match &self.model {
            Model::WordPiece(matcher) => {
                added.add_tokens(tokens, matcher.library(), self.normalizer.as_ref())
            }
            Model::Other(library) => added.add_tokens(tokens, &library.model, self.normalizer.as_ref()),
        }
        .map_err(|source| TokenizerError::Pipeline { stage: "added tokens", source })?;
        for (token, expected) in expected {
            match self.token_to_id(&token) {
                Some(found) if found != expected => {
                    return Err(TokenizerError::AddedTokenId { token, expected, found });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn normalized(&self, text: &str) -> Result<String> {
        let mut normalized = NormalizedString::from(text);
        if let Some(normalizer) = &self.normalizer {
            run("normalizer", || normalizer.normalize(&mut normalized))?;
        }
        Ok(normalized.get().to_owned())
    }

    pub(super) fn token_to_id(&self, token: &str) -> Option<u32> {
        self.added.get_vocab().get(token).copied().or_else(|| self.model.token_to_id(token))
    }

    pub(super) fn id_to_token(&self, id: u32) -> Option<String> {
        let added = self.added.get_added_tokens_decoder().get(&id);
        added.map(|token| token.content.clone()).or_else(|| self.model.id_to_token(id))
    }

    /// What kind of tokenizer this is.
    pub(super) fn kind(&self) -> TokenizerKind {
        self.kind
    }

    /// What a token stands for, as a reader expects it.
    pub(super) fn token_text(&self, id: u32) -> Option<String> {
        let token = self.id_to_token(id)?;
        if self.is_added(id) {
            return Some(token);
        }
        Some(match self.kind {
            // Bytes, each written as a letter; those of half a char become U+FFFD.
            TokenizerKind::ByteLevelBpe => match ByteLevel::default().decode_chain(vec![token.clone()]) {
                Ok(parts) => parts.concat(),
                Err(_) => token,
            },
            TokenizerKind::Unigram | TokenizerKind::Bpe => token.replace('\u{2581}', " "),
            TokenizerKind::WordPiece | TokenizerKind::WordLevel => token,
        })
    }

    /// Whether a token that is matched in the text takes the blanks before it.
    pub(super) fn takes_blanks_before(&self, id: u32) -> bool {
        self.added.get_added_tokens_decoder().get(&id).is_some_and(|token| token.lstrip)
    }

    fn is_added(&self, id: u32) -> bool {
        self.added.get_added_tokens_decoder().contains_key(&id)
    }

    /// The id that words get which the vocabulary cannot spell, where the algorithm has one.
    pub(super) fn unk(&self) -> Option<u32> {
        match &self.model {
            Model::WordPiece(matcher) => Some(matcher.unk()),
            Model::Other(_) => None,
        }
    }

    /// Whether the words between blanks give the same tokens one by one as together.
    pub(super) fn splits_at_blanks(&self) -> bool {
        self.cuts.is_some()
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.added.get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
    }

    /// One more than the greatest id.
    pub(super) fn rows(&self) -> usize {
        self.model.rows().max(rows(self.added.get_vocab().values()))
    }

    /// All tokens of a text, as sequence 0 in segment 0.
    pub(super) fn encode(&self, text: &str) -> Result<Encoded> {
        self.encode_in_pieces(text, PIECE)
    }

    fn encode_in_pieces(&self, text: &str, piece: usize) -> Result<Encoded> {
        let mut encoded = Encoded::with_capacity(text.len() / 4);
        let mut words = 0;
        let mut start = 0;
        while start < text.len() {
            let cut = self.cuts.as_ref().map(|cuts| cuts.next(text, start.saturating_add(piece)));
            let end = cut.unwrap_or(text.len());
            let encoding = run("encoder", || self.tokens(&text[start..end]))?;
            let first_word = words;
            let columns = encoding.get_ids().iter().zip(encoding.get_offsets()).zip(encoding.get_word_ids());
            for (((&id, offsets), &word), token) in columns.zip(encoding.get_tokens()) {
                let word = first_word + word.unwrap_or(0);
                words = word + 1;
                let mut range = snap(text, start + offsets.0..start + offsets.1);
                if self.kind.marks_blanks() {
                    range = without_blanks(text, range, token);
                }
                let source = Source { sequence: 0, word, start: range.start, end: range.end };
                encoded.push(id, 0, Some(source));
            }
            start = end;
        }
        Ok(encoded)
    }

    /// The library's steps, with byte offsets into `text`.
    fn tokens(&self, text: &str) -> tokenizers::Result<Encoding> {
        let mut words = self.added.extract_and_normalize(self.normalizer.as_ref(), text);
        if let Some(pre_tokenizer) = &self.pre_tokenizer {
            pre_tokenizer.pre_tokenize(&mut words)?;
        }
        words.tokenize(|word| self.model.tokenize(word.get()))?;
        words.into_encoding(None, 0, OffsetType::Byte)
    }

    /// Tokens to text. Ids without a token are left out.
    pub(super) fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        let ids = ids.iter().copied().filter(|&id| !(skip_special && self.is_special(id)));
        let tokens: Vec<String> = ids.filter_map(|id| self.id_to_token(id)).collect();
        match &self.decoder {
            Some(decoder) => run("decoder", || decoder.decode(tokens)),
            None => Ok(tokens.join(" ")),
        }
    }
}

/// Runs a step of the library. BERT's own steps do not panic; of the others that a tokenizer.json can ask for
/// some do when their settings are absurd, and a file is no reason to take the process down.
pub(super) fn guard<T>(stage: &'static str, step: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|_| TokenizerError::Broken { stage })
}

/// The same for a step that can also fail properly.
pub(super) fn run<T>(stage: &'static str, step: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
    guard(stage, step)?.map_err(|source| TokenizerError::Pipeline { stage, source })
}

/// The range within `text` that begins and ends with whole chars.
fn snap(text: &str, range: Range<usize>) -> Range<usize> {
    let end = range.end.min(text.len());
    text.floor_char_boundary(range.start.min(end))..text.ceil_char_boundary(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::normalizers::BertNormalizer;
    use tokenizers::pre_tokenizers::bert::BertPreTokenizer;

    use super::*;
    use crate::tokenizer::model::LongestMatch;

    fn pipeline(lowercase: bool, added: &[AddedToken]) -> Pipeline {
        let tokens = ["[UNK]", "[MASK]", "a", "##a", "b", "##b", ".", "e", "中", "##e"];
        let vocab = tokens.iter().zip(0..).map(|(token, id)| (token.to_string(), id)).collect();
        let model = LongestMatch::new(vocab, "[UNK]".into(), "##".into(), 100).unwrap();
        let normalizer = BertNormalizer::new(true, true, None, lowercase);
        let added = added.iter().map(|token| (None, token.clone())).collect();
        let (normalizer, words) = (Some(normalizer.into()), Some(BertPreTokenizer.into()));
        Pipeline::new(normalizer, words, Model::WordPiece(model), None, added).unwrap()
    }

    proptest! {
        /// Marks of several combining classes; blanks that are removed (U+0085, U+000B) and kept; chars that
        /// may be removed as unassigned (U+9FFF); added tokens that stand alone, in words, and across cuts.
        #[test]
        fn cutting_changes_nothing(
            text in "([abeé中国._\u{9fff}]|[ \t\n\r\u{85}\u{b}\u{a0}\u{3000}]|[\u{301}\u{323}\u{5b0}\u{302e}\u{0}]\
                     |\\[MASK\\]|ab|AB|\\.\\.|_\\.a ){0,40}",
            lowercase: bool,
            whole_words: bool,
            piece in 1usize..20,
        ) {
            let pipeline = pipeline(lowercase, &[
                AddedToken::from("[MASK]", true),
                AddedToken::from("ab", false).single_word(whole_words),
                AddedToken::from(".a", false).single_word(whole_words),
                AddedToken::from("国", true).single_word(whole_words),
                AddedToken::from("中.", true),
            ]);
            prop_assert!(pipeline.cuts.is_some());
            let whole = pipeline.encode_in_pieces(&text, usize::MAX).unwrap();
            prop_assert_eq!(pipeline.encode_in_pieces(&text, piece).unwrap(), whole);
        }
    }

    #[test]
    fn offsets_snap_outward_and_stay_inside() {
        let text = "a中b";
        assert_eq!(snap(text, 2..3), 1..4);
        assert_eq!(snap(text, 0..99), 0..5);
        assert_eq!(snap(text, 9..99), 5..5);
        assert_eq!(snap(text, 1..4), 1..4);
    }
}
