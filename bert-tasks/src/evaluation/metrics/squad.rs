//! Answers to questions about texts: the figures of the official scripts, `evaluate-v1.1.py` and `evaluate-v2.0.py`.
//!
//! ```
//! use bert_tasks::evaluation::metrics::squad::{exact_match, f1};
//! assert!(exact_match("The Seine", "seine."));
//! assert_eq!(f1("the river Seine", "the Seine"), 2.0 / 3.0);
//! ```

use std::collections::HashMap;

use serde::Serialize;

use crate::data::squad::{Dataset, Qa};
use crate::evaluation::Measure;

/// How well predictions agree with what people answered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Over all questions.
    pub all: Scores,
    /// Over those that have an answer (`HasAns`), if there are any.
    pub has_answer: Option<Scores>,
    /// Over those that have none (`NoAns`), if there are any.
    pub no_answer: Option<Scores>,
    /// How many questions have no prediction. They count as wrong.
    pub missing: usize,
}

/// Averages over some questions, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Predictions that say what one of the answers says.
    pub exact: f64,
    /// The harmonic mean of precision and recall of the words, against the answer where it is best.
    pub f1: f64,
    /// How many questions.
    pub total: usize,
}

/// The thresholds of the no-answer odds that suit given answers best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BestThresholds {
    /// For [`Scores::exact`] over all questions (`best_exact`).
    pub exact: BestThreshold,
    /// For [`Scores::f1`] over all questions (`best_f1`).
    pub f1: BestThreshold,
}

/// A threshold and what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BestThreshold {
    /// In percent.
    pub score: f64,
    /// Questions with greater odds are best left unanswered; `None` if all of them are.
    pub threshold: Option<f64>,
}

/// What is known of the answer to one question; all scores are made of these.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Judgement {
    /// Whether people found an answer. (The official scripts ask this and not `is_impossible`.)
    pub has_answer: bool,
    /// Whether there is a prediction at all.
    pub predicted: bool,
    /// Whether the prediction gives an answer.
    pub answered: bool,
    /// Whether it says what one of the answers says: 1 or 0.
    pub exact: f64,
    /// How well its words agree with the answer where that is best.
    pub f1: f64,
    /// The odds of "no answer", if they are known.
    pub odds: Option<f64>,
}

/// Judges a prediction; an empty one says that there is no answer.
pub fn judge(qa: &Qa, prediction: Option<&str>, odds: Option<f64>) -> Judgement {
    let [exact, f1] = prediction.map_or([0.0; 2], |prediction| score(qa, prediction));
    Judgement {
        has_answer: has_answer(qa),
        predicted: prediction.is_some(),
        answered: prediction.is_some_and(|prediction| !prediction.is_empty()),
        exact,
        f1,
        odds,
    }
}

impl Judgement {
    /// What it is if answers are taken back whose odds of "no answer" are greater than a threshold, as the official
    /// script's `--na-prob-thresh` does.
    #[must_use]
    pub fn with_threshold(self, threshold: f64) -> Self {
        match self.odds {
            Some(odds) if odds > threshold => {
                let right = f64::from(u8::from(!self.has_answer));
                Self { answered: false, exact: right, f1: right, ..self }
            }
            _ => self,
        }
    }
}

/// Scores predictions, which are filed under the ids of the questions; an empty one says that there is no
/// answer.
pub fn evaluate(dataset: &Dataset, predictions: &HashMap<String, String>) -> Evaluation {
    let judged = dataset.qas().map(|qa| judge(qa, predictions.get(&qa.id).map(String::as_str), None));
    Evaluation::of(judged)
}

impl Evaluation {
    /// Adds up judgements.
    pub fn of(judgements: impl IntoIterator<Item = Judgement>) -> Self {
        let mut missing = 0;
        let [mut all, mut answerable, mut unanswerable] = [Sum::default(); 3];
        for judged in judgements {
            missing += usize::from(!judged.predicted);
            let part = if judged.has_answer { &mut answerable } else { &mut unanswerable };
            for sum in [&mut all, part] {
                sum.add([judged.exact, judged.f1]);
            }
        }
        Self {
            all: all.scores().unwrap_or_default(),
            has_answer: answerable.scores(),
            no_answer: unanswerable.scores(),
            missing,
        }
    }
}

/// The predictions with those taken back whose no-answer odds are greater than a threshold.
pub fn with_threshold(
    predictions: &HashMap<String, String>,
    odds: &HashMap<String, f64>,
    threshold: f64,
) -> HashMap<String, String> {
    let keep = |id: &String| odds.get(id).is_none_or(|&odds| odds <= threshold);
    predictions
        .iter()
        .map(|(id, text)| (id.clone(), if keep(id) { text.clone() } else { String::new() }))
        .collect()
}

