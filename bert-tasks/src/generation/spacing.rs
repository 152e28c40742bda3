//! Tokens to text as people write it: no blank before a comma, none inside "don't". The decoder of WordPiece leaves
//! blanks around every mark.

use std::borrow::Cow;

use crate::Result;
use crate::tokenizer::{Tokenizer, TokenizerKind};

/// The text with which tokens go on behind `before`, with the blank between them.
///
/// # Errors
/// As [`Tokenizer::decode`].
pub(super) fn continuation(
    tokenizer: &Tokenizer,
    before: &str,
    ids: &[u32],
    capitals: bool,
) -> Result<String> {
    let text = match tokenizer.kind() {
        TokenizerKind::WordPiece | TokenizerKind::WordLevel => {
            join(before, ids.iter().filter_map(|&id| tokenizer.id_to_token(id)))
        }
        _ => {
            let text = tokenizer.decode(ids, false)?;
            let blank = !before.is_empty() && !before.ends_with(char::is_whitespace);
            let word = text.starts_with(|c: char| c.is_alphanumeric());
            if blank && word { format!(" {text}") } else { text }
        }
    };
    Ok(if capitals { capitalise(before, &text) } else { text })
}

fn join(before: &str, tokens: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    // Whether the next token stands close to the last.
    let mut close = before.chars().next_back().is_none_or(char::is_whitespace);
    let mut quoted = before.matches('"').count() % 2 == 1;
    for token in tokens {
        let (token, piece) = match token.strip_prefix("##") {
            Some(rest) if !rest.is_empty() => (Cow::from(rest.to_owned()), true),
            _ => (Cow::from(token), false),
        };
        let mark = token.chars().next().filter(|_| token.chars().count() == 1).unwrap_or('a');
        let closes = matches!(
            mark,
            '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '}' | '%' | '\'' | '’' | '-' | '/'
        ) || mark == '"' && quoted;
        if !(piece || close || closes) {
            text.push(' ');
        }
        text.push_str(&token);
        close = matches!(mark, '(' | '[' | '{' | '$' | '£' | '€' | '\'' | '’' | '-' | '/')
            || mark == '"' && !quoted;
        quoted ^= mark == '"';
    }
    text
}

/// Capitals where sentences begin, and for "i", as a model that knows no capitals leaves them out.
fn capitalise(before: &str, text: &str) -> String {
    let mut begins = before.trim_end().chars().next_back().is_none_or(|c| matches!(c, '.' | '!' | '?'));
    let mut capitalised = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        if word > 0 {
            let (this, others) = rest.split_at(word);
            match begins || this == "i" {
                true => {
                    capitalised.extend(c.to_uppercase());
                    capitalised.push_str(&this[c.len_utf8()..]);
                }
                false => capitalised.push_str(this),
            }
            begins = false;
            rest = others;
            continue;
        }
        begins = begins && !matches!(c, ',' | ';' | ':') || matches!(c, '.' | '!' | '?');
        capitalised.push(c);
        rest = &rest[c.len_utf8()..];
    }
    capitalised
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stand_close_to_words() {
        let joined = |before: &str, tokens: &str| join(before, tokens.split(' ').map(str::to_owned));
        assert_eq!(
            joined("The king", "of france ' s son , who did n ' t ."),
            " of france's son, who did n't."
        );
        assert_eq!(joined("a ", "b"), "b");
        assert_eq!(joined("", "em ##bed ##ding"), "embedding");
        assert_eq!(joined("He said", "\" no ! \" ( twice )"), " \"no!\" (twice)");
        assert_eq!(joined("well", "- known and / or $ 5 %"), "-known and/or $5%");
    }

    #[test]
    fn sentences_begin_with_capitals() {
        assert_eq!(capitalise("The king", " ran. he saw i. was it?"), " ran. He saw I. Was it?");
        assert_eq!(capitalise("", "the end."), "The end.");
        assert_eq!(capitalise("Yes.", " édith came."), " Édith came.");
        assert_eq!(capitalise("", ""), "");
    }
}
