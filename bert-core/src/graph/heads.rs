//! What pre-training and fine-tuning put on top of the encoder.

use super::Loader;
use crate::Result;
use crate::backend::{Backend, Tensor};
use crate::config::ModelType;
use crate::ops::Activation;
use crate::packed::DeviceBatch;
use crate::tensor::HostTensor;
use crate::weights::{LayerNorm, Linear};

/// A linear layer on the hidden state of the first token. BERT's pooler, trained by next sentence
/// prediction, ends in tanh; DistilBERT's `pre_classifier` ends in ReLU.
#[derive(Clone, Debug)]
pub struct Pooler<Buf> {
    /// `[hidden, hidden]`
    dense: Linear<Buf>,
    activation: Activation,
}

impl<Buf: Clone> Pooler<Buf> {
    /// Loads the pooler, or the pre-classifier of a DistilBERT.
    ///
    /// # Errors
    /// A tensor that is missing or misshapen; a device without room.
    pub fn load<B: Backend<Buffer = Buf>>(loader: &Loader<'_, B>) -> Result<Self> {
        let hidden = loader.config.hidden_size;
        let (name, activation) = match loader.config.model_type {
            ModelType::Bert => ("pooler.dense", Activation::Tanh),
            ModelType::DistilBert => ("pre_classifier", Activation::Relu),
        };
        Ok(Self { dense: loader.linear(name, hidden, hidden)?, activation })
    }

    /// `[tokens, hidden]` -> `[sequences, hidden]`
    ///
    /// # Errors
    /// A device that failed.
    pub fn forward<B: Backend<Buffer = Buf>>(
        &self,
        backend: &B,
        hidden: &Tensor<B>,
        batch: &DeviceBatch<Buf>,
    ) -> Result<Tensor<B>> {
        let first = batch.device_bounds.slice(0, 0..batch.sequences())?;
        backend.linear(&backend.gather_rows(hidden, &first)?, &self.dense, self.activation)
    }
}

/// The masked-LM head: a transform of the hidden state, then a score for each word. The decoder is the
/// word embedding table unless the checkpoint has its own.
#[derive(Clone, Debug)]
pub struct MaskedLm<Buf> {
    /// `[hidden, hidden]`
    transform: Linear<Buf>,
    activation: Activation,
    norm: LayerNorm<Buf>,
    /// `[vocab, hidden]`
    decoder: Linear<Buf>,
}

impl<Buf: Clone> MaskedLm<Buf> {
    /// Loads the head.
    ///
    /// # Errors
    /// A tensor that is missing or misshapen; a device without room.
    pub fn load<B: Backend<Buffer = Buf>>(loader: &Loader<'_, B>) -> Result<Self> {
        let (hidden, vocab) = (loader.config.hidden_size, loader.config.vocab_size);
        let own = loader.checkpoint.optional("cls.predictions.decoder.weight", &[vocab, hidden])?;
        let decoder = match own {
            Some(own) => own,
            None => loader.checkpoint.tensor("embeddings.word_embeddings.weight", &[vocab, hidden])?,
        };
        let bias = loader.checkpoint.tensor("cls.predictions.bias", &[vocab])?;
        Ok(Self {
            transform: loader.linear("cls.predictions.transform.dense", hidden, hidden)?,
            activation: loader.config.hidden_act,
            norm: loader.layer_norm("cls.predictions.transform.LayerNorm")?,
            decoder: Linear::new(loader.backend, &decoder, Some(&bias), loader.precision)?,
        })
    }

    /// `hidden [tokens, hidden]`, `rows [n]` -> `[n, vocab]`: only the rows that are asked for are decoded.
    ///
    /// # Errors
    /// A device that failed.
    pub fn forward<B: Backend<Buffer = Buf>>(
        &self,
        backend: &B,
        hidden: &Tensor<B>,
        rows: &[u32],
    ) -> Result<Tensor<B>> {
        let rows = backend.upload(&HostTensor::from_vec(rows.to_vec(), [rows.len()]))?;
        let hidden = backend.gather_rows(hidden, &rows)?; //                                   [n, hidden]
        let transformed = backend.linear(&hidden, &self.transform, self.activation)?; //      [n, hidden]
        let transformed = backend.layer_norm(&transformed, &self.norm)?;
        backend.linear(&transformed, &self.decoder, Activation::Identity) //                  [n, vocab]
    }
}
