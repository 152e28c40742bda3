//! A whole model on one backend, behind one call.

use std::cell::RefCell;

use super::encoder::EncoderWeights;
use super::heads::Chain;
use super::loader::{Loaded, Training};
use super::output::{Axis, Output};
use super::summary::Summary;
use super::{Head, Loader, ParameterSource, Pass};
use crate::config::ModelConfig;
use crate::contract::{Backend, DeviceBatch, Precision, Tensor, UnaryOp};
use crate::packed::PackedBatch;
use crate::random::Random;
use crate::{Error, Result};

/// A model whose backend is known at compile time.
#[derive(Clone, Debug)]
pub struct Model<B: Backend> {
    backend: B,
    pub(super) config: ModelConfig,
    encoder: EncoderWeights<B::Buffer>,
    head: Head,
    summary: Option<Summary<B::Buffer>>,
    heads: Vec<(Head, Chain<B::Buffer>)>,
}

impl<B: Backend> Model<B> {
    /// Loads the parameters that the outputs of `head` need.
    ///
    /// # Errors
    /// [`Error::WrongHead`] if the source was made for another task; a parameter that is missing or misshapen; [`Error::Precision`] for a precision that the backend lacks; a size
    /// that it does not take.
    pub fn load(
        backend: B,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> Result<Self> {
        Self::load_with(backend, config, source, head, precision, None)
    }

    /// The same, with a list of the buffers that hold its parameters. What is tied is one of them.
    pub(crate) fn load_for_training(
        backend: B,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> Result<(Self, Vec<Loaded<B::Buffer>>)> {
        let training = Training { words: RefCell::default(), loaded: RefCell::default() };
        let model = Self::load_with(backend, config, source, head, precision, Some(&training))?;
        Ok((model, training.loaded.into_inner()))
    }

    fn load_with(
        backend: B,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
        training: Option<&Training<B>>,
    ) -> Result<Self> {
        let info = backend.info();
        if !info.precisions.contains(&precision) {
            return Err(info.lacks(precision));
        }
        source.check_head(&config, head)?;
        let loader = Loader { backend: &backend, config: &config, source, precision, training };
        let encoder = EncoderWeights::load(&loader)?;
        let summary = Summary::load(&loader, head)?;
        let load = |&part: &Head| Ok((part, Chain::load(&loader, part.stages(&config)?)?));
        let heads = head.parts().iter().map(load).collect::<Result<_>>()?;
        Ok(Self { encoder, head, summary, heads, backend, config })
    }

    /// The backend that holds the parameters.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Computes outputs without bringing them back.
    ///
    /// # Errors
    /// As [`Encoder::run`](super::Encoder::run).
    pub fn forward(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<Tensor<B>>> {
        self.forward_with(batch, outputs, None, None)
    }

    /// The same in training, where numbers are dropped as the configuration says and chance decides; and from
    /// `embedded [tokens, hidden]`, if given, in the place of what the embeddings make of the tokens.
    pub(crate) fn forward_with(
        &self,
        batch: &PackedBatch,
        outputs: &[Output],
        embedded: Option<Tensor<B>>,
        dropout: Option<Random>,
    ) -> Result<Vec<Tensor<B>>> {
        if batch.is_empty() {
            return Err(Error::Empty { what: "batch" });
        }
        for output in outputs {
            if !self.gives(*output) {
                return Err(Error::MissingOutput { asked: output.name(), loaded: self.head });
            }
            if output.axis() == Axis::Marked && batch.marked().is_empty() {
                return Err(Error::Empty { what: "list of marked tokens" });
            }
        }
        let last = self.config.num_hidden_layers;
        let layer = |output: &Output| match *output {
            Output::HiddenState(index) => index,
            Output::Attention(index) | Output::QueriesAndKeys(index) => index - 1,
            _ => last,
        };
        let batch = DeviceBatch::new(&self.backend, batch, &self.config)?;
        let pass = Pass { backend: &self.backend, batch: &batch, embedded, dropout };
        let keep = |index| outputs.iter().any(|output| layer(output) == index);
        let states = self.encoder.encode(&pass, keep)?;
        let output = |output: &Output| {
            let hidden = states.iter().find(|(index, _)| *index == layer(output)).map(|(_, hidden)| hidden);
            self.output(*output, hidden.expect("the encoder kept it"), &pass)
        };
        outputs.iter().map(output).collect()
    }

    fn output(&self, output: Output, hidden: &Tensor<B>, pass: &Pass<'_, B>) -> Result<Tensor<B>> {
        match output {
            Output::HiddenState(_) => Ok(hidden.clone()),
            Output::Attention(index) => self.encoder.layer(index).attention_weights(pass, hidden),
            Output::QueriesAndKeys(index) => {
                let qkv = self.encoder.layer(index).queries_keys_values(pass, hidden)?;
                let columns = qkv.shape()[1] / 3 * 2;
                pass.backend.map(UnaryOp::Copy, &qkv.slice(1, 0..columns)?)
            }
            Output::Pooled(pooling) => pass.backend.pool(hidden, pass.batch, pooling),
            Output::PoolerOutput => self.summary().forward(pass, hidden),
            Output::Scores(head) => {
                let (_, chain) = self.heads.iter().find(|(part, _)| *part == head).expect("checked before");
                let rows = match (head.reads(), &pass.batch.marked) {
                    (Axis::Sequences, _) => self.summary().forward(pass, hidden)?, //  [sequences, hidden]
                    (Axis::Marked, Some(rows)) => pass.backend.gather_rows(hidden, rows)?, // [marked, hidden]
                    _ => hidden.clone(), //                                          [tokens, hidden]
                };
                chain.forward(pass, rows)
            }
        }
    }

    fn summary(&self) -> &Summary<B::Buffer> {
        self.summary.as_ref().expect("checked before")
    }

    /// Whether the model was loaded with what an output needs.
    fn gives(&self, output: Output) -> bool {
        match output {
            Output::HiddenState(index) => index <= self.config.num_hidden_layers,
            Output::Attention(index) | Output::QueriesAndKeys(index) => {
                (1..=self.config.num_hidden_layers).contains(&index)
            }
            Output::Pooled(_) => true,
            Output::PoolerOutput => self.summary.as_ref().is_some_and(|summary| summary.is_pooler),
            Output::Scores(head) => head != Head::None && self.heads.iter().any(|(part, _)| *part == head),
        }
    }
}
