//! The examples of an epoch, each of which can be made from its number.

use std::sync::Arc;

use bert_core::random::Random;

use super::error::{PretrainingError, Result};
use super::pairs::{Pairing, Plan, Second, truncate};
use super::{Masking, Shards};
use crate::order::Order;

/// How documents become examples.
#[derive(Clone, Debug, PartialEq)]
pub struct ExampleOptions {
    /// The most tokens of an example, special ones included.
    pub max_length: usize,
    /// How often a document is cut into examples of a random length, so that a model sees short ones too: 0.1.
    pub short_sequence_probability: f64,
    /// Whether an example is a pair of which it is to be told whether the second part follows the first. If not,
    /// it is a run of sentences.
    pub next_sentence: bool,
    /// Which tokens are to be guessed.
    pub masking: Masking,
    /// What all that is random depends on.
    pub seed: u64,
}

impl Default for ExampleOptions {
    fn default() -> Self {
        Self {
            max_length: 128,
            short_sequence_probability: 0.1,
            next_sentence: true,
            masking: Masking::default(),
            seed: 0,
        }
    }
}

impl ExampleOptions {
    /// Whether the settings make sense; [`Examples::new`] looks itself.
    ///
    /// # Errors
    /// [`PretrainingError::Setting`] for the first that does not.
    pub fn check(&self) -> Result<()> {
        let wrong =
            |setting, found: String, expected| Err(PretrainingError::Setting { setting, found, expected });
        if self.max_length < 5 {
            return wrong("max_length", self.max_length.to_string(), "at least 5");
        }
        let short = self.short_sequence_probability;
        if !(0.0..=1.0).contains(&short) {
            return wrong("short_sequence_probability", short.to_string(), "from 0 to 1");
        }
        self.masking.check()
    }
}

/// An example: what the model sees and what it is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Token ids, `[CLS] first [SEP] second [SEP]`, some of them masked.
    pub ids: Vec<u32>,
    /// For each token 0, or 1 after the first `[SEP]`.
    pub segments: Vec<u32>,
    /// Whether the second part follows the first; `None` if there is no second part.
    pub is_next: Option<bool>,
    /// The positions that are to be guessed, in order.
    pub masked: Vec<u32>,
    /// For each of them, the id that belongs there.
    pub labels: Vec<u32>,
}

/// Makes examples of shards; see the [module](super).
#[derive(Clone)]
pub struct Examples {
    shards: Arc<Shards>,
    options: ExampleOptions,
}

impl Examples {
    /// Examples of all documents of some shards.
    ///
    /// # Errors
    /// [`PretrainingError::Setting`] for options that make no sense; [`PretrainingError::TooFewDocuments`] for
    /// pairs, if there is no other document to take a second part from.
    pub fn new(shards: impl Into<Arc<Shards>>, options: ExampleOptions) -> Result<Self> {
        let shards = shards.into();
        options.check()?;
        match shards.documents() {
            found @ 0..2 if options.next_sentence => Err(PretrainingError::TooFewDocuments { found }),
            _ => Ok(Self { shards, options }),
        }
    }

    /// The shards, which examples with other options can be made of as well.
    pub fn shards(&self) -> &Arc<Shards> {
        &self.shards
    }

    /// The options.
    pub fn options(&self) -> &ExampleOptions {
        &self.options
    }

    /// Counts the examples of an epoch, and puts them in a random order. This reads the length of every
    /// sentence, and keeps 8 bytes a document.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        let random = Random::new(self.options.seed).named("pre-training examples").numbered(epoch);
        let mut of = Epoch { examples: self.clone(), random, starts: vec![], order: Order::new(0, random) };
        let mut count = 0;
        let mut starts = Vec::with_capacity(self.shards.documents());
        for document in 0..self.shards.documents() {
            starts.push(count);
            count += of.plans(document).count() as u64;
        }
        of.starts = starts;
        of.order = Order::new(count, random.named("order"));
        of
    }
}

