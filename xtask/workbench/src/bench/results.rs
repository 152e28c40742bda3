//! What a run finds out, as it is kept in files. No names of hosts or places on this machine.

use std::path::Path;

use bert_core::contract::Precision;
use serde::{Deserialize, Serialize};

use super::clock::Times;
use super::shares::Share;
use super::workload::Case;
use crate::error::{Error, Result};

/// All that is known of a machine. A section is empty until it is measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// RFC 3339, UTC: the last run that added something.
    pub date: String,
    pub cpu: String,
    pub instructions: Vec<String>,
    pub limits: Vec<Limits>,
    pub forward: Vec<Forward>,
    pub starts: Vec<Start>,
    pub steady: Vec<Steady>,
    pub accuracy: Vec<Accuracy>,
    pub training: Vec<Training>,
    pub engines: Vec<Engine>,
}

/// Rates that no operation can exceed, with this many threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub threads: usize,
    /// 10⁹ operations a second for each precision, a multiply-add counted as two.
    pub gflops: Vec<(String, f64)>,
    /// 10⁹ bytes a second out of memory.
    pub read_gbytes: f64,
}

/// A case and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forward {
    pub model: String,
    pub precision: String,
    pub threads: usize,
    pub case: Case,
    pub tokens: usize,
    #[serde(flatten)]
    pub times: Times,
    pub tokens_per_s: f64,
    pub gflop: f64,
    /// The least time that the machine's limits allow, and which limit that is.
    pub floor: Option<Floor>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
}

/// A step of training and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    pub model: String,
    pub precision: String,
    pub threads: usize,
    pub case: Case,
    pub tokens: usize,
    #[serde(flatten)]
    pub times: Times,
    /// The most memory that the process of the case held, in 10⁶ bytes.
    pub peak_mb: Option<f64>,
    pub gflop: f64,
    /// What the optimiser reads and writes.
    pub optimiser_gbytes: f64,
    /// The arithmetic at the machine's limit, and the optimiser's traffic with memory.
    pub floor_ms: Option<f64>,
}

/// What cannot be faster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    pub ms: f64,
    pub bound: Bound,
}

/// What it is that cannot be faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The arithmetic.
    Compute,
    /// Reading every weight from memory once.
    Memory,
}

/// What it takes to get from a checkpoint on disk to an answer, in a process of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    pub model: String,
    pub precision: String,
    /// Bytes of the checkpoint's files.
    pub weight_bytes: u64,
    /// The largest resident set until the model was loaded; `None` where the system does not tell.
    pub peak_bytes_loaded: Option<u64>,
    /// The same until the first answer, to 128 tokens.
    pub peak_bytes_answered: Option<u64>,
    /// Milliseconds from nothing to the loaded model.
    pub loaded_ms: f64,
    /// Milliseconds from nothing to the first answer.
    pub answered_ms: f64,
}

/// The resident set of a process that answers again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Steady {
    pub model: String,
    pub precision: String,
    pub calls: usize,
    /// After a tenth of the calls.
    pub bytes_early: Option<u64>,
    /// After all of them.
    pub bytes_late: Option<u64>,
}

/// How far a precision is from `f32`, on trained models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    pub precision: String,
    pub simd: String,
    /// Spearman's rank correlation of all-MiniLM-L6-v2 with the STS-B dev set.
    pub sts_spearman: Option<f64>,
    /// The same in `f32` with the best instructions of the machine.
    pub sts_spearman_f32: Option<f64>,
    /// The part of the tokens of WikiGold that rampart-ner gives the label that it gives in `f32`.
    pub ner_agreement: Option<f64>,
    /// How many tokens those are.
    pub ner_tokens: usize,
    /// The cosine of each token's last hidden state with that in `f32`: the mean over all tokens, and the least.
    pub cosine_mean: Option<f64>,
    pub cosine_min: Option<f64>,
}

/// An engine and its median milliseconds by case, from one run of all of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    /// The engine and its precision.
    pub name: String,
    /// Cases by name. One that failed is missing.
    pub ms: Vec<(String, f64)>,
    /// The most memory that the process of a case held, in 10⁶ bytes, where that was looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peak_mb: Vec<(String, f64)>,
}

impl Results {
    /// The machine and the day, and nothing measured.
    pub fn head(&self) -> Self {
        let Self { date, cpu, instructions, .. } = self.clone();
        Self { date, cpu, instructions, ..Self::default() }
    }

    /// Those of a file; nothing yet if there is none.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::BenchResults`] for another kind of file.
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|source| Error::BenchResults { path: path.to_path_buf(), source }),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::file("read", path)(source)),
        }
    }

    /// Writes them as JSON, by a temporary file and a rename.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("names and numbers");
        let partial = path.with_extension(format!("{}.tmp", std::process::id()));
        std::fs::write(&partial, text + "\n").map_err(Error::file("write", &partial))?;
        std::fs::rename(&partial, path).map_err(Error::file("rename to", path))
    }

    /// Puts what a later run found in the place of what it measured again.
    pub fn update(&mut self, later: Self) {
        let Self { date, cpu, instructions, limits, forward, starts, steady, accuracy, training, engines } =
            later;
        (self.date, self.cpu, self.instructions) = (date, cpu, instructions);
        replace(&mut self.limits, limits, |limits| limits.threads);
        replace(&mut self.forward, forward, |f| (f.model.clone(), f.precision.clone(), f.threads, f.case));
        replace(&mut self.starts, starts, |start| (start.model.clone(), start.precision.clone()));
        replace(&mut self.steady, steady, |steady| (steady.model.clone(), steady.precision.clone()));
        replace(&mut self.accuracy, accuracy, |row| (row.precision.clone(), row.simd.clone()));
        replace(&mut self.training, training, |step| (step.model.clone(), step.threads, step.case));
        self.update_engines(engines);
    }

    /// Times of a case belong together: those of an older run go, whichever engines it had.
    fn update_engines(&mut self, later: Vec<Engine>) {
        for engine in &mut self.engines {
            let is_kept = |(case, _): &(String, f64)| {
                !later.iter().flat_map(|later| &later.ms).any(|(again, _)| again == case)
            };
            engine.ms.retain(is_kept);
            engine.peak_mb.retain(is_kept);
        }
        for later in later {
            match self.engines.iter_mut().find(|engine| engine.name == later.name) {
                Some(engine) => {
                    engine.ms.extend(later.ms);
                    engine.peak_mb.extend(later.peak_mb);
                }
                None => self.engines.push(later),
            }
        }
        self.engines.retain(|engine| !engine.ms.is_empty());
    }
}

