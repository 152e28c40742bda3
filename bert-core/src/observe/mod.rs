//! Ways to look at a run without changing it.
//!
//! * [`profile`]: how long each call of a backend takes;
//! * [`passes`]: what whole forward passes cost;
//! * [`trace`]: which operations a backend leaves to their default bodies.

pub mod passes;
#[cfg(not(target_family = "wasm"))] // a browser gives no clock to std
pub mod profile;
pub mod trace;
