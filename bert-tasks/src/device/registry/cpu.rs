//! The processor that the program runs on.

use std::sync::Arc;

use bert_backend_cpu::{CpuBackend, CpuOptions};

use crate::device::opener::{Choice, OpenError, Opener, Rank};
use crate::device::{AnyBackend, DeviceOptions};

pub struct Cpu;

#[cfg_attr(not(target_family = "wasm"), async_trait::async_trait)]
#[cfg_attr(target_family = "wasm", async_trait::async_trait(?Send))]
impl Opener for Cpu {
    async fn open(&self, _: Choice, options: DeviceOptions) -> Result<Arc<dyn AnyBackend>, OpenError> {
        let options = CpuOptions { threads: options.threads, ..CpuOptions::default() };
        Ok(Arc::new(CpuBackend::new(options)?))
    }

    fn ranks(&self) -> &'static [Rank] {
        &[Rank::Cpu]
    }
}
