//! The energy counters of processors and memory under Linux: RAPL, by the powercap files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Where the system keeps them.
pub const FOLDER: &str = "/sys/class/powercap";

/// Counters start again after some minutes of full power; they are read more often than that.
const INTERVAL: Duration = Duration::from_secs(20);

/// One counter.
#[derive(Clone, Debug)]
struct Zone {
    file: PathBuf,
    memory: bool,
    /// The value after which it starts again at 0, in microjoules.
    range: u64,
}

impl Zone {
    fn read(&self) -> Option<u64> {
        fs::read_to_string(&self.file).ok()?.trim().parse().ok()
    }
}

/// Microjoules since a beginning.
#[derive(Debug, Default)]
struct Sums {
    last: BTreeMap<PathBuf, u64>,
    package: u64,
    memory: u64,
}

/// Counters that are being read.
#[derive(Debug)]
pub struct Rapl {
    zones: Vec<Zone>,
    sums: Arc<Mutex<Sums>>,
    reader: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Rapl {
    /// Begins to read the counters of a folder.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let zones = zones(folder)?;
        let sums = Arc::new(Mutex::new(Sums::default()));
        add(&zones, &sums);
        let (stop, stopped) = channel();
        let (own_zones, own_sums) = (zones.clone(), sums.clone());
        let reader = thread::Builder::new().name("rapl".to_owned()).spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                add(&own_zones, &own_sums);
            }
        });
        Ok(Self { zones, sums, reader: reader.ok().map(|reader| (stop, reader)) })
    }

    /// Joules of processors since the start, and of memory if it has a counter.
    pub fn joules(&self) -> (f64, Option<f64>) {
        add(&self.zones, &self.sums);
        let sums = self.sums.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let memory = self.zones.iter().any(|zone| zone.memory);
        (sums.package as f64 / 1e6, memory.then_some(sums.memory as f64 / 1e6))
    }
}

impl Drop for Rapl {
    fn drop(&mut self) {
        if let Some((stop, reader)) = self.reader.take() {
            drop(stop);
            // It has nothing to say, not even by a panic.
            let _ = reader.join();
        }
    }
}

fn add(zones: &[Zone], sums: &Mutex<Sums>) {
    let mut sums = sums.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for zone in zones {
        let Some(now) = zone.read() else { continue };
        if let Some(last) = sums.last.insert(zone.file.clone(), now) {
            let spent = match now >= last {
                true => now - last,
                false => zone.range.saturating_sub(last) + now,
            };
            *(if zone.memory { &mut sums.memory } else { &mut sums.package }) += spent;
        }
    }
}

/// The counters of whole processors, and those of memory within them.
fn zones(folder: &Path) -> Result<Vec<Zone>, String> {
    let entries = fs::read_dir(folder);
    let entries = entries.map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let text = |path: PathBuf| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let (mut zones, mut refused) = (vec![], None);
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(name) = text(path.join("name")) else { continue };
        let memory = name == "dram";
        if !(memory || name.starts_with("package")) {
            continue;
        }
        let file = path.join("energy_uj");
        match text(file.clone()) {
            Err(error) => {
                refused = Some(format!("cannot read {}: {error}; root may: chmod a+r", file.display()))
            }
            Ok(_) => {
                let range = text(path.join("max_energy_range_uj")).ok().and_then(|text| text.parse().ok());
                zones.push(Zone { file, memory, range: range.unwrap_or(0) });
            }
        }
    }
    // The same counter by two paths, as with intel-rapl-mmio, is counted once: those of the former come first.
    zones.sort_by(|a, b| a.file.cmp(&b.file));
    zones.retain(|zone| !zone.file.to_string_lossy().contains("mmio"));
    match zones.iter().any(|zone| !zone.memory) {
        true => Ok(zones),
        false => {
            Err(refused.unwrap_or_else(|| format!("{} has no counter of a processor", folder.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(folder: &Path, path: &str, name: &str, energy: u64) {
        let path = folder.join(path);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("name"), format!("{name}\n")).unwrap();
        fs::write(path.join("energy_uj"), format!("{energy}\n")).unwrap();
        fs::write(path.join("max_energy_range_uj"), "10000000\n").unwrap();
    }

    #[test]
    fn counters_are_summed_and_may_start_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        zone(folder, "intel-rapl:0", "package-0", 9_000_000);
        zone(folder, "intel-rapl:1", "package-1", 1_000_000);
        zone(folder, "intel-rapl:0:0", "core", 5);
        zone(folder, "intel-rapl:0:1", "dram", 2_000_000);
        zone(folder, "intel-rapl-mmio:0", "package-0", 9_000_000);
        let rapl = Rapl::start(folder).unwrap();
        assert_eq!(rapl.joules(), (0.0, Some(0.0)));
        zone(folder, "intel-rapl:0", "package-0", 500_000);
        zone(folder, "intel-rapl:1", "package-1", 4_000_000);
        zone(folder, "intel-rapl:0:1", "dram", 2_250_000);
        assert_eq!(rapl.joules(), (4.5, Some(0.25)));
        zone(folder, "intel-rapl:0", "package-0", 600_000);
        assert_eq!(rapl.joules(), (4.6, Some(0.25)));
        // A counter that is gone, or says nonsense, adds nothing.
        fs::write(folder.join("intel-rapl:0/energy_uj"), "nonsense").unwrap();
        assert_eq!(rapl.joules(), (4.6, Some(0.25)));
    }

    #[test]
    fn without_counters_it_says_why() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Rapl::start(folder.path()).unwrap_err().contains("no counter of a processor"));
        assert!(Rapl::start(&folder.path().join("absent")).unwrap_err().contains("cannot read"));
    }
}
