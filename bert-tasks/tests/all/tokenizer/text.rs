//! Texts of every kind, and the byte offsets that come back.

use std::thread;

use bert_tasks::tokenizer::{Encoded, Tokenizer};
use proptest::prelude::*;

use super::{CLS, MASK, SEP, UNK, VOCAB, small};

/// Ids between `[CLS]` and `[SEP]`.
fn ids(text: &str) -> Vec<u32> {
    let ids = small().encode(text).unwrap().ids;
    assert_eq!((ids[0], ids[ids.len() - 1]), (CLS, SEP));
    ids[1..ids.len() - 1].to_vec()
}

/// What the tokens between `[CLS]` and `[SEP]` cover.
fn covered<'a>(tokenizer: &Tokenizer, text: &'a str) -> Vec<&'a str> {
    let encoded = tokenizer.encode_without_special(text).unwrap();
    (0..encoded.len()).map(|token| &text[encoded.range(token).unwrap()]).collect()
}

#[test]
fn nothing_gives_the_special_tokens_alone() {
    for text in ["", " ", "\n\t\r ", "\0", "\u{301}", "\u{ad}\u{200b}\u{feff}"] {
        let encoded = small().encode(text).unwrap();
        assert_eq!(encoded.ids, [CLS, SEP], "{text:?}");
        assert_eq!(encoded.sources, [None, None]);
        assert_eq!(small().encode_pair(text, text).unwrap().ids, [CLS, SEP, SEP]);
    }
}

#[test]
fn offsets_count_bytes_of_the_callers_text() {
    let tokenizer = small();
    assert_eq!(covered(&tokenizer, "\u{301}  Cafés."), ["Café", "s", "."]);
    // An accent that is a char of its own is no part of a token, as in the reference implementation.
    assert_eq!(covered(&tokenizer, "cafe\u{301}s a\u{301}\u{323} b"), ["cafe", "s", "a", "b"]);
    assert_eq!(covered(&tokenizer, "a\0b"), ["a", "b"]);
    assert_eq!(covered(&tokenizer, "a中b"), ["a", "中", "b"]);
    // One Hangul syllable, three pieces.
    assert_eq!(covered(&tokenizer, "한 a"), ["한", "한", "한", "a"]);
    assert_eq!(covered(&tokenizer, "a \u{202e}עב 🙂a"), ["a", "עב", "🙂a"]);
}

