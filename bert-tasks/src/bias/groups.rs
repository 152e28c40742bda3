//! Two groups over many templates: which words go with which, and how much in all.

use serde::Serialize;

use super::compare::{extremes, log_odds};
use super::words::{SkippedWord, Words};
use super::{Bias, BiasError, TemplateSet, WordDifference};
use crate::Result;
use crate::evaluation::{Bootstrap, Figure, Means, figures};

/// How two groups of a set compare.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupReport {
    /// The name of the set.
    pub name: String,
    /// What the two groups are called.
    pub labels: [String; 2],
    /// How many sentences were compared: templates with the words of both groups.
    pub sentences: usize,
    /// How many words were scored.
    pub words: usize,
    /// How many of them are several tokens. Such a word takes as many masks, and its probability is the product of
    /// theirs; this is the same for both groups.
    pub several_tokens: usize,
    /// Words that could not be scored.
    pub skipped: Vec<SkippedWord>,
    /// `mean_abs_log_odds`: how far the odds of a word differ between the groups on average, whichever it goes with.
    /// `mean_log_odds`: the same with the sign, above 0 where the words go with the first group. The intervals are
    /// those of drawing other words of the same kind.
    pub figures: Vec<Figure>,
    /// The words that differ most, those of the first group before those of the second. Probabilities are geometric
    /// means over the sentences of a group, and log-odds are means.
    pub differences: Vec<WordDifference>,
}

impl Bias {
    /// Compares the two groups of a set. At most `top_k` words of each group are listed.
    ///
    /// # Errors
    /// A set with which nothing can be compared, sentences that are too long; a device that failed.
    pub fn groups(&self, set: &TemplateSet, top_k: usize, bootstrap: &Bootstrap) -> Result<GroupReport> {
        set.check()?;
        let words = Words::new(&self.session, &set.words)?;
        if words.known.is_empty() {
            return Err(BiasError::NoWords { set: set.name.clone(), words: set.words.len() }.into());
        }
        let mut skipped = words.skipped.clone();
        let mut texts = |group: &[String]| -> Result<Vec<String>> {
            // Unknown words are one and the same to the model.
            let Words { known, skipped: unknown } = Words::new(&self.session, group)?;
            if let (true, Some(word)) = (known.is_empty(), unknown.first()) {
                return Err(BiasError::GroupWord { set: set.name.clone(), word: word.word.clone() }.into());
            }
            skipped.extend(unknown);
            let group: Vec<String> = known.into_iter().map(|(word, _)| word).collect();
            Ok(set.sentences(&group).map(|text| self.with_own_mask(&text)).collect())
        };
        let (first, second) = (texts(&set.first)?, texts(&set.second)?);
        let sentences = first.len() + second.len();
        let all = [&first[..], &second[..]].concat();
        let found = words.log_probabilities(&self.session, &all, &self.written, self.mask)?;
        let (of_first, of_second) = found.split_at(first.len());
        let difference = |(at, (word, _)): (usize, &(String, Vec<u32>))| {
            let mean = |rows: &[Vec<f64>], of: fn(f64) -> f64| {
                rows.iter().map(|row| of(row[at])).sum::<f64>() / rows.len() as f64
            };
            WordDifference {
                word: word.clone(),
                log_odds: mean(of_first, log_odds) - mean(of_second, log_odds),
                first: mean(of_first, |x| x).exp(),
                second: mean(of_second, |x| x).exp(),
            }
        };
        let differences: Vec<_> = words.known.iter().enumerate().map(difference).collect();
        let observations: Vec<[f64; 2]> =
            differences.iter().map(|word| [word.log_odds.abs(), word.log_odds]).collect();
        let measure = Means::new(["mean_abs_log_odds", "mean_log_odds"]);
        Ok(GroupReport {
            name: set.name.clone(),
            labels: set.labels.clone(),
            sentences,
            words: words.known.len(),
            several_tokens: words.several_tokens(),
            skipped,
            figures: figures(&measure, &observations, bootstrap),
            differences: extremes(differences, top_k),
        })
    }
}
