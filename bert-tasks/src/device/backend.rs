//! A backend with its type forgotten.

use std::sync::Arc;

use bert_core::ModelConfig;
use bert_core::contract::{BackendInfo, MaybeSend, MaybeSync, PackedCache, Precision};
use bert_core::graph::{Encoder, Head, Model, ParameterSource};
use bert_core::train::TrainBackend;
#[cfg(not(target_family = "wasm"))]
use bert_core::train::Trainable;

#[cfg(not(target_family = "wasm"))]
use crate::training::engine::{Engine, Typed};

/// All that a [`Device`](super::Device) asks of a backend. Every backend has it.
pub trait AnyBackend: MaybeSend + MaybeSync {
    /// See [`Backend::info`](bert_core::Backend::info).
    fn info(&self) -> BackendInfo;

    /// See [`Backend::with_packed_cache`](bert_core::Backend::with_packed_cache).
    fn with_packed_cache(&self, cache: &PackedCache) -> Option<Arc<dyn AnyBackend>>;

    /// Loads a model that answers. See [`Model::load`].
    fn load(
        &self,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> bert_core::Result<Arc<dyn Encoder>>;

    /// Loads a model that trains. See [`Trainable::new`].
    #[cfg(not(target_family = "wasm"))]
    fn load_for_training(
        &self,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> bert_core::Result<Box<dyn Engine>>;
}

impl<B: TrainBackend> AnyBackend for B {
    fn info(&self) -> BackendInfo {
        self.info()
    }

    fn with_packed_cache(&self, cache: &PackedCache) -> Option<Arc<dyn AnyBackend>> {
        Some(Arc::new(self.with_packed_cache(cache)?))
    }

    fn load(
        &self,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> bert_core::Result<Arc<dyn Encoder>> {
        Ok(Arc::new(Model::load(self.clone(), config, source, head, precision)?))
    }

    #[cfg(not(target_family = "wasm"))]
    fn load_for_training(
        &self,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> bert_core::Result<Box<dyn Engine>> {
        let model = Trainable::new(self.clone(), config, source, head, precision)?;
        Ok(Box::new(Typed::new(model, head)))
    }
}
