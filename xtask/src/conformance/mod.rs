//! Whether every backend computes the same: `cargo xtask conformance`.
//!
//! From the outside in:
//! * [`registry`] lists the backends, [`suite`] runs cases on one, [`report`] prints what came of it;
//! * [`cases`] is the list of cases, [`tolerance`] says how exact each operation has to be;
//! * [`prepare`] makes the inputs of a [`case`], [`data`] lays them out in memory with poison around them,
//!   [`direct`] says what is right, [`compare`] how far a result is from it, and [`check`] does all of that.

mod case;
mod cases;
mod check;
mod compare;
mod data;
mod defaults;
mod direct;
mod fault;
mod golden;
mod models;
#[cfg(test)]
mod mutants;
mod perf;
mod prepare;
mod registry;
mod report;
mod suite;
mod tolerance;

use std::process::ExitCode;

use crate::error::{Error, Result};
pub use fault::Fault;
use suite::{Mode, Plan};

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
}

/// Runs the cases and prints a table. Exit code 1 if a case failed.
///
/// # Errors
/// [`Error`](crate::error::Error) for an unknown backend, or if no case was run at all.
pub fn run(args: &Args) -> Result<ExitCode> {
    let support = args.mode.contains(&Mode::Support);
    let everything = args.mode.is_empty() || support;
    let plan = Plan {
        modes: if everything { Mode::COMPARISONS.to_vec() } else { args.mode.clone() },
        filter: args.filter.clone(),
        ..Plan::all(args.seed)
    };
    let (mut verdicts, mut timings) = (vec![], vec![]);
    for subject in registry::chosen(&args.backend)? {
        eprintln!("{} …", subject.name);
        verdicts.extend(subject.run(&plan));
        if args.mode.contains(&Mode::Perf) {
            timings.push((subject.name.clone(), subject.measure(&plan)?));
        }
    }
    if verdicts.is_empty() && timings.iter().all(|(_, timings)| timings.is_empty()) {
        return Err(Error::NoCase { filter: args.filter.clone() });
    }
    report::print(&verdicts, &timings, support, args.seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_case_fails(backend: &str, plan: &Plan) {
        for subject in registry::chosen(&[backend]).unwrap() {
            let wrong: Vec<_> = subject.run(plan).into_iter().filter(suite::Verdict::is_error).collect();
            assert!(wrong.is_empty(), "{}: {wrong:#?}", subject.name);
        }
    }

    #[test]
    fn the_reference_agrees_with_direct_loops() {
        let modes = vec![Mode::Ops, Mode::Fused];
        no_case_fails("reference", &Plan { modes, most_work: 300_000, ..Plan::all(1) });
    }

    #[test]
    fn the_cpu_agrees_in_operations_and_models() {
        no_case_fails("cpu", &Plan { most_work: 300_000, ..Plan::all(1) });
    }

    /// Where there is an adapter, which may be a slow one in software.
    #[test]
    fn the_gpu_agrees_in_operations_of_little_work() {
        if let Err(error) = registry::chosen(&["wgpu"]) {
            eprintln!("SKIPPED wgpu: {}", crate::error::with_causes(&error));
            return;
        }
        let modes = vec![Mode::Ops, Mode::Fused];
        no_case_fails("wgpu", &Plan { modes, most_work: 10_000, ..Plan::all(1) });
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

    #[test]
    fn a_failure_of_a_model_can_be_run_again_by_its_name() {
        let all = Plan { modes: vec![Mode::Model], ..Plan::all(1) };
        let case = "bert next sentence prediction lengths 3,17,1,33,2 NextSentence";
        let one = Plan { filter: case.to_owned(), ..all };
        let verdicts = registry::chosen(&["cpu:portable"]).unwrap()[0].run(&one);
        assert_eq!(verdicts.iter().map(|verdict| verdict.case.as_str()).collect::<Vec<_>>(), [case]);
    }
}
