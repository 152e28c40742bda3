//! Graphics adapters.

use std::sync::Arc;

use bert_backend_wgpu::{AdapterChoice, WgpuBackend, WgpuOptions};

use crate::device::opener::{Choice, OpenError, Opener, Rank};
use crate::device::{AnyBackend, DeviceOptions};

pub struct Wgpu;

#[cfg_attr(not(target_family = "wasm"), async_trait::async_trait)]
#[cfg_attr(target_family = "wasm", async_trait::async_trait(?Send))]
impl Opener for Wgpu {
    async fn open(&self, choice: Choice, _: DeviceOptions) -> Result<Arc<dyn AnyBackend>, OpenError> {
        let adapter = match choice {
            Choice::Ranked(Rank::Accelerator) => AdapterChoice::Hardware,
            Choice::Best | Choice::Ranked(_) => AdapterChoice::Best,
            Choice::Index(index) => AdapterChoice::Index(index),
        };
        Ok(Arc::new(WgpuBackend::new(&WgpuOptions::from_environment(adapter)).await?))
    }

    /// A software adapter is taken where there is no other device at all.
    fn ranks(&self) -> &'static [Rank] {
        &[Rank::Accelerator, Rank::Software]
    }

    fn has_several(&self) -> bool {
        true
    }

    #[cfg(not(target_family = "wasm"))]
    fn count(&self) -> usize {
        pollster::block_on(bert_backend_wgpu::adapters()).len()
    }
}
