//! Any task by its word: JSON in, JSON out. For programs that learn at run time which task they serve, such as a
//! server or a web page.
//!
//! ```
//! use bert_tasks::{AnyTask, Device};
//! use serde_json::json;
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../bert-conformance/checkpoints/bert-masked-lm");
//! # if !std::path::Path::new(folder).is_dir() { return Ok(()) } // outside of the repository
//! // `folder` is a checkpoint folder, or the name of a model on the hub.
//! let task = AnyTask::load("fill-mask", folder, &Device::auto()?)?;
//! let record = task.ask(json!({"text": "the [MASK] is good", "top_k": 2}))?;
//! assert!(record.get().starts_with(r#"{"text":"the [MASK] is good","masks":[{"range":{"start":4,"end":10}"#));
//!
//! // What a program wants to read is a type of its own.
//! let record: bert_tasks::records::FillMaskRecord = serde_json::from_str(record.get())?;
//! assert_eq!(record.answer.masks[0].candidates.len(), 2);
//!
//! let error = task.ask(json!({"txt": "the [MASK] is good"})).unwrap_err();
//! assert_eq!(error.to_string(), r#"fill-mask has no field "txt"; its fields are text, top_k, targets"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A request is an object with the input and, for this request alone, options. Null counts as not given.
//!
//! | word | input | options | of all requests |
//! | --- | --- | --- | --- |
//! | `fill-mask` | `text` | `top_k`, `targets` | |
//! | `next-sentence` | `first`, `second` | | |
//! | `answer` | `question`, `context` | `top_k`, `no_answer_threshold`, `max_answer_tokens`, `max_length`, `doc_stride`, `align_to_words` | |
//! | `entities` | `text` | `aggregation`, `scheme`, `ignore_labels`, `max_length`, `stride` | |
//! | `sentiment`, `classify` | `text`, `pair` (optional) | `top_k`, `scores` | |
//! | `choose` | `prompt`, `choices` | | |
//! | `embed` | `text` | `normalize`, `max_length`, `prompt` | `pooling` |
//! | `sparse-embed` | `text` | `top_k`, `max_length` | |
//! | `similarity` | `first`, `second` | `normalize`, `max_length`, `prompt` | `pooling` |
//! | `features` | `text` | | `layers` |
//! | `attention` | `text`, `pair` (optional) | `layer`, `head` | |
//! | `polysemy` | `word`, `texts` | `layer` | |
//!
//! Options can be given to [`AnyTask::open`] too, as what holds where a request says nothing else. Those of all
//! requests can be given only there: they decide what the model computes. The answers are the
//! [records](crate::records), which the command line prints as well.

mod erased;
mod error;
mod explain;
mod fields;
mod table;
mod task;
mod tasks;
mod values;

use std::fmt;

use bert_core::contract::Precision;
use bert_core::graph::Output;
use serde_json::Value;
use serde_json::value::RawValue;

use erased::ErasedTask;
pub use error::RequestError;
pub use table::TaskKind;

use crate::{Device, Prepared, Pretrained, Result, Rows, Session, Task};

/// A task on a loaded model that takes JSON and answers JSON; see the [module](self).
///
/// ```
/// use bert_tasks::{AnyTask, Device, Task};
/// use serde_json::json;
/// let model = "path/to/a-sentiment-model";
/// # let model = bert_conformance::checkpoint("bert-sequence-classification");
/// # let model = model.to_str().unwrap();
/// let task = AnyTask::load("sentiment", model, &Device::auto()?)?;
/// for record in task.stream([json!({"text": "a good movie"}), json!({"text": "a bad movie", "top_k": 1})]) {
///     println!("{}", record?);
/// }
/// # Ok::<(), bert_tasks::Error>(())
/// ```
pub struct AnyTask {
    kind: &'static TaskKind,
    task: Box<dyn ErasedTask>,
}

