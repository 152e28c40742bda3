//! Loading from vocab.txt and the small JSON files around it, good and bad.

use std::fs;
use std::path::Path;

use bert_tasks::tokenizer::{Tokenizer, TokenizerError};
use tempfile::TempDir;

use super::{CLS, MASK, SEP, UNK, VOCAB, message};

/// A folder with these files.
pub fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

pub fn load(files: &[(&str, &str)]) -> Result<Tokenizer, TokenizerError> {
    Tokenizer::from_folder(folder(files).path())
}

fn error(files: &[(&str, &str)]) -> String {
    message(&load(files).unwrap_err())
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode_without_special(text).unwrap().ids
}

#[test]
fn vocab_txt_alone_is_an_uncased_bert() {
    let tokenizer = load(&[("vocab.txt", VOCAB)]).unwrap();
    assert_eq!(tokenizer.encode("Café").unwrap().ids, [CLS, 9, SEP]);
    let special = tokenizer.special();
    assert_eq!((special.cls, special.sep), (CLS, SEP));
    assert_eq!((special.unk, special.pad, special.mask), (Some(UNK), Some(0), Some(MASK)));
    assert_eq!(tokenizer.vocab_size(), VOCAB.lines().count());
    assert_eq!(tokenizer.max_length(), None);
}

#[test]
fn line_ends_do_not_matter() {
    let unix = Tokenizer::from_parts(VOCAB, None).unwrap();
    for vocab in [
        VOCAB.replace('\n', "\r\n"),
        format!("\u{feff}{VOCAB}"),
        VOCAB.trim_end().to_owned(),
        format!("{VOCAB}\n\n\n"),
    ] {
        let other = Tokenizer::from_parts(&vocab, None).unwrap();
        assert_eq!((other.vocab_size(), other.special()), (unix.vocab_size(), unix.special()));
        let text = "A café [MASK] 中!";
        assert_eq!(other.encode(text).unwrap(), unix.encode(text).unwrap());
        let other = load(&[("vocab.txt", &vocab)]).unwrap();
        assert_eq!(other.encode(text).unwrap(), unix.encode(text).unwrap());
    }
}

#[test]
fn the_line_is_the_id() {
    let vocab = "[UNK]\n\n[CLS]\n[SEP]\na\nb\na\n \n";
    let tokenizer = Tokenizer::from_parts(vocab, None).unwrap();
    assert_eq!(tokenizer.token_to_id("[CLS]"), Some(2)); // the empty line has used up 1
    assert_eq!(tokenizer.id_to_token(1), None);
    assert_eq!(tokenizer.token_to_id("a"), Some(6)); // the last of equal lines
    assert_eq!(tokenizer.token_to_id(" "), Some(7)); // a blank is a token: lines are not trimmed
    assert_eq!(tokenizer.vocab_size(), 8);
    assert_eq!((tokenizer.special().mask, tokenizer.special().pad), (None, None));
    // Without a mask token the text means nothing special.
    assert_eq!(ids(&tokenizer, "[MASK]"), [0, 0, 0]);
}

#[test]
fn a_vocabulary_must_have_tokens_and_the_special_ones() {
    for vocab in ["", "\n", "\r\n\r\n", "\u{feff}"] {
        let error = Tokenizer::from_parts(vocab, None).unwrap_err();
        assert!(matches!(error, TokenizerError::EmptyVocab), "{error}");
    }
    for (vocab, setting, missing) in [
        ("[CLS]\n[SEP]\na\n", "unk_token", "[UNK]"),
        ("[UNK]\n[SEP]\na\n", "cls_token", "[CLS]"),
        ("[UNK]\n[CLS]\na\n", "sep_token", "[SEP]"),
    ] {
        let error = Tokenizer::from_parts(vocab, None).unwrap_err();
        assert!(
            matches!(&error, TokenizerError::MissingToken { role, token } if *role == setting && token == missing)
        );
        assert!(error.to_string().contains(missing) && error.to_string().contains("tokenizer_config.json"));
    }
}

#[test]
fn special_tokens_can_have_other_names() {
    let vocab = "<unk>\n<s>\n</s>\n<mask>\na\n[CLS]\n";
    let config = r#"{"unk_token": "<unk>", "cls_token": {"content": "<s>", "__type": "AddedToken"},
        "sep_token": "</s>", "mask_token": "<mask>", "pad_token": null, "model_max_length": 512}"#;
    let tokenizer = Tokenizer::from_parts(vocab, Some(config)).unwrap();
    assert_eq!(tokenizer.encode("a <mask> z").unwrap().ids, [1, 4, 3, 0, 2]);
    assert_eq!(tokenizer.special().pad, None);
    assert_eq!(tokenizer.max_length(), Some(512));
    // The older file overrides the names.
    let map = r#"{"cls_token": "[CLS]"}"#;
    let files = [("vocab.txt", vocab), ("tokenizer_config.json", config), ("special_tokens_map.json", map)];
    assert_eq!(load(&files).unwrap().encode("a").unwrap().ids, [5, 4, 2]);
}

