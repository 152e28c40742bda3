//! Energy: what a run took, measured where the machine has counters, else estimated, and always said which.
//!
//! ```
//! use bert_tasks::energy::{EnergyMeter, EnergyOptions, Provenance};
//! let meter = EnergyMeter::start(&EnergyOptions { region: Some("FRA".into()), ..EnergyOptions::default() })?;
//! // … a model runs …
//! let report = meter.report();
//! assert!(report.joules().is_some());
//! if report.cpu.provenance == Provenance::Estimated {
//!     println!("{:.1} J, an estimate: {}", report.joules().unwrap(), report.cpu.how);
//! }
//! # assert!(report.grams().unwrap() >= 0.0);
//! # Ok::<(), bert_tasks::energy::EnergyError>(())
//! ```
//!
//! * Processors and memory: the counters of RAPL under Linux. They count the whole machine, other programs too.
//! * Without them: the processor time of this process, times the watts of a busy core.
//! * Graphics adapters: the counters of NVIDIA cards, in builds with the feature `nvml`; absent for others.

mod carbon;
pub mod emissions;
mod error;
#[cfg(feature = "nvml")]
mod nvml;
mod processor;
mod rapl;

use std::path::PathBuf;

use serde::Serialize;

pub use carbon::CarbonIntensity;
pub use error::EnergyError;

use processor::{BusyTime, CorePower};
use rapl::Rapl;

/// How energy is counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnergyOptions {
    /// Watts of one busy core, in place of what is known of the processor. It has a meaning only without counters.
    pub watts: Option<f64>,
    /// The country whose electricity is used, in three letters or by name.
    pub region: Option<String>,
    /// Grams of CO2 for a kilowatt-hour, in place of the country's.
    pub carbon_intensity: Option<f64>,
    /// Where the counters lie; those of the system if not given.
    pub counters: Option<PathBuf>,
}

/// How a figure is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// By a counter of the machine.
    Measured,
    /// From time and the power that such hardware has.
    Estimated,
    /// It is not known, and not part of any sum.
    Absent,
}

/// The energy of a part of the machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// Joules; `None` if it is absent.
    pub joules: Option<f64>,
    /// How it is known.
    pub provenance: Provenance,
    /// By what, or why not.
    pub how: String,
}

impl Figure {
    fn measured(joules: f64, how: String) -> Self {
        Self { joules: Some(joules), provenance: Provenance::Measured, how }
    }

    pub(crate) fn estimated(joules: f64, how: String) -> Self {
        Self { joules: Some(joules), provenance: Provenance::Estimated, how }
    }

    pub(crate) fn absent(how: String) -> Self {
        Self { joules: None, provenance: Provenance::Absent, how }
    }
}

/// What a run took so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnergyReport {
    /// Seconds on the clock.
    pub seconds: f64,
    /// Processors.
    pub cpu: Figure,
    /// Graphics adapters.
    pub gpu: Figure,
    /// Memory.
    pub ram: Figure,
    /// How much CO2 the electricity makes, if that is known.
    pub carbon: Option<CarbonIntensity>,
    /// Whose energy it is: that of the `machine`, or of this `process`.
    pub scope: &'static str,
}

impl EnergyReport {
    /// The sum of what is known, in joules.
    pub fn joules(&self) -> Option<f64> {
        let known = [&self.cpu, &self.gpu, &self.ram].into_iter().filter_map(|figure| figure.joules);
        known.reduce(|sum, joules| sum + joules)
    }

    /// Grams of CO2 equivalents, if there is a factor.
    pub fn grams(&self) -> Option<f64> {
        Some(self.carbon.as_ref()?.grams(self.joules()?))
    }
}

/// Counts from its start on.
pub struct EnergyMeter {
    time: BusyTime,
    power: CorePower,
    /// Or why there is none.
    rapl: Result<Rapl, String>,
    #[cfg(feature = "nvml")]
    cards: Result<nvml::Cards, String>,
    carbon: Option<CarbonIntensity>,
}

