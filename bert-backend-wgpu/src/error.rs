//! What can go wrong in this crate.

/// What can go wrong when a [`WgpuBackend`](crate::WgpuBackend) is made or used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WgpuError {
    /// No driver offers an adapter.
    #[cfg_attr(
        not(target_family = "wasm"),
        error(
            "no graphics adapter was found; install a Vulkan driver (mesa-vulkan-drivers has a software one), \
             or choose --device cpu"
        )
    )]
    #[cfg_attr(
        target_family = "wasm",
        error("no graphics adapter was found; this browser has no WebGPU, or none for this device")
    )]
    NoAdapter,

    /// There are adapters, but none of them is hardware, and hardware was asked for.
    #[error("no graphics hardware was found, only {}; name one of these to use it", found.join(", "))]
    OnlySoftware {
        /// The adapters, in words.
        found: Vec<String>,
    },

    /// An adapter was asked for by a number that none has.
    #[error("there is no graphics adapter {asked}; the known ones are {}", known.join(", "))]
    AdapterIndex {
        /// The number.
        asked: usize,
        /// The adapters, in words.
        known: Vec<String>,
    },

    /// The adapter lacks something that the kernels need.
    #[error("{adapter} has a {limit} of {found}, but the kernels need {needed}; choose another adapter")]
    Limit {
        /// The adapter, in words.
        adapter: String,
        /// What is too small, by its name in WebGPU.
        limit: &'static str,
        /// What there is.
        found: u64,
        /// What is needed.
        needed: u64,
    },

    /// The adapter did not give a device.
    #[error("{adapter} cannot be opened: {reason}")]
    Open {
        /// The adapter, in words.
        adapter: String,
        /// What the driver said.
        reason: String,
    },

    /// The device went away: its driver was reset, or it was unplugged. It stays lost; open another.
    #[error("the device was lost ({reason}); load the model again")]
    Lost {
        /// What the driver said.
        reason: String,
    },

    /// The device has no memory left. Later calls may succeed.
    #[error(
        "the device is out of memory: there is no room for {bytes} more bytes; make batches smaller or choose --device cpu"
    )]
    OutOfMemory {
        /// How much was asked for, or 0 where the driver did not say for what.
        bytes: u64,
    },

    /// A tensor that cannot be split is larger than what a shader can see at once.
    #[error(
        "{op}: a tensor of {bytes} bytes is larger than the {limit} bytes that this device can bind; make batches smaller"
    )]
    TooLarge {
        /// The operation.
        op: &'static str,
        /// The size of the tensor.
        bytes: u64,
        /// The limit.
        limit: u64,
    },

    /// The device refused a command: a mistake in this crate or in the driver.
    #[error("the device refused a command: {description}")]
    Refused {
        /// What was wrong with it.
        description: String,
    },

    /// A buffer that does not hold what an operation takes: a packed weight where numbers are needed, or the
    /// other way around.
    #[error("{op} takes {expected}, but the buffer holds {found}")]
    Buffer {
        /// The operation.
        op: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        found: &'static str,
    },
}

impl From<WgpuError> for bert_core::Error {
    fn from(error: WgpuError) -> Self {
        Self::Device { backend: crate::NAME, source: Box::new(error) }
    }
}
