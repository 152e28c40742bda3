//! Whether a backend computes what it should: every operation of the [`Backend`] trait and whole models, on
//! inputs that are hard, against plain loops in `f64`.
//!
//! A backend has one test that says it all, and is told about each failure what is needed to find it:
//!
//! ```
//! use bert_core::reference::Reference;
//! bert_conformance::assert_conforms("reference", &Reference);
//! ```
//!
//! From the outside in:
//! * [`run`] runs a [`Plan`] of cases on one backend and gives a [`Verdict`] on each;
//! * `cases` is the list of cases, `tolerance` says how exact each operation has to be;
//! * `prepare` makes the inputs of a `case`, `data` lays them out in memory with poison around them, `direct`
//!   says what is right, `compare` how far a result is from it, and `check` does all of that;
//! * `models` and `golden` compare whole models, [`perf`] says what overrides are worth.
//!
//! Tests of other crates make their checkpoints with [`small`].

mod answer;
mod case;
mod cases;
mod check;
mod compare;
mod data;
mod defaults;
mod difference;
mod direct;
mod fault;
mod golden;
mod gradients;
mod models;
#[cfg(test)]
mod mutants;
pub mod perf;
mod prepare;
pub mod small;
mod suite;
mod tolerance;
mod training;

use std::path::{Path, PathBuf};

use bert_core::Backend;

pub use answer::{Answer, compare_answers};
pub use difference::Difference;
pub use fault::Fault;
pub use suite::{Mode, Outcome, Plan, Variant, Verdict, run, widest_limit};
pub use tolerance::{Tolerance, names};
pub use training::run_training;

/// Runs everything on a backend, as the environment chooses; see [`Plan::from_environment`]. Rows of the tolerance table
/// and known failures are found by its name.
///
/// # Panics
/// If a case fails or none was run, with all that is known about it.
pub fn assert_conforms<B: Backend>(name: &str, backend: &B) {
    assert_conforms_to(&Plan::from_environment(), name, backend);
}

/// Runs a plan on a backend. Rows of the tolerance table and known failures are found by its name.
///
/// ```
/// use bert_conformance::{Mode, Plan, assert_conforms_to};
/// use bert_core::reference::Reference;
///
/// // What takes seconds on a slow device:
/// let plan = Plan { modes: vec![Mode::Ops, Mode::Fused], most_work: 1_000, ..Plan::from_environment() };
/// assert_conforms_to(&plan, "reference", &Reference);
/// ```
///
/// # Panics
/// As [`assert_conforms`].
pub fn assert_conforms_to<B: Backend>(plan: &Plan, name: &str, backend: &B) {
    let verdicts = run(name, backend, &[], plan);
    assert!(!verdicts.is_empty(), "no case has a name that contains {:?}", plan.filter);
    let mut text = String::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.is_error()) {
        let again =
            format!("CONFORMANCE_FILTER='{}' CONFORMANCE_SEED={} cargo test", verdict.case, plan.seed);
        text += &format!("{verdict}\n    again: {again}\n\n");
    }
    assert!(text.is_empty(), "\n{text}");
}

/// The folder of a small checkpoint with random weights, as published ones are laid out: a family and a head, such
/// as `bert-embedding`, `bert-masked-lm`, `distilbert-multiple-choice` or `roberta-question-answering`.
///
/// It is a part of this crate's sources, wherever they lie.
pub fn checkpoint(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints").join(name)
}

/// The examples of README.md are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use bert_core::reference::Reference;

    use super::*;

    #[test]
    fn the_reference_agrees_with_direct_loops() {
        let modes = vec![Mode::Ops, Mode::Fused];
        let plan = Plan { modes, most_work: 300_000, ..Plan::all(1) };
        let wrong: Vec<_> = run("reference", &Reference, &[], &plan);
        let wrong: Vec<_> =
            wrong.iter().filter(|verdict| verdict.is_error()).map(ToString::to_string).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_reference_gives_what_was_recorded() {
        let plan = Plan { modes: vec![Mode::Models], filter: "checkpoint ".to_owned(), ..Plan::all(1) };
        let verdicts = run("reference", &Reference, &[], &plan);
        assert_eq!(verdicts.len(), 62, "not all checkpoints were found");
        let wrong: Vec<_> = verdicts.iter().filter(|v| v.is_error()).map(ToString::to_string).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_reference_trains_as_was_recorded() {
        let verdicts = run_training("reference", &Reference, &[], &Plan::all(1));
        let recorded = verdicts.iter().filter(|verdict| verdict.operation.starts_with("training "));
        assert_eq!(recorded.count(), 11, "not all recorded runs were found");
        let wrong: Vec<_> = verdicts.iter().filter(|v| v.is_error()).map(ToString::to_string).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_failure_of_a_model_can_be_run_again_by_its_name() {
        let case = "bert next sentence prediction lengths 3,17,1,33,2 Scores(NextSentence)";
        let one = Plan { modes: vec![Mode::Models], filter: case.to_owned(), ..Plan::all(1) };
        let verdicts = run("reference", &Reference, &[], &one);
        assert_eq!(verdicts.iter().map(|verdict| verdict.case.as_str()).collect::<Vec<_>>(), [case]);
    }
}
