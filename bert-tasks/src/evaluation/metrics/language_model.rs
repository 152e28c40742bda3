//! How well a masked language model guesses the words that were hidden from it.

use ndarray::ArrayView1;

use crate::evaluation::Measure;

/// How a model's scores of the whole vocabulary treat the word that belongs there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// How many words the model prefers; of those with equal scores, the ones with lower ids.
    pub rank: usize,
    /// The negative logarithm of the word's probability.
    pub loss: f64,
}

impl Guess {
    /// Looks for a word in the scores before softmax.
    ///
    /// # Panics
    /// If the word is not in the vocabulary.
    pub fn of(scores: ArrayView1<'_, f32>, word: usize) -> Self {
        let better =
            |(other, &score): (usize, &f32)| score > scores[word] || (score == scores[word] && other < word);
        let rank = scores.iter().enumerate().filter(|&entry| better(entry)).count();
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = scores.iter().map(|score| f64::from(score - most).exp()).sum();
        Self { rank, loss: sum.ln() - f64::from(scores[word] - most) }
    }
}

/// What is counted over guesses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Guesses {
    /// How many words were to be guessed.
    pub words: usize,
    /// How many of them the model thinks of first.
    pub top_1: usize,
    /// How many are among the first five.
    pub top_5: usize,
    /// The sum of the losses.
    pub loss: f64,
}

impl Guesses {
    /// Counts a guess.
    pub fn add(&mut self, guess: Guess) {
        self.words += 1;
        self.top_1 += usize::from(guess.rank == 0);
        self.top_5 += usize::from(guess.rank < 5);
        self.loss += guess.loss;
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            words: self.words + other.words,
            top_1: self.top_1 + other.top_1,
            top_5: self.top_5 + other.top_5,
            loss: self.loss + other.loss,
        }
    }

    /// The share of words that the model thinks of first; NaN of none.
    pub fn accuracy(&self) -> f64 {
        self.top_1 as f64 / self.words as f64
    }

    /// The share of words that are among the first five; NaN of none.
    pub fn accuracy_in_5(&self) -> f64 {
        self.top_5 as f64 / self.words as f64
    }

    /// The mean loss; NaN of none.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.words as f64
    }

    /// The exponential of the mean loss: of a masked model that had every word of a text hidden in turn, this is
    /// its pseudo-perplexity. Source: Salazar et al., "Masked Language Model Scoring" (2020).
    pub fn perplexity(&self) -> f64 {
        self.mean_loss().exp()
    }
}

/// Figures of masked words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LanguageModelFigures {
    /// Whether the pseudo-perplexity is among them.
    pub pseudo: bool,
}

/// What is kept of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TextGuesses {
    /// The words that were masked together.
    pub masked: Guesses,
    /// All words, each masked alone; none of a text that was not asked for.
    pub alone: Guesses,
}

impl Measure for LanguageModelFigures {
    type Observation = TextGuesses;

    fn names(&self) -> Vec<String> {
        let names = ["top_1_accuracy", "top_5_accuracy", "loss", "perplexity", "pseudo_perplexity"];
        names[..4 + usize::from(self.pseudo)].iter().map(ToString::to_string).collect()
    }

    fn values(&self, sample: &[&TextGuesses]) -> Vec<f64> {
        let sum = |of: fn(&TextGuesses) -> Guesses| {
            sample.iter().fold(Guesses::default(), |sum, text| sum.plus(of(text)))
        };
        let masked = sum(|text| text.masked);
        let mut values =
            vec![masked.accuracy(), masked.accuracy_in_5(), masked.mean_loss(), masked.perplexity()];
        values.extend(self.pseudo.then(|| sum(|text| text.alone).perplexity()));
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_ranked_and_weighed() {
        let scores = [0.0, 1.0, 1.0, -1000.0].map(|score: f32| score + 100.0);
        let guess = |word| Guess::of(ArrayView1::from(&scores), word);
        assert_eq!([1, 2, 0, 3].map(|word| guess(word).rank), [0, 1, 2, 3]);
        assert!((guess(1).loss - (2.0 + (-1f64).exp()).ln()).abs() < 1e-12);
        let mut guesses = Guesses::default();
        assert!(guesses.perplexity().is_nan());
        (0..4).for_each(|_| guesses.add(guess(1)));
        assert_eq!((guesses.accuracy(), guesses.accuracy_in_5()), (1.0, 1.0));
        assert!((guesses.perplexity() - (2.0 + (-1f64).exp())).abs() < 1e-12);
    }
}
