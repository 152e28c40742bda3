//! A small tokenizer for the tests of this module.

use super::Vocabulary;
use crate::tokenizer::Tokenizer;

/// Special tokens, letters and digits, each of them also as a continuation: any ASCII word can be spelled.
pub fn tokenizer() -> Tokenizer {
    let mut vocab = vec!["[PAD]".to_owned(), "[UNK]".into(), "[CLS]".into(), "[SEP]".into(), "[MASK]".into()];
    for char in ('a'..='z').chain('0'..='9') {
        vocab.extend([char.to_string(), format!("##{char}")]);
    }
    vocab.extend([".", "!", "the", "##ing"].map(str::to_owned));
    Tokenizer::from_parts(&vocab.join("\n"), None).expect("it has all that it needs")
}

pub fn vocabulary() -> Vocabulary {
    Vocabulary::new(&tokenizer()).expect("it has a mask")
}
