//! Question answering: which words of a text answer a question, by the rules of SQuAD.
//!
//! [`QuestionAnswering`] is the task. With a threshold it may find that a text has no answer:
//!
//! ```
//! use bert_tasks::question_answering::QuestionAnsweringOptions;
//! use bert_tasks::{Device, QuestionAnswering};
//! let model = "path/to/a-squad-model";
//! # let model = bert_conformance::checkpoint("bert-question-answering");
//! # let model = model.to_str().unwrap();
//! let options = QuestionAnsweringOptions { no_answer_threshold: Some(0.0), ..QuestionAnsweringOptions::default() };
//! let question_answering = QuestionAnswering::load(model, &Device::auto()?)?.with_options(options)?;
//! let found = question_answering.predict("How long is it?", "The Seine flows through Paris.")?;
//! let none = found.no_answer_odds.is_some_and(|odds| odds > 0.0);
//! assert_eq!(found.answers.is_empty(), none);
//! # Ok::<(), bert_tasks::Error>(())
//! ```
//!
//! # From a long text to one answer
//! The rules are those of `run_squad.py` in BERT's first release, except where it says so.
//!
//! * The model reads `[CLS] question [SEP] context [SEP]`. A context that does not fit is read through
//!   overlapping windows, [`doc_stride`](QuestionAnsweringOptions::doc_stride) tokens apart.
//! * The logit of a span is that of its first token as a start plus that of its last token as an end, both
//!   in the window that, of those that hold both, shows most of what is around the first token. (The
//!   original picks the window by the first token alone, and loses spans that end beyond it.) Logits are
//!   compared across windows.
//! * The logit of "no answer" is that of `[CLS]` as start and end, in the window where it is least: there is
//!   no answer only if no window has one.
//! * With [`align_to_words`](QuestionAnsweringOptions::align_to_words), spans are widened to whole words, as
//!   in the pipelines of Hugging Face `transformers`, and the probabilities of spans that become the same
//!   are added up.
//! * A score is the probability in the softmax over all spans of all windows and "no answer". The original
//!   takes the softmax over its n best alone, so that its probabilities grow as n shrinks; `transformers`
//!   takes one for each window, so that a window without an answer may outbid the one that has it.
//! * The search is exhaustive: the first answer is the best span that there is. The original only pairs the
//!   n best starts with the n best ends.
//!
//! [`squad`] reads the data sets and scores answers as their authors do.

mod decode;
mod reader;
pub mod squad;

use std::ops::Range;

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use serde::{Deserialize, Serialize};

use decode::WindowLogits;
use reader::Context;
pub(crate) use reader::Reader;

use crate::{Device, Error, Prepared, Pretrained, Request, Result, Rows, Session, Task};

/// A question about a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What is asked.
    pub question: String,
    /// The text that may hold the answer, of any length.
    pub context: String,
}

/// How texts are read and which answers are returned.
#[derive(Clone, Debug, PartialEq)]
pub struct QuestionAnsweringOptions {
    /// How many answers, best first. They do not overlap.
    pub top_k: usize,
    /// How many of the best spans to list whether they overlap or not, as `nbest_predictions.json` of the
    /// original does; 0 for none.
    pub n_best: usize,
    /// Longest answer, in tokens.
    pub max_answer_tokens: usize,
    /// Longest sequence, in tokens, the question and special tokens included. The model may impose less.
    pub max_length: usize,
    /// Distance between the starts of neighbouring windows, in tokens of the context. At most half of what
    /// the question leaves is used, so that neighbours always overlap by half.
    pub doc_stride: usize,
    /// A longer question is cut to this many tokens. It never takes more than half of a sequence.
    pub max_question_tokens: usize,
    /// Whether answers begin and end with whole words. That suits languages that write blanks; in others,
    /// such as Japanese or Thai, and where endings are glued to words, as in Korean, answers come out too
    /// long, or are lost for being longer than [`max_answer_tokens`](Self::max_answer_tokens).
    pub align_to_words: bool,
    /// Answer nothing if [`no_answer_odds`](Answers::no_answer_odds) are greater than this; always answer if
    /// not given. For models trained on questions without answers, as in SQuAD 2.0, 0 is the natural choice
    /// and [`squad::best_thresholds`] finds the best one.
    pub no_answer_threshold: Option<f32>,
}

impl Default for QuestionAnsweringOptions {
    fn default() -> Self {
        Self {
            top_k: 1,
            n_best: 20,
            max_answer_tokens: 30,
            max_length: 384,
            doc_stride: 128,
            max_question_tokens: 64,
            align_to_words: true,
            no_answer_threshold: None,
        }
    }
}

