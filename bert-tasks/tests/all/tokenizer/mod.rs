//! The tokenizer against reference outputs, hostile text and hostile files.

mod families;
mod files;
mod golden;
mod text;
mod tokenizer_json;
mod windows;

use bert_tasks::tokenizer::Tokenizer;

/// A small uncased vocabulary; a token's id is its place.
const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\n##b\ncafe\n##s\n.\n中\n\u{1112}\n##\u{1161}\n##\u{11ab}\nA\n##A\nÉ\n!\n";

const UNK: u32 = 1;
const CLS: u32 = 2;
const SEP: u32 = 3;
const MASK: u32 = 4;

fn small() -> Tokenizer {
    Tokenizer::from_parts(VOCAB, None).unwrap()
}

/// An error with its causes, as a user would read it.
fn message(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
