//! Multiple choice: which of several endings goes best with a beginning, as in SWAG.
//!
//! [`MultipleChoice`] is the task. Many prompts at once, each with any number of choices:
//!
//! ```
//! use bert_tasks::multiple_choice::Choices;
//! use bert_tasks::{Device, MultipleChoice, Task};
//! let model = "path/to/a-swag-model";
//! # let model = bert_conformance::checkpoint("bert-multiple-choice");
//! # let model = model.to_str().unwrap();
//! let multiple_choice = MultipleChoice::load(model, &Device::auto()?)?;
//! let choices = ["took out milk.", "flew to the moon.", "closed it."].map(String::from).to_vec();
//! let prompts = ["She opened the fridge and", "The astronaut"];
//! let inputs = prompts.map(|prompt| Choices { prompt: prompt.into(), choices: choices.clone() });
//! for answer in multiple_choice.stream(inputs) {
//!     assert_eq!(answer?.probabilities.len(), 3);
//! }
//! # Ok::<(), bert_tasks::Error>(())
//! ```

use std::ops::Range;

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use crate::scores::softmax;
use crate::{Device, Error, Prepared, Pretrained, Result, Rows, Sequence, Session, Task};

/// A beginning and the endings to choose from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// What the choices go with: a question, or the beginning of a sentence.
    pub prompt: String,
    /// At least one.
    pub choices: Vec<String>,
}

/// How well each choice goes with the prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The index of the best choice; of equals the first.
    pub best: usize,
    /// For each choice, in their order.
    pub probabilities: Vec<f32>,
    /// For each choice, the bytes of the prompt and of the choice that the model did not see.
    pub truncated: Vec<[Option<Range<usize>>; 2]>,
}

/// A model that scores choices, and its tokenizer.
///
/// ```
/// use bert_tasks::{Device, MultipleChoice};
/// let model = "path/to/a-swag-model";
/// # let model = bert_conformance::checkpoint("bert-multiple-choice");
/// # let model = model.to_str().unwrap();
/// let multiple_choice = MultipleChoice::load(model, &Device::auto()?)?;
/// let answer = multiple_choice.predict("She opened the fridge and", &["took out milk.", "flew to the moon."])?;
/// println!("choice {} with probability {:.3}", answer.best, answer.probabilities[answer.best]);
/// assert!(answer.probabilities[answer.best] >= 0.5);
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultipleChoice {
    session: Session,
}

impl MultipleChoice {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, not made for multiple choice, or damaged.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Self::from_pretrained(&Pretrained::open_for(name, Head::MultipleChoice)?, device, Precision::F32)
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that is not made for multiple choice, or damaged.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self::new(files.load(Head::MultipleChoice, device, precision)?))
    }

    /// The task on a model that was loaded for [`Head::MultipleChoice`].
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// Chooses once.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no choice; [`Error::NotFinite`] from a damaged model; a device that
    /// failed.
    pub fn predict(&self, prompt: &str, choices: &[&str]) -> Result<Choice> {
        let choices = choices.iter().map(|&choice| choice.to_owned()).collect();
        self.predict_one(Choices { prompt: prompt.to_owned(), choices })
    }
}

impl Task for MultipleChoice {
    type Input = Choices;
    type Context = Vec<[Option<Range<usize>>; 2]>;
    type Piece = f32;
    type Answer = Choice;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::MultipleChoice)]
    }

    fn prepare(&self, input: &Choices) -> Result<Prepared<Self::Context>> {
        if input.choices.is_empty() {
            return Err(Error::Setting {
                setting: "choices",
                found: "empty".into(),
                expected: "at least one text",
            });
        }
        let mut prepared = Prepared { sequences: vec![], context: vec![] };
        for choice in &input.choices {
            let fitted = self.session.fit(self.session.tokenizer().encode_pair(&input.prompt, choice)?);
            prepared.sequences.push(Sequence::from(fitted.encoded));
            prepared.context.push(fitted.truncated);
        }
        Ok(prepared)
    }

    fn reduce(&self, _: &Self::Context, _: usize, rows: Rows) -> Result<f32> {
        Ok(rows[0][[0, 0]])
    }

    fn finish(&self, _: &Choices, truncated: Self::Context, scores: Vec<f32>) -> Result<Choice> {
        let probabilities = softmax(ArrayView1::from(&scores));
        let better = |best: usize, index: usize| if scores[index] > scores[best] { index } else { best };
        Ok(Choice { best: (0..scores.len()).fold(0, better), probabilities, truncated })
    }
}
