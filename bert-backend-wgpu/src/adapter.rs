//! Which adapters there are, and which one is used.

use std::fmt;
use std::path::PathBuf;

use wgpu::{Adapter, Backends, DeviceType, Instance, InstanceDescriptor, Limits};

use crate::WgpuError;
use crate::ability::Abilities;

/// Which adapter a [`WgpuBackend`](crate::WgpuBackend) runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The first of [`adapters`]: hardware before software, a card of its own before one that shares memory.
    #[default]
    Best,
    /// The same, but a software adapter is an error.
    Hardware,
    /// The one with this index in [`adapters`].
    Index(usize),
}

/// How a [`WgpuBackend`](crate::WgpuBackend) is made.
#[derive(Clone, Debug, Default)]
pub struct WgpuOptions {
    /// The adapter.
    pub adapter: AdapterChoice,
    /// The limits that the device has to keep to, such as `wgpu::Limits::defaults()` to stay within what every
    /// WebGPU device can do. By default the adapter's own for the sizes of buffers, and WebGPU's for the rest.
    pub limits: Option<Limits>,
    /// Whether to do without what only some devices have: subgroups, 16-bit floats in shaders, packed dot
    /// products. The kernels then are those of the plainest device; results in 16 and 8 bits are the same to
    /// the last bit, sums of rows are made in another order.
    pub plain: bool,
    /// The folder in which compiled kernels are kept from one run to the next, where the driver can. Without
    /// one they are compiled anew. Whatever is wrong with the folder is no error.
    pub cache: Option<PathBuf>,
}

impl WgpuOptions {
    /// What the environment asks for, with an adapter: `BERT_WGPU_PLAIN=1` for [`plain`](Self::plain);
    /// `BERT_WGPU_CACHE` for the folder of the [`cache`](Self::cache), or empty for none. Otherwise the cache
    /// is in `bert/wgpu` in the user's folder for such files, `$XDG_CACHE_HOME` or `~/.cache`.
    pub fn from_environment(adapter: AdapterChoice) -> Self {
        let plain =
            std::env::var_os("BERT_WGPU_PLAIN").is_some_and(|value| !value.is_empty() && value != "0");
        Self {
            adapter,
            limits: None,
            plain,
            cache: crate::cache::usual_folder(|name| std::env::var_os(name)),
        }
    }
}

/// What is known of an adapter before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterDescription {
    /// Its index, as in `wgpu:1`.
    pub index: usize,
    /// Its name, in its maker's words.
    pub name: String,
    /// The interface that it is reached by: Vulkan, Metal, DX12, WebGPU.
    pub api: String,
    /// The driver with its version; empty where it is not told.
    pub driver: String,
    /// What kind of device it is.
    pub kind: AdapterKind,
    /// The optional features that the kernels could make use of.
    pub features: Vec<String>,
    /// The smallest and the largest size of a subgroup, where the kernels can use them.
    pub subgroup_sizes: Option<[u32; 2]>,
    /// The most bytes that a shader can see of one buffer.
    pub max_binding_bytes: u64,
    /// The most bytes of one buffer.
    pub max_buffer_bytes: u64,
}

/// What kind of device an adapter is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// A part of the processor that shares its memory.
    Integrated,
    /// Passed through by a virtual machine.
    Virtual,
    /// The driver does not say. Browsers do not.
    Unknown,
    /// A program that runs on the CPU.
    Software,
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Unknown => "unknown kind",
            Self::Software => "software",
        })
    }
}

impl fmt::Display for AdapterDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wgpu:{} {} ({}, {})", self.index, self.name, self.api, self.kind)
    }
}

impl AdapterDescription {
    fn new(adapter: &Adapter, abilities: Abilities) -> Self {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => AdapterKind::Discrete,
            DeviceType::IntegratedGpu => AdapterKind::Integrated,
            DeviceType::VirtualGpu => AdapterKind::Virtual,
            DeviceType::Other => AdapterKind::Unknown,
            DeviceType::Cpu => AdapterKind::Software,
        };
        let mut features: Vec<_> = abilities.names().into_iter().map(str::to_owned).collect();
        if adapter.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            features.push("timestamp-query".to_owned());
        }
        Self {
            index: 0,
            // Browsers do not tell.
            name: if info.name.is_empty() { "unnamed adapter".to_owned() } else { info.name },
            api: info.backend.to_string(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            kind,
            features,
            subgroup_sizes: abilities.subgroups.then_some([info.subgroup_min_size, info.subgroup_max_size]),
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
        }
    }
}

/// All adapters of this machine, the best first. On native targets the future is ready at once.
pub async fn adapters() -> Vec<AdapterDescription> {
    found().await.into_iter().map(|found| found.description).collect()
}

/// An adapter that is there.
pub(crate) struct Found {
    pub description: AdapterDescription,
    pub abilities: Abilities,
    pub adapter: Adapter,
}

async fn found() -> Vec<Found> {
    let backends = Backends::PRIMARY; // OpenGL has no compute shaders worth the name
    let instance =
        Instance::new(InstanceDescriptor { backends, ..InstanceDescriptor::new_without_display_handle() });
    let language = instance.wgsl_language_features();
    let mut found: Vec<_> = instance
        .enumerate_adapters(backends)
        .await
        .into_iter()
        // What only validates and computes nothing must never be taken for a device.
        .filter(|adapter| adapter.get_info().backend != wgpu::Backend::Noop)
        .map(|adapter| {
            let abilities = Abilities::of(&adapter, &language);
            Found { description: AdapterDescription::new(&adapter, abilities), abilities, adapter }
        })
        .collect();
    found.sort_by_key(|found| found.description.kind); // stable: else in the system's order
    found.iter_mut().enumerate().for_each(|(index, found)| found.description.index = index);
    found
}

pub(crate) async fn choose(choice: AdapterChoice) -> Result<Found, WgpuError> {
    let mut all = found().await;
    if all.is_empty() {
        return Err(WgpuError::NoAdapter);
    }
    let words = |all: &[Found]| all.iter().map(|found| found.description.to_string()).collect();
    match choice {
        AdapterChoice::Hardware if all[0].description.kind == AdapterKind::Software => {
            Err(WgpuError::OnlySoftware { found: words(&all) })
        }
        AdapterChoice::Best | AdapterChoice::Hardware => Ok(all.swap_remove(0)),
        AdapterChoice::Index(index) if index < all.len() => Ok(all.swap_remove(index)),
        AdapterChoice::Index(asked) => Err(WgpuError::AdapterIndex { asked, known: words(&all) }),
    }
}
