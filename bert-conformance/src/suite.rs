//! All cases of the modes asked for, on one backend.

use std::fmt;

use bert_core::contract::{Backend, Precision};
use bert_core::observe::trace;
use fastrand::Rng;

use crate::case::{Case, Op};
use crate::cases;
use crate::check::{Checked, check};
use crate::data::{Values, seed};
use crate::defaults::Defaults;
use crate::difference::Difference;
use crate::fault::Fault;
use crate::tolerance::{KNOWN, Tolerance, tolerance};

/// What to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The eight required methods, against loops in `f64`.
    Ops,
    /// The provided operations, by their default bodies and as the backend has them, against loops in `f64`.
    Fused,
    /// Small random models with every head: against the reference, and from files against recorded outputs.
    Models,
    /// Trained checkpoints, against recorded outputs.
    Trained,
}

/// Which cases to run, and on which numbers.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What to compare, in this order.
    pub modes: Vec<Mode>,
    /// Run only the cases whose name contains this.
    pub filter: String,
    /// Where all random numbers come from.
    pub seed: u64,
    /// Leave out cases of more multiplications than this; for tests that have to be quick.
    pub most_work: usize,
}

impl Plan {
    /// Everything that needs no files.
    pub fn all(seed: u64) -> Self {
        let modes = vec![Mode::Ops, Mode::Fused, Mode::Models];
        Self { modes, filter: String::new(), seed, most_work: usize::MAX }
    }

    /// Everything that needs no files, as the environment chooses: `CONFORMANCE_FILTER` runs only the cases whose name
    /// contains it, `CONFORMANCE_SEED` is where all random numbers come from.
    ///
    /// # Panics
    /// If `CONFORMANCE_SEED` is not a number.
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let seed = variable("CONFORMANCE_SEED")
            .map_or(1, |seed| seed.parse().expect("CONFORMANCE_SEED is a number"));
        Self { filter: variable("CONFORMANCE_FILTER").unwrap_or_default(), ..Self::all(seed) }
    }

    /// Whether a case of this name is asked for.
    pub fn wants(&self, case: &str) -> bool {
        case.contains(&self.filter)
    }

    /// The numbers of a case do not depend on which other cases run.
    pub(crate) fn rng(&self, case: &str) -> Rng {
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

/// How an operation was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// It is one of the eight required methods, or a whole model.
    Required,
    /// By its default body.
    Default,
    /// As the backend overrides it.
    Fused,
    /// As the backend has it, which is by its default body.
    Inherited,
}

/// A case and how it ended.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The backend with its instruction set, such as `cpu:avx2`.
    pub backend: String,
    /// The operation, such as `linear` or `model bert`.
    pub operation: String,
    /// How it was run.
    pub variant: Variant,
    /// The precision of its weights.
    pub precision: Precision,
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

/// All about a case that failed; the words `passed` or `failed as listed` about another.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, case, tolerance: Tolerance { max_abs, nmse, reason }, .. } = self;
        match &self.outcome {
            Outcome::Passed(_) => write!(f, "passed {backend}: {case}"),
            Outcome::KnownFailure(why) => write!(f, "failed as listed {backend}: {case} ({why})"),
            Outcome::KnownFailurePassed(why) => write!(
                f,
                "FAILED {backend}: {case}\n    it passes but is listed as a known failure ({why}); remove it from \
                 the list"
            ),
            Outcome::Failed(text) => write!(
                f,
                "FAILED {backend}: {case}\n    {text}\n    allowed: max abs {max_abs:.0e}, NMSE {nmse:.0e} ({reason})"
            ),
        }
    }
}

/// Runs a plan on one backend. Its twins are the same with other threads: they have to give the same bits.
///
/// ```
/// use bert_conformance::{Plan, run};
/// use bert_core::reference::Reference;
/// let plan = Plan { filter: "gather_rows [3, 17]".into(), ..Plan::all(1) };
/// let verdicts = run("reference", &Reference, &[], &plan);
/// assert!(!verdicts.is_empty() && !verdicts.iter().any(|verdict| verdict.is_error()));
/// ```
pub fn run<B: Backend>(name: &str, backend: &B, twins: &[B], plan: &Plan) -> Vec<Verdict> {
    let mut suite = Suite::new(name, plan);
    for mode in &plan.modes {
        match mode {
            Mode::Ops => suite.cases(backend, cases::required(), Variant::Required),
            Mode::Fused => {
                suite.cases(&Defaults(backend.clone()), cases::provided(), Variant::Default);
                suite.cases(backend, cases::provided(), Variant::Fused);
            }
            Mode::Models => {
                suite.models(backend, twins);
                suite.small(backend, twins);
            }
            Mode::Trained => suite.trained(backend, twins),
        }
    }
    suite.verdicts
}

