//! Next sentence as an objective: whether one text follows another.

use bert_core::ModelConfig;
use bert_core::graph::{Head, Output};

use super::target::{Target, TrainingExample};
use super::{Evaluation, Objective, Scorer, TrainingError};
use crate::data::DataError;
use crate::data::classification::{Example, Label};
use crate::fit::fit;
use crate::tokenizer::Tokenizer;
use crate::{Pretrained, Result, Sequence};

/// Pairs of texts to train on, of which it is known whether the second follows the first, and some to evaluate on.
pub struct NextSentence {
    tokenizer: Tokenizer,
    train: Vec<Pair>,
    eval: Vec<Pair>,
}

struct Pair {
    first: String,
    second: String,
    follows: bool,
}

/// The labels of pairs whose second text follows the first, in small letters without separators.
const FOLLOWS: &[&str] = &["1", "true", "yes", "next", "isnext"];
/// The labels of the others.
const OTHER: &[&str] = &["0", "false", "no", "notnext", "random"];

impl NextSentence {
    /// Labels are 1 for a text that follows and 0 for one that does not, or `true` and `false`, `yes` and `no`, `next`
    /// and `random`, `is_next` and `not_next`.
    ///
    /// # Errors
    /// [`TrainingError::NoExamples`], [`TrainingError::OneLabel`]; an example without a second text or with another
    /// label; [`TrainingError::NoPairs`] for a family without this head.
    pub fn new(base: &Pretrained, train: Vec<Example>, eval: Vec<Example>) -> Result<Self> {
        let config = base.config();
        if !config.pooler || config.type_vocab_size < 2 {
            return Err(TrainingError::NoPairs { family: config.model_type.to_string() }.into());
        }
        let pairs =
            |examples: Vec<Example>| examples.into_iter().map(pair).collect::<Result<Vec<_>, DataError>>();
        let label = train.first().and_then(|example| example.label.names().first().cloned());
        let (train, eval) = (pairs(train)?, pairs(eval)?);
        let Some(first) = train.first() else { return Err(TrainingError::NoExamples.into()) };
        if train.iter().all(|pair| pair.follows == first.follows) {
            let (label, count) = (label.unwrap_or_default(), train.len());
            return Err(TrainingError::OneLabel { label, count }.into());
        }
        Ok(Self { tokenizer: base.tokenizer().clone(), train, eval })
    }

    /// How many of all pairs have more tokens, so that a run which takes no more than these cuts their ends.
    ///
    /// # Errors
    /// A text that cannot be tokenised.
    pub fn longer_than(&self, max_length: usize) -> Result<usize> {
        let mut longer = 0;
        for pair in self.train.iter().chain(&self.eval) {
            longer += usize::from(self.sequence(pair, max_length)?.1);
        }
        Ok(longer)
    }

    /// The tokens that fit, and whether texts are longer.
    fn sequence(&self, pair: &Pair, max_length: usize) -> Result<(Sequence, bool)> {
        let fitted = fit(self.tokenizer.encode_pair(&pair.first, &pair.second)?, max_length);
        Ok((fitted.encoded.into(), fitted.truncated.iter().any(Option::is_some)))
    }
}

/// What an example says.
fn pair(example: Example) -> Result<Pair, DataError> {
    let Example { text: first, second, label, place } = example;
    let Some(second) = second else {
        let (found, expected) = ("missing".to_owned(), "a text, whose column can be given".to_owned());
        return Err(DataError::Field { place, field: "second text", found, expected });
    };
    let found = match &label {
        Label::One(name) => name.clone(),
        other => format!("{other:?}"),
    };
    let word: String = found.to_lowercase().chars().filter(|c| !matches!(c, '_' | '-' | ' ')).collect();
    let follows = match (FOLLOWS.contains(&&*word), OTHER.contains(&&*word)) {
        (true, _) => true,
        (_, true) => false,
        _ => {
            let found = format!("{found:?}");
            let expected = "1 or true for a text that follows, 0 or false for one that does not".to_owned();
            return Err(DataError::Field { place, field: "label", found, expected });
        }
    };
    Ok(Pair { first, second, follows })
}

impl Objective for NextSentence {
    fn head(&self) -> Head {
        Head::NextSentence
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        base.clone()
    }

    fn examples(&self) -> usize {
        self.train.len()
    }

    fn example(&self, _: u64, index: usize, max_length: usize) -> Result<TrainingExample> {
        let pair = &self.train[index];
        let (sequence, truncated) = self.sequence(pair, max_length)?;
        // Class 0 is "is the next sentence".
        let target = Target::Class(u32::from(!pair.follows));
        Ok(TrainingExample { sequences: vec![sequence], target, truncated })
    }

    /// How often the model is right.
    fn evaluate(&self, model: &Scorer<'_>) -> Result<Option<Evaluation>> {
        if self.eval.is_empty() {
            return Ok(None);
        }
        let sequences = self.eval.iter().map(|pair| Ok(self.sequence(pair, model.max_length())?.0));
        let scored = model.score(&sequences.collect::<Result<Vec<_>>>()?, &[Output::Scores(self.head())])?;
        let right = scored.iter().zip(&self.eval).filter(|(rows, pair)| {
            let scores = rows[0].row(0);
            (scores[0] > scores[1]) == pair.follows
        });
        let count = self.eval.len();
        Ok(Some(Evaluation::new("accuracy", right.count() as f64 / count as f64, count)))
    }
}
