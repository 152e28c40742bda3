//! Byte-level BPE and Unigram, against what the tokenizers library records in `families/golden.json`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bert_tasks::tokenizer::{Tokenizer, TokenizerError, TokenizerKind};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::files::load;
use super::message;
use crate::common::shared;

#[derive(Deserialize)]
struct Golden {
    texts: Vec<Text>,
    /// Neighbours in `texts`.
    pairs: Vec<Pair>,
    /// CRC-32 of the ids of every hundred lines.
    corpus: Vec<u32>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
    offsets: Vec<(usize, usize)>,
    words: Vec<Option<u32>>,
}

#[derive(Deserialize)]
struct Pair {
    ids: Vec<u32>,
    segments: Vec<u32>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all/tokenizer/families").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(folder(name)).unwrap()
}

/// The Unigram tokenizer without its WhitespaceSplit.
fn spaced() -> Tokenizer {
    let mut json: Value = serde_json::from_str(&read("unigram/tokenizer.json")).unwrap();
    json["pre_tokenizer"] = json["pre_tokenizer"]["pretokenizers"][1].take();
    Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap()
}

/// Every tokenizer with the name of its golden outputs.
fn tokenizers() -> [(&'static str, Tokenizer); 4] {
    let in_folder = |name: &str| Tokenizer::from_folder(folder(name)).unwrap();
    [
        ("byte-level-bpe", in_folder("byte-level-bpe")),
        ("byte-level-bpe", from_merges("{}").unwrap()),
        ("unigram", in_folder("unigram")),
        ("spaced", spaced()),
    ]
}

/// RoBERTa's tokenizer from the files of its first releases.
fn from_merges(config: &str) -> Result<Tokenizer, TokenizerError> {
    let (vocab, merges) = (read("byte-level-bpe/vocab.json"), read("byte-level-bpe/merges.txt"));
    load(&[("vocab.json", &vocab), ("merges.txt", &merges), ("tokenizer_config.json", config)])
}

#[test]
fn ids_offsets_words_and_pairs_are_those_of_the_library() {
    let goldens: HashMap<String, Golden> = serde_json::from_str(&read("golden.json")).unwrap();
    for (name, tokenizer) in tokenizers() {
        let golden = &goldens[name];
        assert!(golden.texts.len() > 60 && golden.pairs.len() + 1 == golden.texts.len());
        for Text { text, ids, offsets, words } in &golden.texts {
            let encoded = tokenizer.encode(text).unwrap();
            assert_eq!(&encoded.ids, ids, "{name}: {text:?}");
            for (at, source) in encoded.sources.iter().enumerate() {
                let found = source.map_or((0, 0), |source| (source.start, source.end));
                assert_eq!(found, offsets[at], "{name}: token {at} of {text:?}");
                // Words are numbered from 0 without gaps here; the library counts splits that left no token.
                let same_word =
                    |other: usize| source.map(|s| s.word) == encoded.sources[other].map(|s| s.word);
                if let (Some(_), true) = (source, at > 1) {
                    assert_eq!(
                        same_word(at - 1),
                        words[at] == words[at - 1],
                        "{name}: token {at} of {text:?}"
                    );
                }
            }
        }
        for (texts, pair) in golden.texts.windows(2).zip(&golden.pairs) {
            let encoded = tokenizer.encode_pair(&texts[0].text, &texts[1].text).unwrap();
            assert_eq!(encoded.ids, pair.ids, "{name}: {:?}, {:?}", texts[0].text, texts[1].text);
            assert_eq!(encoded.segments, pair.segments, "{name}");
        }
    }
}

#[test]
fn two_thousand_lines_have_the_ids_of_the_library() {
    let Some(corpus) = shared("data/corpus/modern.txt.zst") else { return };
    let mut text = String::new();
    ruzstd::decoding::StreamingDecoder::new(File::open(corpus).unwrap())
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let lines: Vec<&str> = text.split('\n').take(2000).collect();
    assert_eq!(lines.len(), 2000);
    let goldens: HashMap<String, Golden> = serde_json::from_str(&read("golden.json")).unwrap();
    for (name, tokenizer) in tokenizers() {
        assert_eq!(goldens[name].corpus.len(), 20);
        for (block, (lines, &expected)) in lines.chunks(100).zip(&goldens[name].corpus).enumerate() {
            let mut crc = flate2::Crc::new();
            for line in lines {
                for id in tokenizer.encode(line).unwrap().ids {
                    crc.update(&id.to_le_bytes());
                }
            }
            assert_eq!(crc.sum(), expected, "{name}, lines {} to {}", block * 100, block * 100 + 99);
        }
    }
}

#[test]
fn roles_kinds_and_counts_are_those_of_the_family() {
    for (name, tokenizer) in tokenizers() {
        let special = tokenizer.special();
        let token = |id: Option<u32>| tokenizer.id_to_token(id.unwrap()).unwrap();
        assert_eq!([token(Some(special.cls)), token(Some(special.sep))], ["<s>", "</s>"]);
        assert_eq!(
            [token(special.unk), token(special.pad), token(special.mask)],
            ["<unk>", "<pad>", "<mask>"]
        );
        assert_eq!((tokenizer.special_count(false), tokenizer.special_count(true)), (2, 4));
        let kind =
            if name == "byte-level-bpe" { TokenizerKind::ByteLevelBpe } else { TokenizerKind::Unigram };
        assert_eq!(tokenizer.kind(), kind);
        assert!(tokenizer.is_special(special.mask.unwrap()));
    }
    assert_eq!(TokenizerKind::ByteLevelBpe.to_string(), "byte-level BPE");
}

#[test]
fn ranges_are_without_the_blanks_before_a_word_or_a_mask() {
    for (name, tokenizer) in tokenizers() {
        let text = "She lives in  <mask>, 🙂 Paris";
        let encoded = tokenizer.encode(text).unwrap();
        let covered: Vec<&str> =
            encoded.sources.iter().flatten().map(|source| &text[source.range()]).collect();
        assert!(!covered.iter().any(|part| part.contains(' ')), "{name}: {covered:?}");
        assert!(covered.contains(&"🙂") && covered.contains(&"<mask>"), "{name}: {covered:?}");
        // There is no token for the blanks before the mask.
        let mask = encoded.ids.iter().position(|&id| Some(id) == tokenizer.special().mask).unwrap();
        assert_eq!(&text[encoded.range(mask - 1).unwrap()].chars().last(), &Some('n'), "{name}: {covered:?}");
    }
}

#[test]
fn tokens_read_as_the_text_that_they_stand_for() {
    for (name, tokenizer) in tokenizers() {
        let text = "She lives in Los Angeles with André";
        let encoded = tokenizer.encode_without_special(text).unwrap();
        let read: String = encoded.ids.iter().map(|&id| tokenizer.token_text(id).unwrap()).collect();
        assert_eq!(read.trim_start(), text, "{name}");
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap().ids, true).unwrap(), text, "{name}");
        assert_eq!(tokenizer.token_text(tokenizer.special().mask.unwrap()).unwrap(), "<mask>");
        assert_eq!(tokenizer.token_text(1 << 20), None);
    }
    let bytes = &tokenizers()[0].1;
    // A part of a char.
    let id = bytes.token_to_id("ð").unwrap();
    assert_eq!(bytes.token_text(id).unwrap(), "\u{fffd}");
}

