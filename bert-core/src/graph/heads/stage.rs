//! The steps that a head is made of.

use super::super::parameters::{LinearSpec, NormSpec, ParameterKind, ParameterSpec, words};
use super::super::{Loader, Pass};
use crate::Result;
use crate::config::ModelConfig;
use crate::contract::{Activation, Backend, LayerNorm, Linear, Pooling, Tensor, UnaryOp};

/// One step of a head.
#[derive(Clone, Debug)]
pub(in crate::graph) enum Stage {
    /// A linear layer and its activation.
    Linear(LinearSpec, Activation),
    /// What a classifier does not see in training, with this probability.
    Dropout(f64),
    /// A LayerNorm.
    Norm(NormSpec),
    /// A score for each word: a linear layer whose weight may be that of the word embeddings.
    Decoder { own: LinearSpec, bias: ParameterSpec, words: ParameterSpec, tied: bool },
    /// One row a sequence.
    Pool(Pooling),
    /// A function of each number.
    Map(UnaryOp),
}

impl Stage {
    pub fn linear(name: &str, outputs: usize, inputs: usize, activation: Activation) -> Self {
        Self::Linear(LinearSpec::new(name, outputs, inputs), activation)
    }

    pub fn norm(name: &str, size: usize) -> Self {
        Self::Norm(NormSpec::new(name, size))
    }

    /// `{name}.decoder.weight`, or the word embeddings, and `{name}.bias`.
    pub fn decoder(name: &str, config: &ModelConfig) -> Self {
        let (vocab, width) = (config.vocab_size, config.embedding_size);
        let own = LinearSpec::new(format!("{name}.decoder"), vocab, width);
        let bias =
            ParameterSpec { name: format!("{name}.bias"), shape: [vocab].into(), kind: ParameterKind::Bias };
        Self::Decoder { own, bias, words: words(config), tied: config.tie_word_embeddings }
    }

    pub fn parameters(&self) -> Vec<ParameterSpec> {
        match self {
            Self::Linear(linear, _) => linear.parameters(),
            Self::Norm(norm) => norm.parameters().into(),
            Self::Decoder { bias, tied: true, .. } => vec![bias.clone()],
            Self::Decoder { own, bias, .. } => vec![own.weight(), bias.clone()],
            Self::Dropout(_) | Self::Pool(_) | Self::Map(_) => vec![],
        }
    }
}

/// Where the dropout of heads is, in the numbers of the graph's sites: before every layer.
const SITE: u64 = 1;

/// A step on a device.
#[derive(Clone, Debug)]
enum Step<Buf> {
    Linear(Linear<Buf>, Activation),
    Dropout(f64),
    Norm(LayerNorm<Buf>),
    Pool(Pooling),
    Map(UnaryOp),
}

/// The steps of a head on a device.
#[derive(Clone, Debug)]
pub(in crate::graph) struct Chain<Buf>(Vec<Step<Buf>>);

impl<Buf: Clone> Chain<Buf> {
    pub fn load<B: Backend<Buffer = Buf>>(loader: &Loader<'_, B>, stages: Vec<Stage>) -> Result<Self> {
        let step = |stage| {
            Ok(match stage {
                Stage::Linear(linear, activation) => Step::Linear(loader.linear(&[linear])?, activation),
                Stage::Dropout(probability) => Step::Dropout(probability),
                Stage::Norm(norm) => Step::Norm(loader.layer_norm(&norm)?),
                Stage::Pool(pooling) => Step::Pool(pooling),
                Stage::Map(op) => Step::Map(op),
                Stage::Decoder { own, bias, words, .. } => {
                    Step::Linear(loader.tied(&own, &bias, &words)?, Activation::Identity)
                }
            })
        };
        stages.into_iter().map(step).collect::<Result<_>>().map(Self)
    }

    pub fn forward<B: Backend<Buffer = Buf>>(&self, pass: &Pass<'_, B>, x: Tensor<B>) -> Result<Tensor<B>> {
        let backend = pass.backend;
        self.0.iter().try_fold(x, |x, step| match step {
            Step::Linear(linear, activation) => backend.linear(&x, linear, *activation),
            Step::Dropout(probability) => pass.drop(x, *probability, SITE),
            Step::Norm(norm) => backend.layer_norm(&x, norm),
            Step::Pool(pooling) => backend.pool(&x, pass.batch, *pooling),
            Step::Map(op) => backend.map(*op, &x),
        })
    }
}