/// How far an operation of a backend may be from the truth: the widest limit of all its cases.
pub fn widest_limit(operation: &str, precision: Precision, backend: &str) -> f64 {
    let cases = cases::required().into_iter().chain(cases::provided());
    let limits = cases
        .filter(|case| case.op.name() == operation)
        .map(|case| tolerance(operation, Some(case.values), precision, backend).max_abs);
    limits.fold(0.0, f64::max)
}

/// A run in progress.
pub(crate) struct Suite<'a> {
    pub name: &'a str,
    pub plan: &'a Plan,
    pub verdicts: Vec<Verdict>,
}

/// What is known of a case before it is run.
struct Entry {
    operation: String,
    variant: Variant,
    precision: Precision,
    case: String,
    tolerance: Tolerance,
}

/// The name of a case in a precision.
pub(crate) fn named(case: String, precision: Precision) -> String {
    if precision == Precision::F32 { case } else { format!("{case} {precision}") }
}

impl<'a> Suite<'a> {
    pub fn new(name: &'a str, plan: &'a Plan) -> Self {
        Self { name, plan, verdicts: vec![] }
    }

    fn cases<B: Backend>(&mut self, backend: &B, cases: Vec<Case>, mut variant: Variant) {
        let precisions = backend.info().precisions;
        for case in cases.iter().filter(|case| work(case) <= self.plan.most_work) {
            let several = matches!(case.op, Op::Linear(..) | Op::Attention(_));
            for &precision in if several { &precisions[..] } else { &[Precision::F32] } {
                // What is not a number may become one when it is rounded to 8 bits.
                if case.values == Values::Holed && precision != Precision::F32 {
                    continue;
                }
                let name =
                    if variant == Variant::Default { format!("{case} default") } else { case.to_string() };
                let name = named(name, precision);
                if !self.plan.wants(&name) {
                    continue;
                }
                let operation = case.op.name().to_owned();
                let tolerance = tolerance(&operation, Some(case.values), precision, self.name);
                trace::take();
                let checked = check(backend, case, precision, tolerance, self.plan.rng(&name));
                if [Variant::Fused, Variant::Inherited].contains(&variant) {
                    let inherited = trace::take().contains(&case.op.name());
                    variant = if inherited { Variant::Inherited } else { Variant::Fused };
                }
                self.judge(Entry { operation, variant, precision, case: name, tolerance }, checked);
            }
        }
    }

    /// Files what came of a whole model.
    pub fn judge_model(
        &mut self,
        operation: &str,
        case: String,
        precision: Precision,
        tolerance: Tolerance,
        result: Result<Difference, Fault>,
    ) {
        let (operation, variant) = (operation.to_owned(), Variant::Required);
        let checked = Checked { result, inputs: vec![] };
        self.judge(Entry { operation, variant, precision, case, tolerance }, checked);
    }

    /// Files what came of a case.
    fn judge(&mut self, entry: Entry, checked: Checked) {
        let Entry { operation, variant, precision, case, tolerance } = entry;
        let known = KNOWN.iter().find(|known| known.is(self.name, &case)).map(|known| known.reason);
        let outcome = match (checked.result, known) {
            (Ok(difference), None) => Outcome::Passed(difference),
            (Ok(_), Some(reason)) => Outcome::KnownFailurePassed(reason),
            (Err(_), Some(reason)) => Outcome::KnownFailure(reason),
            (Err(fault), None) => {
                let inputs = checked.inputs.iter().map(|input| format!("\n    {input}"));
                Outcome::Failed(format!("{operation}: {fault}{}", inputs.collect::<String>()))
            }
        };
        let backend = self.name.to_owned();
        self.verdicts.push(Verdict { backend, operation, variant, precision, case, tolerance, outcome });
    }
}

/// A rough count of multiplications.
fn work(case: &Case) -> usize {
    let tokens: usize = case.lengths.iter().sum();
    let squares: usize = case.lengths.iter().map(|length| length * length).sum();
    let product: usize = case.shape.iter().product();
    match case.op {
        Op::Attention(_) | Op::AttentionWeights(_) => squares * product,
        Op::Pool(_) | Op::Concat => tokens * product,
        Op::Embed(_) => tokens * case.shape[1],
        _ => product,
    }
}
