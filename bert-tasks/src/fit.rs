//! Texts that are longer than the input of the model: what is cut off, and how it is reported.

use std::ops::Range;

use crate::tokenizer::Encoded;

/// Tokens that fit, and the bytes of each text that did not; made by [`Session::fit`](crate::Session::fit).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// At most as many tokens as were asked for.
    pub encoded: Encoded,
    /// For the first and the second text: the bytes from the first token cut off to the last.
    pub truncated: [Option<Range<usize>>; 2],
}

/// Cuts tokens off the ends of the texts until `max_length` are left, always from the one that is longer
/// by then (the first of equals keeps its token). Special tokens stay.
pub fn fit(encoded: Encoded, max_length: usize) -> Fitted {
    if encoded.len() <= max_length {
        return Fitted { encoded, truncated: [None, None] };
    }
    let mut keep = [0, 0];
    for source in encoded.sources.iter().flatten() {
        keep[usize::from(source.sequence)] += 1;
    }
    let special = encoded.len() - keep[0] - keep[1];
    let room = max_length.saturating_sub(special);
    while keep[0] + keep[1] > room {
        let longer = usize::from(keep[1] >= keep[0]);
        keep[longer] -= 1;
    }

    let mut fitted = Fitted { encoded: Encoded::default(), truncated: [None, None] };
    let mut seen = [0, 0];
    for (row, source) in encoded.sources.iter().enumerate() {
        if let Some(source) = source {
            let text = usize::from(source.sequence);
            seen[text] += 1;
            if seen[text] > keep[text] {
                let cut = fitted.truncated[text].get_or_insert(source.range());
                cut.end = cut.end.max(source.end);
                continue;
            }
        }
        fitted.encoded.ids.push(encoded.ids[row]);
        fitted.encoded.segments.push(encoded.segments[row]);
        fitted.encoded.sources.push(*source);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::Source;

    /// `[CLS] first [SEP] second [SEP]`, each token three bytes long.
    fn pair(first: usize, second: usize) -> Encoded {
        let mut encoded = Encoded::default();
        let mut push = |source| {
            encoded.ids.push(0);
            encoded.segments.push(0);
            encoded.sources.push(source);
        };
        push(None);
        for (sequence, count) in [(0, first), (1, second)] {
            for word in 0..count {
                push(Some(Source { sequence, word: word as u32, start: 3 * word, end: 3 * word + 3 }));
            }
            push(None);
        }
        encoded
    }

    #[test]
    fn what_fits_is_left_alone() {
        let fitted = fit(pair(4, 2), 9);
        assert_eq!(fitted.encoded, pair(4, 2));
        assert_eq!(fitted.truncated, [None, None]);
    }

    #[test]
    fn the_longer_text_gives_way_first() {
        let fitted = fit(pair(6, 2), 8);
        assert_eq!(fitted.encoded, pair(3, 2));
        assert_eq!(fitted.truncated, [Some(9..18), None]);
        let fitted = fit(pair(6, 4), 8);
        assert_eq!(fitted.encoded, pair(3, 2));
        assert_eq!(fitted.truncated, [Some(9..18), Some(6..12)]);
    }

    #[test]
    fn special_tokens_stay_even_without_room() {
        let fitted = fit(pair(2, 2), 1);
        assert_eq!(fitted.encoded, pair(0, 0));
    }
}