#[test]
fn lengths_that_mean_unlimited_are_no_limit() {
    let max_length = |config| Tokenizer::from_parts(VOCAB, Some(config)).unwrap().max_length();
    assert_eq!(max_length(r#"{"model_max_length": 1000000000000000019884624838656}"#), None);
    assert_eq!(max_length(r#"{"model_max_length": 1e30}"#), None);
    assert_eq!(max_length(r#"{"model_max_length": null}"#), None);
    assert_eq!(max_length(r#"{"model_max_length": -1}"#), None);
    assert_eq!(max_length(r#"{"max_len": 512}"#), Some(512));
}

#[test]
fn added_tokens_are_matched_first() {
    let next = VOCAB.lines().count() as u32;
    let config = format!(
        r#"{{"added_tokens_decoder": {{
            "4": {{"content": "[MASK]", "special": true, "lstrip": false}},
            "{next}": {{"content": "<X>", "special": true}},
            "{}": {{"content": "Covid", "single_word": true}}}}}}"#,
        next + 1
    );
    let tokenizer = Tokenizer::from_parts(VOCAB, Some(&config)).unwrap();
    assert_eq!(ids(&tokenizer, "a<X>b COVID covids [MASK]"), [5, next, 7, next + 1, UNK, MASK]);
    assert_eq!(tokenizer.vocab_size(), next as usize + 2);
    assert_eq!(tokenizer.id_to_token(next + 1).as_deref(), Some("Covid"));
    assert!(tokenizer.is_special(next) && !tokenizer.is_special(next + 1));

    // The older form, and a token that is only listed as special.
    let map = r#"{"additional_special_tokens": ["<X>", "<Y>"]}"#;
    let added = format!(r#"{{"<X>": {next}}}"#);
    let files = [("vocab.txt", VOCAB), ("special_tokens_map.json", map), ("added_tokens.json", &added)];
    let tokenizer = load(&files).unwrap();
    assert_eq!(ids(&tokenizer, "a<X>b<Y>"), [5, next, 7, next + 1]);
    assert!(tokenizer.is_special(next) && tokenizer.is_special(next + 1));
    // A mask token may be one of the added tokens: special, and matched as it is written.
    let without_mask = VOCAB.replace("[MASK]", "[unused0]");
    let added = format!(r#"{{"[MASK]": {next}}}"#);
    let tokenizer = load(&[("vocab.txt", &without_mask), ("added_tokens.json", &added)]).unwrap();
    assert_eq!(tokenizer.special().mask, Some(next));
    assert!(tokenizer.is_special(next));
    assert_eq!(ids(&tokenizer, "a [MASK]"), [5, next]);
    assert!(!ids(&tokenizer, "[mask]").contains(&next));
    // With the newest form the two older files are leftovers.
    let files = [
        ("vocab.txt", VOCAB),
        ("tokenizer_config.json", r#"{"added_tokens_decoder": {}}"#),
        ("special_tokens_map.json", map),
        ("added_tokens.json", &added),
    ];
    assert_eq!(load(&files).unwrap().vocab_size(), next as usize);
}

#[test]
fn added_tokens_must_get_the_ids_that_the_files_state() {
    let config = r#"{"added_tokens_decoder": {"99": {"content": "<X>"}}}"#;
    let error = Tokenizer::from_parts(VOCAB, Some(config)).unwrap_err();
    assert!(matches!(error, TokenizerError::AddedTokenId { expected: 99, found: 20, .. }), "{error}");
    let config = r#"{"added_tokens_decoder": {"7": {"content": "[MASK]"}}}"#;
    let error = Tokenizer::from_parts(VOCAB, Some(config)).unwrap_err();
    assert!(matches!(error, TokenizerError::AddedTokenId { expected: 7, found: MASK, .. }), "{error}");
    let error =
        load(&[("vocab.txt", VOCAB), ("added_tokens.json", r#"{"<X>": 20, "<Y>": 20}"#)]).unwrap_err();
    assert!(matches!(error, TokenizerError::SharedId { id: 20, .. }), "{error}");
    // The library numbers added tokens by the count of tokens, which equal lines make too small.
    let config = r#"{"additional_special_tokens": ["<X>"]}"#;
    let error = Tokenizer::from_parts("[UNK]\n[CLS]\n[SEP]\na\na\nb\n", Some(config)).unwrap_err();
    assert!(matches!(error, TokenizerError::AddedTokenId { expected: 6, found: 5, .. }), "{error}");
}

#[test]
fn a_table_must_hold_every_id() {
    let tokenizer = Tokenizer::from_parts(VOCAB, None).unwrap();
    let rows = tokenizer.vocab_size();
    tokenizer.check_vocab_size(rows).unwrap();
    tokenizer.check_vocab_size(rows + 44).unwrap();
    for table in [0, rows - 1] {
        let error = tokenizer.check_vocab_size(table).unwrap_err().to_string();
        assert!(error.contains(&rows.to_string()) && error.contains(&table.to_string()), "{error}");
    }
}

#[test]
fn settings_that_would_change_ids_are_refused() {
    for (config, field) in [
        (r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#, "tokenizer_class"),
        (r#"{"do_basic_tokenize": false}"#, "do_basic_tokenize"),
        (r#"{"never_split": ["x"]}"#, "never_split"),
    ] {
        let files = [("vocab.txt", VOCAB), ("tokenizer_config.json", config)];
        let text = error(&files);
        assert!(text.contains(field) && text.contains("tokenizer_config.json"), "{text}");
        assert!(Tokenizer::from_parts(VOCAB, Some(config)).is_err());
    }
    let harmless = r#"{"tokenizer_class": "DistilBertTokenizerFast", "do_basic_tokenize": true, "never_split": null,
        "padding_side": "left", "truncation_side": "left", "max_length": 4, "stride": 2, "extra_special_tokens": {}}"#;
    let tokenizer = Tokenizer::from_parts(VOCAB, Some(harmless)).unwrap();
    assert_eq!(ids(&tokenizer, "a b a b a b"), [5, 7, 5, 7, 5, 7]);
}

#[test]
fn broken_files_are_named() {
    for name in ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "tokenizer.json"] {
        for broken in ["", "{", "[1, 2]", "\"text\"", "{\"cls_token\": 3, \"a\": -1, \"model\": 3}", "nul\0"]
        {
            let text = error(&[("vocab.txt", VOCAB), (name, broken)]);
            assert!(text.contains(name), "{broken:?}: {text}");
        }
    }
    let deep = "[".repeat(100_000);
    assert!(error(&[("vocab.txt", VOCAB), ("tokenizer.json", &deep)]).contains("tokenizer.json"));
}

#[test]
fn folders_without_a_tokenizer_say_what_is_missing() {
    let empty = TempDir::new().unwrap();
    let text = message(&Tokenizer::from_folder(empty.path()).unwrap_err());
    assert!(text.contains("tokenizer.json") && text.contains("vocab.txt"), "{text}");

    let missing = empty.path().join("no such folder");
    assert!(
        matches!(Tokenizer::from_folder(&missing), Err(TokenizerError::NotAFolder { path }) if path == missing)
    );
    let file = folder(&[("vocab.txt", VOCAB)]);
    let error = Tokenizer::from_folder(file.path().join("vocab.txt")).unwrap_err();
    assert!(matches!(error, TokenizerError::NotAFolder { .. }), "{error}");
    assert!(Tokenizer::from_folder(Path::new("")).is_err());
    assert!(Tokenizer::from_folder("nul\0").is_err());
}

#[test]
fn unreadable_files_are_named() {
    for name in ["vocab.txt", "tokenizer.json", "tokenizer_config.json"] {
        let empty = TempDir::new().unwrap();
        fs::create_dir(empty.path().join(name)).unwrap();
        let error = Tokenizer::from_folder(empty.path()).unwrap_err();
        assert!(matches!(&error, TokenizerError::Read { path, .. } if path.ends_with(name)), "{error}");
    }
}

#[test]
fn text_that_is_no_utf_8_is_located() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("vocab.txt"), b"[UNK]\n[CLS]\ncaf\xe9\n").unwrap();
    let error = Tokenizer::from_folder(folder.path()).unwrap_err();
    assert!(matches!(&error, TokenizerError::NotUtf8 { line: 3, .. }), "{error}");
    let error = Tokenizer::from_bytes(b"{\"version\": \"\xff\"}").unwrap_err();
    assert!(matches!(&error, TokenizerError::NotUtf8 { line: 1, .. }), "{error}");
}
