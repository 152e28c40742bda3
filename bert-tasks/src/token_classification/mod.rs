//! Token classification: which words of a text name a person, a place, an organisation. Entities, in short.
//!
//! [`TokenClassification`] is the task. It gives entities of whole words, or the label of each token:
//!
//! ```
//! use bert_tasks::token_classification::{Aggregation, TokenClassificationOptions};
//! use bert_tasks::{Device, TokenClassification};
//! let model = "path/to/an-ner-model";
//! # let model = bert_conformance::checkpoint("bert-token-classification");
//! # let model = model.to_str().unwrap();
//! let options = TokenClassificationOptions {
//!     aggregation: Aggregation::None,
//!     ignore_labels: vec![],
//!     ..TokenClassificationOptions::default()
//! };
//! let tagger = TokenClassification::load(model, &Device::auto()?)?.with_options(options)?;
//! let tokens = tagger.predict("a river in france")?;
//! assert_eq!(tokens.len(), 4);
//! # Ok::<(), bert_tasks::Error>(())
//! ```
//!
//! Texts may be of any length: a long one is seen through overlapping windows, each token keeps the scores of
//! the window that shows most of its surroundings, and the text is then decoded once, as a whole. So no
//! entity is lost or found twice where windows meet, and nothing is cut off.

mod aggregation;
mod labels;

use std::ops::Range;

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::scores::softmax;
use crate::tokenizer::{Source, Windows};
use crate::{Device, Error, Prepared, Pretrained, Request, Result, Rows, Sequence, Session, Task};
pub use aggregation::Aggregation;
use aggregation::Decoder;
pub use labels::{OUTSIDE, Scheme, Span};

pub use crate::evaluation::metrics::Counts;
pub use crate::evaluation::metrics::entities::Evaluation;

/// How tokens become entities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClassificationOptions {
    /// What gets a label, and whether neighbours are joined. [`Aggregation::First`], the default, gives
    /// entities of whole words.
    pub aggregation: Aggregation,
    /// How labels tell where entities begin and end, in place of what the labels themselves suggest.
    pub scheme: Option<Scheme>,
    /// Entities to leave out, by type (`PER`) or by the label of their first token or word (`B-PER`).
    pub ignore_labels: Vec<String>,
    /// The tokens of a window, special ones included, in place of all that the model takes. Models that were
    /// trained on short texts do better on long ones if they see no more at once than they learnt from.
    pub max_length: Option<usize>,
    /// For texts longer than a window: how many tokens after one window the next begins. Windows overlap by
    /// the rest: a quarter of the window if not given, so that every token sees about an eighth of it to
    /// either side, or all that there is.
    pub stride: Option<usize>,
}

impl Default for TokenClassificationOptions {
    fn default() -> Self {
        Self {
            aggregation: Aggregation::default(),
            scheme: None,
            ignore_labels: vec![OUTSIDE.into()],
            max_length: None,
            stride: None,
        }
    }
}

/// A part of a text, and what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// Its type, such as `PER`; with [`Aggregation::None`] the label as the model has it, such as `B-PER`.
    pub label: String,
    /// The mean probability of the labels of its tokens or words.
    pub score: f32,
    /// The bytes of the text that it covers, on char boundaries. Entities come in order and never overlap.
    pub range: Range<usize>,
    /// What stands there.
    pub text: String,
}

impl Entity {
    /// Its type and its bytes, to be compared with others by [`Evaluation::add`].
    pub fn span(&self) -> Span<'_> {
        Span { label: &self.label, range: self.range.clone() }
    }
}

/// A token classifier and its tokenizer.
///
/// ```
/// use bert_tasks::{Device, TokenClassification};
/// let model = "path/to/an-ner-model";
/// # let model = bert_conformance::checkpoint("bert-token-classification");
/// # let model = model.to_str().unwrap();
/// let tagger = TokenClassification::load(model, &Device::auto()?)?;
/// let text = "My name is Sarah Connor and I live in Los Angeles.";
/// for entity in tagger.predict(text)? {
///     assert_eq!(entity.text, text[entity.range.clone()]);
///     println!("{} {:.3} {:?} {}", entity.label, entity.score, entity.range, entity.text);
/// }
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenClassification {
    session: Session,
    scheme: Scheme,
    options: TokenClassificationOptions,
}

