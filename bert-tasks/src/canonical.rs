//! Texts that Unicode calls canonically equal: `é` is one char or two, and is the same letter.

use std::ops::Range;

use unicode_normalization_alignments::UnicodeNormalization;
use unicode_normalization_alignments::char::is_combining_mark;

/// The chars of a text, in lower case and taken apart: the same for canonically equal texts, in whatever case.
pub fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    // What lower case gives may have to be taken apart again: `İ` is `i` with a dot.
    let lower = text.nfd().flat_map(|(c, _)| c.to_lowercase());
    lower.nfd().map(|(c, _)| c)
}

/// Whether two texts are canonically equal.
pub fn equal(one: &str, other: &str) -> bool {
    one == other || one.nfd().map(|(c, _)| c).eq(other.nfd().map(|(c, _)| c))
}

/// A range of a text with the combining marks that follow it directly, which belong to its last letter; not beyond the byte
/// `most`. Tokenizers that drop accents end their tokens before them.
pub fn with_marks(text: &str, range: Range<usize>, most: usize) -> Range<usize> {
    if range.is_empty() {
        return range;
    }
    let following = text.get(range.end..most.max(range.end)).unwrap_or_default();
    let end = following.find(|c| !is_combining_mark(c)).unwrap_or(following.len());
    range.start..range.end + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_letters_are_equal_however_they_are_written() {
        for (one, other) in
            [("café", "cafe\u{301}"), ("한", "\u{1112}\u{1161}\u{11ab}"), ("ệ", "e\u{302}\u{323}"), ("", "")]
        {
            assert!(equal(one, other), "{one:?} {other:?}");
            assert!(folded(one).eq(folded(other)), "{one:?} {other:?}");
        }
        assert!(!equal("café", "cafe") && !equal("é", "É") && folded("É").eq(folded("e\u{301}")));
        assert!(folded("İ").eq("i\u{307}".chars()));
    }

    #[test]
    fn marks_belong_to_the_letter_before_them() {
        let text = "e\u{301}\u{323} x\u{301}y";
        assert_eq!(with_marks(text, 0..1, text.len()), 0..5);
        assert_eq!(with_marks(text, 0..1, 3), 0..3);
        assert_eq!(with_marks(text, 0..1, 0), 0..1);
        assert_eq!(with_marks(text, 6..7, text.len()), 6..9);
        // What covers nothing has no letter.
        assert_eq!(with_marks(text, 1..1, text.len()), 1..1);
        assert_eq!(with_marks(text, 9..10, text.len()), 9..10);
    }
}
