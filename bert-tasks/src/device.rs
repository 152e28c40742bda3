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
use bert_core::contract::{Backend, BackendInfo, MaybeSend, MaybeSync, Precision};
use bert_core::graph::{Encoder, Head, Model, ParameterSource};
use bert_core::observe::passes::{LoggedEncoder, PassLog};
use bert_core::reference::Reference;
#[cfg(not(target_family = "wasm"))]
use bert_core::train::{TrainBackend, Trainable};

#[cfg(not(target_family = "wasm"))]
use crate::training::engine::{Engine, Typed};
use crate::wait::wait;
use crate::{Error, Result};

/// A device that is there and ready. Cloning shares its threads and memory.
#[derive(Clone)]
pub struct Device {
    kind: Kind,
    log: Option<PassLog>,
}

impl From<Kind> for Device {
    fn from(kind: Kind) -> Self {
        Self { kind, log: None }
    }
}

#[derive(Clone)]
enum Kind {
    Reference,
    #[cfg(feature = "cpu")]
    Cpu(bert_backend_cpu::CpuBackend),
    #[cfg(feature = "wgpu")]
    Wgpu(bert_backend_wgpu::WgpuBackend),
    Other(Arc<dyn Other>),
}

/// A backend that this crate does not know, behind the two things that a device does with one.
trait Other: MaybeSend + MaybeSync {
    fn describe(&self) -> BackendInfo;
    fn open(
        &self,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> bert_core::Result<Arc<dyn Encoder>>;
}

impl<B: Backend> Other for B {
    fn describe(&self) -> BackendInfo {
        self.info()
    }

    fn open(
        &self,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> bert_core::Result<Arc<dyn Encoder>> {
        Ok(Arc::new(Model::load(self.clone(), config, source, head, precision)?))
    }
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
    /// The best device that this build and this machine have: graphics hardware before the CPU, and the CPU
    /// before a program that plays a graphics card, which is taken in a build without a CPU backend alone. What
    /// it chose is what it prints as.
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
    /// or `reference`, the slow `f64` oracle that all others are measured by. Plain `wgpu` is the best adapter,
    /// a software one only if there is no other; its name and features say so.
    /// Only `auto` ever chooses; a device that is asked for by name and is not there is an error.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] for another word, [`Error::NoDevice`] if it is not there.
    pub fn open(word: &str, options: DeviceOptions) -> Result<Self> {
        wait(Self::open_async(word, options))
    }

    /// As [`open`](Self::open). Only graphics adapters of a browser need a wait.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_async(word: &str, options: DeviceOptions) -> Result<Self> {
        let lower = word.trim().to_ascii_lowercase();
        let unknown = || Error::UnknownDevice { found: word.to_owned(), known: KNOWN };
        let (name, index) = match lower.split_once(':') {
            Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| unknown())?)),
            None => (lower.as_str(), None),
        };
        match (name, index) {
            ("auto", None) => match hardware().await {
                Some(device) => Ok(device),
                None if cfg!(feature = "cpu") => cpu(options),
                None => wgpu(None).await,
            },
            ("cpu", None) => cpu(options),
            ("reference", None) => Ok(Kind::Reference.into()),
            ("wgpu", index) => wgpu(index).await,
            ("cuda", _) => Err(missing("cuda")),
            _ => Err(unknown()),
        }
    }

    /// A backend of another crate, or one made with options that no word names.
    ///
    /// ```
    /// use bert_core::reference::Reference;
    /// let device = bert_tasks::Device::with_backend(Reference);
    /// assert_eq!(device.info().name, "reference");
    /// ```
    pub fn with_backend(backend: impl Backend) -> Self {
        Kind::Other(Arc::new(backend)).into()
    }

    /// The words of all devices that this build and this machine may have, for [`open`](Self::open): a word
    /// for each kind of device, or one for each adapter of a kind that has several. Whether a device is usable
    /// shows when it is opened. A browser does not let its adapters be counted.
    #[cfg(not(target_family = "wasm"))]
    pub fn words() -> Vec<String> {
        let mut words = vec!["cpu".to_owned()];
        #[cfg(feature = "wgpu")]
        let adapters = pollster::block_on(bert_backend_wgpu::adapters()).len();
        #[cfg(not(feature = "wgpu"))]
        let adapters = 0;
        match adapters {
            0 => words.push("wgpu".to_owned()),
            count => words.extend((0..count).map(|index| format!("wgpu:{index}"))),
        }
        words.extend(["cuda", "reference"].map(str::to_owned));
        words
    }

    /// What the device is and what its kernels make use of.
    pub fn info(&self) -> BackendInfo {
        match &self.kind {
            Kind::Reference => Reference.info(),
            #[cfg(feature = "cpu")]
            Kind::Cpu(backend) => backend.info(),
            #[cfg(feature = "wgpu")]
            Kind::Wgpu(backend) => backend.info(),
            Kind::Other(backend) => backend.describe(),
        }
    }

    /// Whether this is a program on the CPU that plays a graphics card. Only asking for one by name leads here.
    pub fn is_software(&self) -> bool {
        match &self.kind {
            #[cfg(feature = "wgpu")]
            Kind::Wgpu(backend) => backend.adapter().kind == bert_backend_wgpu::AdapterKind::Software,
            _ => false,
        }
    }

    /// The same device; what models loaded from now on do with it is written down in `log`.
    ///
    /// ```
    /// use bert_core::observe::passes::PassLog;
    /// use bert_tasks::Device;
    /// let log = PassLog::default();
    /// let device = Device::cpu()?.with_log(log.clone());
    /// // Load a task onto `device` and use it, then:
    /// println!("{}", log.totals());
    /// # Ok::<(), bert_tasks::Error>(())
    /// ```
    #[must_use]
    pub fn with_log(self, log: PassLog) -> Self {
        Self { log: Some(log), ..self }
    }

    /// The same device; models loaded from now on in [`Precision::Int8`] keep their packed weights in `cache`, and
    /// start from there the next time. The answers are the same.
    ///
    /// ```
    /// use bert_tasks::{Device, PackedCache};
    /// let cache = PackedCache::new("path/to/a/model/packed");
    /// let device = Device::cpu()?.with_packed_cache(cache.clone())?;
    /// // Load a task onto `device` in `Precision::Int8`, then:
    /// println!("{} weights came from {}", cache.read(), cache.folder().display());
    /// for trouble in cache.take_troubles() {
    ///     eprintln!("{trouble}");
    /// }
    /// # Ok::<(), bert_tasks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoPackedCache`] if this is not the CPU: other devices do not give out what they pack.
    #[cfg(feature = "cpu")]
    pub fn with_packed_cache(self, cache: crate::PackedCache) -> Result<Self> {
        match self.kind {
            Kind::Cpu(backend) => Ok(Self { kind: Kind::Cpu(backend.with_packed_cache(cache)), ..self }),
            _ => Err(Error::NoPackedCache { device: self.info().name }),
        }
    }

    /// Loads the parameters of a model, such as a checkpoint's, onto this device.
    ///
    /// # Errors
    /// What [`Model::load`] says.
    pub fn load(
        &self,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> Result<Arc<dyn Encoder>> {
        let encoder: Arc<dyn Encoder> = match &self.kind {
            Kind::Reference => Arc::new(Model::load(Reference, config, source, head, precision)?),
            #[cfg(feature = "cpu")]
            Kind::Cpu(backend) => Arc::new(Model::load(backend.clone(), config, source, head, precision)?),
            #[cfg(feature = "wgpu")]
            Kind::Wgpu(backend) => Arc::new(Model::load(backend.clone(), config, source, head, precision)?),
            Kind::Other(backend) => backend.open(config, source, head, precision)?,
        };
        Ok(match &self.log {
            Some(log) => Arc::new(LoggedEncoder::new(encoder, log.clone())),
            None => encoder,
        })
    }
}

