//! What a backend runs on, and counts of its work.

use super::ops::Precision;
use crate::Error;

/// What a backend runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendInfo {
    /// The backend's own short name, as in `--device`: `cpu`, `wgpu`, `cuda`.
    pub name: &'static str,
    /// The name of the device, as its maker gives it.
    pub device: String,
    /// What the kernels make use of: instruction sets, driver, features.
    pub features: Vec<String>,
    /// How many threads compute, where the host does it.
    pub threads: Option<usize>,
    /// Whether it is software on the CPU that emulates another device, such as a software graphics adapter: correct, but
    /// slower than a backend for the CPU.
    pub software: bool,
    /// What [`Backend::prepare_weight`](super::Backend::prepare_weight) can prepare for.
    pub precisions: Vec<Precision>,
    /// Those of the precisions that the device has no fast instructions for. Their results are right, but they
    /// are no faster than `f32`.
    pub emulated: Vec<Precision>,
}

impl BackendInfo {
    /// The error for a precision that the backend has no kernels for.
    pub fn lacks(&self, precision: Precision) -> Error {
        Error::Precision { backend: self.name.to_owned(), precision, available: self.precisions.clone() }
    }
}

/// What a device was asked to do since it was opened, for backends that record work and submit it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches of commands that were submitted.
    pub submissions: u64,
    /// Kernels that were started.
    pub dispatches: u64,
    /// Tensors that were uploaded.
    pub uploads: u64,
    /// Their bytes.
    pub uploaded_bytes: u64,
    /// Downloads, each of one or more tensors.
    pub downloads: u64,
    /// Their bytes.
    pub downloaded_bytes: u64,
}

impl Counts {
    /// What was done after `before` was counted.
    pub fn since(self, before: Self) -> Self {
        Self {
            submissions: self.submissions.saturating_sub(before.submissions),
            dispatches: self.dispatches.saturating_sub(before.dispatches),
            uploads: self.uploads.saturating_sub(before.uploads),
            uploaded_bytes: self.uploaded_bytes.saturating_sub(before.uploaded_bytes),
            downloads: self.downloads.saturating_sub(before.downloads),
            downloaded_bytes: self.downloaded_bytes.saturating_sub(before.downloaded_bytes),
        }
    }
}
