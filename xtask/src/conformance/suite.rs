//! All cases of the modes asked for, on one backend.

use bert_core::backend::Backend;
use bert_core::ops::Precision;
use clap::ValueEnum;
use fastrand::Rng;

use super::case::{Case, Op};
use super::cases;
use super::check::{Checked, check};
use super::compare::Difference;
use super::defaults::Defaults;
use super::tolerance::{KNOWN, Tolerance, tolerance};
use crate::synthetic::seed;

/// What to do with a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Mode {
    /// The eight required methods, against loops in f64.
    Ops,
    /// The provided operations, by their default bodies and as the backend overrides them, against loops in f64.
    Fused,
    /// Small random models with every head against the reference, trained checkpoints against recorded outputs.
    Model,
    /// Not a comparison: the times of the provided operations, by their default bodies and as overridden.
    Perf,
    /// All comparisons, with their outcome as a matrix of operations and backends in Markdown.
    Support,
}

impl Mode {
    /// Those that compare.
    pub const COMPARISONS: [Self; 3] = [Self::Ops, Self::Fused, Self::Model];
}

/// Which cases to run, and on which numbers.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to compare; modes that are no comparisons are passed over.
    pub modes: Vec<Mode>,
    /// Run only the cases whose name contains this.
    pub filter: String,
    /// Where all random numbers come from.
    pub seed: u64,
    /// Leave out cases of more arithmetic than this; for tests that have to be quick.
    pub most_work: usize,
}

impl Plan {
    /// Everything.
    pub fn all(seed: u64) -> Self {
        Self { modes: Mode::COMPARISONS.to_vec(), filter: String::new(), seed, most_work: usize::MAX }
    }

    /// Whether a case of this name is asked for.
    pub fn wants(&self, case: &str) -> bool {
        case.contains(&self.filter)
    }

    /// The numbers of a case do not depend on which other cases run.
    pub fn rng(&self, case: &str) -> Rng {
        Rng::with_seed(seed(self.seed, case))
    }
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// As it should.
    Passed(Difference),
    /// Wrongly; all about it.
    Failed(String),
    /// Wrongly, as listed.
    KnownFailure(&'static str),
    /// Well, though it is listed as a failure: the list is wrong.
    KnownFailurePassed(&'static str),
}

/// A case and how it ended.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The backend with its instruction set, such as `cpu:avx2`.
    pub backend: String,
    /// The operation with how it was run, such as `linear default` or `linear int8`.
    pub operation: String,
    /// The name of the case.
    pub case: String,
    /// What was allowed.
    pub tolerance: Tolerance,
    /// How it ended.
    pub outcome: Outcome,
}

impl Verdict {
    /// Whether the run has to fail because of it.
    pub fn is_error(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_) | Outcome::KnownFailurePassed(_))
    }
}

/// Runs a plan on one backend. Its twins are the same with other threads.
pub fn run<B: Backend>(name: &str, backend: &B, twins: &[B], plan: &Plan) -> Vec<Verdict> {
    let mut suite = Suite { name, plan, verdicts: vec![] };
    for mode in &plan.modes {
        match mode {
            Mode::Ops => suite.cases(backend, cases::required(), ""),
            Mode::Fused => {
                suite.cases(&Defaults(backend.clone()), cases::provided(), "default");
                suite.cases(backend, cases::provided(), "");
            }
            Mode::Model => {
                suite.models(backend, twins);
                suite.golden(backend, twins);
            }
            Mode::Perf | Mode::Support => {}
        }
    }
    suite.verdicts
}

/// A run in progress.
pub(super) struct Suite<'a> {
    pub name: &'a str,
    pub plan: &'a Plan,
    verdicts: Vec<Verdict>,
}

impl Suite<'_> {
    fn cases<B: Backend>(&mut self, backend: &B, cases: Vec<Case>, variant: &str) {
        let precisions = backend.info().precisions;
        for case in cases.iter().filter(|case| work(case) <= self.plan.most_work) {
            let several = matches!(case.op, Op::Linear(..));
            for &precision in if several { &precisions[..] } else { &[Precision::F32] } {
                let mut operation = case.op.name().to_owned();
                let mut name = case.to_string();
                for word in [variant.to_owned(), precision.to_string()] {
                    if !word.is_empty() && word != "f32" {
                        operation = format!("{operation} {word}");
                        name = format!("{name} {word}");
                    }
                }
                if !self.plan.wants(&name) {
                    continue;
                }
                let tolerance = tolerance(case.op.name(), Some(case.values), precision, self.name);
                let checked = check(backend, case, precision, tolerance, self.plan.rng(&name));
                self.judge(operation, name, tolerance, checked);
            }
        }
    }

    /// Files what came of a case.
    pub fn judge(&mut self, operation: String, case: String, tolerance: Tolerance, checked: Checked) {
        let known = KNOWN.iter().find(|known| known.is(self.name, &case)).map(|known| known.reason);
        let outcome = match (checked.result, known) {
            (Ok(difference), None) => Outcome::Passed(difference),
            (Ok(_), Some(reason)) => Outcome::KnownFailurePassed(reason),
            (Err(_), Some(reason)) => Outcome::KnownFailure(reason),
            (Err(fault), None) => {
                let mut text = fault.to_string();
                for input in checked.inputs {
                    text = format!("{text}\n    {input}");
                }
                Outcome::Failed(text)
            }
        };
        let backend = self.name.to_owned();
        self.verdicts.push(Verdict { backend, operation, case, tolerance, outcome });
    }
}

/// A rough count of multiplications.
fn work(case: &Case) -> usize {
    let tokens: usize = case.lengths.iter().sum();
    let squares: usize = case.lengths.iter().map(|length| length * length).sum();
    let product: usize = case.shape.iter().product();
    match case.op {
        Op::Attention => squares * product,
        Op::Pool(_) => tokens * product,
        Op::Embed(_) => tokens * case.shape[1],
        _ => product,
    }
}
