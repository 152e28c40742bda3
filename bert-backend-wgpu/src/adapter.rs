//! Which adapters there are, and which one is used.

use std::fmt;

use wgpu::{Adapter, Backends, DeviceType, Instance, InstanceDescriptor, Limits};

use crate::WgpuError;

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
    fn new(index: usize, adapter: &Adapter) -> Self {
        let info = adapter.get_info();
        let limits = adapter.limits();
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => AdapterKind::Discrete,
            DeviceType::IntegratedGpu => AdapterKind::Integrated,
            DeviceType::VirtualGpu => AdapterKind::Virtual,
            DeviceType::Other => AdapterKind::Unknown,
            DeviceType::Cpu => AdapterKind::Software,
        };
        let offered = adapter.features();
        let known = [
            (wgpu::Features::SHADER_F16, "shader-f16"),
            (wgpu::Features::SUBGROUP, "subgroups"),
            (wgpu::Features::TIMESTAMP_QUERY, "timestamp-query"),
        ];
        let features = known.iter().filter(|(feature, _)| offered.contains(*feature));
        Self {
            index,
            // Browsers do not tell.
            name: if info.name.is_empty() { "unnamed adapter".to_owned() } else { info.name },
            api: info.backend.to_string(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            kind,
            features: features.map(|(_, name)| (*name).to_owned()).collect(),
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
        }
    }
}

/// All adapters of this machine, the best first. On native targets the future is ready at once.
pub async fn adapters() -> Vec<AdapterDescription> {
    found().await.into_iter().map(|(description, _)| description).collect()
}

async fn found() -> Vec<(AdapterDescription, Adapter)> {
    let backends = Backends::PRIMARY; // OpenGL has no compute shaders worth the name
    let instance =
        Instance::new(InstanceDescriptor { backends, ..InstanceDescriptor::new_without_display_handle() });
    let mut adapters: Vec<_> = instance
        .enumerate_adapters(backends)
        .await
        .into_iter()
        // What only validates and computes nothing must never be taken for a device.
        .filter(|adapter| adapter.get_info().backend != wgpu::Backend::Noop)
        .map(|adapter| (AdapterDescription::new(0, &adapter), adapter))
        .collect();
    adapters.sort_by_key(|(description, _)| description.kind); // stable: else in the system's order
    adapters.iter_mut().enumerate().for_each(|(index, (description, _))| description.index = index);
    adapters
}

pub(crate) async fn choose(choice: AdapterChoice) -> Result<(AdapterDescription, Adapter), WgpuError> {
    let mut all = found().await;
    if all.is_empty() {
        return Err(WgpuError::NoAdapter);
    }
    let words = |all: &[(AdapterDescription, Adapter)]| all.iter().map(|(a, _)| a.to_string()).collect();
    match choice {
        AdapterChoice::Hardware if all[0].0.kind == AdapterKind::Software => {
            Err(WgpuError::OnlySoftware { found: words(&all) })
        }
        AdapterChoice::Best | AdapterChoice::Hardware => Ok(all.swap_remove(0)),
        AdapterChoice::Index(index) if index < all.len() => Ok(all.swap_remove(index)),
        AdapterChoice::Index(asked) => Err(WgpuError::AdapterIndex { asked, known: words(&all) }),
    }
}
