//! What pre-training has to know of a tokenizer: which ids are special, which continue a word, and whether two
//! tokenizers are the same.

use super::error::{PretrainingError, Result};
use crate::tokenizer::Tokenizer;

/// Texts whose tokens show how a tokenizer treats case, accents, ideographs, punctuation and blanks.
const PROBES: [&str; 4] = [
    "Ein Café, naïve ΣΊΣΥΦΟΣ!",
    "中国 한국어 日本",
    "it's  non-breaking\u{a0}x\u{200b}y",
    "e\u{301} ﬁ Ⅷ 1,000.5 😀",
];

/// The tokens of a tokenizer, as pre-training sees them.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    size: u32,
    cls: u32,
    sep: u32,
    mask: u32,
    /// Ids that a masked token may be replaced by.
    replacements: Vec<u32>,
    /// For each id, what [`SPECIAL`] and [`CONTINUES`] say.
    kinds: Vec<u8>,
    hash: [u8; 32],
}

const SPECIAL: u8 = 1;
const CONTINUES: u8 = 2;

impl Vocabulary {
    /// Looks at all tokens of a tokenizer. Which of them continue a word depends on its
    /// [kind](crate::tokenizer::TokenizerKind::continues_word).
    ///
    /// # Errors
    /// [`PretrainingError::NoToken`] without a mask token, or with nothing but special tokens.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self> {
        let special = tokenizer.special();
        let mask = special.mask.ok_or(PretrainingError::NoToken { token: "mask" })?;
        let size = tokenizer.vocab_size() as u32;
        let mut hasher = blake3::Hasher::new();
        let mut kinds = Vec::with_capacity(size as usize);
        let mut replacements = vec![];
        let tokens: Vec<_> = (0..size).map(|id| tokenizer.id_to_token(id)).collect();
        // A vocabulary of which no token begins a word does not mark words at all.
        let marks_words = tokens.iter().flatten().any(|token| !tokenizer.kind().continues_word(token));
        for (id, token) in (0..size).zip(tokens) {
            let named = [Some(special.cls), Some(special.sep), special.unk, special.pad, special.mask];
            let is_special = tokenizer.is_special(id) || named.contains(&Some(id));
            let continues =
                marks_words && token.as_deref().is_some_and(|token| tokenizer.kind().continues_word(token));
            if token.is_some() && !is_special {
                replacements.push(id);
            }
            let kind = if is_special { SPECIAL } else { 0 } | if continues { CONTINUES } else { 0 };
            hasher.update(token.as_deref().unwrap_or_default().as_bytes()).update(&[0, kind]);
            kinds.push(kind);
        }
        if replacements.is_empty() {
            return Err(PretrainingError::NoToken { token: "ordinary" });
        }
        for probe in PROBES {
            for id in tokenizer.encode(probe)?.ids {
                hasher.update(&id.to_le_bytes());
            }
        }
        let hash = *hasher.finalize().as_bytes();
        Ok(Self { size, cls: special.cls, sep: special.sep, mask, replacements, kinds, hash })
    }

    /// One more than the greatest id.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The same for equal tokenizers. It depends on all tokens, and on how texts are cut that show the treatment of
    /// case, accents, ideographs and blanks.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Whether an id is that of a special token, the unknown one among them, or of none.
    pub fn is_special(&self, id: u32) -> bool {
        self.kinds.get(id as usize).is_none_or(|kind| kind & SPECIAL != 0)
    }

    /// Whether a token continues a word: `##ing` of WordPiece, `ing` beside `Ġgo`.
    pub fn continues(&self, id: u32) -> bool {
        self.kinds.get(id as usize).is_some_and(|kind| kind & CONTINUES != 0)
    }

    pub(super) fn cls(&self) -> u32 {
        self.cls
    }

    pub(super) fn sep(&self) -> u32 {
        self.sep
    }

    pub(super) fn mask(&self) -> u32 {
        self.mask
    }

    /// Ids of tokens that are not special.
    pub(super) fn replacements(&self) -> &[u32] {
        &self.replacements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_vocabulary_that_marks_blanks() {
        let json = r#"{"added_tokens": [{"id": 0, "content": "<s>", "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false},
            {"id": 1, "content": "</s>", "special": true, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false},
            {"id": 2, "content": "<mask>", "special": true, "single_word": false, "lstrip": true, "rstrip": false,
                "normalized": false}],
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
            "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0],
                "trim_offsets": true, "add_prefix_space": false},
            "model": {"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "<mask>": 2, "a": 3, "Ġ": 4, "Ġa": 5}, "merges": ["Ġ a"]}}"#;
        let marked = Vocabulary::new(&Tokenizer::from_bytes(json.as_bytes()).unwrap()).unwrap();
        assert_eq!([3, 4, 5].map(|id| marked.continues(id)), [true, false, false]);
        let unmarked = json.replace('Ġ', "b");
        let unmarked = Vocabulary::new(&Tokenizer::from_bytes(unmarked.as_bytes()).unwrap()).unwrap();
        assert_eq!([3, 4, 5].map(|id| unmarked.continues(id)), [false; 3]);
    }
}
