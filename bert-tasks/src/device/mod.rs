//! Where a model runs.
//!
//! ```
//! use bert_tasks::Device;
//! let device: Device = "cpu".parse()?;
//! println!("{device}");
//! # Ok::<(), bert_tasks::Error>(())
//! ```
//!
//! * a [`Device`] is a backend with its type forgotten ([`AnyBackend`]);
//! * the [`registry`] is the table of the kinds of devices by their words, [`opener`] is what a row of it can do.

mod backend;
mod opener;
mod registry;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bert_core::ModelConfig;
use bert_core::contract::{BackendInfo, PackedCache, Precision};
use bert_core::graph::{Encoder, Head, ParameterSource};
use bert_core::observe::passes::{LoggedEncoder, PassLog};
use bert_core::train::TrainBackend;

use self::backend::AnyBackend;
use self::opener::{Choice, Opener, Rank};
use self::registry::{KINDS, Kind};
#[cfg(not(target_family = "wasm"))]
use crate::training::engine::Engine;
use crate::wait::wait;
use crate::{Error, Result};

/// A device that is there and ready. Cloning shares its threads and memory.
#[derive(Clone)]
pub struct Device {
    backend: Arc<dyn AnyBackend>,
    log: Option<PassLog>,
}

/// What a device may be told before it is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceOptions {
    /// How many threads a CPU computes with; as many as the system grants if not given.
    pub threads: Option<usize>,
}

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

    /// A device by its word: `auto`, `cpu`, `wgpu`, the last also with an index as in `wgpu:1`; or `reference`, the slow
    /// `f64` oracle that all others are measured by. Plain `wgpu` is the best adapter, a software one only if there is
    /// no other; its name and features say so.
    /// Only `auto` ever chooses; a device that is asked for by name and is not there is an error.
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] for another word, [`Error::NoDevice`] for a device that this build lacks,
    /// [`Error::Backend`] for one that cannot be opened.
    pub fn open(word: &str, options: DeviceOptions) -> Result<Self> {
        wait(Self::open_async(word, options))
    }

    /// As [`open`](Self::open). Only graphics adapters of a browser need a wait.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_async(word: &str, options: DeviceOptions) -> Result<Self> {
        let lower = word.trim().to_ascii_lowercase();
        let unknown = || Error::UnknownDevice { found: word.to_owned(), known: registry::known_words() };
        let (name, index) = match lower.split_once(':') {
            Some((name, index)) => (name, Some(index.parse::<usize>().map_err(|_| unknown())?)),
            None => (lower.as_str(), None),
        };
        if (name, index) == ("auto", None) {
            return Self::choose(options).await;
        }
        let kind = KINDS.iter().find(|kind| kind.word == name).ok_or_else(unknown)?;
        let Some(opener) = kind.opener else {
            let reason =
                format!("this build has no {} backend; build with --features {}", kind.word, kind.feature);
            return Err(Error::NoDevice { asked: word.to_owned(), reason });
        };
        match index {
            None => Self::opened(kind, opener, Choice::Best, options).await,
            Some(index) if opener.has_several() => {
                Self::opened(kind, opener, Choice::Index(index), options).await
            }
            Some(_) => Err(unknown()),
        }
    }

    /// What `auto` means.
    async fn choose(options: DeviceOptions) -> Result<Self> {
        for rank in Rank::ALL {
            for kind in KINDS {
                let Some(opener) = kind.opener else { continue };
                if !opener.ranks().contains(&rank) {
                    continue;
                }
                match Self::opened(kind, opener, Choice::Ranked(rank), options).await {
                    Err(_) if rank == Rank::Accelerator => {}
                    result => return result,
                }
            }
        }
        let reason = "this build has no backend; build with --features cpu".to_owned();
        Err(Error::NoDevice { asked: "auto".to_owned(), reason })
    }

    async fn opened(
        kind: &Kind,
        opener: &dyn Opener,
        choice: Choice,
        options: DeviceOptions,
    ) -> Result<Self> {
        match opener.open(choice, options).await {
            Ok(backend) => Ok(Self { backend, log: None }),
            Err(source) => Err(Error::Backend { name: kind.word, source }),
        }
    }

    /// A backend of another crate, or one made with options that no word names. It can do all that a device opened by
    /// a word can. Every method of [`TrainBackend`] has a default body: `impl TrainBackend for MyBackend {}` is enough.
    ///
    /// ```
    /// use bert_core::reference::Reference;
    /// let device = bert_tasks::Device::with_backend(Reference);
    /// assert_eq!(device.info().name, "reference");
    /// ```
    pub fn with_backend(backend: impl TrainBackend) -> Self {
        Self { backend: Arc::new(backend), log: None }
    }

    /// The words of all devices that are known, for [`open`](Self::open): a word for each kind of device, or one for
    /// each device of a kind that this machine has several of. Whether a device is usable shows when it is opened. A
    /// browser does not let its adapters be counted.
    #[cfg(not(target_family = "wasm"))]
    pub fn words() -> Vec<String> {
        let mut words = vec![];
        for &Kind { word, opener, .. } in KINDS {
            match opener.filter(|opener| opener.has_several()).map_or(0, Opener::count) {
                0 => words.push(word.to_owned()),
                count => words.extend((0..count).map(|index| format!("{word}:{index}"))),
            }
        }
        words
    }

    /// What the device is and what its kernels make use of.
    pub fn info(&self) -> BackendInfo {
        self.backend.info()
    }

    /// Whether this is a program on the CPU that plays a graphics card. Only asking for one by name leads here, or a
    /// build without a backend for the CPU.
    pub fn is_software(&self) -> bool {
        self.info().software
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

    /// Whether [`with_packed_cache`](Self::with_packed_cache) is of use.
    pub fn keeps_packed_weights(&self) -> bool {
        self.backend.with_packed_cache(&PackedCache::new("")).is_some()
    }

    /// The same device; models loaded from now on in [`Precision::Int8`] keep their packed weights in `cache`, and
    /// start from there the next time. The answers are the same.
    ///
    /// ```
    /// use bert_tasks::{Device, PackedCache};
    /// let cache = PackedCache::new("path/to/a/model/packed");
    /// let device = Device::cpu()?.with_packed_cache(&cache)?;
    /// // Load a task onto `device` in `Precision::Int8`, then:
    /// println!("{} weights came from {}", cache.read(), cache.folder().display());
    /// for problem in cache.take_problems() {
    ///     eprintln!("{problem}");
    /// }
    /// # Ok::<(), bert_tasks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoPackedCache`] if the device does not give out what it packs; the CPU does.
    pub fn with_packed_cache(self, cache: &PackedCache) -> Result<Self> {
        match self.backend.with_packed_cache(cache) {
            Some(backend) => Ok(Self { backend, ..self }),
            None => Err(Error::NoPackedCache { device: self.info().name }),
        }
    }

    /// Loads the parameters of a model, such as a checkpoint's, onto this device.
    ///
    /// # Errors
    /// What [`Model::load`](bert_core::graph::Model::load) says.
    pub fn load(
        &self,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> Result<Arc<dyn Encoder>> {
        let encoder = self.backend.load(config, source, head, precision)?;
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
    /// What the source says.
    pub(crate) fn load_for_training(
        &self,
        config: ModelConfig,
        source: &dyn ParameterSource,
        head: Head,
        precision: Precision,
    ) -> Result<Box<dyn Engine>> {
        Ok(self.backend.load_for_training(config, source, head, precision)?)
    }
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