/// Finds the thresholds that [`with_threshold`] should be given. `odds` are those of "no answer", by the ids
/// of the questions, such as [`no_answer_odds`](crate::question_answering::Answers::no_answer_odds); a question
/// without is answered whatever the threshold.
pub fn best_thresholds(
    dataset: &Dataset,
    predictions: &HashMap<String, String>,
    odds: &HashMap<String, f64>,
) -> BestThresholds {
    let judge = |qa: &Qa| judge(qa, predictions.get(&qa.id).map(String::as_str), odds.get(&qa.id).copied());
    BestThresholds::of(dataset.qas().map(judge))
}

impl BestThresholds {
    /// Sweeps the threshold over the odds of these judgements.
    ///
    /// As in the official script, questions of equal odds are looked at one by one, here in the order that they come
    /// in (there, in that of the file of odds), so that among equals the best score may be a little out of reach.
    pub fn of(judgements: impl IntoIterator<Item = Judgement>) -> Self {
        // With no question answered, those without an answer are right. What does answering each one change?
        let mut total = 0;
        let mut start = [0.0; 2];
        let mut gains: Vec<(f64, [f64; 2])> = vec![];
        for judged in judgements {
            total += 1;
            if !judged.has_answer {
                start = start.map(|score| score + 1.0);
            }
            let gain = match (judged.has_answer, judged.answered) {
                (true, _) => [judged.exact, judged.f1],
                (false, true) => [-1.0; 2],
                (false, false) => [0.0; 2],
            };
            match judged.odds {
                Some(odds) if judged.predicted => gains.push((odds, gain)),
                _ if judged.predicted => start = [start[0] + gain[0], start[1] + gain[1]],
                _ => {}
            }
        }
        gains.sort_by(|(a, _), (b, _)| a.total_cmp(b));

        let best = |figure: usize| {
            let mut score = start[figure];
            let mut best = BestThreshold { score, threshold: None };
            for (odds, gain) in &gains {
                score += gain[figure];
                if score > best.score {
                    best = BestThreshold { score, threshold: Some(*odds) };
                }
            }
            best.score *= 100.0 / f64::from(total.max(1));
            best
        };
        Self { exact: best(0), f1: best(1) }
    }
}

fn has_answer(qa: &Qa) -> bool {
    !qa.answers.is_empty()
}

/// Exact match and F1, each with the gold answer that is best for it; with the empty text if there is none.
fn score(qa: &Qa, prediction: &str) -> [f64; 2] {
    let answers =
        || qa.answers.iter().map(|gold| &*gold.text).filter(|gold| !normalise_answer(gold).is_empty());
    let golds: Vec<&str> = if answers().next().is_some() { answers().collect() } else { vec![""] };
    let exact = golds.iter().any(|gold| exact_match(gold, prediction));
    let f1 = golds.iter().map(|gold| f1(gold, prediction)).fold(0.0, f64::max);
    [f64::from(u8::from(exact)), f1]
}

/// Whether two answers are the same but for case, punctuation, articles and blanks.
pub fn exact_match(gold: &str, prediction: &str) -> bool {
    normalise_answer(gold) == normalise_answer(prediction)
}

/// The harmonic mean of how many words of the prediction are in the gold answer and how many of the gold
/// answer are in the prediction; 1 if both are empty.
pub fn f1(gold: &str, prediction: &str) -> f64 {
    let [gold, prediction] = [gold, prediction].map(normalise_answer);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let gold_words = gold.split(' ').filter(|word| !word.is_empty());
    let prediction_words = prediction.split(' ').filter(|word| !word.is_empty());
    let (gold_len, prediction_len) = (gold_words.clone().count(), prediction_words.clone().count());
    if gold_len == 0 || prediction_len == 0 {
        return f64::from(u8::from(gold_len == prediction_len));
    }
    gold_words.for_each(|word| *counts.entry(word).or_default() += 1);
    let mut same = 0;
    for word in prediction_words {
        if let Some(count @ 1..) = counts.get_mut(word) {
            *count -= 1;
            same += 1;
        }
    }
    if same == 0 {
        return 0.0;
    }
    let precision = f64::from(same) / prediction_len as f64;
    let recall = f64::from(same) / gold_len as f64;
    2.0 * precision * recall / (precision + recall)
}

