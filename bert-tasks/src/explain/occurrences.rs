//! Where a word stands in a text.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::canonical::folded;

/// Where a word, or several in a row, stands in a text, in whatever case, but not as a part of a longer word.
///
/// A letter or a digit beside it makes a longer word. Between chars of scripts that put no blanks between words (Han,
/// Hiragana, Katakana, Thai, Lao, Khmer, Myanmar) no word ends that could be seen, so there, and between them and other
/// scripts, it may stand anywhere. Letters are compared with their accents, whether these are chars of their own or not;
/// ranges are those of the text as it is.
///
/// ```
/// use bert_tasks::explain::occurrences;
/// assert_eq!(occurrences("Bank, embankment, bank.", "bank"), [0..4, 18..22]);
/// assert_eq!(occurrences("我去银行取钱", "银行"), [6..12]);
/// assert_eq!(occurrences("A cafe\u{301}, a cafe.", "café"), [2..8]);
/// assert!(occurrences("anything", "").is_empty());
/// ```
pub fn occurrences(text: &str, word: &str) -> Vec<Range<usize>> {
    let word: Vec<String> = word.graphemes(true).map(|letter| folded(letter).collect()).collect();
    if word.is_empty() {
        return vec![];
    }
    if text.is_ascii() {
        // Each byte is a letter, which is much faster to see.
        return search((0..text.len()).map(|at| (at, &text[at..=at])), &word);
    }
    search(text.grapheme_indices(true), &word)
}

/// `letters` are what readers see as one, with the bytes at which they begin; those of `word` are folded.
fn search<'t>(
    mut letters: impl Iterator<Item = (usize, &'t str)> + Clone,
    word: &[String],
) -> Vec<Range<usize>> {
    let mut found = vec![];
    let mut before = None;
    loop {
        let mut rest = letters.clone();
        let Some((start, first)) = letters.next() else { return found };
        let (mut end, mut last) = (start, first);
        let matches = word.iter().all(|expected| {
            rest.next().is_some_and(|(at, letter)| {
                (end, last) = (at + letter.len(), letter);
                is(letter, expected)
            })
        });
        let behind = rest.clone();
        if matches && !joins(before, first) && !joins(rest.next().map(|(_, letter)| letter), last) {
            found.push(start..end);
            (letters, before) = (behind, Some(last));
        } else {
            before = Some(first);
        }
    }
}

/// Whether a letter of the text is one of the word, which is folded.
fn is(letter: &str, expected: &str) -> bool {
    match letter.len() {
        1 => letter.eq_ignore_ascii_case(expected),
        _ => folded(letter).eq(expected.chars()),
    }
}

/// Whether the letter beside a word makes it a part of a longer one; `own` is the letter of the word there.
fn joins(beside: Option<&str>, own: &str) -> bool {
    let first = |letter: &str| letter.chars().next().unwrap_or_default();
    beside
        .map(first)
        .is_some_and(|c| c.is_alphanumeric() && !without_blanks(c) && !without_blanks(first(own)))
}

/// Whether a char is of a script that puts no blanks between words.
fn without_blanks(c: char) -> bool {
    matches!(c,
        // Thai, Lao; Myanmar; Khmer.
        '\u{e00}'..='\u{eff}'
        | '\u{1000}'..='\u{109f}' | '\u{a9e0}'..='\u{a9ff}' | '\u{aa60}'..='\u{aa7f}'
        | '\u{1780}'..='\u{17ff}' | '\u{19e0}'..='\u{19ff}'
        // Hiragana and Katakana.
        | '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{ff66}'..='\u{ff9f}'
        | '\u{1aff0}'..='\u{1b16f}'
        // Han.
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}'
        | '\u{3038}'..='\u{303b}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
        occurrences(text, word).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn a_word_is_found_where_it_stands_alone() {
        assert_eq!(occurrences("Bank, embankment, bank.", "bank"), [0..4, 18..22]);
        assert_eq!(occurrences("ÉTÉ été", "été"), [0..5, 6..11]);
        assert_eq!(occurrences("New York new york", "new york"), [0..8, 9..17]);
        assert!(occurrences("anything", "").is_empty());
        assert!(occurrences("", "x").is_empty());
        // The same beside a char that is not ASCII, where letters are seen in another way.
        assert_eq!(occurrences("Bank, embankment, bank2 bank…", "bank"), [0..4, 24..28]);
        assert!(occurrences("банки", "банк").is_empty());
        assert_eq!(found("банк\0 Банк", "банк"), ["банк", "Банк"]);
    }

    #[test]
    fn scripts_without_blanks_have_words_anywhere() {
        assert_eq!(occurrences("我去银行取钱。银行", "银行"), [6..12, 21..27]);
        assert_eq!(found("iPhone手机2024年", "iphone"), ["iPhone"]);
        assert_eq!(found("iPhone手机2024年", "年"), ["年"]);
        assert_eq!(found("東京タワーへ行く", "タワー"), ["タワー"]);
        assert_eq!(found("ฉันไปธนาคารวันนี้", "ธนาคาร"), ["ธนาคาร"]);
        assert_eq!(found("ខ្ញុំទៅធនាគារ", "ធនាគារ"), ["ធនាគារ"]);
        // Hangul has blanks.
        assert!(found("은행에 갔다", "은행").is_empty());
        // Of a row of equal chars each is taken once.
        assert_eq!(found("哈哈哈", "哈哈"), ["哈哈"]);
    }

    #[test]
    fn marks_are_a_part_of_the_letter_before_them() {
        let text = "a cafe\u{301}, a café, a cafe, CAFE\u{301}S";
        assert_eq!(found(text, "cafe"), ["cafe"]);
        for word in ["café", "cafe\u{301}", "CAFÉ"] {
            assert_eq!(found(text, word), ["cafe\u{301}", "café"], "{word}");
        }
        assert_eq!(found("\u{1112}\u{1161}\u{11ab} x", "한"), ["\u{1112}\u{1161}\u{11ab}"]);
        assert_eq!(found("İ i", "i\u{307}"), ["İ"]);
        // Many marks on one letter are no reason to be slow.
        assert!(found(&format!("a{}", "\u{301}".repeat(100_000)), "a").is_empty());
    }
}
