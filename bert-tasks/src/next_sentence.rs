//! Next sentence: the probability that one text follows another.
//!
//! [`NextSentence`] is the task. Many pairs at once:
//!
//! ```
//! use bert_tasks::next_sentence::TextPair;
//! use bert_tasks::{Device, NextSentence, Task};
//! let model = "path/to/bert-base-uncased";
//! # let model = bert_conformance::checkpoint("bert-next-sentence");
//! # let model = model.to_str().unwrap();
//! let next_sentence = NextSentence::load(model, &Device::auto()?)?;
//! let pair = |first: &str, second: &str| TextPair { first: first.into(), second: second.into() };
//! let pairs = [pair("He opened the door.", "The room was empty."), pair("He opened the door.", "Penguins swim.")];
//! let answers = next_sentence.predict_all(pairs)?;
//! assert_eq!(answers.len(), 2);
//! # Ok::<(), bert_tasks::Error>(())
//! ```

use std::ops::Range;

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use serde::{Deserialize, Serialize};

use crate::scores::softmax;
use crate::{Device, Prepared, Pretrained, Result, Rows, Sequence, Session, Task};

/// Two texts in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextPair {
    /// What comes first.
    pub first: String,
    /// What may follow.
    pub second: String,
}

/// Whether the second text follows the first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextSentenceAnswer {
    /// Whether it does: the probability is at least one half.
    pub follows: bool,
    /// The probability that it does.
    pub is_next: f32,
    /// For each text, the bytes that the model did not see, if the two were too long.
    pub truncated: [Option<Range<usize>>; 2],
}

/// A model with a next-sentence head, and its tokenizer.
///
/// ```
/// use bert_tasks::{Device, NextSentence};
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-next-sentence");
/// # let model = model.to_str().unwrap();
/// let next_sentence = NextSentence::load(model, &Device::auto()?)?;
/// let answer = next_sentence.predict("He opened the door.", "The room was empty.")?;
/// println!("follows with probability {:.3}", answer.is_next);
/// assert!((0.0..=1.0).contains(&answer.is_next));
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NextSentence {
    session: Session,
}

impl NextSentence {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, has no next-sentence head, or is damaged.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Self::from_pretrained(&Pretrained::open_for(name, Head::NextSentence)?, device, Precision::F32)
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that has no next-sentence head, or is damaged.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self::new(files.load(Head::NextSentence, device, precision)?))
    }

    /// The task on a model that was loaded for [`Head::NextSentence`].
    pub fn new(session: Session) -> Self {
        Self { session }
    }

    /// Judges one pair.
    ///
    /// # Errors
    /// [`Error::NotFinite`](crate::Error::NotFinite) from a damaged model; a device that failed.
    pub fn predict(&self, first: &str, second: &str) -> Result<NextSentenceAnswer> {
        self.predict_one(TextPair { first: first.to_owned(), second: second.to_owned() })
    }
}

impl Task for NextSentence {
    type Input = TextPair;
    type Context = [Option<Range<usize>>; 2];
    type Piece = f32;
    type Answer = NextSentenceAnswer;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::NextSentence)]
    }

    fn prepare(&self, pair: &TextPair) -> Result<Prepared<Self::Context>> {
        let fitted = self.session.fit(self.session.tokenizer().encode_pair(&pair.first, &pair.second)?);
        Ok(Prepared { sequences: vec![Sequence::from(fitted.encoded)], context: fitted.truncated })
    }

    fn reduce(&self, _: &Self::Context, _: usize, rows: Rows) -> Result<f32> {
        // Label 0 is "is the next sentence", as BERT was trained.
        Ok(softmax(rows[0].row(0))[0])
    }

    fn finish(&self, _: &TextPair, truncated: Self::Context, pieces: Vec<f32>) -> Result<NextSentenceAnswer> {
        let is_next = pieces[0];
        Ok(NextSentenceAnswer { follows: is_next >= 0.5, is_next, truncated })
    }
}
