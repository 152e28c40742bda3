//! Without counters: how long the processor computed, and what a busy core takes.

use std::fs;
use std::time::Instant;

/// Watts of one busy core, where nothing better is known. codecarbon takes the same.
const DEFAULT_WATTS: f64 = 4.0;

/// Thermal design power in watts, and cores, as the makers give them.
const KNOWN: &[(&str, f64, f64)] = &[
    ("EPYC 7763", 280.0, 64.0),
    ("EPYC 7B13", 240.0, 60.0),
    ("EPYC 9654", 360.0, 96.0),
    ("Ryzen 9 5950X", 105.0, 16.0),
    ("Ryzen 9 7950X", 170.0, 16.0),
    ("Ryzen 7 5800X", 105.0, 8.0),
    ("Platinum 8375C", 300.0, 32.0),
    ("Platinum 8480", 350.0, 56.0),
    ("i7-1165G7", 28.0, 4.0),
    ("i7-8550U", 15.0, 4.0),
    ("i9-13900K", 125.0, 24.0),
];

/// The power of a busy core, and where it is known from.
#[derive(Clone, Debug, PartialEq)]
pub struct CorePower {
    /// Watts.
    pub watts: f64,
    /// In words.
    pub how: String,
}

impl CorePower {
    /// Of a processor by its name, unless it was `given`.
    pub fn of(model: Option<&str>, given: Option<f64>) -> Self {
        if let Some(watts) = given {
            return Self { watts, how: format!("{watts} W a busy core, as given") };
        }
        let known = KNOWN.iter().find(|(name, ..)| model.is_some_and(|model| model.contains(name)));
        match known {
            Some((name, tdp, cores)) => {
                let watts = tdp / cores;
                Self { watts, how: format!("{watts:.1} W a busy core ({name}: {tdp} W, {cores} cores)") }
            }
            None => Self {
                watts: DEFAULT_WATTS,
                how: format!("{DEFAULT_WATTS} W a busy core, for want of better"),
            },
        }
    }
}

/// The processor by its name, under Linux.
pub fn model() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

/// How long the cores computed for this process, in seconds, and how that is known.
#[derive(Debug)]
pub struct BusyTime {
    start: Instant,
    ticks: Option<u64>,
}

/// Clock ticks a second of `/proc`: those of the kernel's interface, the same on all machines.
const TICKS: f64 = 100.0;

impl BusyTime {
    /// From now on.
    pub fn start() -> Self {
        Self { start: Instant::now(), ticks: ticks() }
    }

    /// Seconds on the clock.
    pub fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Seconds that all cores together computed. Where the system does not say, it is the time on the clock.
    pub fn busy(&self) -> (f64, &'static str) {
        match (self.ticks, ticks()) {
            (Some(start), Some(end)) => (end.saturating_sub(start) as f64 / TICKS, "processor time"),
            _ => (self.elapsed(), "time on the clock, as if one core were busy"),
        }
    }
}

fn ticks() -> Option<u64> {
    parse(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// The time of the process itself and of the system for it; the name in brackets may hold anything.
fn parse(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_powers_are_read() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(parse(stat), Some(300));
        assert_eq!(parse("7 (a"), None);
        assert_eq!(CorePower::of(Some("AMD EPYC 7763 64-Core Processor"), None).watts, 4.375);
        assert_eq!(CorePower::of(Some("AMD EPYC 7763 64-Core Processor"), Some(9.0)).watts, 9.0);
        assert_eq!(CorePower::of(None, None).watts, DEFAULT_WATTS);
    }
}
