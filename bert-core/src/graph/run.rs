//! A model behind one call, whose backend was chosen at run time.

use super::model::Model;
use super::output::Output;
use crate::Result;
use crate::config::ModelConfig;
use crate::contract::{Backend, BackendInfo, Counts, MaybeSend, MaybeSync};
use crate::packed::PackedBatch;
use crate::tensor::HostTensor;

/// A loaded model whose backend was chosen at run time: the face of [`Model`] that fits in a `Box`.
///
/// It is shared freely between threads; every call takes `&self`.
#[cfg_attr(not(target_family = "wasm"), async_trait::async_trait)]
#[cfg_attr(target_family = "wasm", async_trait::async_trait(?Send))]
pub trait Encoder: MaybeSend + MaybeSync {
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
    /// [`Error::Batch`](crate::Error::Batch) for a batch that does not fit the model, [`Error::MissingOutput`](crate::Error::MissingOutput) for an output
    /// that needs another head, [`Error::Device`](crate::Error::Device).
    async fn run(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<HostTensor>>;
}

#[cfg_attr(not(target_family = "wasm"), async_trait::async_trait)]
#[cfg_attr(target_family = "wasm", async_trait::async_trait(?Send))]
impl<B: Backend> Encoder for Model<B> {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn backend_info(&self) -> BackendInfo {
        self.backend().info()
    }

    fn counts(&self) -> Option<Counts> {
        self.backend().counts()
    }

    async fn run(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<HostTensor>> {
        let tensors = self.forward(batch, outputs)?;
        self.backend().download(&tensors).await
    }
}