impl AnyTask {
    /// The tasks that there are, in the order of their use.
    pub fn kinds() -> &'static [TaskKind] {
        table::TASKS
    }

    /// The task of a word.
    ///
    /// ```
    /// use bert_tasks::{AnyTask, Head};
    /// assert_eq!(AnyTask::kind_of("classify")?.word, "sentiment");
    /// assert_eq!(AnyTask::kind_of("answer")?.head, Head::QuestionAnswering);
    /// assert!(AnyTask::kind_of("translate").unwrap_err().to_string().contains("fill-mask"));
    /// # Ok::<(), bert_tasks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`RequestError::UnknownTask`] lists the words that there are.
    pub fn kind_of(word: &str) -> Result<&'static TaskKind> {
        let known = Self::kinds().iter().find(|kind| kind.word == word || kind.alias == Some(word));
        known.ok_or_else(|| {
            let known = Self::kinds().iter().map(|kind| kind.word).collect();
            RequestError::UnknownTask { found: fields::shorten(word), known }.into()
        })
    }

    /// Loads a model for a task from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A word that names no task; a model that is not there, made for another task, or damaged.
    pub fn load(word: &str, name: &str, device: &Device) -> Result<Self> {
        let files = Pretrained::open_for(name, Self::kind_of(word)?.head)?;
        Self::open(word, &files, device, Precision::F32, &Value::Null)
    }

    /// Loads a model whose files are open. `options` is an object, or null for the defaults; they hold where a request
    /// says nothing else.
    ///
    /// # Errors
    /// [`RequestError`] for a word that names no task and for options that the task does not know; a value that makes
    /// no sense to the task; a model that was made for another task, or is damaged.
    pub fn open(
        word: &str,
        files: &Pretrained,
        device: &Device,
        precision: Precision,
        options: &Value,
    ) -> Result<Self> {
        let kind = Self::kind_of(word)?;
        let load = || files.load(kind.head, device, precision);
        Ok(Self { kind, task: (kind.open)(kind.word, files, options, &load)? })
    }

    /// The same on a model that is loaded already, so that several tasks take the memory of one model: those of one
    /// [head](TaskKind::head), and all of [`Head::None`](crate::Head::None), which any model does. `files` are those of the
    /// model.
    ///
    /// ```
    /// use bert_tasks::{AnyTask, Device, Head, Precision, Pretrained};
    /// use serde_json::{Value, json};
    /// let model = "path/to/bert-base-uncased";
    /// # let model = bert_conformance::checkpoint("bert-masked-lm");
    /// # let model = model.to_str().unwrap();
    /// let files = Pretrained::open(model)?;
    /// let session = files.load(Head::MaskedLm, &Device::auto()?, Precision::F32)?;
    /// let fill_mask = AnyTask::with_session("fill-mask", &session, &files, &Value::Null)?;
    /// let embed = AnyTask::with_session("embed", &session, &files, &Value::Null)?;
    /// println!("{} {}", fill_mask.ask(json!({"text": "a [MASK]"}))?, embed.ask(json!({"text": "a day"}))?);
    /// # Ok::<(), bert_tasks::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open), but for those of loading. A model without the head of the task fails when it is asked.
    pub fn with_session(word: &str, session: &Session, files: &Pretrained, options: &Value) -> Result<Self> {
        let kind = Self::kind_of(word)?;
        let load = || Ok(session.clone());
        Ok(Self { kind, task: (kind.open)(kind.word, files, options, &load)? })
    }

    /// Which task it is.
    pub fn kind(&self) -> &'static TaskKind {
        self.kind
    }

    /// Answers one request. The answer is the JSON text of a [record](crate::records), in one line without blanks;
    /// it serialises as what it says, and [`get`](RawValue::get) is the text.
    ///
    /// # Errors
    /// [`RequestError`] for a request that the task cannot read; what the task says of an input or an option; a device
    /// that failed.
    pub fn ask(&self, request: Value) -> Result<Box<RawValue>> {
        self.predict_one(request)
    }

    /// Answers one request that is a JSON text.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), and [`RequestError::Json`] for a text that is not JSON, or nested more than 128 levels
    /// deep.
    pub fn ask_text(&self, request: &str) -> Result<Box<RawValue>> {
        self.ask(serde_json::from_str(request).map_err(RequestError::from)?)
    }
}

/// Being a task, it has [streams](Task::stream) for many requests, [batchers](crate::Batcher) for many callers, and
/// [`predict_one_async`](Task::predict_one_async) where nobody can wait. Requests with options of their own share
/// batches; one that cannot be answered is an error in its place.
impl Task for AnyTask {
    type Input = Value;
    type Context = erased::Context;
    type Piece = erased::Piece;
    type Answer = Box<RawValue>;

    fn session(&self) -> &Session {
        self.task.session()
    }

    fn outputs(&self) -> Vec<Output> {
        self.task.outputs()
    }

    fn prepare(&self, request: &Value) -> Result<Prepared<Self::Context>> {
        self.task.prepare(request)
    }

    fn reduce(&self, context: &Self::Context, index: usize, rows: Rows) -> Result<Self::Piece> {
        self.task.reduce(context, index, rows)
    }

    fn finish(
        &self,
        request: &Value,
        context: Self::Context,
        pieces: Vec<Self::Piece>,
    ) -> Result<Box<RawValue>> {
        self.task.finish(request, context, pieces)
    }
}

impl fmt::Debug for AnyTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyTask").field("task", &self.kind.word).field("session", self.session()).finish()
    }
}