#[test]
fn pieces_of_a_word_share_its_number() {
    let encoded = small().encode_pair("cafés a. b", "ab").unwrap();
    let sources: Vec<_> =
        encoded.sources.iter().flatten().map(|source| (source.sequence, source.word)).collect();
    assert_eq!(sources, [(0, 0), (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 0)]);
    assert_eq!(encoded.segments, [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
}

#[test]
fn special_tokens_in_the_text_are_recognised() {
    assert_eq!(ids("a[MASK]b [MASK]."), [5, MASK, 7, MASK, 11]);
    let encoded = small().encode("é [MASK]").unwrap();
    assert_eq!(encoded.positions(MASK).collect::<Vec<_>>(), [2]);
    assert_eq!(encoded.range(2), Some(3..9));
    assert!(!ids("[mask]").contains(&MASK));
    assert!(!ids("[MASK").contains(&MASK));
    assert!(small().is_special(MASK) && !small().is_special(UNK + 100) && !small().is_special(5));
}

#[test]
fn case_accents_and_ideographs_follow_the_configuration() {
    let with = |config| Tokenizer::from_parts(VOCAB, Some(config)).unwrap();
    let ids = |tokenizer: &Tokenizer, text| tokenizer.encode_without_special(text).unwrap().ids;
    let cased = with(r#"{"do_lower_case": false}"#);
    assert_eq!(ids(&cased, "A É a"), [16, 18, 5]);
    // Accents go where letters are lowercased, unless the configuration says otherwise.
    assert_eq!(ids(&with("{}"), "A É CAFÉ"), [5, UNK, 9]);
    assert_eq!(ids(&with(r#"{"strip_accents": false}"#), "CAFÉ"), [UNK]);
    assert_eq!(ids(&with(r#"{"do_lower_case": false, "strip_accents": true}"#), "café É"), [9, UNK]);
    assert_eq!(ids(&with("{}"), "a中b"), [5, 12, 7]);
    assert_eq!(ids(&with(r#"{"tokenize_chinese_chars": false}"#), "a中b"), [UNK]);
}

#[test]
fn words_beyond_a_hundred_chars_are_unknown() {
    assert_eq!(ids(&"a".repeat(100)).len(), 100);
    let text = format!("{} b", "a".repeat(101));
    let encoded = small().encode(&text).unwrap();
    assert_eq!(encoded.ids, [CLS, UNK, 7, SEP]);
    assert_eq!(encoded.range(1), Some(0..101));
}

#[test]
fn a_megabyte_on_one_line() {
    let million = |part: &str| part.repeat(1_000_000 / part.len());
    for (text, tokens) in [
        (million("a"), 1),
        (million(" "), 0),
        (million("."), 1_000_000),
        (million("\u{301}"), 0),
        (format!("a{}", million("\u{301}\u{323}")), 1),
        (million("中"), 333_333),
        (million("한"), 1),
        (million("🙂"), 1),
        (million("\0"), 0),
        (million("[MASK]"), 166_666),
        (million("ab "), 666_666),
        (million(&format!("{} ", "a".repeat(99))), 990_000),
    ] {
        let encoded = small().encode_without_special(&text).unwrap();
        assert_eq!(encoded.len(), tokens, "{:?}…", text.chars().take(3).collect::<String>());
        check_sources(&text, &encoded);
    }
}

#[test]
fn ids_come_back_as_text() {
    let tokenizer = small();
    let encoded = tokenizer.encode("Cafés [MASK]!").unwrap();
    assert_eq!(tokenizer.decode(&encoded.ids, false).unwrap(), "[CLS] cafes [MASK]! [SEP]");
    assert_eq!(tokenizer.decode(&encoded.ids, true).unwrap(), "cafes!");
    assert_eq!(tokenizer.decode(&[9, 999_999, 10], true).unwrap(), "cafes");
    assert_eq!(tokenizer.id_to_token(10).as_deref(), Some("##s"));
    assert_eq!(tokenizer.id_to_token(999_999), None);
    assert_eq!(tokenizer.token_to_id("##s"), Some(10));
    assert_eq!(tokenizer.token_to_id("[MASK]"), Some(MASK));
    assert_eq!(tokenizer.token_to_id("Café"), None);
}

/// Windows of tokens that exist already get the same special tokens as a text.
#[test]
fn parts_can_be_joined_later() {
    let tokenizer = small();
    let (first, second) = ("a cafés", "b 中. a");
    let tokens = [first, second].map(|text| tokenizer.encode_without_special(text).unwrap());
    assert_eq!(tokenizer.with_special(&tokens[0]), tokenizer.encode(first).unwrap());
    let pair = tokenizer.encode_pair(first, second).unwrap();
    assert_eq!(tokenizer.pair_with_special(&tokens[0], &tokens[1]), pair);
    assert_eq!(tokenizer.special_count(true), pair.len() - tokens[0].len() - tokens[1].len());
    assert_eq!(tokenizer.special_count(false), 2);

    let window = tokenizer.pair_with_special(&tokens[0], &tokens[1].slice(1..3));
    assert_eq!(window.ids, [CLS, 5, 9, 10, SEP, 12, 11, SEP]);
    assert_eq!(&second[window.range(5).unwrap()], "中");
}

#[test]
fn clones_in_threads_give_the_same() {
    fn assert_shareable<T: Send + Sync + Clone>(_: &T) {}
    let tokenizer = small();
    assert_shareable(&tokenizer);
    let expected = tokenizer.encode("Cafés [MASK] 中.").unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            let tokenizer = tokenizer.clone();
            let expected = &expected;
            scope.spawn(move || assert_eq!(&tokenizer.encode("Cafés [MASK] 中.").unwrap(), expected));
        }
    });
}

/// Inside the text, on char boundaries, never going back, words counted without gaps.
fn check_sources(text: &str, encoded: &Encoded) {
    assert_eq!((encoded.segments.len(), encoded.sources.len()), (encoded.len(), encoded.len()));
    let (mut start, mut end, mut word) = (0, 0, None);
    for source in encoded.sources.iter().map(|source| source.expect("every token has a source")) {
        assert!(text.get(source.range()).is_some_and(|part| !part.is_empty()), "{source:?}");
        assert!(start <= source.start && end <= source.end, "{source:?} after {start}..{end}");
        let next = word.map_or(0, |word| word + 1);
        assert!(source.word == next || Some(source.word) == word, "{source:?} after word {word:?}");
        (start, end, word) = (source.start, source.end, Some(source.word));
    }
}

/// Text with the chars that go wrong: marks, jamo, emoji and joiners, controls, right-to-left, CJK (also
/// compatibility ideographs, which change when decomposed), blanks of many kinds.
fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "[a-cA-C.!]{1,4}",
        2 => "[ \t\n\r\u{85}\u{b}\u{a0}\u{2028}\u{3000}]",
        2 => "[\u{300}-\u{36f}\u{5b0}-\u{5c7}\u{f71}-\u{f84}\u{302a}-\u{302f}\u{1d165}\u{344}\u{f73}]{1,3}",
        1 => "[\0\u{1}\u{7f}\u{ad}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{feff}\u{fffd}\u{e000}\u{10ffff}]",
        2 => "[中国\u{f900}-\u{fa6a}\u{2f800}-\u{2fa1d}가-힣\u{1100}-\u{11ff}]{1,3}",
        1 => "[🙂👩👍🏽\u{1f1e6}-\u{1f1ff}\u{fe0f}\u{200d}]{1,3}",
        1 => "[א-ת\u{627}-\u{64a}ऀ-ॿİıßǅﬁΣς]{1,3}",
        1 => "\\[MASK\\]|\\[CLS\\]|\\[UNK|mask\\]|##a",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

/// Whether a char must be part of a token, whatever stands around it.
fn is_solid(char: char) -> bool {
    char.is_ascii_graphic() || matches!(char, '中' | '国' | '가'..='힣' | '🙂' | 'א'..='ת' | 'ß')
}

proptest! {
    #[test]
    fn offsets_are_sound_for_any_text(text in any_text(), lowercase: bool) {
        let config = format!(r#"{{"do_lower_case": {lowercase}}}"#);
        let tokenizer = Tokenizer::from_parts(VOCAB, Some(&config)).unwrap();
        let encoded = tokenizer.encode_without_special(&text).unwrap();
        check_sources(&text, &encoded);
        let ranges: Vec<_> = encoded.sources.iter().flatten().map(|source| source.range()).collect();
        for (at, char) in text.char_indices().filter(|&(_, char)| is_solid(char)) {
            prop_assert!(ranges.iter().any(|range| range.contains(&at)), "{char:?} at {at} is in no token");
        }
        tokenizer.decode(&encoded.ids, false).unwrap();
    }

    #[test]
    fn a_piece_reads_as_its_token(text in "[abé. ]{0,20}") {
        let tokenizer = small();
        let encoded = tokenizer.encode_without_special(&text).unwrap();
        for (token, &id) in encoded.ids.iter().enumerate().filter(|&(_, &id)| id != UNK) {
            let piece = tokenizer.id_to_token(id).unwrap();
            prop_assert_eq!(piece.trim_start_matches("##"), &text[encoded.range(token).unwrap()]);
        }
    }

    #[test]
    fn a_pair_is_its_two_texts(first in any_text(), second in any_text()) {
        let tokenizer = small();
        let pair = tokenizer.encode_pair(&first, &second).unwrap();
        for (sequence, text) in [(0, &first), (1, &second)] {
            let alone = tokenizer.encode_without_special(text).unwrap();
            let (ids, ranges): (Vec<_>, Vec<_>) = pair
                .ids
                .iter()
                .zip(&pair.sources)
                .filter_map(|(&id, source)| source.filter(|source| source.sequence == sequence).map(|s| (id, s.range())))
                .unzip();
            prop_assert_eq!(ids, alone.ids);
            prop_assert_eq!(ranges, alone.sources.iter().flatten().map(|source| source.range()).collect::<Vec<_>>());
        }
    }
}
