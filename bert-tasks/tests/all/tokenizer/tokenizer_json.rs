//! `tokenizer.json`: what is followed, what is switched off, what is refused.

use bert_tasks::tokenizer::{Tokenizer, TokenizerError};
use serde_json::{Value, json};

use super::files::load;
use super::{CLS, MASK, SEP, UNK, message};

/// A `tokenizer.json` as exporters write it, with padding and truncation on.
fn exported() -> Value {
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let token = |id: &str, segment: u32| json!({"SpecialToken": {"id": id, "type_id": segment}});
    let text = |id: &str, segment: u32| json!({"Sequence": {"id": id, "type_id": segment}});
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
                    "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [special(0, "[PAD]"), special(1, "[UNK]"), special(2, "[CLS]"), special(3, "[SEP]"),
                         special(4, "[MASK]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token("[CLS]", 0), text("A", 0), token("[SEP]", 0)],
            "pair": [token("[CLS]", 0), text("A", 0), token("[SEP]", 0), text("B", 1), token("[SEP]", 1)],
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                               "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100,
                  "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5, "##a": 6,
                            "b": 7, "A": 8}}
    })
}

/// The same with one place changed.
fn changed(pointer: &str, value: Value) -> Vec<u8> {
    let mut json = exported();
    *json.pointer_mut(pointer).unwrap() = value;
    json.to_string().into_bytes()
}

fn error(pointer: &str, value: Value) -> String {
    message(&Tokenizer::from_bytes(&changed(pointer, value)).unwrap_err())
}

#[test]
fn nothing_is_padded_and_nothing_is_cut() {
    let tokenizer = Tokenizer::from_bytes(exported().to_string().as_bytes()).unwrap();
    assert_eq!(tokenizer.encode("A aa b a b [MASK]").unwrap().ids, [CLS, 5, 5, 6, 7, 5, 7, MASK, SEP]);
    let pair = tokenizer.encode_pair("a", "b").unwrap();
    assert_eq!((pair.ids, pair.segments), (vec![CLS, 5, SEP, 7, SEP], vec![0, 0, 0, 1, 1]));
}

