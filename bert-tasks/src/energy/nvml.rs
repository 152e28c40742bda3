//! The energy counters of NVIDIA cards: NVML, which comes with their driver and is loaded when it is asked for.

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

/// The cards of a machine, whose counters are being read.
pub struct Cards {
    nvml: Nvml,
    /// The number of each card that has a counter, and its millijoules at the start.
    begin: Vec<(u32, u64)>,
}

impl Cards {
    /// Begins to read the counters of all cards.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub fn start() -> Result<Self, String> {
        let nvml = Nvml::init().map_err(|source| match source {
            NvmlError::LibloadingError(_) => "no driver of NVIDIA is installed".to_owned(),
            source => format!("NVML: {source}"),
        })?;
        let count = nvml.device_count().map_err(|source| format!("NVML: {source}"))?;
        let begin: Vec<_> = (0..count).filter_map(|card| Some((card, counter(&nvml, card).ok()?))).collect();
        match (count, begin.is_empty()) {
            (0, _) => Err("NVML finds no card".to_owned()),
            (_, true) => Err("NVML: no card has a counter of energy".to_owned()),
            _ => Ok(Self { nvml, begin }),
        }
    }

    /// Joules of all cards since the start.
    ///
    /// # Errors
    /// A card that no longer answers.
    pub fn joules(&self) -> Result<f64, String> {
        let millijoules = self.begin.iter().map(|(card, begin)| {
            // A counter starts again at 0 when the driver is loaded again.
            Ok(counter(&self.nvml, *card)?.saturating_sub(*begin))
        });
        let sum: Result<u64, NvmlError> = millijoules.sum();
        sum.map(|millijoules| millijoules as f64 / 1e3).map_err(|source| format!("NVML: {source}"))
    }
}

/// Millijoules since the driver was loaded.
fn counter(nvml: &Nvml, card: u32) -> Result<u64, NvmlError> {
    nvml.device_by_index(card)?.total_energy_consumption()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_counted_or_it_is_said_why_not() {
        match Cards::start() {
            Ok(cards) => assert!(cards.joules().unwrap() >= 0.0),
            Err(reason) => assert!(reason.contains("NVIDIA") || reason.contains("NVML"), "{reason}"),
        }
    }
}
