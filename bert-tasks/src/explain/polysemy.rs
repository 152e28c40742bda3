//! Polysemy: how alike the uses of one word are in several texts, by the vectors that it has where it stands.

use std::ops::Range;

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use serde::{Deserialize, Serialize};

use super::ExplainError;
use super::places::Tokens;
use super::senses::{Context, Senses, SensesOptions};
use crate::embedding::cosine;
use crate::{Device, Error, Prepared, Pretrained, Result, Rows, Session, Task};

/// The most uses that are compared, each with each.
const MOST: usize = 64;

/// How many tokens a batch holds: of each, the hidden states of all layers are looked at.
const TOKEN_BUDGET: usize = 512;

/// Which vectors are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolysemyOptions {
    /// The layer whose hidden states are compared: 0 is the output of the embeddings, which know nothing of what surrounds
    /// a word, -1 that of the last layer.
    pub layer: i64,
}

impl Default for PolysemyOptions {
    fn default() -> Self {
        Self { layer: -1 }
    }
}

/// A word, and texts that use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordInTexts {
    /// The word, or several in a row, in whatever case.
    pub word: String,
    /// The texts.
    pub texts: Vec<String>,
}

/// A use of the word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordUse {
    /// The index of its text.
    pub text: usize,
    /// Its bytes in that text.
    pub range: Range<usize>,
    /// The word as it is written there.
    pub word: String,
}

/// The uses of a word, and how alike they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordUses {
    /// The layer whose hidden states were compared.
    pub layer: usize,
    /// In the order of the texts.
    pub uses: Vec<WordUse>,
    /// `[uses, uses]`: the cosine of the vectors of each two, 1 for the same direction.
    pub cosines: Vec<Vec<f32>>,
    /// Whether there may be more uses than the 64 that are compared.
    pub limited: bool,
}

/// A model that compares the uses of a word. [`Senses`] puts many of them into groups.
///
/// ```
/// use bert_tasks::explain::Polysemy;
/// use bert_tasks::Device;
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-embedding");
/// # let model = model.to_str().unwrap();
/// let polysemy = Polysemy::load(model, &Device::auto()?)?;
/// let texts = ["the bank of the river", "the bank of a stream", "money in the bank"];
/// let found = polysemy.predict("bank", &texts)?;
/// for (other, cosine) in found.uses.iter().zip(&found.cosines[0]) {
///     println!("{cosine:.3} {}", texts[other.text]);
/// }
/// assert_eq!(found.uses.len(), 3);
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Polysemy {
    session: Session,
    options: PolysemyOptions,
}

impl Polysemy {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, or damaged.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Ok(Self::new(Pretrained::open(name)?.load(Head::None, device, Precision::F32)?))
    }

    /// The task on a model with whatever head.
    pub fn new(session: Session) -> Self {
        Self { session: session.with_token_budget(TOKEN_BUDGET), options: PolysemyOptions::default() }
    }

    /// The same model with other options.
    ///
    /// # Errors
    /// [`Error::Layer`] for a layer that the model does not have.
    pub fn with_options(self, options: PolysemyOptions) -> Result<Self> {
        let count = self.session.config().num_hidden_layers as i64;
        match (-count - 1..=count).contains(&options.layer) {
            true => Ok(Self { options, ..self }),
            false => Err(Error::Layer { layer: options.layer, count }),
        }
    }

    /// Compares the uses of a word in texts.
    ///
    /// # Errors
    /// [`Error::Setting`] for a word without a letter or a digit; [`ExplainError::WordNotFound`];
    /// [`Error::NotFinite`] from a damaged model; a device that failed.
    pub fn predict(&self, word: &str, texts: &[&str]) -> Result<WordUses> {
        let texts = texts.iter().map(|&text| text.to_owned()).collect();
        self.predict_one(WordInTexts { word: word.to_owned(), texts })
    }
}

/// Where the word stands.
#[doc(hidden)]
pub struct Places {
    senses: Senses,
    layer: usize,
    /// Each with the index of its text.
    contexts: Vec<(usize, Context, Tokens)>,
    /// For each sequence the index of its context, and its own index there.
    sequences: Vec<(usize, usize)>,
    limited: bool,
}

impl Task for Polysemy {
    type Input = WordInTexts;
    type Context = Places;
    /// For each place of a sequence the index of its context, its number there and its vector.
    type Piece = Vec<(usize, usize, Vec<f32>)>;
    type Answer = WordUses;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        (0..=self.session.config().num_hidden_layers).map(Output::HiddenState).collect()
    }

    fn prepare(&self, input: &WordInTexts) -> Result<Prepared<Places>> {
        let options = SensesOptions { layer: self.options.layer, ..SensesOptions::default() };
        let senses = Senses::new(self.session.clone(), &input.word, options)?;
        let (mut contexts, mut owners, mut sequences) = (vec![], vec![], vec![]);
        let mut left = MOST;
        for (index, text) in input.texts.iter().enumerate() {
            if left == 0 {
                break;
            }
            for context in senses.contexts(index as u64 + 1, text, left) {
                left -= context.ranges.len();
                let prepared = senses.prepare(&context)?;
                owners.extend((0..prepared.sequences.len()).map(|own| (contexts.len(), own)));
                sequences.extend(prepared.sequences);
                contexts.push((index, context, prepared.context));
            }
        }
        if sequences.is_empty() {
            return Err(ExplainError::WordNotFound { word: input.word.clone() }.into());
        }
        let (layer, limited) = (senses.layer(), left == 0);
        Ok(Prepared { sequences, context: Places { senses, layer, contexts, sequences: owners, limited } })
    }

    fn reduce(&self, places: &Places, index: usize, rows: Rows) -> Result<Self::Piece> {
        let (context, own) = places.sequences[index];
        let (_, _, tokens) = &places.contexts[context];
        let found = places.senses.reduce(tokens, own, rows)?;
        let vector = |(place, layers): (usize, ndarray::Array2<f32>)| {
            (context, place, layers.row(places.layer).to_vec())
        };
        Ok(found.into_iter().map(vector).collect())
    }

    fn finish(&self, input: &WordInTexts, places: Places, pieces: Vec<Self::Piece>) -> Result<WordUses> {
        let mut found: Vec<(WordUse, Vec<f32>)> = vec![];
        for (context, place, vector) in pieces.into_iter().flatten() {
            let (text, Context { offset, text: part, ranges, .. }, _) = &places.contexts[context];
            let own = ranges[place].clone();
            let word = part[own.clone()].to_owned();
            if vector.iter().any(|x| !x.is_finite()) {
                return Err(Error::NotFinite { output: "hidden states" });
            }
            found.push((WordUse { text: *text, range: own.start + offset..own.end + offset, word }, vector));
        }
        if found.is_empty() {
            return Err(ExplainError::WordNotFound { word: input.word.clone() }.into());
        }
        found.sort_by_key(|(own, _)| (own.text, own.range.start));
        let row =
            |(_, own): &(WordUse, Vec<f32>)| found.iter().map(|(_, other)| cosine(own, other)).collect();
        let cosines = found.iter().map(row).collect();
        let uses = found.into_iter().map(|(own, _)| own).collect();
        Ok(WordUses { layer: places.layer, uses, cosines, limited: places.limited })
    }
}
