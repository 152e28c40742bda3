//! What the driver complains of, kept until an operation reports it.

use std::sync::Arc;

use parking_lot::Mutex;
use wgpu::Device;

use crate::WgpuError;

/// What the driver complained of and no operation has reported yet.
#[derive(Default)]
pub(crate) struct Health {
    lost: Mutex<Option<String>>,
    failed: Mutex<Option<WgpuError>>,
}

impl Health {
    /// Listens to a device.
    pub fn watch(health: &Arc<Self>, device: &Device) {
        let watch = health.clone();
        // Without this, an error of the device would be a panic.
        device.on_uncaptured_error(Arc::new(move |error| watch.hear(&error)));
        let watch = health.clone();
        device.set_device_lost_callback(move |reason, message| {
            watch.lose(&if message.is_empty() { format!("{reason:?}") } else { message });
        });
    }

    fn hear(&self, error: &wgpu::Error) {
        let error = match error {
            wgpu::Error::OutOfMemory { .. } => WgpuError::OutOfMemory { bytes: 0 },
            wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                // Told over several lines.
                let words: Vec<_> = description.split_whitespace().collect();
                WgpuError::Refused { description: words.join(" ") }
            }
        };
        let mut failed = self.failed.lock();
        // Memory may be there again, a refused command stays one.
        if matches!(*failed, None | Some(WgpuError::OutOfMemory { .. })) {
            *failed = Some(error);
        }
    }

    /// The device is gone.
    pub fn lose(&self, reason: &str) {
        self.lost.lock().get_or_insert_with(|| reason.to_owned());
    }

    /// Reports what went wrong. Memory may be there again the next time; but a lost device stays lost, and
    /// after a refused command nobody's results can be trusted.
    pub fn check(&self) -> Result<(), WgpuError> {
        if let Some(reason) = self.lost.lock().clone() {
            return Err(WgpuError::Lost { reason });
        }
        let mut failed = self.failed.lock();
        match failed.as_ref() {
            Some(WgpuError::OutOfMemory { .. }) => failed.take().map_or(Ok(()), Err),
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_memory() -> wgpu::Error {
        wgpu::Error::OutOfMemory { source: "none left".into() }
    }

    fn refusal() -> wgpu::Error {
        wgpu::Error::Validation { source: "wrong".into(), description: "a buffer\n  is too small".to_owned() }
    }

    #[test]
    fn memory_may_come_back() {
        let health = Health::default();
        health.hear(&no_memory());
        assert!(matches!(health.check(), Err(WgpuError::OutOfMemory { .. })));
        assert!(health.check().is_ok());
    }

    #[test]
    fn a_refusal_stays_and_is_told_on_one_line() {
        let health = Health::default();
        health.hear(&no_memory());
        health.hear(&refusal());
        health.hear(&no_memory());
        for _ in 0..2 {
            let error = health.check().unwrap_err();
            assert!(error.to_string().contains("a buffer is too small"), "{error}");
        }
    }

    #[test]
    fn a_lost_device_stays_lost_for_its_first_reason() {
        let health = Health::default();
        health.hear(&refusal());
        health.lose("unplugged");
        health.lose("dropped");
        for _ in 0..2 {
            assert!(matches!(health.check(), Err(WgpuError::Lost { reason }) if reason == "unplugged"));
        }
    }
}
