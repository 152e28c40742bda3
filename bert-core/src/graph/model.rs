//! A whole model on one backend, behind one call.

use super::encoder::{EncoderWeights, encode};
use super::heads::{MaskedLm, Pooler};
use super::{Head, Loader};
use crate::backend::{Backend, BackendInfo, Tensor};
use crate::checkpoint::Checkpoint;
use crate::config::{ModelConfig, ModelType};
use crate::ops::{Activation, Pooling, Precision};
use crate::packed::{DeviceBatch, PackedBatch};
use crate::passes::Counts;
use crate::tensor::HostTensor;
use crate::weights::Linear;
use crate::{Error, Result};

/// Something that a forward pass can give. Shapes count the rows of the packed batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// `[tokens, hidden]`, the output of a layer: 0 the embeddings, `i` the `i`-th layer.
    HiddenState(usize),
    /// `[sequences, hidden]`, the last hidden state pooled.
    Pooled(Pooling),
    /// `[sequences, hidden]`, the output of the pooler.
    PoolerOutput,
    /// `[rows.len(), vocab]`, scores of the vocabulary at these rows of the batch.
    MaskedLm(Vec<u32>),
    /// `[sequences, 2]`, scores of "is the next sentence" and "is not".
    NextSentence,
    /// `[tokens, labels]`
    TokenLabels,
    /// `[sequences, labels]`
    SequenceLabels,
    /// `[tokens, 2]`, scores as the start and as the end of an answer.
    AnswerSpans,
    /// `[sequences, 1]`, the score of each alternative.
    ChoiceScores,
}

impl Output {
    fn name(&self) -> &'static str {
        match self {
            Self::HiddenState(_) => "hidden state of that layer",
            Self::Pooled(_) => "pooled hidden state",
            Self::PoolerOutput => "pooler output",
            Self::MaskedLm(_) => "vocabulary scores",
            Self::NextSentence => "next sentence scores",
            Self::TokenLabels => "token labels",
            Self::SequenceLabels => "sequence labels",
            Self::AnswerSpans => "answer spans",
            Self::ChoiceScores => "choice scores",
        }
    }
}

/// A loaded model whose backend was chosen at run time: the face of [`Model`] that fits in a `Box`.
///
/// It is shared freely between threads; every call takes `&self`.
#[cfg_attr(not(target_family = "wasm"), async_trait::async_trait)]
#[cfg_attr(target_family = "wasm", async_trait::async_trait(?Send))]
pub trait Encoder: crate::backend::MaybeSend + crate::backend::MaybeSync {
    /// The shape of the model and the meaning of its outputs.
    fn config(&self) -> &ModelConfig;

    /// What it runs on.
    fn backend_info(&self) -> BackendInfo;

    /// What its device was asked to do since it was opened, if the backend [counts](Backend::counts) that.
    fn counts(&self) -> Option<Counts> {
        None
    }

    /// Runs a batch and brings back the outputs asked for, in their order, with one wait for the device.
    ///
    /// # Errors
    /// [`Error::Batch`] for a batch that does not fit the model, [`Error::MissingOutput`] for an output
    /// that needs another head, [`Error::Device`].
    async fn run(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<HostTensor>>;
}

/// A model whose backend is known at compile time.
#[derive(Clone, Debug)]
pub struct Model<B: Backend> {
    backend: B,
    config: ModelConfig,
    encoder: EncoderWeights<B::Buffer>,
    head: Head,
    pooler: Option<Pooler<B::Buffer>>,
    masked_lm: Option<MaskedLm<B::Buffer>>,
    /// `[2, hidden]`
    next_sentence: Option<Linear<B::Buffer>>,
    /// `[labels, hidden]`; for answer spans `[2, hidden]`, for multiple choice `[1, hidden]`
    classifier: Option<Linear<B::Buffer>>,
}

impl<B: Backend> Model<B> {
    /// Loads a checkpoint for the outputs of `head`.
    ///
    /// # Errors
    /// [`Error::WrongHead`] if the checkpoint says that it was made for another task, and does not have this
    /// one's tensors all the same; a tensor that is
    /// missing or misshapen; [`Error::Precision`] for one that the backend lacks; a size that it does not take.
    pub fn load(
        backend: B,
        config: ModelConfig,
        checkpoint: &Checkpoint,
        head: Head,
        precision: Precision,
    ) -> Result<Self> {
        let info = backend.info();
        if !info.precisions.contains(&precision) {
            return Err(info.lacks(precision));
        }
        let own = head.own_tensors();
        let has_own = !own.is_empty() && own.iter().all(|name| checkpoint.contains(name));
        if let Some(made_for) = config.head().filter(|made_for| !has_own && !made_for.serves(head)) {
            return Err(Error::WrongHead { asked: head, found: config.architectures.join(", "), made_for });
        }
        let loader = Loader { backend: &backend, config: &config, checkpoint, precision };
        let hidden = config.hidden_size;
        let encoder = EncoderWeights::load(&loader)?;

        let has_pooler = config.model_type == ModelType::Bert && checkpoint.contains("pooler.dense.weight");
        let needs_pooler = match head {
            Head::NextSentence | Head::PreTraining | Head::SequenceClassification | Head::MultipleChoice => {
                true
            }
            Head::None => has_pooler,
            Head::MaskedLm | Head::TokenClassification | Head::QuestionAnswering => false,
        };
        let pooler = needs_pooler.then(|| Pooler::load(&loader)).transpose()?;
        let masked_lm = matches!(head, Head::MaskedLm | Head::PreTraining);
        let masked_lm = masked_lm.then(|| MaskedLm::load(&loader)).transpose()?;
        let next_sentence = matches!(head, Head::NextSentence | Head::PreTraining);
        let next_sentence =
            next_sentence.then(|| loader.linear("cls.seq_relationship", 2, hidden)).transpose()?;
        let classifier = match head {
            Head::TokenClassification | Head::SequenceClassification => {
                if config.labels.is_empty() {
                    return Err(Error::Config {
                        field: "num_labels",
                        found: "0".into(),
                        expected: "a classifier has at least one label".into(),
                    });
                }
                Some(loader.linear("classifier", config.labels.len(), hidden)?)
            }
            Head::QuestionAnswering => Some(loader.linear("qa_outputs", 2, hidden)?),
            Head::MultipleChoice => Some(loader.linear("classifier", 1, hidden)?),
            Head::None | Head::MaskedLm | Head::NextSentence | Head::PreTraining => None,
        };
        Ok(Self { encoder, head, pooler, masked_lm, next_sentence, classifier, backend, config })
    }