/// All examples of an epoch, in their order.
///
/// Example `i` depends on the shards, the options, the epoch and `i` alone, so any number of threads can make
/// them in any order, and a run that was stopped goes on with a number.
#[derive(Clone)]
pub struct Epoch {
    examples: Examples,
    random: Random,
    /// For each document, the number of its first example in the order of the text.
    starts: Vec<u64>,
    order: Order,
}

impl Epoch {
    /// How many examples there are.
    pub fn len(&self) -> u64 {
        self.order.count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An example.
    ///
    /// # Errors
    /// [`PretrainingError::NoExample`] beyond the last one; [`PretrainingError::Shard`] from a damaged shard.
    pub fn example(&self, index: u64) -> Result<Example> {
        if index >= self.len() {
            return Err(PretrainingError::NoExample { index, count: self.len() });
        }
        let number = self.order.get(index);
        // Every document has an example, so no two of them begin with the same.
        let document = self.starts.partition_point(|&start| start <= number) - 1;
        let plan = self.plans(document).nth((number - self.starts[document]) as usize);
        self.make(document, &plan.expect("it was counted"))
    }

    /// The examples from one on.
    pub fn examples_from(&self, index: u64) -> impl Iterator<Item = Result<Example>> + '_ {
        (index..self.len()).map(|index| self.example(index))
    }

    fn plans(&self, document: usize) -> impl Iterator<Item = Plan> + '_ {
        let options = &self.examples.options;
        let special = if options.next_sentence { 3 } else { 2 };
        let pairing = Pairing {
            max_tokens: options.max_length - special,
            short_probability: options.short_sequence_probability,
            next_sentence: options.next_sentence,
        };
        let (shard, sentences) = self.examples.shards.document(document);
        pairing.plans(shard, sentences, self.random.numbered(document as u64))
    }

    fn make(&self, document: usize, plan: &Plan) -> Result<Example> {
        let Examples { shards, options } = &self.examples;
        let vocabulary = shards.vocabulary();
        let (shard, _) = shards.document(document);
        let (mut first, mut second) = (vec![], vec![]);
        for sentence in plan.first.clone() {
            shard.read_sentence(sentence, &mut first)?;
        }
        match &plan.second {
            Second::None => {}
            Second::Next(sentences) => {
                for sentence in sentences.clone() {
                    shard.read_sentence(sentence, &mut second)?;
                }
            }
            Second::Random { tokens } => self.read_random(document, *tokens, plan.random, &mut second)?,
        }
        let special = if second.is_empty() { 2 } else { 3 };
        let most = options.max_length - special;
        let [a, b] = truncate([first.len(), second.len()], most, plan.random.named("truncation"));
        let mut ids = Vec::with_capacity(a.len() + b.len() + special);
        ids.push(vocabulary.cls());
        ids.extend_from_slice(&first[a]);
        ids.push(vocabulary.sep());
        let mut segments = vec![0; ids.len()];
        if !second.is_empty() {
            ids.extend_from_slice(&second[b]);
            ids.push(vocabulary.sep());
        }
        segments.resize(ids.len(), 1);
        let (masked, labels) = options.masking.apply(&mut ids, vocabulary, plan.random.named("masking"));
        let is_next = match plan.second {
            Second::None => None,
            Second::Next(_) => Some(true),
            Second::Random { .. } => Some(false),
        };
        Ok(Example { ids, segments, is_next, masked, labels })
    }

    /// Sentences of another document, from a random one on.
    fn read_random(&self, but: usize, tokens: usize, random: Random, ids: &mut Vec<u32>) -> Result<()> {
        let shards = &self.examples.shards;
        let other = random.below(2, shards.documents() - 1);
        let (shard, sentences) = shards.document(other + usize::from(other >= but));
        let from = sentences.start + random.below(3, sentences.len());
        for sentence in from..sentences.end {
            if ids.len() >= tokens {
                break;
            }
            shard.read_sentence(sentence, ids)?;
        }
        Ok(())
    }
}
