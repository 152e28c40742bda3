//! Embeddings: a text becomes a vector, and texts of like meaning get vectors of like direction.
//!
//! [`Embedding`] is the task. Many texts become an [`Index`], which is searched by meaning:
//!
//! ```
//! use bert_tasks::{Device, Embedding};
//! let model = "path/to/all-MiniLM-L6-v2";
//! # let model = bert_conformance::checkpoint("bert-embedding");
//! # let model = model.to_str().unwrap();
//! let embedding = Embedding::load(model, &Device::auto()?)?;
//! let texts = ["A man is eating food.", "The capital of France is Paris."];
//! let index = embedding.index(texts.map(String::from))?;
//! let query = embedding.predict("Someone is having a meal.")?;
//! for hit in index.search(&query.vector, 1) {
//!     println!("{:.3} {}", hit.score, texts[hit.index]);
//! }
//! # Ok::<(), bert_tasks::Error>(())
//! ```

mod index;
pub(crate) mod sentence_transformers;

use std::ops::Range;

use bert_core::contract::{Pooling, Precision};
use bert_core::graph::{Head, Output};
use serde::{Deserialize, Serialize};

pub use index::{Hit, Index, cosine};

use self::sentence_transformers::Recipe;
use crate::tokenizer::{Encoded, Source};
use crate::{Device, Error, Prepared, Pretrained, Result, Rows, Sequence, Session, Task};

/// How hidden states become a vector. What is not given follows the folder's sentence-transformers files,
/// and without those: the mean, not normalised, no prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbeddingOptions {
    /// One way to pool, or several whose results are put end to end.
    pub pooling: Option<Vec<Pooling>>,
    /// Whether vectors are scaled to length 1.
    pub normalize: Option<bool>,
    /// The longest sequence in tokens, special tokens included.
    pub max_length: Option<usize>,
    /// Text put before each input, such as `query: `.
    pub prompt: Option<String>,
}

/// The vector of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextEmbedding {
    /// `[hidden]`, or a multiple of it where several poolings are put end to end.
    pub vector: Vec<f32>,
    /// The bytes of the text that the model did not see, if it was too long.
    pub truncated: Option<Range<usize>>,
}

/// An encoder and the way its hidden states are pooled.
///
/// ```
/// use bert_tasks::{Device, Embedding};
/// use bert_tasks::embedding::cosine;
/// let model = "path/to/all-MiniLM-L6-v2";
/// # let model = bert_conformance::checkpoint("bert-embedding");
/// # let model = model.to_str().unwrap();
/// let embedding = Embedding::load(model, &Device::auto()?)?;
/// let first = embedding.predict("A man is eating food.")?.vector;
/// let second = embedding.predict("Someone is having a meal.")?.vector;
/// println!("{:.3}", cosine(&first, &second));
/// assert_eq!(first.len(), embedding.dimensions());
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    session: Session,
    pooling: Vec<Pooling>,
    normalize: bool,
    prompt: String,
}

