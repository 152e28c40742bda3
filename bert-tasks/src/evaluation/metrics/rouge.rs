//! How many words, pairs of words and words in order two texts share: ROUGE, as the package `rouge_score` has it
//! without its stemmer.
//!
//! ```
//! use bert_tasks::evaluation::metrics::rouge::{rouge_l, rouge_n};
//! assert_eq!(rouge_n("the cat sat", "The cat, it sat!", 1).recall, 1.0);
//! assert_eq!(rouge_n("the cat sat", "The cat, it sat!", 2).f1(), 0.4);
//! assert_eq!(rouge_l("the cat sat", "sat the cat").precision, 2.0 / 3.0);
//! ```

use std::collections::HashMap;

/// How much two texts share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rouge {
    /// Which part of the answer stands in the gold text.
    pub precision: f64,
    /// Which part of the gold text stands in the answer.
    pub recall: f64,
}

impl Rouge {
    /// The harmonic mean of the two; 0 if both are.
    pub fn f1(&self) -> f64 {
        let sum = self.precision + self.recall;
        if sum > 0.0 { 2.0 * self.precision * self.recall / sum } else { 0.0 }
    }
}

/// By runs of `n` words: ROUGE-1, ROUGE-2. All are 0 where one of the texts has no such run.
pub fn rouge_n(gold: &str, answer: &str, n: usize) -> Rouge {
    let [gold, answer] = [gold, answer].map(words);
    let count = |words: &[String]| (words.len() + 1).saturating_sub(n);
    let mut counts: HashMap<&[String], usize> = HashMap::new();
    gold.windows(n).for_each(|run| *counts.entry(run).or_default() += 1);
    let mut same = 0;
    for run in answer.windows(n) {
        if let Some(count @ 1..) = counts.get_mut(run) {
            *count -= 1;
            same += 1;
        }
    }
    shares(same, count(&answer), count(&gold))
}

/// By the longest sequence of words that both texts have in the same order: ROUGE-L.
pub fn rouge_l(gold: &str, answer: &str) -> Rouge {
    let [gold, answer] = [gold, answer].map(words);
    // The longest common subsequence with each beginning of the gold text, after each word of the answer.
    let mut longest = vec![0; gold.len() + 1];
    for word in &answer {
        let mut before = 0;
        for (at, other) in gold.iter().enumerate() {
            let above = longest[at + 1];
            longest[at + 1] = if word == other { before + 1 } else { above.max(longest[at]) };
            before = above;
        }
    }
    shares(longest[gold.len()], answer.len(), gold.len())
}

fn shares(same: usize, answer: usize, gold: usize) -> Rouge {
    let share = |whole: usize| same as f64 / whole.max(1) as f64;
    Rouge { precision: share(answer), recall: share(gold) }
}

/// Runs of ASCII letters and digits, in lower case.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|char: char| !char.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
