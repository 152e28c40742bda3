//! Where sentences end.
//!
//! The bounds are those of Unicode (UAX #29), from the `unicode-segmentation` crate. They know no language, so
//! some are taken back here: after titles and other abbreviations, initials, a number that begins a line, and
//! before a small letter.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Abbreviations that something always follows.
const BEFORE_NAMES: &[&str] = &[
    "adm", "approx", "brig", "ca", "capt", "cf", "cmdr", "col", "cpl", "dr", "e.g", "esp", "ft", "gen",
    "gov", "hon", "i.e", "lt", "maj", "messrs", "mlle", "mme", "mr", "mrs", "ms", "mt", "pres", "prof",
    "rep", "rev", "sen", "sgt", "st", "viz", "vs",
];

/// Abbreviations that a number may follow. Before a word they may end a sentence.
const BEFORE_NUMBERS: &[&str] = &[
    "apr", "art", "aug", "c", "chap", "dec", "eq", "feb", "fig", "figs", "jan", "jul", "jun", "mar", "no",
    "nos", "nov", "oct", "op", "p", "para", "pp", "sec", "sep", "sept", "v", "vol", "vols",
];

/// Words that begin a sentence after an acronym with dots, which otherwise ends none: "in the U.S. They".
const STARTERS: &[&str] = &[
    "A", "An", "And", "As", "At", "But", "For", "He", "His", "However", "I", "If", "In", "It", "Its", "On",
    "She", "Since", "The", "There", "These", "They", "This", "Those", "We", "When", "While", "With", "You",
];

/// Cuts a text into its sentences, without the blanks between them.
///
/// ```
/// use bert_tasks::pretraining::split_sentences;
/// let sentences = split_sentences("Dr. J. Smith paid $3.50 in the U.S. for it. \"Why?\" asked Eve. He smiled.");
/// assert_eq!(sentences, [
///     "Dr. J. Smith paid $3.50 in the U.S. for it.",
///     "\"Why?\" asked Eve.",
///     "He smiled.",
/// ]);
/// ```
pub fn split_sentences(text: &str) -> Vec<&str> {
    sentence_ranges(text).into_iter().map(|range| &text[range]).collect()
}

/// The bytes of each sentence of a text, without the blanks between them.
pub(crate) fn sentence_ranges(text: &str) -> Vec<Range<usize>> {
    let mut sentences = vec![];
    let mut start = 0;
    let mut add = |range: Range<usize>| {
        let sentence = &text[range.clone()];
        let start = range.start + sentence.len() - sentence.trim_start().len();
        let end = start + sentence.trim().len();
        if start < end {
            sentences.push(start..end);
        }
    };
    for (at, _) in text.split_sentence_bound_indices() {
        if at > start && !goes_on(text[start..at].trim(), text[at..].trim_start()) {
            add(start..at);
            start = at;
        }
    }
    add(start..text.len());
    sentences
}

/// Whether what seems to be the end of a sentence is none, judged by what stands before and after it.
fn goes_on(before: &str, after: &str) -> bool {
    let next = after.trim_start_matches(|char: char| !char.is_alphanumeric());
    if after.chars().next().is_some_and(char::is_lowercase) {
        return true;
    }
    let Some(before) = before.strip_suffix('.') else { return false };
    let last = before.rsplit(char::is_whitespace).next().unwrap_or(before);
    let last = last.trim_start_matches(|char: char| !char.is_alphanumeric());
    let is_number = !last.is_empty() && last.chars().all(|char| char.is_ascii_digit());
    if is_number && last.len() == before.trim().len() {
        return true; // "1. An item"
    }
    let mut chars = last.chars();
    if chars.next().is_some_and(char::is_uppercase) && chars.next().is_none() {
        return true; // an initial
    }
    let lower = last.to_lowercase();
    let digit = next.chars().next().is_some_and(|char| char.is_ascii_digit());
    if BEFORE_NAMES.contains(&lower.as_str()) || digit && BEFORE_NUMBERS.contains(&lower.as_str()) {
        return true;
    }
    let acronym = last.contains('.') && last.split('.').all(|part| part.chars().count() == 1);
    let word = next.split(|char: char| !char.is_alphanumeric()).next().unwrap_or(next);
    acronym && !STARTERS.contains(&word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sentences_end_where_they_end() {
        for text in [
            "One. | Two! | Three? | Four… Five",
            "He (Mr. Smith) left. | She stayed.",
            "“Stop!” he cried. | “Why?” | He ran.",
            "J. R. R. Tolkien wrote it. | It sold well.",
            "See Fig. 3 and pp. 4–5. | No. | That was No. 7.",
            "It costs 3.5 dollars. | In 1999. | Then 2000.",
            "1. An item. | 2. Another one.",
            "She moved to the U.S. in May. | He left the U.S. | The end.",
            "The U.S. Army came, e.g. on 5 Nov. 1944. | Gen. Lee, St. Louis et al. went.",
            "中国。 | 日本！ | 한국.",
            "Visit example.com/a.b now. | Done",
        ] {
            assert_eq!(split_sentences(&text.replace(" | ", " ")), text.split(" | ").collect::<Vec<_>>());
        }
        assert!(split_sentences("").is_empty() && split_sentences(" \n ").is_empty());
    }

    proptest! {
        #[test]
        fn nothing_but_blanks_is_lost(text in "([A-Za-z0-9é中]{0,3}[.?! \n\u{a0}]{0,2}){0,20}|\\PC{0,40}") {
            let solid = |text: &str| text.split_whitespace().collect::<String>();
            let sentences = split_sentences(&text);
            prop_assert_eq!(solid(&sentences.concat()), solid(&text));
            prop_assert!(sentences.iter().all(|sentence| !sentence.is_empty() && sentence.trim() == *sentence));
        }
    }
}