#[test]
fn it_wins_over_vocab_txt_but_not_over_stated_settings() {
    let json = exported().to_string();
    let files = [("vocab.txt", "nonsense"), ("tokenizer.json", &json)];
    assert_eq!(load(&files).unwrap().encode("A").unwrap().ids, [CLS, 5, SEP]);

    let with_config = |config| {
        let tokenizer = load(&[("tokenizer.json", &json), ("tokenizer_config.json", config)]).unwrap();
        (tokenizer.encode_without_special("A").unwrap().ids, tokenizer.max_length())
    };
    assert_eq!(with_config(r#"{"model_max_length": 256}"#), (vec![5], Some(256)));
    assert_eq!(with_config(r#"{"do_lower_case": false}"#), (vec![8], None));
    let generic = r#"{"do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast"}"#;
    assert_eq!(with_config(generic), (vec![5], None));
}

#[test]
fn other_layouts_are_followed() {
    let processor = json!({"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]});
    let tokenizer = Tokenizer::from_bytes(&changed("/post_processor", processor)).unwrap();
    assert_eq!(tokenizer.encode_pair("a", "b").unwrap().segments, [0, 0, 0, 1, 1]);

    let processor = json!({"type": "RobertaProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3],
                           "trim_offsets": true, "add_prefix_space": false});
    let chain = json!({"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}, processor]});
    for processor in [processor, chain] {
        let tokenizer = Tokenizer::from_bytes(&changed("/post_processor", processor)).unwrap();
        let pair = tokenizer.encode_pair("a", "b").unwrap();
        assert_eq!((pair.ids, pair.segments), (vec![CLS, 5, SEP, SEP, 7, SEP], vec![0; 6]));
    }

    let tokenizer = Tokenizer::from_bytes(&changed("/post_processor", Value::Null)).unwrap();
    assert_eq!(tokenizer.encode("a").unwrap().ids, [5]);
    assert_eq!((tokenizer.special_count(false), tokenizer.special_count(true)), (0, 0));
}

#[test]
fn layouts_that_lose_a_text_are_refused() {
    let a = json!({"Sequence": {"id": "A", "type_id": 0}});
    let b = json!({"Sequence": {"id": "B", "type_id": 0}});
    for (layout, pieces) in
        [("single", json!([])), ("single", json!([a, a])), ("single", json!([a, b])), ("pair", json!([a]))]
    {
        let text = error(&format!("/post_processor/{layout}"), pieces);
        assert!(text.contains(layout), "{text}");
    }
    let text = error("/post_processor/special_tokens", json!({}));
    assert!(text.contains("[CLS]"), "{text}");
}

#[test]
fn ids_of_the_layout_count_as_ids_of_the_tokenizer() {
    let tokenizer =
        Tokenizer::from_bytes(&changed("/post_processor/special_tokens/[SEP]/ids", json!([70, 71])));
    let tokenizer = tokenizer.unwrap();
    assert_eq!(tokenizer.encode("a").unwrap().ids, [CLS, 5, 70, 71]);
    assert_eq!(tokenizer.vocab_size(), 72);
    assert!(tokenizer.check_vocab_size(9).is_err());
}

#[test]
fn special_tokens_without_the_usual_names_come_from_the_layout() {
    let mut json = exported();
    let text = json.to_string().replace("[CLS]", "<a>").replace("[SEP]", "<z>").replace("[UNK]", "<u>");
    json = serde_json::from_str(&text).unwrap();
    let tokenizer = Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap();
    assert_eq!((tokenizer.special().cls, tokenizer.special().sep), (CLS, SEP));
    assert_eq!(tokenizer.special().unk, Some(UNK));
    json["post_processor"] = Value::Null;
    let error = Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap_err();
    assert!(matches!(error, TokenizerError::MissingToken { role: "cls_token", .. }), "{error}");
}

#[test]
fn contradictions_are_found_at_load() {
    assert!(error("/version", json!("2.0")).contains("2.0"));
    assert!(error("/model/vocab", json!({})).contains("empty"));
    assert!(error("/model/unk_token", json!("<unk>")).contains("<unk>"));
    assert!(error("/model/vocab/a", json!(-1)).contains("tokenizer.json"));
    assert!(error("/model/vocab/a", json!(4_294_967_296_u64)).contains("tokenizer.json"));
    assert!(error("/model/type", json!("Telepathy")).contains("tokenizer.json"));
    assert!(error("/model", json!({"type": "WordPiece"})).contains("tokenizer.json"));
    assert!(error("/normalizer", json!({"type": "Telepathy"})).contains("tokenizer.json"));
    assert!(error("/added_tokens/4/id", json!(12)).contains("[MASK]"));
    assert!(error("/added_tokens/4/content", json!("<mask>")).contains("<mask>"));
    let double = json!([{"id": 9, "content": "Foo", "single_word": false, "lstrip": false, "rstrip": false,
                         "normalized": true, "special": false},
                        {"id": 10, "content": "foo", "single_word": false, "lstrip": false, "rstrip": false,
                         "normalized": true, "special": false}]);
    let text = error("/added_tokens", double);
    assert!(text.contains("\"Foo\"") && text.contains("\"foo\""), "{text}");
    let text = error("/model/vocab/a", json!(7));
    assert!(text.contains("\"a\"") && text.contains("\"b\"") && text.contains('7'), "{text}");
}

#[test]
fn the_greatest_possible_id_is_handled() {
    let bytes = changed("/model/vocab/a", json!(u32::MAX));
    let tokenizer = Tokenizer::from_bytes(&bytes).unwrap();
    assert_eq!(tokenizer.encode("a").unwrap().ids, [CLS, u32::MAX, SEP]);
    assert_eq!(tokenizer.vocab_size(), u32::MAX as usize + 1);
    assert!(tokenizer.check_vocab_size(30522).is_err());
}

#[test]
fn words_may_be_of_any_length() {
    let tokenizer =
        Tokenizer::from_bytes(&changed("/model/max_input_chars_per_word", json!(usize::MAX))).unwrap();
    let encoded = tokenizer.encode_without_special(&"a".repeat(100_000)).unwrap();
    assert_eq!((encoded.len(), encoded.range(99_999)), (100_000, Some(99_999..100_000)));
    let tokenizer = Tokenizer::from_bytes(&changed("/model/max_input_chars_per_word", json!(0))).unwrap();
    assert_eq!(tokenizer.encode_without_special("a").unwrap().ids, [UNK]);
}

/// Multilingual checkpoints of the BERT architecture come with such a tokenizer.
#[test]
fn other_algorithms_are_run_too() {
    let mut json = exported();
    json["normalizer"] = json!({"type": "NFKC"});
    json["pre_tokenizer"] =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    json["decoder"] =
        json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    json["model"] = json!({"type": "Unigram", "unk_id": 1, "vocab": [
        ["[PAD]", 0.0], ["[UNK]", 0.0], ["[CLS]", 0.0], ["[SEP]", 0.0], ["[MASK]", 0.0],
        ["▁ab", -1.0], ["fi", -2.0], ["▁", -3.0], ["a", -4.0]]});
    let tokenizer = Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap();
    let text = "ab ﬁa é [MASK]";
    let encoded = tokenizer.encode(text).unwrap();
    assert_eq!(encoded.ids, [CLS, 5, 7, 6, 8, 7, UNK, 7, MASK, SEP]);
    assert_eq!(encoded.range(3).map(|range| &text[range]), Some("ﬁ"));
    assert_eq!(encoded.range(8).map(|range| &text[range]), Some("[MASK]"));
    assert_eq!(tokenizer.vocab_size(), 9);
    assert_eq!(tokenizer.decode(&[5, 8], true).unwrap(), "aba");
}

#[test]
fn settings_that_make_the_library_panic_are_an_error() {
    let tokenizer =
        Tokenizer::from_bytes(&changed("/pre_tokenizer", json!({"type": "FixedLength", "length": 0})));
    let error = tokenizer.unwrap().encode("a").unwrap_err();
    assert!(matches!(error, TokenizerError::Broken { stage: "encoder" }), "{error}");

    let merges = json!({"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"],
                        "continuing_subword_prefix": "####"});
    let error = Tokenizer::from_bytes(&changed("/model", merges)).unwrap_err();
    assert!(matches!(error, TokenizerError::Broken { stage: "loader" }), "{error}");
}
