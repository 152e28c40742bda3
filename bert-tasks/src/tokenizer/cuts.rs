//! Where a long text may be cut so that its pieces, tokenised one by one, give the same tokens.
//!
//! BERT's steps look at one char at a time, with three exceptions: words end at blanks and around punctuation
//! and CJK ideographs; combining marks are put in order within a run of them; and added tokens are matched
//! anywhere in the text. So a cut is right between two words, before a char that is no mark, and where no
//! added token can reach across.

use ahash::AHashSet;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::{AddedToken, NormalizedString, Normalizer as _};

/// Finds places to cut in texts that one tokenizer is to take in pieces.
pub(super) struct Cuts {
    /// Whether texts may be cut between CJK ideographs.
    ideographs: bool,
    /// Neighbours within some added token: no cut between them.
    joined: AHashSet<(char, char)>,
}

impl Cuts {
    /// For BERT's steps with this normaliser and these added tokens; `None` when one of the tokens may match
    /// across a blank.
    pub(super) fn new<'a>(
        normalizer: BertNormalizer,
        added: impl IntoIterator<Item = &'a AddedToken>,
    ) -> Option<Self> {
        let mut joined = AHashSet::new();
        let mut ideographs = normalizer.handle_chinese_chars;
        for token in added {
            // Matched in the text as the caller wrote it, or as normalisation leaves it.
            let mut text = NormalizedString::from(token.content.as_str());
            if token.normalized {
                normalizer.normalize(&mut text).ok()?;
            }
            let text = text.get();
            if token.lstrip || token.rstrip || text.contains(char::is_whitespace) {
                return None;
            }
            joined.extend(text.chars().zip(text.chars().skip(1)));
            // Such a token stands alone when its neighbours are no letters, and ideographs are letters.
            ideographs &= !token.single_word;
        }
        Some(Self { ideographs, joined })
    }

    /// The first place to cut at or after byte `from`, or the end of the text.
    pub(super) fn next(&self, text: &str, from: usize) -> usize {
        let from = text.ceil_char_boundary(from);
        let mut before = text[..from].chars().next_back();
        for (at, char) in text[from..].char_indices() {
            let between_words = before.is_some_and(|before| {
                self.is_a_word(before) && self.is_a_word(char) && !self.joined.contains(&(before, char))
            });
            if between_words || is_blank(char) {
                return from + at;
            }
            before = Some(char);
        }
        text.len()
    }

    /// Whether a char is a word of its own, is left as it is by normalisation, and is no mark. The underscore
    /// is left out: next to added tokens that match whole words only, it counts as a letter.
    fn is_a_word(&self, char: char) -> bool {
        match char {
            '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' => self.ideographs,
            _ => char.is_ascii_punctuation() && char != '_',
        }
    }
}

/// Blanks that normalisation keeps as blanks. Others will not do: some are control characters too (U+0085),
/// which BERT removes and so joins the words around them.
fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(added: &[AddedToken]) -> Option<Cuts> {
        Cuts::new(BertNormalizer::default(), added)
    }

    #[test]
    fn cuts_fall_between_words() {
        let cuts = cuts(&[AddedToken::from("[MASK]", true), AddedToken::from("?!", true)]).unwrap();
        let all = |text: &str| (1..text.len()).filter(|&at| cuts.next(text, at) == at).collect::<Vec<_>>();
        assert_eq!(all("ab cd"), [2]);
        assert_eq!(all("a\u{85}b\u{301} \u{301}c"), [6]);
        assert_eq!(all("x..y"), [2]);
        assert!(all("__").is_empty());
        assert_eq!(all("中国!"), [3, 6]);
        assert_eq!(all("?!?!"), [2]);
        assert_eq!(all("[MASK][MASK]"), [6]);
        assert_eq!(cuts.next("中国人", 1), 3);
        assert_eq!(cuts.next("abc", 1), 3);
    }

    #[test]
    fn tokens_that_take_blanks_forbid_cutting() {
        for token in [
            AddedToken::from("a b", false),
            AddedToken::from("ab", false).lstrip(true),
            AddedToken::from("ab", false).rstrip(true),
            AddedToken::from("中", false), // normalised to " 中 "
        ] {
            assert!(cuts(std::slice::from_ref(&token)).is_none(), "{token:?}");
        }
    }
}
