//! Which sentences make an example, as in BERT's `create_pretraining_data`: a run of sentences of a document is
//! cut in two, and half of the time the second part is replaced by sentences of another document.
//!
//! Only the lengths of sentences are looked at here, so that the examples of an epoch can be counted, and any of
//! them found, without reading a token.

use std::ops::Range;

use bert_core::random::Random;

use super::shards::Shard;

/// What decides how sentences are put together.
#[derive(Clone, Copy, Debug)]
pub struct Pairing {
    /// The tokens of an example without the special ones.
    pub max_tokens: usize,
    /// How often a document is cut into examples of a random length.
    pub short_probability: f64,
    /// Whether examples are pairs.
    pub next_sentence: bool,
}

/// The sentences of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Sentences of the document.
    pub first: Range<usize>,
    pub second: Second,
    /// For everything else that is random about the example.
    pub random: Random,
}

/// What follows the first part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Second {
    /// Nothing: examples are no pairs.
    None,
    /// The sentences that follow it in the document.
    Next(Range<usize>),
    /// Sentences of another document, until there are so many tokens.
    Random { tokens: usize },
}

/// The examples of a document, in order.
pub struct Plans<'a> {
    shard: &'a Shard,
    pairing: Pairing,
    /// The sentences that are left.
    left: Range<usize>,
    /// How many tokens an example of this document should have.
    target: usize,
    random: Random,
    /// How many examples there were.
    count: u64,
}

impl Pairing {
    /// The examples of a document. All that is random about them depends on `random`, which is the document's
    /// own in this epoch.
    pub fn plans(self, shard: &Shard, sentences: Range<usize>, random: Random) -> Plans<'_> {
        let lengths = random.named("target length");
        let target = match lengths.uniform(0) < self.short_probability {
            true => 2 + lengths.below(1, self.max_tokens - 1),
            false => self.max_tokens,
        };
        Plans { shard, pairing: self, left: sentences, target, random, count: 0 }
    }
}

impl Iterator for Plans<'_> {
    type Item = Plan;

    fn next(&mut self) -> Option<Plan> {
        if self.left.is_empty() {
            return None;
        }
        let random = self.random.numbered(self.count);
        self.count += 1;
        let chunk = self.left.start;
        let mut end = chunk;
        let mut tokens = 0;
        while end < self.left.end && tokens < self.target {
            tokens += self.shard.sentence_len(end);
            end += 1;
        }
        let count = end - chunk;
        if !self.pairing.next_sentence {
            self.left.start = end;
            return Some(Plan { first: chunk..end, second: Second::None, random });
        }
        let cut = chunk + if count >= 2 { 1 + random.below(0, count - 1) } else { 1 };
        let second = if count == 1 || random.uniform(1) < 0.5 {
            // The sentences that are not used are for the next example.
            self.left.start = cut;
            let first: usize = (chunk..cut).map(|sentence| self.shard.sentence_len(sentence)).sum();
            Second::Random { tokens: self.target.saturating_sub(first).max(1) }
        } else {
            self.left.start = end;
            Second::Next(cut..end)
        };
        Some(Plan { first: chunk..cut, second, random })
    }
}

/// Shortens two parts to `most` tokens in all, as BERT does: a token at a time, of the longer part, at a random
/// end. Gives the tokens of each that stay.
pub fn truncate(lengths: [usize; 2], most: usize, random: Random) -> [Range<usize>; 2] {
    let mut parts = lengths.map(|length| 0..length);
    let mut cut = 0;
    while parts[0].len() + parts[1].len() > most {
        let part = if parts[0].len() > parts[1].len() { &mut parts[0] } else { &mut parts[1] };
        match random.bits(cut / 32) >> (cut % 32) & 1 {
            0 => part.end -= 1,
            _ => part.start += 1,
        }
        cut += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn truncation_takes_no_more_than_it_must(a in 1usize..300, b in 0usize..300, most in 2usize..200, seed: u64) {
            let parts = truncate([a, b], most, Random::new(seed));
            let kept = parts.each_ref().map(Range::len);
            prop_assert_eq!(kept[0] + kept[1], most.min(a + b));
            prop_assert!(parts[0].end <= a && parts[1].end <= b);
            prop_assert!(kept[0] >= 1 && (b == 0 || kept[1] >= 1));
            // The shorter part is cut only if it is longer than half.
            prop_assert!(kept[0] == a || kept[0] + 1 >= kept[1]);
            prop_assert!(kept[1] == b || kept[1] + 1 >= kept[0]);
        }
    }

    #[test]
    fn both_ends_are_cut() {
        let [first, second] = truncate([600, 600], 300, Random::new(1));
        assert!(first.start > 200 && first.end < 400 && second.start > 200 && second.end < 400);
    }
}