impl EnergyMeter {
    /// Begins to count.
    ///
    /// # Errors
    /// A region without a factor; numbers that make no sense. A machine without counters is no error.
    pub fn start(options: &EnergyOptions) -> Result<Self, EnergyError> {
        if let Some(found) = options.watts.filter(|watts| !(watts.is_finite() && *watts >= 0.0)) {
            return Err(EnergyError::Setting { setting: "watts", found });
        }
        let region = options.region.as_deref().map(CarbonIntensity::of_region).transpose()?;
        let carbon = match options.carbon_intensity {
            Some(grams) => {
                let given = CarbonIntensity::given(grams)?;
                let CarbonIntensity { code, country, .. } = region.unwrap_or_else(|| given.clone());
                Some(CarbonIntensity { code, country, ..given })
            }
            None => region,
        };
        let folder = options.counters.clone().unwrap_or_else(|| rapl::FOLDER.into());
        Ok(Self {
            time: BusyTime::start(),
            power: CorePower::of(processor::model().as_deref(), options.watts),
            rapl: Rapl::start(&folder),
            #[cfg(feature = "nvml")]
            cards: nvml::Cards::start(),
            carbon,
        })
    }

    /// What was taken up to now.
    pub fn report(&self) -> EnergyReport {
        let (cpu, ram, scope) = match &self.rapl {
            Ok(rapl) => {
                let (package, memory) = rapl.joules();
                let ram = match memory {
                    Some(joules) => Figure::measured(joules, "RAPL".to_owned()),
                    None => Figure::absent("this processor has no counter of memory".to_owned()),
                };
                (Figure::measured(package, "RAPL, of the whole machine".to_owned()), ram, "machine")
            }
            Err(reason) => {
                let (busy, what) = self.time.busy();
                let how = format!("{busy:.2} s of {what}, {}; {reason}", self.power.how);
                let ram = Figure::absent(format!("memory: {reason}"));
                (Figure::estimated(busy * self.power.watts, how), ram, "process")
            }
        };
        EnergyReport {
            seconds: self.time.elapsed(),
            cpu,
            gpu: self.gpu(),
            ram,
            carbon: self.carbon.clone(),
            scope,
        }
    }

    #[cfg(feature = "nvml")]
    fn gpu(&self) -> Figure {
        match self.cards.as_ref().map_err(Clone::clone).and_then(nvml::Cards::joules) {
            Ok(joules) => Figure::measured(joules, "NVML, all cards of the machine".to_owned()),
            Err(reason) => Figure::absent(reason),
        }
    }

    #[cfg(not(feature = "nvml"))]
    fn gpu(&self) -> Figure {
        Figure::absent("this build has no NVML".to_owned())
    }
}

impl std::fmt::Debug for EnergyMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnergyMeter")
            .field("power", &self.power)
            .field("rapl", &self.rapl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_says_how_it_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let options = EnergyOptions {
            watts: Some(10.0),
            carbon_intensity: Some(100.0),
            region: Some("FRA".into()),
            counters: Some(folder.path().to_owned()),
        };
        let report = EnergyMeter::start(&options).unwrap().report();
        assert_eq!((report.cpu.provenance, report.scope), (Provenance::Estimated, "process"));
        assert!(report.cpu.how.contains("10 W a busy core") && !report.gpu.how.is_empty(), "{report:?}");
        assert_eq!(report.ram.provenance, Provenance::Absent);
        assert_eq!(report.gpu.joules.is_some(), report.gpu.provenance == Provenance::Measured);
        let carbon = report.carbon.as_ref().unwrap();
        assert_eq!((carbon.grams_per_kwh, carbon.code.as_deref()), (100.0, Some("FRA")));

        let zone = folder.path().join("intel-rapl:0");
        std::fs::create_dir(&zone).unwrap();
        std::fs::write(zone.join("name"), "package-0").unwrap();
        std::fs::write(zone.join("energy_uj"), "1000").unwrap();
        let meter = EnergyMeter::start(&options).unwrap();
        std::fs::write(zone.join("energy_uj"), "3601000").unwrap();
        let report = meter.report();
        assert_eq!(
            (report.cpu.provenance, report.joules()),
            (Provenance::Measured, Some(3.6 + report.gpu.joules.unwrap_or(0.0)))
        );
        let expected = report.joules().unwrap() / 3.6e6 * 100.0;
        assert!((report.grams().unwrap() - expected).abs() < 1e-12);
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(EnergyMeter::start(&EnergyOptions { watts: Some(bad), ..options.clone() }).is_err());
        }
    }
}