/// What is compared of an answer: in lower case, without ASCII punctuation and the articles a, an and the,
/// the rest of its words joined by single blanks.
pub fn normalise_answer(text: &str) -> String {
    let lower = text.to_lowercase();
    let bare: String = lower.chars().filter(|char| !char.is_ascii_punctuation()).collect();
    // An article ends where a word does: at a blank, but also at a dash, which is no ASCII punctuation.
    let mut kept = String::with_capacity(bare.len());
    let mut rest = &*bare;
    while let Some(first) = rest.chars().next() {
        let in_word = first.is_alphanumeric();
        let end = rest.find(|char: char| char.is_alphanumeric() != in_word).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        kept.push_str(if matches!(run, "a" | "an" | "the") { " " } else { run });
        rest = after;
    }
    let words: Vec<&str> = kept.split(is_blank).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// What Python takes for a blank: white space and the four ASCII separators.
fn is_blank(char: char) -> bool {
    char.is_whitespace() || matches!(char, '\u{1c}'..='\u{1f}')
}

/// The figures of one of the official scripts, in percent, by its names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SquadFigures {
    /// Whether they are those of SQuAD 2.0. Those of 1.1 are `exact_match` and `f1` alone.
    pub version_2: bool,
    /// Whether the best thresholds are among them, which takes the odds of "no answer".
    pub sweep: bool,
    /// Answers whose odds of "no answer" are greater are taken back before all but the sweep; `None` for none.
    pub threshold: Option<f64>,
}

impl Measure for SquadFigures {
    type Observation = Judgement;

    fn names(&self) -> Vec<String> {
        let names: &[&str] = match (self.version_2, self.sweep) {
            (false, _) => &["exact_match", "f1"],
            (true, false) => &["exact", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1"],
            (true, true) => &[
                "exact",
                "f1",
                "HasAns_exact",
                "HasAns_f1",
                "NoAns_exact",
                "NoAns_f1",
                "best_exact",
                "best_exact_thresh",
                "best_f1",
                "best_f1_thresh",
            ],
        };
        names.iter().map(ToString::to_string).collect()
    }

    fn values(&self, sample: &[&Judgement]) -> Vec<f64> {
        let judgements = || sample.iter().map(|judged| **judged);
        let judged = judgements().map(|judged| match self.threshold {
            Some(threshold) => judged.with_threshold(threshold),
            None => judged,
        });
        let Evaluation { all, has_answer, no_answer, .. } = Evaluation::of(judged);
        let mut values = vec![all.exact, all.f1];
        if self.version_2 {
            for part in [has_answer, no_answer] {
                values.extend(part.map_or([f64::NAN; 2], |scores| [scores.exact, scores.f1]));
            }
            if self.sweep {
                let BestThresholds { exact, f1 } = BestThresholds::of(judgements());
                // The script says 0 where it is best to answer nothing.
                let values_of = |best: BestThreshold| [best.score, best.threshold.unwrap_or(0.0)];
                values.extend([exact, f1].map(values_of).concat());
            }
        }
        values
    }
}

/// Sums over some questions.
#[derive(Clone, Copy, Default)]
struct Sum {
    /// Of exact match and F1.
    scores: [f64; 2],
    total: usize,
}

impl Sum {
    fn add(&mut self, score: [f64; 2]) {
        self.scores = std::array::from_fn(|figure| self.scores[figure] + score[figure]);
        self.total += 1;
    }

    /// The averages; `None` over no question.
    fn scores(self) -> Option<Scores> {
        let [exact, f1] = self.scores.map(|sum| 100.0 * sum / self.total as f64);
        (self.total > 0).then_some(Scores { exact, f1, total: self.total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalisation_is_that_of_the_script() {
        // The right column is what the script's own normalize_answer gives.
        for (text, normalised) in [
            ("", ""),
            ("The", ""),
            ("A an THE theme", "theme"),
            ("the 10th & 11th centuries.", "10th 11th centuries"),
            ("  a\u{a0}cat\u{1f}\tand\u{3000}the\u{2003}dog \n", "cat and dog"),
            ("U.S.A.", "usa"),
            ("the–cat ‘a’", "–cat ‘ ’"),
            ("a_an", "aan"),
            ("ΟΔΟΣ İ ẞ", "οδος i\u{307} ß"),
            ("a\u{301} an²", "\u{301} an²"),
            ("$5–a–b", "5– –b"),
            ("中a国 a", "中a国"),
        ] {
            assert_eq!(normalise_answer(text), normalised, "{text:?}");
        }
    }

    #[test]
    fn f1_counts_each_word_as_often_as_both_have_it() {
        assert_eq!(f1("the cat sat", "Cat, sat!"), 1.0);
        assert_eq!(
            f1("to be or not to be", "to to to"),
            2.0 * (2.0 / 3.0) * (2.0 / 6.0) / (2.0 / 3.0 + 2.0 / 6.0)
        );
        assert_eq!(f1("cat", "dog"), 0.0);
        assert_eq!((f1("", ""), f1("the", ""), f1("cat", ""), f1("", "cat")), (1.0, 1.0, 0.0, 0.0));
        assert!(exact_match("The  U.S.", "us") && !exact_match("cat", "cats"));
    }
}
