//! The slow `f64` oracle. It is taken by name alone.

use std::sync::Arc;

use crate::device::opener::{Choice, OpenError, Opener, Rank};
use crate::device::{AnyBackend, DeviceOptions};

pub struct Reference;

#[cfg_attr(not(target_family = "wasm"), async_trait::async_trait)]
#[cfg_attr(target_family = "wasm", async_trait::async_trait(?Send))]
impl Opener for Reference {
    async fn open(&self, _: Choice, _: DeviceOptions) -> Result<Arc<dyn AnyBackend>, OpenError> {
        Ok(Arc::new(bert_core::reference::Reference))
    }

    fn ranks(&self) -> &'static [Rank] {
        &[]
    }
}
