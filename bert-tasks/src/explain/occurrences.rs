//! Where a word stands in a text.

use std::ops::Range;

/// Where a word, or several in a row, stands in a text, in whatever case, but not as a part of a longer word.
///
/// ```
/// use bert_tasks::explain::occurrences;
/// assert_eq!(occurrences("Bank, embankment, bank.", "bank"), [0..4, 18..22]);
/// assert!(occurrences("anything", "").is_empty());
/// ```
pub fn occurrences(text: &str, word: &str) -> Vec<Range<usize>> {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let matches = |start: usize| {
        let mut end = start;
        let mut rest = text[start..].chars();
        for expected in word.chars() {
            let found = rest.next()?;
            if found != expected && !found.to_lowercase().eq(expected.to_lowercase()) {
                return None;
            }
            end += found.len_utf8();
        }
        (!is_word(rest.next())).then_some(start..end)
    };
    let mut found: Vec<Range<usize>> = vec![];
    let mut before = None;
    for (start, c) in text.char_indices() {
        if !is_word(before) && found.last().is_none_or(|last| last.end <= start) {
            found.extend(matches(start).filter(|range| !range.is_empty()));
        }
        before = Some(c);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_where_it_stands_alone() {
        assert_eq!(occurrences("Bank, embankment, bank.", "bank"), [0..4, 18..22]);
        assert_eq!(occurrences("ÉTÉ été", "été"), [0..5, 6..11]);
        assert_eq!(occurrences("New York new york", "new york"), [0..8, 9..17]);
        assert!(occurrences("anything", "").is_empty());
        assert!(occurrences("", "x").is_empty());
    }
}
