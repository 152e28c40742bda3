//! Text classification: which label a text, or a pair of texts, has. Sentiment is its best-known use.
//!
//! [`TextClassification`] is the task. A request may have options of its own, such as how many labels it wants:
//!
//! ```
//! use bert_tasks::text_classification::TextClassificationOptions;
//! use bert_tasks::{Device, Request, Task, TextClassification};
//! let model = "path/to/a-sentiment-model";
//! # let model = bert_conformance::checkpoint("bert-sequence-classification");
//! # let model = model.to_str().unwrap();
//! let classifier = TextClassification::load(model, &Device::auto()?)?;
//! let best = TextClassificationOptions { top_k: Some(1), ..TextClassificationOptions::default() };
//! let requests = [Request::from("A good movie."), Request::from("A bad movie.").with_options(best)];
//! let answers = classifier.predict_all(requests)?;
//! assert_eq!([answers[0].scores.len(), answers[1].scores.len()], [3, 1]);
//! # Ok::<(), bert_tasks::Error>(())
//! ```

use std::ops::Range;

use bert_core::config::ProblemType;
use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use serde::{Deserialize, Serialize};

use crate::scores::{sigmoid, softmax};
use crate::{Device, Error, Prepared, Pretrained, Request, Result, Rows, Sequence, Session, Task};

/// What to return for each text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextClassificationOptions {
    /// How many labels, best first; all of them if not given.
    pub top_k: Option<usize>,
    /// What the scores mean, instead of what the model's configuration says.
    pub problem_type: Option<ProblemType>,
}

impl TextClassificationOptions {
    fn check(&self) -> Result<()> {
        match self.top_k {
            Some(0) => Err(Error::Setting { setting: "top_k", found: "0".into(), expected: "at least 1" }),
            _ => Ok(()),
        }
    }
}

/// One text or two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The text.
    pub text: String,
    /// A second text, for tasks on pairs: entailment, paraphrase, similarity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
}

impl<T: Into<String>> From<T> for Request<Text, TextClassificationOptions> {
    fn from(text: T) -> Self {
        Text::from(text).into()
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self { text: text.into(), pair: None }
    }
}

/// The labels of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// Best first; of equals the one with the lower index.
    pub scores: Vec<LabelScore>,
    /// For each text, the bytes that the model did not see, if it was too long.
    pub truncated: [Option<Range<usize>>; 2],
}

/// A label and its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelScore {
    /// The name, as the model's configuration gives it.
    pub label: String,
    /// A probability; for a regression the number itself.
    pub score: f32,
}

/// A sequence classifier and its tokenizer.
///
/// ```
/// use bert_tasks::{Device, TextClassification};
/// let model = "path/to/a-sentiment-model";
/// # let model = bert_conformance::checkpoint("bert-sequence-classification");
/// # let model = model.to_str().unwrap();
/// let classifier = TextClassification::load(model, &Device::auto()?)?;
/// let answer = classifier.predict("A gorgeous, witty, seductive movie.")?;
/// println!("{} {:.3}", answer.scores[0].label, answer.scores[0].score);
/// assert!(answer.scores.is_sorted_by(|a, b| a.score >= b.score));
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextClassification {
    session: Session,
    options: TextClassificationOptions,
}

impl TextClassification {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, no sequence classifier, or damaged.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Self::from_pretrained(
            &Pretrained::open_for(name, Head::SequenceClassification)?,
            device,
            Precision::F32,
        )
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that is no sequence classifier, or damaged.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self::new(files.load(Head::SequenceClassification, device, precision)?))
    }

    /// The task on a model that was loaded for [`Head::SequenceClassification`].
    pub fn new(session: Session) -> Self {
        Self { session, options: TextClassificationOptions::default() }
    }

    /// The same model with other options.
    ///
    /// # Errors
    /// [`Error::Setting`] if `top_k` is 0.
    pub fn with_options(self, options: TextClassificationOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { options, ..self })
    }

    /// Labels one text.
    ///
    /// # Errors
    /// [`Error::NotFinite`] from a damaged model; a device that failed.
    pub fn predict(&self, text: &str) -> Result<Classification> {
        self.predict_one(text)
    }

    /// Labels a pair of texts.
    ///
    /// # Errors
    /// [`Error::NotFinite`] from a damaged model; a device that failed.
    pub fn predict_pair(&self, first: &str, second: &str) -> Result<Classification> {
        self.predict_one(Text { text: first.into(), pair: Some(second.into()) })
    }

    /// What the scores mean: what the caller says, else what the configuration says, else a sigmoid for a
    /// single label and softmax for several, as transformers' text-classification pipeline has it.
    pub fn problem_type(&self) -> ProblemType {
        self.problem_type_with(&self.options)
    }

    fn problem_type_with(&self, options: &TextClassificationOptions) -> ProblemType {
        let config = self.session.config();
        options.problem_type.or(config.problem_type).unwrap_or(match config.labels.len() {
            1 => ProblemType::MultiLabelClassification,
            _ => ProblemType::SingleLabelClassification,
        })
    }
}

impl Task for TextClassification {
    type Input = Request<Text, TextClassificationOptions>;
    /// What the scores mean, and what was cut off.
    type Context = (ProblemType, [Option<Range<usize>>; 2]);
    type Piece = Vec<f32>;
    type Answer = Classification;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::SequenceClassification)]
    }

    fn prepare(&self, Request { input: text, options }: &Self::Input) -> Result<Prepared<Self::Context>> {
        let options = options.as_ref().unwrap_or(&self.options);
        options.check()?;
        let tokenizer = self.session.tokenizer();
        let encoded = match &text.pair {
            None => tokenizer.encode(&text.text)?,
            Some(pair) => tokenizer.encode_pair(&text.text, pair)?,
        };
        let fitted = self.session.fit(encoded);
        Ok(Prepared {
            sequences: vec![Sequence::from(fitted.encoded)],
            context: (self.problem_type_with(options), fitted.truncated),
        })
    }

    fn reduce(&self, (problem_type, _): &Self::Context, _: usize, rows: Rows) -> Result<Vec<f32>> {
        let logits = rows[0].row(0);
        Ok(match problem_type {
            ProblemType::Regression => logits.to_vec(),
            ProblemType::SingleLabelClassification => softmax(logits),
            ProblemType::MultiLabelClassification => logits.iter().map(|&logit| sigmoid(logit)).collect(),
        })
    }

    fn finish(
        &self,
        request: &Self::Input,
        (_, truncated): Self::Context,
        pieces: Vec<Vec<f32>>,
    ) -> Result<Classification> {
        let labels = self.session.config().labels.iter().cloned();
        let mut scores: Vec<_> = labels
            .zip(pieces.into_iter().flatten())
            .map(|(label, score)| LabelScore { label, score })
            .collect();
        scores.sort_by(|a, b| b.score.total_cmp(&a.score));
        let options = request.options.as_ref().unwrap_or(&self.options);
        scores.truncate(options.top_k.unwrap_or(usize::MAX));
        Ok(Classification { scores, truncated })
    }
}
