//! Tokenising much text fast: the tokens of a word that was seen before are remembered.

use ahash::AHashMap;

use super::error::Result;
use crate::tokenizer::Tokenizer;

/// Words that are remembered at most, some ten megabytes. When there are so many, all are forgotten; the frequent
/// ones soon come back.
const MOST_WORDS: usize = 1 << 17;
/// The longest word that is remembered, in bytes.
const LONGEST: usize = 48;

/// A tokenizer with the ids of the words that it has seen, for one thread.
pub(super) struct Words<'a> {
    tokenizer: &'a Tokenizer,
    /// What stands between blanks, and its ids; `None` if tokens depend on more than that.
    seen: Option<AHashMap<Box<str>, Box<[u32]>>>,
}

impl<'a> Words<'a> {
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, seen: tokenizer.splits_at_blanks().then(AHashMap::new) }
    }

    /// Appends the ids of a text, without special tokens around them.
    pub fn encode(&mut self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let Some(seen) = &mut self.seen else {
            ids.extend(self.tokenizer.encode_without_special(text)?.ids);
            return Ok(());
        };
        for word in text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()) {
            if let Some(known) = seen.get(word) {
                ids.extend_from_slice(known);
                continue;
            }
            let new = self.tokenizer.encode_without_special(word)?.ids;
            ids.extend_from_slice(&new);
            if word.len() <= LONGEST {
                if seen.len() == MOST_WORDS {
                    seen.clear();
                }
                seen.insert(word.into(), new.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_are_those_of_the_whole_text(
            texts in prop::collection::vec(
                "([a-cA-C.,'éÉΣ中\u{301}\u{85}\u{a0}\u{200b}\u{0}\u{1f}]|\\[MASK\\]|\\[SEP|[ \t\n]|\\PC){0,30}", 1..4),
        ) {
            let tokenizer = super::super::testing::tokenizer();
            let mut words = Words::new(&tokenizer);
            prop_assert!(words.seen.is_some());
            for text in texts.iter().chain(&texts) {
                let mut ids = vec![];
                words.encode(text, &mut ids).unwrap();
                prop_assert_eq!(ids, tokenizer.encode_without_special(text).unwrap().ids, "{:?}", text);
            }
        }
    }

    #[test]
    fn a_token_with_a_blank_is_found() {
        let json = r###"{"added_tokens": [{"id": 5, "content": "new york", "normalized": true, "special": false,
            "single_word": false, "lstrip": false, "rstrip": false}],
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "[MASK]": 3, "new": 4}}}"###;
        let tokenizer = Tokenizer::from_bytes(json.as_bytes()).unwrap();
        let mut ids = vec![];
        Words::new(&tokenizer).encode("New York new", &mut ids).unwrap();
        assert_eq!(ids, [5, 4]);
    }
}
