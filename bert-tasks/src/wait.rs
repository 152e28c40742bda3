//! Where blocking methods wait for the device.

use crate::Result;

/// Runs a future to its end.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    pollster::block_on(future)
}

/// Runs a future that need not wait. In a browser a device answers only after the calling program has returned, so
/// waiting for it would never end; that is an error instead.
#[cfg(target_family = "wasm")]
pub(crate) fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    use std::task::{Context, Poll, Waker};
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(crate::Error::Blocking),
    }
}
