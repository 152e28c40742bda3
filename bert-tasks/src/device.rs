//! Where a model runs. The only place that knows backends by name.
//!
//! ```
//! use bert_tasks::Device;
//! let device: Device = "cpu".parse()?;
//! println!("{device}");
//! # Ok::<(), bert_tasks::Error>(())
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bert_core::ModelConfig;
use bert_core::backend::{Backend, BackendInfo};
use bert_core::checkpoint::Checkpoint;
use bert_core::graph::{Encoder, Head, Model};
use bert_core::ops::Precision;
use bert_core::reference::Reference;

use crate::{Error, Result};

/// A device that is there and ready. Cloning shares its threads and memory.
#[derive(Clone)]
pub struct Device {
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Reference,
    #[cfg(feature = "cpu")]
    Cpu(bert_backend_cpu::CpuBackend),
}

/// What a device may be told before it is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceOptions {
    /// How many threads a CPU computes with; as many as the system grants if not given.
    pub threads: Option<usize>,
}

/// The words that [`Device::open`] takes.
const KNOWN: &str = "auto, cpu, wgpu, wgpu:N, cuda, cuda:N, reference";

impl Device {
    /// The best device that this build and this machine have. What it chose is what it prints as.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if this build has no backend at all.
    pub fn auto() -> Result<Self> {
        Self::open("auto", DeviceOptions::default())
    }

    /// The CPU, with all threads that the system grants.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if this build lacks the `cpu` feature.
    pub fn cpu() -> Result<Self> {
        Self::open("cpu", DeviceOptions::default())
    }

    /// A device by its word: `auto`, `cpu`, `wgpu`, `cuda`, the last two also with an index as in `wgpu:1`;
    /// or `reference`, the slow `f64` oracle that all others are measured by.
    /// Only `auto` ever chooses; a device that is asked for by name and is not there is an error.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] for another word, [`Error::NoDevice`] if it is not there.
    pub fn open(word: &str, options: DeviceOptions) -> Result<Self> {
        let lower = word.trim().to_ascii_lowercase();
        let (name, index) = match lower.split_once(':') {
            Some((name, index)) => (name, Some(index)),
            None => (lower.as_str(), None),
        };
        let unknown = || Error::UnknownDevice { found: word.to_owned(), known: KNOWN };
        if index.is_some_and(|index| index.parse::<usize>().is_err()) {
            return Err(unknown());
        }
        match (name, index) {
            ("auto" | "cpu", None) => cpu(options),
            ("reference", None) => Ok(Self { kind: Kind::Reference }),
            ("wgpu" | "cuda", _) => Err(Error::NoDevice {
                asked: word.to_owned(),
                reason: format!("this build has no {name} backend"),
            }),
            _ => Err(unknown()),
        }
    }

    /// What the device is and what its kernels make use of.
    pub fn info(&self) -> BackendInfo {
        match &self.kind {
            Kind::Reference => Reference.info(),
            #[cfg(feature = "cpu")]
            Kind::Cpu(backend) => backend.info(),
        }
    }

    /// Loads a checkpoint onto this device.
    ///
    /// # Errors
    /// What [`Model::load`] says.
    pub fn load(
        &self,
        config: ModelConfig,
        checkpoint: &Checkpoint,
        head: Head,
        precision: Precision,
    ) -> Result<Arc<dyn Encoder>> {
        Ok(match &self.kind {
            Kind::Reference => Arc::new(Model::load(Reference, config, checkpoint, head, precision)?),
            #[cfg(feature = "cpu")]
            Kind::Cpu(backend) => {
                Arc::new(Model::load(backend.clone(), config, checkpoint, head, precision)?)
            }
        })
    }
}

#[cfg(feature = "cpu")]
fn cpu(options: DeviceOptions) -> Result<Device> {
    let options = bert_backend_cpu::CpuOptions { threads: options.threads, ..Default::default() };
    Ok(Device { kind: Kind::Cpu(bert_backend_cpu::CpuBackend::new(options)?) })
}

#[cfg(not(feature = "cpu"))]
fn cpu(_: DeviceOptions) -> Result<Device> {
    Err(Error::NoDevice { asked: "cpu".into(), reason: "this build has no cpu backend".into() })
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::open(word, DeviceOptions::default())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.info();
        write!(f, "{} ({}", info.name, info.device)?;
        for feature in &info.features {
            write!(f, ", {feature}")?;
        }
        match info.threads {
            Some(1) => f.write_str(", 1 thread)"),
            Some(threads) => write!(f, ", {threads} threads)"),
            None => f.write_str(")"),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({self})")
    }
}