impl Limits {
    /// Of this precision.
    pub fn gflops(&self, precision: &str) -> Option<f64> {
        self.gflops.iter().find(|(name, _)| name == precision).map(|(_, gflops)| *gflops)
    }

    /// From the backend's own.
    pub fn of(limits: &bert_backend_cpu::limits::Limits, threads: usize, precisions: &[Precision]) -> Self {
        let rate = |&precision: &Precision| Some((precision.to_string(), limits.gflops(precision)?));
        let gflops = precisions.iter().filter_map(rate).collect();
        Self { threads, gflops, read_gbytes: limits.read_gbytes }
    }

    /// Takes the higher of each rate: what was seen once can be done.
    pub fn raise(&mut self, other: &Self) {
        for (name, gflops) in &mut self.gflops {
            *gflops = gflops.max(other.gflops(name).unwrap_or_default());
        }
        self.read_gbytes = self.read_gbytes.max(other.read_gbytes);
    }

    /// What a forward pass of so much arithmetic, on so many bytes of weights, takes at least.
    pub fn floor(&self, precision: &str, flops: f64, weight_bytes: f64) -> Option<Floor> {
        let compute = flops / self.gflops(precision)? / 1e6;
        let memory = weight_bytes / self.read_gbytes / 1e6;
        Some(match memory > compute {
            true => Floor { ms: memory, bound: Bound::Memory },
            false => Floor { ms: compute, bound: Bound::Compute },
        })
    }
}

fn replace<T, K: PartialEq>(old: &mut Vec<T>, new: Vec<T>, key: impl Fn(&T) -> K) {
    for item in new {
        match old.iter().position(|old| key(old) == key(&item)) {
            Some(index) => old[index] = item,
            None => old.push(item),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(model: &str, calls: usize) -> Steady {
        let (model, precision) = (model.to_owned(), "f32".to_owned());
        Steady { model, precision, calls, bytes_early: None, bytes_late: Some(1) }
    }

    #[test]
    fn limits_are_the_highest_rates_seen() {
        let limits = |f32, int8, read_gbytes| Limits {
            threads: 2,
            gflops: vec![("f32".to_owned(), f32), ("int8".to_owned(), int8)],
            read_gbytes,
        };
        let mut found = limits(100.0, 500.0, 30.0);
        found.raise(&limits(190.0, 400.0, 20.0));
        assert_eq!(found, limits(190.0, 500.0, 30.0));
    }

    #[test]
    fn a_later_run_replaces_what_it_measured_again() {
        let mut results = Results { steady: vec![steady("a", 1), steady("b", 1)], ..Default::default() };
        results.update(Results { steady: vec![steady("b", 2), steady("c", 2)], ..Default::default() });
        assert_eq!(results.steady, [steady("a", 1), steady("b", 2), steady("c", 2)]);
    }

    #[test]
    fn the_times_of_a_case_are_those_of_one_run() {
        let engine = |name: &str, ms: &[(&str, f64)]| Engine {
            name: name.into(),
            ms: ms.iter().map(|&(case, ms)| (case.into(), ms)).collect(),
            peak_mb: vec![],
        };
        let old = vec![engine("a", &[("x", 1.0), ("y", 2.0)]), engine("b", &[("x", 3.0)])];
        let new = vec![engine("a", &[("x", 4.0)]), engine("c", &[("x", 5.0), ("z", 6.0)])];
        let mut results = Results { engines: old, ..Default::default() };
        results.update(Results { engines: new, ..Default::default() });
        let wanted = [engine("a", &[("y", 2.0), ("x", 4.0)]), engine("c", &[("x", 5.0), ("z", 6.0)])];
        assert_eq!(results.engines, wanted);
    }

    #[test]
    fn files_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        assert_eq!(Results::read(&path).unwrap(), Results::default());
        let (steady, mut rng) = (vec![steady("a", 1)], fastrand::Rng::with_seed(7));
        // To the last bit, or numbers would drift each time that another is added.
        let ms = (0..200).map(|case| (case.to_string(), 100.0 * rng.f64())).collect();
        let engines = vec![Engine { name: "an engine".into(), ms, peak_mb: vec![("a".into(), 0.1)] }];
        let results = Results { cpu: "a CPU".into(), steady, engines, ..Default::default() };
        results.write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap(), results);
        std::fs::write(&path, "[1, 2]").unwrap();
        assert!(matches!(Results::read(&path), Err(Error::BenchResults { .. })));
    }
}