#[cfg(not(target_family = "wasm"))]
impl Device {
    /// Loads a model for training onto this device.
    ///
    /// # Errors
    /// [`TrainingError::NoGradients`](crate::training::TrainingError::NoGradients) for a backend that a program
    /// brought along; what the source says.
    pub(crate) fn train(
        &self,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> Result<Box<dyn Engine>> {
        fn typed<B: TrainBackend>(
            backend: &B,
            config: ModelConfig,
            source: &dyn ParameterSource,
            head: Head,
            precision: Precision,
        ) -> Result<Box<dyn Engine>> {
            let model = Trainable::new(backend.clone(), config, source, head, precision)?;
            Ok(Box::new(Typed::new(model, head)))
        }
        match &self.kind {
            Kind::Reference => typed(&Reference, config, source, head, precision),
            #[cfg(feature = "cpu")]
            Kind::Cpu(backend) => typed(backend, config, source, head, precision),
            #[cfg(feature = "wgpu")]
            Kind::Wgpu(backend) => typed(backend, config, source, head, precision),
            Kind::Other(_) => {
                Err(crate::training::TrainingError::NoGradients { device: self.to_string() }.into())
            }
        }
    }
}

#[cfg(feature = "cpu")]
fn cpu(options: DeviceOptions) -> Result<Device> {
    let options = bert_backend_cpu::CpuOptions { threads: options.threads, ..Default::default() };
    Ok(Kind::Cpu(bert_backend_cpu::CpuBackend::new(options)?).into())
}

#[cfg(not(feature = "cpu"))]
fn cpu(_: DeviceOptions) -> Result<Device> {
    Err(missing("cpu"))
}

/// The adapter with this index, or the best one.
#[cfg(feature = "wgpu")]
async fn wgpu(index: Option<usize>) -> Result<Device> {
    use bert_backend_wgpu::AdapterChoice;
    adapter(index.map_or(AdapterChoice::Best, AdapterChoice::Index)).await
}

#[cfg(not(feature = "wgpu"))]
async fn wgpu(_: Option<usize>) -> Result<Device> {
    Err(missing("wgpu"))
}

/// A graphics card, if this build can use one and there is one.
#[cfg(feature = "wgpu")]
async fn hardware() -> Option<Device> {
    adapter(bert_backend_wgpu::AdapterChoice::Hardware).await.ok()
}

#[cfg(not(feature = "wgpu"))]
async fn hardware() -> Option<Device> {
    None
}

#[cfg(feature = "wgpu")]
async fn adapter(adapter: bert_backend_wgpu::AdapterChoice) -> Result<Device> {
    use bert_backend_wgpu::{WgpuBackend, WgpuOptions};
    Ok(Kind::Wgpu(WgpuBackend::new(&WgpuOptions::from_environment(adapter)).await?).into())
}

fn missing(name: &str) -> Error {
    Error::NoDevice { asked: name.to_owned(), reason: format!("this build has no {name} backend") }
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
