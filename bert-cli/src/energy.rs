//! What a run takes: joules, and grams of CO2.

use std::fmt::Write;
use std::path::PathBuf;

use bert_tasks::energy::{EnergyMeter, EnergyOptions, EnergyReport, Figure, Provenance, emissions};
use clap::{Args, ValueHint};

use crate::error::Result;
use crate::reporter::Reporter;

/// Whether and how energy is counted.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Energy")]
pub struct EnergyArgs {
    /// Say on stderr at the end what energy the run took, measured or estimated (`bert energy` explains)
    #[arg(long, global = true)]
    energy: bool,

    /// The power of one busy CPU core, for machines without counters
    #[arg(long, global = true, value_name = "WATTS", allow_negative_numbers = true, hide_short_help = true)]
    watts: Option<f64>,

    /// The country whose electricity is used, for grams of CO2, such as FRA
    #[arg(long, global = true, value_name = "COUNTRY", hide_short_help = true)]
    region: Option<String>,

    /// Grams of CO2 for a kWh, in place of the country's
    #[arg(long, global = true, value_name = "GRAMS", allow_negative_numbers = true, hide_short_help = true)]
    carbon_intensity: Option<f64>,

    /// Add a row to this file, in the columns of codecarbon
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, hide_short_help = true)]
    emissions: Option<PathBuf>,
}

impl EnergyArgs {
    /// Whether it is said at the end: what sets how it is counted asks for it, too.
    fn is_said(&self) -> bool {
        self.energy || self.watts.is_some() || self.region.is_some() || self.carbon_intensity.is_some()
    }

    /// How it is counted.
    pub fn options(&self) -> EnergyOptions {
        EnergyOptions {
            watts: self.watts,
            region: self.region.clone(),
            carbon_intensity: self.carbon_intensity,
            counters: std::env::var_os("BERT_POWERCAP")
                .filter(|folder| !folder.is_empty())
                .map(PathBuf::from),
        }
    }

    /// Begins to count, if that is wanted.
    ///
    /// # Errors
    /// Settings that make no sense.
    pub fn start(&self) -> Result<Option<EnergyMeter>> {
        if !self.is_said() && self.emissions.is_none() {
            return Ok(None);
        }
        if let Some(path) = &self.emissions {
            emissions::check(path).map_err(bert_tasks::Error::from)?;
        }
        Ok(Some(EnergyMeter::start(&self.options()).map_err(bert_tasks::Error::from)?))
    }

    /// Says what was taken.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn report(&self, reporter: &Reporter) -> Result<()> {
        let Some(report) = reporter.energy() else { return Ok(()) };
        if self.is_said() {
            reporter.energy_line(sentence(&report, reporter.work_done()));
        }
        if let Some(path) = &self.emissions {
            // The command without its options and texts, which may be private.
            let command: Vec<_> =
                std::env::args().skip(1).take_while(|arg| !arg.starts_with('-')).take(1).collect();
            emissions::append(path, &report, &format!("bert {}", command.join(" ")))
                .map_err(bert_tasks::Error::from)?;
        }
        Ok(())
    }
}

/// All that there is to say, a figure a line.
fn sentence(report: &EnergyReport, (count, what): (u64, &str)) -> String {
    let joules = report.joules().unwrap_or(0.0);
    let mut text = format!("{} in {:.2} s", quantity(joules, "J"), report.seconds);
    // Writing to a string does not fail.
    if count > 0 {
        let _ = write!(text, ", {} a {what} ({count})", quantity(joules / count as f64, "J"));
    }
    match (report.grams(), &report.carbon) {
        (Some(grams), Some(carbon)) => {
            let place = carbon.country.as_deref().map_or(String::new(), |country| format!("{country}, "));
            let factor = format!("{place}{} g/kWh, {}", carbon.grams_per_kwh, carbon.source);
            let _ = write!(text, ", {} CO2e ({factor})", quantity(grams, "g"));
        }
        _ => text.push_str("; --region COUNTRY gives CO2"),
    }
    for (name, figure) in [("cpu", &report.cpu), ("gpu", &report.gpu), ("memory", &report.ram)] {
        let _ = write!(text, "\n{name}: {}", described(figure));
    }
    text
}

/// A figure with how it is known.
pub fn described(figure: &Figure) -> String {
    let (word, how) = (word(figure.provenance), &figure.how);
    match figure.joules {
        Some(joules) => format!("{} {word} ({how})", quantity(joules, "J")),
        None => format!("{word} ({how})"),
    }
}

/// How a figure is known, in a word.
pub fn word(provenance: Provenance) -> &'static str {
    match provenance {
        Provenance::Measured => "measured",
        Provenance::Estimated => "estimated",
        Provenance::Absent => "absent",
    }
}

/// Four digits at most, and the prefix of the unit.
fn quantity(value: f64, unit: &str) -> String {
    let (factor, prefix) = match value {
        value if value >= 1e6 => (1e-6, "M"),
        value if value >= 1e3 => (1e-3, "k"),
        value if value >= 1.0 || value == 0.0 => (1.0, ""),
        value if value >= 1e-3 => (1e3, "m"),
        _ => (1e6, "µ"),
    };
    format!("{:.2} {prefix}{unit}", value * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_their_prefixes() {
        let shown = [0.0, 12.345, 1234.5, 2.5e6, 0.0123, 4.5e-6].map(|value| quantity(value, "J"));
        assert_eq!(
            shown,
            ["0.00 J", "12.35 J", "1.23 kJ", "2.50 MJ", "12.30 mJ", "4.50 µJ"].map(str::to_owned)
        );
    }
}