/// What a context has to say to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// Best first, none overlapping another. Empty if there is no answer by
    /// [`no_answer_threshold`](QuestionAnsweringOptions::no_answer_threshold), or if the context has nothing
    /// to choose from, such as no token at all.
    pub answers: Vec<Answer>,
    /// The best spans, whether they overlap or not, and whether or not there is an answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub n_best: Vec<Answer>,
    /// The probability that the context holds no answer. The scores of all its spans and this sum up to 1.
    pub no_answer_score: f32,
    /// The logarithm of how much more probable "no answer" is than the best answer: the difference that the
    /// SQuAD 2.0 threshold is about. `None` if the context has nothing to choose from.
    pub no_answer_odds: Option<f32>,
    /// The bytes of the question that the model did not see, if it was too long.
    pub truncated: Option<Range<usize>>,
}

/// A piece of the context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Exactly what the context says there.
    pub text: String,
    /// Its bytes in the context.
    pub range: Range<usize>,
    /// Its probability among all spans of the context and "no answer".
    pub score: f32,
}

/// A model that marks answers, and its tokenizer.
///
/// ```
/// use bert_tasks::{Device, QuestionAnswering};
/// let model = "path/to/a-squad-model";
/// # let model = bert_conformance::checkpoint("bert-question-answering");
/// # let model = model.to_str().unwrap();
/// let question_answering = QuestionAnswering::load(model, &Device::auto()?)?;
/// let context = "The Seine rises at Source-Seine and flows through Paris into the Channel.";
/// let found = question_answering.predict("Which city does it flow through?", context)?;
/// for answer in &found.answers {
///     assert_eq!(answer.text, context[answer.range.clone()]);
///     println!("{:.3} {}", answer.score, answer.text);
/// }
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct QuestionAnswering {
    session: Session,
    options: QuestionAnsweringOptions,
}

impl QuestionAnswering {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, not made for question answering, or damaged.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Self::from_pretrained(&Pretrained::open_for(name, Head::QuestionAnswering)?, device, Precision::F32)
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that is not made for question answering, is damaged, or has no room for a context.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Self::new(files.load(Head::QuestionAnswering, device, precision)?)
    }

    /// The task on a model that was loaded for [`Head::QuestionAnswering`].
    ///
    /// # Errors
    /// [`Error::Setting`] if its sequences have no room for a context.
    pub fn new(session: Session) -> Result<Self> {
        Self { session, options: QuestionAnsweringOptions::default() }.with_options(Default::default())
    }

    /// The same model with other options.
    ///
    /// # Errors
    /// [`Error::Setting`] for a 0 where something must be, a threshold that is not a number, or sequences
    /// without room for a context.
    pub fn with_options(self, options: QuestionAnsweringOptions) -> Result<Self> {
        self.check(&options)?;
        Ok(Self { options, ..self })
    }

    fn check(&self, options: &QuestionAnsweringOptions) -> Result<()> {
        let refuse = |setting, found: String, expected| Err(Error::Setting { setting, found, expected });
        for (setting, value) in [
            ("top_k", options.top_k),
            ("max_answer_tokens", options.max_answer_tokens),
            ("doc_stride", options.doc_stride),
            ("max_question_tokens", options.max_question_tokens),
        ] {
            if value == 0 {
                return refuse(setting, "0".into(), "at least 1");
            }
        }
        if let Some(threshold) = options.no_answer_threshold.filter(|threshold| threshold.is_nan()) {
            return refuse("no_answer_threshold", threshold.to_string(), "a number");
        }
        let reader = self.reader(options);
        if reader.room() == 0 {
            let expected = "more than the number of special tokens around a question and its context";
            return refuse("max_length", reader.max_length.to_string(), expected);
        }
        Ok(())
    }

    /// Answers one question.
    ///
    /// # Errors
    /// [`Error::NotFinite`] from a damaged model; a device that failed.
    pub fn predict(&self, question: &str, context: &str) -> Result<Answers> {
        self.predict_one(Question { question: question.to_owned(), context: context.to_owned() })
    }

    fn reader<'a>(&'a self, options: &'a QuestionAnsweringOptions) -> Reader<'a> {
        Reader {
            tokenizer: self.session.tokenizer(),
            max_length: options.max_length.min(self.session.max_length()),
            options,
        }
    }
}

impl Task for QuestionAnswering {
    type Input = Request<Question, QuestionAnsweringOptions>;
    type Context = Context;
    type Piece = WindowLogits;
    type Answer = Answers;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::QuestionAnswering)]
    }

    fn prepare(&self, Request { input, options }: &Self::Input) -> Result<Prepared<Context>> {
        if let Some(options) = options {
            self.check(options)?;
        }
        let tokenizer = self.session.tokenizer();
        let question = tokenizer.encode_without_special(&input.question)?;
        self.reader(options.as_ref().unwrap_or(&self.options))
            .windows(&question, &tokenizer.encode_without_special(&input.context)?)
    }

    fn reduce(&self, context: &Context, index: usize, rows: Rows) -> Result<WindowLogits> {
        Ok(context.logits(index, &rows))
    }

    fn finish(
        &self,
        Request { input, options }: &Self::Input,
        context: Context,
        logits: Vec<WindowLogits>,
    ) -> Result<Answers> {
        Ok(self.reader(options.as_ref().unwrap_or(&self.options)).answers(&input.context, context, &logits))
    }
}
