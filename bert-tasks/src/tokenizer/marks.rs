//! Tokens that carry the blank before them: `Ġ` of byte-level BPE, `▁` of SentencePiece.
//!
//! A blank is no part of the word after it, so it is left out of the token's range, as the library does for byte-level
//! BPE with `trim_offsets`. That holds for the blanks that a mask takes, too.

use std::ops::Range;

use super::encoded::Encoded;

/// The marks by which a vocabulary writes a blank.
pub(super) const MARKS: [char; 2] = ['Ġ', '▁'];

fn is_mark(char: char) -> bool {
    MARKS.contains(&char) || char.is_whitespace()
}

/// The range of a token without the blanks that its marks stand for. A token of blanks alone has an empty range, where
/// its blanks end. A mark that stands for no blank of the text was put there by the tokenizer, or is a letter.
pub(super) fn without_blanks(text: &str, range: Range<usize>, token: &str) -> Range<usize> {
    let Range { mut start, mut end } = range;
    for _ in token.chars().take_while(|&char| is_mark(char)) {
        let first = text[start..end].chars().next().filter(|char| char.is_whitespace());
        start += first.map_or(0, char::len_utf8);
    }
    for _ in token.chars().rev().take_while(|&char| is_mark(char)) {
        let last = text[start..end].chars().next_back().filter(|char| char.is_whitespace());
        end -= last.map_or(0, char::len_utf8);
    }
    start..end
}

/// Numbers the words of a text anew: a word begins after a blank, and with an unknown token.
///
/// That is how transformers' token classification groups the tokens of tokenizers whose vocabulary has no mark for
/// pieces that continue a word. (There a blank is a space alone; here it is any whitespace.)
pub(super) fn number_words(text: &str, tokens: &mut Encoded, unknown: Option<u32>) {
    let mut word = None;
    for (source, &id) in tokens.sources.iter_mut().zip(&tokens.ids) {
        let Some(source) = source else { continue };
        let after_blank = text[..source.start].ends_with(char::is_whitespace);
        let begins =
            after_blank || text[source.start..].starts_with(char::is_whitespace) || unknown == Some(id);
        word = Some(match word {
            None => 0,
            Some(word) => word + u32::from(begins),
        });
        source.word = word.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_of_marks_are_left_out() {
        let text = "  a b\u{3000}c\n ";
        for (range, token, expected) in [
            (0..3, "ĠĠa", 2..3),
            (1..3, "Ġa", 2..3),
            (0..2, "ĠĠ", 2..2),
            (2..3, "Ġa", 2..3), // a blank that the tokenizer put there
            (2..3, "a", 2..3),
            (5..9, "▁c", 8..9),
            (5..8, "▁", 8..8),
            (1..3, " a", 2..3),  // a token that takes the blank before it
            (9..10, "Ċ", 9..10), // a line end is a token of its own
            (9..11, "ĊĠ", 9..10),
        ] {
            assert_eq!(without_blanks(text, range.clone(), token), expected, "{token} {range:?}");
        }
    }
}