impl Embedding {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, or damaged; a sentence-transformers module that is not known here.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Self::from_pretrained(&Pretrained::open(name)?, device, Precision::F32)
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that is damaged; a sentence-transformers module that is not known here.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        // What cannot be pooled is not loaded.
        let recipe = sentence_transformers::read(files)?;
        Ok(Self::with_recipe(files.load(Head::None, device, precision)?, recipe))
    }

    /// The task on a model that is loaded already, with whatever head. `files` are those of the model: they say how its
    /// vectors are made.
    ///
    /// # Errors
    /// A sentence-transformers module that is not known here.
    pub fn from_session(session: Session, files: &Pretrained) -> Result<Self> {
        Ok(Self::with_recipe(session, sentence_transformers::read(files)?))
    }

    fn with_recipe(mut session: Session, recipe: Recipe) -> Self {
        if let Some(max_length) = recipe.max_length {
            session = session.with_max_length(max_length);
        }
        Self { session, pooling: recipe.pooling, normalize: recipe.normalize, prompt: recipe.prompt }
    }

    /// The task on a model that was loaded without a head: the mean of the last hidden states, not normalised, no
    /// prompt. What a folder's sentence-transformers files say, [`from_pretrained`](Self::from_pretrained) reads.
    pub fn new(session: Session) -> Self {
        Self { session, pooling: vec![Pooling::Mean], normalize: false, prompt: String::new() }
    }

    /// The same model with other options.
    ///
    /// # Errors
    /// [`Error::Setting`] for no pooling at all, or a length without room for a token.
    pub fn with_options(mut self, options: EmbeddingOptions) -> Result<Self> {
        if let Some(pooling) = options.pooling {
            if pooling.is_empty() {
                return Err(Error::Setting {
                    setting: "pooling",
                    found: "empty".into(),
                    expected: "at least one",
                });
            }
            self.pooling = pooling;
        }
        if let Some(length) = options.max_length {
            self.session = self.session.with_chosen_length(length)?;
        }
        self.normalize = options.normalize.unwrap_or(self.normalize);
        self.prompt = options.prompt.unwrap_or(self.prompt);
        Ok(self)
    }

    /// The vector of one text.
    ///
    /// # Errors
    /// [`Error::NotFinite`] from a damaged model; a device that failed.
    pub fn predict(&self, text: &str) -> Result<TextEmbedding> {
        self.predict_one(text.to_owned())
    }

    /// The tokens of a text as the model is given them, sources being bytes of the text: those of a prompt before it have
    /// none.
    pub(crate) fn encode(&self, text: &str) -> Result<Encoded> {
        let mut encoded = self.session.tokenizer().encode(&format!("{}{text}", self.prompt))?;
        let prompt = self.prompt.len();
        for source in &mut encoded.sources {
            *source = source.filter(|source| source.start >= prompt).map(|source| Source {
                start: source.start - prompt,
                end: source.end - prompt,
                ..source
            });
        }
        Ok(encoded)
    }

    /// How many numbers a vector has.
    pub fn dimensions(&self) -> usize {
        self.session.config().hidden_size * self.pooling.len()
    }

    /// The vectors of many texts, ready to be searched.
    ///
    /// # Errors
    /// [`Error::NotFinite`] from a damaged model; a device that failed.
    pub fn index(&self, texts: impl IntoIterator<Item = String>) -> Result<Index> {
        let mut index = Index::new(self.dimensions());
        for embedding in self.stream(texts) {
            index.push(&embedding?.vector);
        }
        Ok(index)
    }
}

impl Task for Embedding {
    type Input = String;
    type Context = Option<Range<usize>>;
    type Piece = Vec<f32>;
    type Answer = TextEmbedding;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        self.pooling.iter().map(|&pooling| Output::Pooled(pooling)).collect()
    }

    fn prepare(&self, text: &String) -> Result<Prepared<Self::Context>> {
        let tokenizer = self.session.tokenizer();
        let encoded = match self.prompt.as_str() {
            "" => tokenizer.encode(text)?,
            prompt => tokenizer.encode(&format!("{prompt}{text}"))?,
        };
        let fitted = self.session.fit(encoded);
        let [truncated, _] = fitted.truncated;
        // Back to the bytes of the text without the prompt.
        let prompt = self.prompt.len();
        let truncated = truncated.map(|cut| cut.start.saturating_sub(prompt)..cut.end.saturating_sub(prompt));
        Ok(Prepared { sequences: vec![Sequence::from(fitted.encoded)], context: truncated })
    }

    fn reduce(&self, _: &Self::Context, _: usize, rows: Rows) -> Result<Vec<f32>> {
        let mut vector: Vec<f32> = rows.into_iter().flatten().collect();
        if self.normalize {
            let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt().max(1e-12);
            vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        }
        Ok(vector)
    }

    fn finish(&self, _: &String, truncated: Self::Context, pieces: Vec<Vec<f32>>) -> Result<TextEmbedding> {
        Ok(TextEmbedding { vector: pieces.concat(), truncated })
    }
}
