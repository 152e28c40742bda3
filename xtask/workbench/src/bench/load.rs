//! Models on the CPU.

use std::path::Path;

use bert_backend_cpu::{CpuBackend, CpuOptions};
use bert_core::checkpoint::Checkpoint;
use bert_core::contract::{Backend, Precision};
use bert_core::graph::{Encoder, Head, Model, Output};
use bert_core::{ModelConfig, PackedBatch};

use crate::error::Result;

/// The backend that is timed.
///
/// # Errors
/// [`Error::Cpu`](crate::error::Error::Cpu) for a number of threads that cannot be started.
pub fn cpu(threads: Option<usize>) -> Result<CpuBackend> {
    Ok(CpuBackend::new(CpuOptions { threads, ..CpuOptions::default() })?)
}

/// The encoder of a checkpoint.
///
/// # Errors
/// A checkpoint that cannot be loaded.
pub fn model<B: Backend>(backend: B, folder: &Path, precision: Precision) -> Result<Model<B>> {
    let config = ModelConfig::from_folder(folder)?;
    let checkpoint = Checkpoint::open(folder)?;
    let model = Model::load(backend, config, &checkpoint, Head::None, precision)?;
    model.backend().warm_up()?;
    Ok(model)
}

/// From token ids to the last hidden state, read back.
///
/// # Errors
/// A batch that is too long for the model.
pub fn forward(model: &impl Encoder, batch: &PackedBatch) -> Result<()> {
    let last = [Output::HiddenState(model.config().num_hidden_layers)];
    std::hint::black_box(pollster::block_on(model.run(batch, &last))?);
    Ok(())
}
