//! Features: the hidden states of a text, token by token, from any layer. The same word has different
//! vectors in different sentences; use this to compare them.
//!
//! [`Features`] is the task. How near are two uses of a word?
//!
//! ```
//! use bert_tasks::{Device, Features};
//! use bert_tasks::embedding::cosine;
//! let model = "path/to/bert-base-uncased";
//! # let model = bert_conformance::checkpoint("bert-embedding");
//! # let model = model.to_str().unwrap();
//! let features = Features::load(model, &Device::auto()?)?;
//! let river = "They walked along the bank of the river.";
//! let money = "She put the money into the bank.";
//! let word = |text: &str| -> Result<Vec<f32>, bert_tasks::Error> {
//!     let at = text.find("bank").expect("the word is there");
//!     Ok(features.predict(text)?.span(at..at + 4).expect("a token covers it"))
//! };
//! println!("{:.3}", cosine(&word(river)?, &word(money)?));
//! # Ok::<(), bert_tasks::Error>(())
//! ```

use std::ops::Range;

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use serde::{Deserialize, Serialize};

use crate::{Device, Error, Prepared, Pretrained, Result, Rows, Sequence, Session, Task};

/// Which hidden states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeaturesOptions {
    /// Layers: 0 is the output of the embeddings, `i` that of the `i`-th layer; negative ones count from
    /// the end, so that -1 is the last.
    pub layers: Vec<i64>,
}

impl Default for FeaturesOptions {
    fn default() -> Self {
        Self { layers: vec![-1] }
    }
}

/// The hidden states of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextFeatures {
    /// In the order of the text, special tokens included.
    pub tokens: Vec<TokenFeatures>,
    /// The bytes of the text that the model did not see, if it was too long.
    pub truncated: Option<Range<usize>>,
}

/// The hidden states of a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenFeatures {
    /// Its text, as [`Tokenizer::token_text`](crate::tokenizer::Tokenizer::token_text) gives it.
    pub token: String,
    /// Its bytes in the text; `None` for a special token that the text does not have.
    pub range: Option<Range<usize>>,
    /// `[hidden]` for each layer asked for, in that order.
    pub layers: Vec<Vec<f32>>,
}

impl TextFeatures {
    /// The mean over the tokens that overlap a byte range, one layer after another; `None` if no token
    /// does.
    pub fn span(&self, bytes: Range<usize>) -> Option<Vec<f32>> {
        let overlaps = |range: &Range<usize>| range.start < bytes.end && bytes.start < range.end;
        let tokens: Vec<Vec<f32>> = self
            .tokens
            .iter()
            .filter(|token| token.range.as_ref().is_some_and(overlaps))
            .map(|token| token.layers.concat())
            .collect();
        let first = tokens.first()?;
        let mean =
            |i: usize| tokens.iter().map(|token| f64::from(token[i])).sum::<f64>() / tokens.len() as f64;
        Some((0..first.len()).map(|i| mean(i) as f32).collect())
    }
}

/// An encoder and its tokenizer.
///
/// ```
/// use bert_tasks::{Device, Features};
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-embedding");
/// # let model = model.to_str().unwrap();
/// let features = Features::load(model, &Device::auto()?)?;
/// let text = "She put the money into the bank.";
/// let at = text.find("bank").unwrap();
/// let found = features.predict(text)?;
/// // The mean over the tokens of the word: `[hidden]`.
/// let bank = found.span(at..at + 4).unwrap();
/// assert_eq!(bank.len(), found.tokens[0].layers[0].len());
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Features {
    session: Session,
    /// Resolved: 0 is the output of the embeddings.
    layers: Vec<usize>,
}

impl Features {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, or damaged.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Self::from_pretrained(&Pretrained::open(name)?, device, Precision::F32)
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that is damaged.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Self::new(files.load(Head::None, device, precision)?)
    }

    /// The task on a model that was loaded without a head.
    ///
    /// # Errors
    /// Those of [`with_options`](Self::with_options).
    pub fn new(session: Session) -> Result<Self> {
        Self { session, layers: vec![] }.with_options(FeaturesOptions::default())
    }

    /// The same model with other options.
    ///
    /// # Errors
    /// [`Error::Layer`] for a layer that the model does not have; [`Error::Setting`] for no layer at all.
    pub fn with_options(mut self, options: FeaturesOptions) -> Result<Self> {
        let count = self.session.config().num_hidden_layers as i64;
        let resolve = |layer: i64| {
            let index = if layer < 0 { layer.saturating_add(count + 1) } else { layer };
            if (0..=count).contains(&index) { Ok(index as usize) } else { Err(Error::Layer { layer, count }) }
        };
        self.layers = options.layers.into_iter().map(resolve).collect::<Result<_>>()?;
        if self.layers.is_empty() {
            return Err(Error::Setting {
                setting: "layers",
                found: "empty".into(),
                expected: "at least one",
            });
        }
        Ok(self)
    }

    /// The hidden states of one text.
    ///
    /// # Errors
    /// [`Error::NotFinite`] from a damaged model; a device that failed.
    pub fn predict(&self, text: &str) -> Result<TextFeatures> {
        self.predict_one(text.to_owned())
    }
}

/// What is remembered of a text: each token's id and bytes.
#[doc(hidden)]
pub struct Context {
    tokens: Vec<(u32, Option<Range<usize>>)>,
    truncated: Option<Range<usize>>,
}

impl Task for Features {
    type Input = String;
    type Context = Context;
    type Piece = Rows;
    type Answer = TextFeatures;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        self.layers.iter().map(|&layer| Output::HiddenState(layer)).collect()
    }

    fn prepare(&self, text: &String) -> Result<Prepared<Context>> {
        let fitted = self.session.fit(self.session.tokenizer().encode(text)?);
        let [truncated, _] = fitted.truncated;
        let encoded = fitted.encoded;
        let tokens = encoded.ids.iter().enumerate().map(|(i, &id)| (id, encoded.range(i))).collect();
        Ok(Prepared { sequences: vec![Sequence::from(encoded)], context: Context { tokens, truncated } })
    }

    fn reduce(&self, _: &Context, _: usize, rows: Rows) -> Result<Rows> {
        Ok(rows)
    }

    fn finish(&self, _: &String, context: Context, pieces: Vec<Rows>) -> Result<TextFeatures> {
        let tokenizer = self.session.tokenizer();
        let token = |(row, (id, range)): (usize, (u32, Option<Range<usize>>))| TokenFeatures {
            token: tokenizer.token_text(id).unwrap_or_default(),
            range,
            layers: pieces[0].iter().map(|layer| layer.row(row).to_vec()).collect(),
        };
        let tokens = context.tokens.into_iter().enumerate().map(token).collect();
        Ok(TextFeatures { tokens, truncated: context.truncated })
    }
}
