//! Whether every backend computes the same: `cargo xtask conformance`.
//!
//! The cases and their limits are in the crate `bert-conformance`; here are the backends of this workspace
//! ([`registry`]), what is printed ([`report`]), and the tables of the documentation ([`support`]).

mod registry;
mod report;
mod support;
mod tasks;

use std::process::ExitCode;

use bert_conformance as suite;
use bert_conformance::Plan;
use clap::ValueEnum;

use crate::error::{Error, Result};

/// Compare every backend with plain f64 loops, on inputs that are hard.
#[derive(clap::Args)]
pub struct Args {
    /// Backends to run; cpu means each of its instruction sets in turn.
    #[arg(long, value_delimiter = ',', default_value = "reference,cpu")]
    backend: Vec<String>,

    /// What to do; all comparisons unless given.
    #[arg(long, value_delimiter = ',', value_enum)]
    mode: Vec<Mode>,

    /// Run only the cases whose name contains this.
    #[arg(long, value_name = "SUBSTR", default_value = "")]
    filter: String,

    /// Where all random numbers come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Leave nothing out, not even trained checkpoints on a GPU that is a program.
    #[arg(long)]
    all: bool,

    /// With --mode support: write nothing, and fail if what is written is stale.
    #[arg(long)]
    check: bool,
}

impl Args {
    /// Whether anything is timed.
    pub fn measures(&self) -> bool {
        self.mode.contains(&Mode::Perf) || (self.mode.contains(&Mode::Support) && !self.check)
    }
}

/// What to do with a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The eight required methods, against loops in f64.
    Ops,
    /// The provided operations, by their default bodies and as the backend overrides them, against loops in f64.
    Fused,
    /// Training: ten steps on small checkpoints against recorded losses, gradients and weights.
    Grad,
    /// Small models with every head against the reference and recorded outputs, tasks from text to answer, and trained
    /// checkpoints where they are.
    Model,
    /// Not a comparison: the times of the provided operations, by their default bodies and as overridden.
    Perf,
    /// Not a comparison either: measure backends for docs/backends.md and write it and README's table.
    Support,
}

impl Mode {
    const COMPARISONS: [Self; 4] = [Self::Ops, Self::Fused, Self::Grad, Self::Model];

    fn comparisons(self) -> &'static [suite::Mode] {
        match self {
            Self::Ops => &[suite::Mode::Ops],
            Self::Fused => &[suite::Mode::Fused],
            Self::Model => &[suite::Mode::Models, suite::Mode::Trained],
            Self::Grad | Self::Perf | Self::Support => &[],
        }
    }
}

/// Runs the cases and prints a table. Exit code 1 if a case failed or a page is stale.
///
/// # Errors
/// [`Error`] for an unknown backend, or if no case was run at all.
pub fn run(args: &Args) -> Result<ExitCode> {
    let modes = if args.mode.is_empty() { &Mode::COMPARISONS[..] } else { &args.mode };
    if modes.contains(&Mode::Support) {
        return support::run(&args.backend, args.seed, args.check);
    }
    let plan = Plan {
        modes: modes.iter().flat_map(|mode| mode.comparisons()).copied().collect(),
        filter: args.filter.clone(),
        ..Plan::all(args.seed)
    };
    let (mut verdicts, mut timings) = (vec![], vec![]);
    for subject in registry::chosen(&args.backend)? {
        eprintln!("{} …", subject.name);
        let mut plan = plan.clone();
        if subject.is_software && !args.all && plan.modes.contains(&suite::Mode::Trained) {
            eprintln!(
                "SKIPPED {}: trained checkpoints, which take minutes on a software GPU; --all runs them",
                subject.name
            );
            plan.modes.retain(|&mode| mode != suite::Mode::Trained);
        }
        verdicts.extend(subject.run(&plan));
        if modes.contains(&Mode::Grad) {
            verdicts.extend(subject.train(&plan));
        }
        if modes.contains(&Mode::Model) {
            verdicts.extend(tasks::run(&subject.name, &subject.device, &plan, true));
        }
        if modes.contains(&Mode::Perf) {
            timings.push((subject.name.clone(), subject.measure(&plan)?));
        }
    }
    let nothing = verdicts.is_empty() && timings.iter().all(|(_, timings)| timings.is_empty());
    if nothing {
        return Err(Error::NoCase { filter: args.filter.clone() });
    }
    Ok(report::print(&verdicts, &timings, args.seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_agrees_in_operations_and_models() {
        if std::env::var_os("BERT_CONFORMANCE_APART").is_some() {
            eprintln!(
                "SKIPPED the conformance of the CPU: BERT_CONFORMANCE_APART says that it is run by itself"
            );
            return;
        }
        let mut modes = Plan::all(1).modes;
        modes.push(suite::Mode::Trained);
        let plan = Plan { modes, most_work: 300_000, ..Plan::all(1) };
        for subject in registry::chosen(&["cpu"]).unwrap() {
            let wrong = subject.run(&plan);
            let wrong: Vec<_> = wrong.iter().filter(|v| v.is_error()).map(ToString::to_string).collect();
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
    }

    /// Trained models in f64 would take this test too long.
    #[test]
    fn tasks_answer_alike_on_small_checkpoints() {
        let mut names = vec!["reference", "cpu"];
        match registry::chosen(&["wgpu"]) {
            Ok(_) => names.push("wgpu"),
            Err(error) => eprintln!("SKIPPED wgpu: {error}"),
        }
        for subject in registry::chosen(&names).unwrap() {
            let verdicts = tasks::run(&subject.name, &subject.device, &Plan::all(1), false);
            assert_eq!(verdicts.len(), 8);
            let wrong: Vec<_> = verdicts.iter().filter(|v| v.is_error()).map(ToString::to_string).collect();
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
    }

    #[test]
    fn the_cpu_trains_as_was_recorded() {
        for subject in registry::chosen(&["cpu"]).unwrap() {
            let verdicts = subject.train(&Plan::all(1));
            let recorded = verdicts.iter().filter(|verdict| verdict.operation.starts_with("training "));
            assert_eq!(recorded.count(), 11);
            let wrong: Vec<_> = verdicts.iter().filter(|v| v.is_error()).map(ToString::to_string).collect();
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }
    }

    #[test]
    fn a_name_means_all_its_instruction_sets() {
        let of = |name: &str| -> Result<Vec<_>> {
            Ok(registry::chosen(&[name])?.into_iter().map(|subject| subject.name).collect())
        };
        assert!(of("cpu").unwrap().contains(&"cpu:portable".to_owned()));
        assert_eq!(of("cpu:portable").unwrap(), ["cpu:portable"]);
        assert!(matches!(of("abacus"), Err(Error::NoBackend { .. })));
    }
}