impl TokenClassification {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, no token classifier, or damaged.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Self::from_pretrained(&Pretrained::open_for(name, Head::TokenClassification)?, device, Precision::F32)
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that is no token classifier, or damaged.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self::new(files.load(Head::TokenClassification, device, precision)?))
    }

    /// The task on a model that was loaded for [`Head::TokenClassification`].
    pub fn new(session: Session) -> Self {
        let scheme = Scheme::detect(&session.config().labels);
        Self { session, scheme, options: TokenClassificationOptions::default() }
    }

    /// The same model with other options.
    ///
    /// # Errors
    /// [`Error::Setting`] for windows that the model cannot take or that leave tokens out;
    /// [`Error::UnknownLabel`] for an ignored label that the model does not have.
    pub fn with_options(self, options: TokenClassificationOptions) -> Result<Self> {
        self.check(&options)?;
        let scheme = self.scheme_with(&options);
        Ok(Self { scheme, options, ..self })
    }

    fn scheme_with(&self, options: &TokenClassificationOptions) -> Scheme {
        options.scheme.unwrap_or_else(|| Scheme::detect(&self.session.config().labels))
    }

    fn check(&self, options: &TokenClassificationOptions) -> Result<()> {
        let (labels, scheme) = (&self.session.config().labels, self.scheme_with(options));
        let known = |name: &String| {
            name == OUTSIDE || labels.iter().any(|label| label == name || scheme.kind(label) == name)
        };
        if let Some(found) = options.ignore_labels.iter().find(|name| !known(name)) {
            return Err(Error::UnknownLabel { found: found.clone(), known: labels.clone() });
        }
        let special = self.session.tokenizer().special_count(false);
        let length = options.max_length.unwrap_or(self.session.max_length());
        if options.max_length.is_some() && !(special + 1..=self.session.max_length()).contains(&length) {
            return Err(Error::Setting {
                setting: "max_length",
                found: length.to_string(),
                expected: "more than the number of special tokens, and at most the length that the model takes",
            });
        }
        if let Some(stride) = options.stride
            && !(1..=length.saturating_sub(special)).contains(&stride)
        {
            return Err(Error::Setting {
                setting: "stride",
                found: stride.to_string(),
                expected: "at least 1, and at most the number of tokens in a window without the special ones",
            });
        }
        Ok(())
    }

    /// Finds the entities of one text.
    ///
    /// # Errors
    /// [`Error::NotFinite`] from a damaged model; a device that failed.
    pub fn predict(&self, text: &str) -> Result<Vec<Entity>> {
        self.predict_one(text)
    }

    /// How this model's labels are read.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }
}

/// What is remembered of a text.
#[doc(hidden)]
pub struct Context {
    /// Where each token came from.
    sources: Vec<Source>,
    windows: Windows,
    /// How many special tokens stand before the text's own.
    lead: usize,
}

impl Task for TokenClassification {
    type Input = Request<String, TokenClassificationOptions>;
    type Context = Context;
    /// `[tokens, labels]`, the probabilities of those tokens that this window shows best.
    type Piece = Array2<f32>;
    type Answer = Vec<Entity>;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::TokenClassification)]
    }

    fn prepare(&self, Request { input: text, options }: &Self::Input) -> Result<Prepared<Context>> {
        if let Some(options) = options {
            self.check(options)?;
        }
        let options = options.as_ref().unwrap_or(&self.options);
        let tokenizer = self.session.tokenizer();
        let tokens = tokenizer.encode_words(text)?;
        let length = options.max_length.unwrap_or(self.session.max_length());
        let room = length.saturating_sub(tokenizer.special_count(false));
        let stride = options.stride.unwrap_or(room - room / 4);
        let windows = Windows::new(tokens.len(), room, stride)?;
        let mut lead = 0;
        let mut sequences = Vec::with_capacity(windows.count());
        for window in windows.iter() {
            let encoded = tokenizer.with_special(&tokens.slice(window));
            lead = encoded.sources.iter().take_while(|source| source.is_none()).count();
            sequences.push(Sequence::from(encoded));
        }
        let sources = tokens.sources.into_iter().flatten().collect();
        Ok(Prepared { sequences, context: Context { sources, windows, lead } })
    }

    fn reduce(&self, context: &Context, index: usize, rows: Rows) -> Result<Array2<f32>> {
        let logits = &rows[0];
        let window = context.windows.get(index).unwrap_or_default();
        let best = |&token: &usize| context.windows.best(token) == Some(index);
        let kept: Vec<usize> = window.clone().filter(best).collect();
        let mut scores = Array2::zeros((kept.len(), logits.ncols()));
        for (mut row, token) in scores.outer_iter_mut().zip(kept) {
            row.assign(&ArrayView1::from(&softmax(logits.row(context.lead + token - window.start))));
        }
        Ok(scores)
    }

    fn finish(
        &self,
        request: &Self::Input,
        context: Context,
        pieces: Vec<Array2<f32>>,
    ) -> Result<Vec<Entity>> {
        let (options, scheme) = match &request.options {
            Some(options) => (options, self.scheme_with(options)),
            None => (&self.options, self.scheme),
        };
        let decoder = Decoder {
            labels: &self.session.config().labels,
            scheme,
            aggregation: options.aggregation,
            ignore: &options.ignore_labels,
        };
        // What windows show best follows one another as the windows do.
        let scores = pieces.iter().flat_map(|piece| piece.outer_iter());
        Ok(decoder.entities(&request.input, context.sources.into_iter().zip(scores)))
    }
}
