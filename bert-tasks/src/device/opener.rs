//! How the devices of one kind are found and opened.

use std::sync::Arc;

use super::{AnyBackend, DeviceOptions};

/// What opens the devices of one kind, such as all graphics adapters.
#[cfg_attr(not(target_family = "wasm"), async_trait::async_trait)]
#[cfg_attr(target_family = "wasm", async_trait::async_trait(?Send))]
pub trait Opener: Sync {
    /// Opens a device. Only those of a browser need a wait.
    ///
    /// # Errors
    /// What the backend says.
    async fn open(&self, choice: Choice, options: DeviceOptions) -> Result<Arc<dyn AnyBackend>, OpenError>;

    /// What `auto` may find of this kind.
    fn ranks(&self) -> &'static [Rank];

    /// Whether a word may have an index, as in `wgpu:1`.
    fn has_several(&self) -> bool {
        false
    }

    /// How many devices of this kind this machine has, where they can be counted. Whether one is usable shows when it
    /// is opened.
    #[cfg(not(target_family = "wasm"))]
    fn count(&self) -> usize {
        1
    }
}

/// A backend's own error.
pub type OpenError = Box<dyn std::error::Error + Send + Sync>;

/// Which device of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The best one.
    Best,
    /// The best one of this rank.
    Ranked(Rank),
    /// The one with this index.
    Index(usize),
}

/// What `auto` likes best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Hardware made for such work. It is passed over where it cannot be opened.
    Accelerator,
    /// The processor that the program runs on.
    Cpu,
    /// A program that plays an accelerator.
    Software,
}

impl Rank {
    /// All, the best first.
    pub const ALL: [Self; 3] = [Self::Accelerator, Self::Cpu, Self::Software];
}