#[test]
fn a_text_may_begin_as_if_after_a_blank() {
    let first =
        |tokenizer: &Tokenizer| tokenizer.id_to_token(tokenizer.encode("Paris").unwrap().ids[1]).unwrap();
    assert_ne!(first(&from_merges("{}").unwrap()), "ĠParis");
    let prefixed =
        from_merges(r#"{"add_prefix_space": true, "tokenizer_class": "RobertaTokenizer"}"#).unwrap();
    assert_eq!(first(&prefixed), "ĠParis");
    assert_eq!(prefixed.encode("Paris").unwrap().range(1), Some(0..5));
    let text = " Paris";
    assert_eq!(&text[prefixed.encode(text).unwrap().range(1).unwrap()], "Paris");
    let json = read("byte-level-bpe/tokenizer.json");
    let files =
        [("tokenizer.json", json.as_str()), ("tokenizer_config.json", r#"{"add_prefix_space": true}"#)];
    assert_eq!(first(&load(&files).unwrap()), "ĠParis");
}

#[test]
fn files_that_do_not_make_a_tokenizer_say_what_to_do() {
    let vocab = read("byte-level-bpe/vocab.json");
    let error = |files: &[(&str, &str)]| message(&load(files).unwrap_err());
    let text = error(&[("vocab.json", &vocab)]);
    assert!(text.contains("vocab.json") && text.contains("no merges.txt"), "{text}");
    let text = error(&[("merges.txt", "a b")]);
    assert!(text.contains("merges.txt") && text.contains("no vocab.json"), "{text}");
    for (merges, part) in
        [("#version: 0.2\na b\nab\n", "line 3: \"ab\""), ("zz yy\n", "zz"), ("a b c", "line 1")]
    {
        let text = error(&[("vocab.json", &vocab), ("merges.txt", merges)]);
        assert!(text.contains("merges") && text.contains(part), "{text}");
    }
    let text = error(&[("vocab.json", "{}"), ("merges.txt", "")]);
    assert!(text.contains("empty") && text.contains("vocab.json"), "{text}");
    let text = error(&[("vocab.json", r#"{"<s>": 0, "a": 0}"#), ("merges.txt", "")]);
    assert!(text.contains("id 0"), "{text}");
    let text = error(&[("vocab.json", r#"{"</s>": 0, "a": 1}"#), ("merges.txt", "")]);
    assert!(text.contains("\"<s>\"") && text.contains("cls_token"), "{text}");
    let error = from_merges(r#"{"tokenizer_class": "GPT2Tokenizer"}"#).unwrap_err();
    assert!(matches!(error, TokenizerError::Unsupported { field: "tokenizer_class", .. }), "{error}");
    for file in ["sentencepiece.bpe.model", "spiece.model"] {
        let text = message(&load(&[(file, "\0")]).unwrap_err());
        assert!(
            text.contains(file) && text.contains("AutoTokenizer") && text.contains("tokenizer.json"),
            "{text}"
        );
    }
}

#[test]
fn long_lines_are_handled() {
    let long = |part: &str| part.repeat(100_000 / part.len());
    let texts =
        ["a", " ", ".", "\u{301}", "中", "🙂", "\n", "<mask>", "ab ", "the river, ", "Paris's\t"].map(long);
    for (name, tokenizer) in tokenizers() {
        for text in &texts {
            let encoded = tokenizer.encode_without_special(text).unwrap();
            assert!(
                encoded.sources.iter().flatten().all(|source| text.get(source.range()).is_some()),
                "{name}"
            );
        }
    }
}

/// Text with what goes wrong: blanks, marks, parts of emoji, masks, chars outside of any vocabulary.
fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-cA-C.!']{1,4}",
        3 => "[ \t\n\r\u{85}\u{a0}\u{2028}\u{3000}▁Ġ]{1,3}",
        2 => "[\u{300}-\u{304}\u{200d}\u{fe0f}🙂👩中한é\u{fb01}½]{1,3}",
        1 => "<mask>|<s>|</s>|<unk|\\[MASK\\]",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn offsets_are_sound_for_any_text(text in any_text()) {
        static TOKENIZERS: LazyLock<[(&str, Tokenizer); 4]> = LazyLock::new(tokenizers);
        for (name, tokenizer) in TOKENIZERS.iter() {
            let encoded = tokenizer.encode_without_special(&text).unwrap();
            let (mut start, mut word) = (0, 0);
            for source in encoded.sources.iter().map(|source| source.unwrap()) {
                prop_assert!(text.get(source.range()).is_some(), "{}: {:?}", name, source);
                prop_assert!(start <= source.start && word <= source.word);
                (start, word) = (source.start, source.word);
            }
            let ranges: Vec<_> = encoded.sources.iter().flatten().map(|source| source.range()).collect();
            for (at, char) in text.char_indices().filter(|&(_, char)| matches!(char, 'a'..='c' | '🙂' | '中' | '.')) {
                prop_assert!(ranges.iter().any(|range| range.contains(&at)), "{}: {:?} at {}", name, char, at);
            }
        }
    }
}