    /// The backend that holds the parameters.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Computes outputs without bringing them back.
    ///
    /// # Errors
    /// As [`Encoder::run`].
    pub fn forward(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<Tensor<B>>> {
        if batch.is_empty() {
            return Err(Error::Empty { what: "batch" });
        }
        let last = self.config.num_hidden_layers;
        for output in outputs {
            self.check(output, batch)?;
        }
        let batch = DeviceBatch::new(&self.backend, batch, &self.config)?;
        let keep = |layer| {
            outputs.iter().any(|output| match output {
                Output::HiddenState(index) => *index == layer,
                _ => layer == last,
            })
        };
        let states = encode(&self.backend, &self.encoder, &batch, keep)?;
        outputs
            .iter()
            .map(|output| {
                let wanted = if let Output::HiddenState(index) = output { *index } else { last };
                let hidden = states.iter().find(|(index, _)| *index == wanted).map(|(_, hidden)| hidden);
                self.output(output, hidden.expect("the encoder kept it"), &batch)
            })
            .collect()
    }

    fn output(
        &self,
        output: &Output,
        hidden: &Tensor<B>,
        batch: &DeviceBatch<B::Buffer>,
    ) -> Result<Tensor<B>> {
        let backend = &self.backend;
        let missing = || Error::MissingOutput { asked: output.name(), loaded: self.head };
        let pooled = || self.pooler.as_ref().ok_or_else(missing)?.forward(backend, hidden, batch);
        let classifier = || self.classifier.as_ref().ok_or_else(missing);
        match output {
            Output::HiddenState(_) => Ok(hidden.clone()),
            Output::Pooled(pooling) => backend.pool(hidden, batch, *pooling),
            Output::PoolerOutput => pooled(),
            Output::MaskedLm(rows) => {
                self.masked_lm.as_ref().ok_or_else(missing)?.forward(backend, hidden, rows)
            }
            Output::NextSentence => {
                let next_sentence = self.next_sentence.as_ref().ok_or_else(missing)?;
                backend.linear(&pooled()?, next_sentence, Activation::Identity)
            }
            Output::TokenLabels | Output::AnswerSpans => {
                backend.linear(hidden, classifier()?, Activation::Identity)
            }
            Output::SequenceLabels | Output::ChoiceScores => {
                backend.linear(&pooled()?, classifier()?, Activation::Identity)
            }
        }
    }

    /// Whether the model was loaded with what an output needs.
    fn check(&self, output: &Output, batch: &PackedBatch) -> Result<()> {
        if matches!(output, Output::MaskedLm(rows) if rows.is_empty()) {
            return Err(Error::Empty { what: "list of rows" });
        }
        let there = match output {
            Output::HiddenState(index) => *index <= self.config.num_hidden_layers,
            Output::Pooled(_) => true,
            Output::PoolerOutput => self.pooler.is_some(),
            Output::MaskedLm(rows) => {
                self.masked_lm.is_some() && rows.iter().all(|&row| (row as usize) < batch.tokens())
            }
            Output::NextSentence => self.next_sentence.is_some(),
            Output::TokenLabels => self.head == Head::TokenClassification,
            Output::SequenceLabels => self.head == Head::SequenceClassification,
            Output::AnswerSpans => self.head == Head::QuestionAnswering,
            Output::ChoiceScores => self.head == Head::MultipleChoice,
        };
        if there { Ok(()) } else { Err(Error::MissingOutput { asked: output.name(), loaded: self.head }) }
    }
}

#[cfg_attr(not(target_family = "wasm"), async_trait::async_trait)]
#[cfg_attr(target_family = "wasm", async_trait::async_trait(?Send))]
impl<B: Backend> Encoder for Model<B> {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn backend_info(&self) -> BackendInfo {
        self.backend.info()
    }

    fn counts(&self) -> Option<Counts> {
        self.backend.counts()
    }

    async fn run(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<HostTensor>> {
        let tensors = self.forward(batch, outputs)?;
        self.backend.download(&tensors).await
    }
}
