//! Faithfulness: whether the score hangs on the words that an explanation names. Source: "ERASER: A Benchmark to
//! Evaluate Rationalized NLP Models" (DeYoung et al., 2020), §4.

use bert_core::random::Random;
use serde::Serialize;

use super::Subject;
use crate::Result;

/// The shares of the words that are taken, best first; figures are means over them.
const SHARES: [f64; 5] = [0.01, 0.05, 0.1, 0.2, 0.5];

/// How many random orders of the words stand for no explanation at all.
const RANDOM_ORDERS: u64 = 10;

/// Two figures of an explanation, each beside that of words in random order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Faithfulness {
    /// How much of the score is lost when the best words are masked: high if these are what it hangs on.
    pub comprehensiveness: Measured,
    /// How much of the score is lost when all but the best words are masked: low if these are enough for it.
    pub sufficiency: Measured,
}

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// That of the explanation.
    pub value: f64,
    /// That of words in random order, the mean of ten orders.
    pub random: f64,
}

impl Faithfulness {
    /// Masks the best 1, 5, 10, 20 and 50 % of the words, rounded up, and all but these; and does the same with random
    /// orders, which are the same in each run. `scores` are those of the words.
    ///
    /// # Errors
    /// As [`Subject::score`].
    ///
    /// # Panics
    /// If there is not a score for each word.
    pub fn measure(subject: &Subject, scores: &[f64]) -> Result<Self> {
        let count = subject.words.len();
        assert_eq!(scores.len(), count, "each word has a score");
        let mut orders = vec![ranking(scores)];
        for number in 0..RANDOM_ORDERS {
            let mut order: Vec<usize> = (0..count).collect();
            Random::new(1).named("faithfulness").numbered(number).shuffle(&mut order);
            orders.push(order);
        }
        let taken = SHARES.map(|share| (share * count as f64).ceil() as usize);
        let mut masked = vec![vec![]];
        for order in &orders {
            for best in taken {
                masked.push(order[..best].to_vec());
                masked.push(order[best..].to_vec());
            }
        }
        let mut losses = distinct_scores(subject, masked)?;
        let score = losses.remove(0);
        let mean = |orders: std::ops::Range<usize>, kind: usize| {
            let width = 2 * SHARES.len();
            let part = &losses[orders.start * width..orders.end * width];
            let values: Vec<f64> = part.iter().skip(kind).step_by(2).map(|without| score - without).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let measured = |kind| Measured { value: mean(0..1, kind), random: mean(1..orders.len(), kind) };
        Ok(Self { comprehensiveness: measured(0), sufficiency: measured(1) })
    }
}

/// Scores of sets of words that are masked. Of a short text the same ones come again and again, and are computed once.
fn distinct_scores(subject: &Subject, mut masked: Vec<Vec<usize>>) -> Result<Vec<f64>> {
    masked.iter_mut().for_each(|words| words.sort_unstable());
    let mut distinct = masked.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let scores = subject.scores(distinct.clone())?;
    let of = |words: &Vec<usize>| scores[distinct.binary_search(words).expect("it is one of them")];
    Ok(masked.iter().map(of).collect())
}

/// The indices of scores, highest first; of equals the first one.
pub(super) fn ranking(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}
