//! Sparse embeddings: a text becomes weights of words, for search engines that index words. The words need not
//! occur in the text: a trained model adds words that a search for the text would use. Source: SPLADE
//! (Formal et al., 2021).
//!
//! [`SparseEmbedding`] is the task. The dot product of two texts says how alike they are:
//!
//! ```
//! use bert_tasks::{Device, SparseEmbedding, Task};
//! let model = "path/to/a-splade-model";
//! # let model = bert_conformance::checkpoint("bert-masked-lm");
//! # let model = model.to_str().unwrap();
//! let sparse = SparseEmbedding::load(model, &Device::auto()?)?;
//! let vectors = sparse.predict_all(["What is the capital of France?", "The capital of France is Paris."])?;
//! println!("{:.3}", vectors[0].dot(&vectors[1]));
//! # Ok::<(), bert_tasks::Error>(())
//! ```

use std::ops::Range;

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use serde::{Deserialize, Serialize};

use crate::{Device, Error, Prepared, Pretrained, Result, Rows, Sequence, Session, Task};

/// What to return for each text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseEmbeddingOptions {
    /// How many words, the heaviest first; all of them if not given.
    pub top_k: Option<usize>,
    /// The longest sequence in tokens, special tokens included; as long as the model takes if not given.
    pub max_length: Option<usize>,
}

/// The weights of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SparseVector {
    /// The words whose weight is above 0, the heaviest first; of equals the lower id.
    pub words: Vec<WeightedWord>,
    /// The bytes of the text that the model did not see, if it was too long.
    pub truncated: Option<Range<usize>>,
}

/// A word of the vocabulary and its weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightedWord {
    /// Its id, the dimension of the sparse vector.
    pub token: u32,
    /// Its text in the vocabulary.
    pub token_str: String,
    /// Above 0. The dot product of two texts' weights says how alike they are.
    pub weight: f32,
}

impl SparseVector {
    /// The dot product with another vector.
    pub fn dot(&self, other: &Self) -> f32 {
        let weight = |token| other.words.iter().find(|word| word.token == token).map(|word| word.weight);
        self.words.iter().filter_map(|word| Some(word.weight * weight(word.token)?)).sum()
    }
}

/// How many tokens a batch holds: each one takes a row of scores of the whole vocabulary.
const TOKEN_BUDGET: usize = 256;

/// A masked language model whose scores give the weights of words.
///
/// ```
/// use bert_tasks::{Device, SparseEmbedding};
/// let model = "path/to/a-splade-model";
/// # let model = bert_conformance::checkpoint("bert-masked-lm");
/// # let model = model.to_str().unwrap();
/// let sparse = SparseEmbedding::load(model, &Device::auto()?)?;
/// let vector = sparse.predict("The capital of France is Paris.")?;
/// for word in vector.words.iter().take(5) {
///     println!("{:.3} {}", word.weight, word.token_str);
/// }
/// assert!(vector.words.iter().all(|word| word.weight > 0.0));
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SparseEmbedding {
    session: Session,
    top_k: Option<usize>,
}

impl SparseEmbedding {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, has no masked-LM head, or is damaged.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Self::from_pretrained(&Pretrained::open_for(name, Head::Sparse)?, device, Precision::F32)
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model without a masked-LM head, or damaged.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Ok(Self::new(files.load(Head::Sparse, device, precision)?))
    }

    /// The task on a model that was loaded for [`Head::MaskedLm`].
    pub fn new(session: Session) -> Self {
        Self { session: session.with_token_budget(TOKEN_BUDGET), top_k: None }
    }

    /// The same model with other options.
    ///
    /// # Errors
    /// [`Error::Setting`] if `top_k` is 0, or for a length without room for a token.
    pub fn with_options(mut self, options: SparseEmbeddingOptions) -> Result<Self> {
        if options.top_k == Some(0) {
            return Err(Error::Setting { setting: "top_k", found: "0".into(), expected: "at least 1" });
        }
        if let Some(length) = options.max_length {
            self.session = self.session.with_chosen_length(length)?;
        }
        self.top_k = options.top_k;
        Ok(self)
    }

    /// The weights of one text.
    ///
    /// # Errors
    /// [`Error::NotFinite`] from a damaged model; a device that failed.
    pub fn predict(&self, text: &str) -> Result<SparseVector> {
        self.predict_one(text.to_owned())
    }
}

impl Task for SparseEmbedding {
    type Input = String;
    type Context = Option<Range<usize>>;
    type Piece = Vec<(u32, f32)>;
    type Answer = SparseVector;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::Sparse)]
    }

    fn prepare(&self, text: &String) -> Result<Prepared<Self::Context>> {
        let fitted = self.session.fit(self.session.tokenizer().encode(text)?);
        let [truncated, _] = fitted.truncated;
        Ok(Prepared { sequences: vec![Sequence::from(fitted.encoded)], context: truncated })
    }

    fn reduce(&self, _: &Self::Context, _: usize, rows: Rows) -> Result<Self::Piece> {
        let weights = rows.iter().flatten();
        let mut words: Vec<_> =
            weights.enumerate().filter(|(_, weight)| **weight > 0.0).map(|(id, &w)| (id as u32, w)).collect();
        words.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        words.truncate(self.top_k.unwrap_or(usize::MAX));
        Ok(words)
    }

    fn finish(&self, _: &String, truncated: Self::Context, pieces: Vec<Self::Piece>) -> Result<SparseVector> {
        let tokenizer = self.session.tokenizer();
        let word = |(token, weight)| {
            let token_str = tokenizer.token_text(token).unwrap_or_default();
            WeightedWord { token, token_str, weight }
        };
        Ok(SparseVector { words: pieces.into_iter().flatten().map(word).collect(), truncated })
    }
}
