//! From the host to a device: parameters and batches in the groups that operations take.

use std::sync::Arc;

use super::backend::{Backend, upload_f32};
use super::batch::DeviceBatch;
use super::ops::Precision;
use super::weights::{LayerNorm, Linear};
use crate::config::ModelConfig;
use crate::packed::PackedBatch;
use crate::tensor::{HostTensor, View};
use crate::{Error, Result};

impl<Buf: Clone> Linear<Buf> {
    /// Prepares a weight `[out_features, in_features]` and its bias `[out_features]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they do not fit; [`Error::Precision`] if the backend lacks the precision.
    pub fn new<B: Backend<Buffer = Buf>>(
        backend: &B,
        weight: &HostTensor,
        bias: Option<&HostTensor>,
        precision: Precision,
    ) -> Result<Self> {
        let [out_features, in_features] = weight.shape()[..] else {
            let expected = "[out_features, in_features]".to_owned();
            return Err(Error::Shape { op: "linear weight", expected, found: weight.shape().to_vec() });
        };
        let bias = bias.map(|bias| vector(backend, bias, out_features)).transpose()?;
        let weight = backend.prepare_weight(weight.into(), precision)?;
        Ok(Self { weight, bias, in_features, out_features, precision })
    }
}

impl<Buf: Clone> LayerNorm<Buf> {
    /// Uploads a scale and a shift, both `[hidden]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they do not fit.
    pub fn new<B: Backend<Buffer = Buf>>(
        backend: &B,
        weight: &HostTensor,
        bias: &HostTensor,
        eps: f64,
    ) -> Result<Self> {
        let hidden = weight.shape().elements();
        Ok(Self { weight: vector(backend, weight, hidden)?, bias: vector(backend, bias, hidden)?, eps })
    }
}

impl<Buf: Clone> DeviceBatch<Buf> {
    /// Uploads a batch, in one copy where the backend can, after [`PackedBatch::check`].
    ///
    /// # Errors
    /// What the check or the upload say.
    pub fn new<B: Backend<Buffer = Buf>>(
        backend: &B,
        batch: &PackedBatch,
        config: &ModelConfig,
    ) -> Result<Self> {
        batch.check(config)?;
        let positions: Vec<u32> =
            batch.sequence_rows().flat_map(|rows| config.positions.of(&batch.ids()[rows])).collect();
        let mut tensors = vec![HostTensor::shared(&Arc::new(positions))];
        tensors.extend(batch.tensors());
        let views = backend.upload_all(&tensors)?;
        let [positions, ids, segments, device_bounds] = &views[..4] else {
            unreachable!("a view for each tensor")
        };
        Ok(Self {
            ids: ids.clone(),
            segments: segments.clone(),
            positions: positions.clone(),
            device_bounds: device_bounds.clone(),
            bounds: batch.bounds().into(),
            marked: views.get(4).cloned(),
        })
    }
}

/// Uploads `[length]` numbers as `f32`.
fn vector<B: Backend>(backend: &B, tensor: &HostTensor, length: usize) -> Result<View<B::Buffer>> {
    if tensor.shape()[..] != [length] {
        let expected = format!("[{length}]");
        return Err(Error::Shape { op: "vector", expected, found: tensor.shape().to_vec() });
    }
    upload_f32(backend, tensor)
}
