//! What overrides are worth: every provided operation by its default body and as the backend has it.

use std::time::{Duration, Instant};

use bert_core::contract::{Activation, Backend, Pooling, Precision};

use crate::case::{Bias, Case, Op, Scaling, Segments};
use crate::check::catch;
use crate::data::DeviceInputs;
use crate::defaults::Defaults;
use crate::fault::Fault;
use crate::prepare::prepare;
use crate::suite::{Plan, named};

/// The time of one operation in one shape: the shortest, in which nothing else disturbed.
pub struct Timing {
    /// The name of the case.
    pub case: String,
    /// The operation, as in [`Verdict`](crate::Verdict).
    pub operation: String,
    /// The precision of its weights.
    pub precision: Precision,
    /// By the default body, on the backend's own eight methods; these know `f32` alone.
    pub default: Option<Duration>,
    /// As the backend has it.
    pub own: Duration,
    /// Additions and multiplications of matrix products; 0 where there is no product.
    pub flops: f64,
}

/// The operations of BERT-base on one sequence of 128 tokens.
fn cases() -> Vec<Case> {
    let linear = |activation, shape: [usize; 3]| Case::new(Op::Linear(activation, Bias::With), shape);
    vec![
        Case::new(Op::Embed(Segments::With), [1000, 768]).lengths(&[128]),
        linear(Activation::Identity, [128, 768, 2304]),
        linear(Activation::Identity, [128, 768, 768]),
        linear(Activation::Gelu, [128, 768, 3072]),
        linear(Activation::Identity, [128, 3072, 768]),
        Case::new(Op::Attention(Scaling::Usual), [12, 64]).lengths(&[128]),
        Case::new(Op::Attention(Scaling::Usual), [12, 64]).lengths(&[8, 128, 16, 40]),
        Case::new(Op::LayerNorm, [128, 768]),
        Case::new(Op::AddLayerNorm, [128, 768]),
        Case::new(Op::Softmax, [1536, 128]),
        Case::new(Op::Pool(Pooling::Mean), [768]).lengths(&[8, 128, 16, 40]),
    ]
}

/// Times a backend, linear layers in all its precisions.
///
/// # Errors
/// The first operation that fails.
pub fn measure<B: Backend>(backend: &B, plan: &Plan) -> Result<Vec<Timing>, Fault> {
    let mut timings = vec![];
    for case in cases() {
        let precisions =
            if let Op::Linear(..) = case.op { backend.info().precisions } else { vec![Precision::F32] };
        for precision in precisions {
            let name = named(case.to_string(), precision);
            if !plan.wants(&name) {
                continue;
            }
            let default = match precision {
                Precision::F32 => Some(fastest(&Defaults(backend.clone()), &case, precision, plan)?),
                _ => None,
            };
            let own = fastest(backend, &case, precision, plan)?;
            let (operation, flops) = (case.op.name().to_owned(), flops(&case));
            timings.push(Timing { case: name, operation, precision, default, own, flops });
        }
    }
    Ok(timings)
}

fn flops(case: &Case) -> f64 {
    let product = case.shape.iter().product::<usize>() as f64;
    let squares: usize = case.lengths.iter().map(|length| length * length).sum();
    match case.op {
        Op::Linear(..) => 2.0 * product,
        Op::Attention(_) => 4.0 * squares as f64 * product,
        _ => 0.0,
    }
}

/// For this long, and this many times at least.
const BUDGET: Duration = Duration::from_millis(300);
const RUNS: usize = 5;

fn fastest<B: Backend>(
    backend: &B,
    case: &Case,
    precision: Precision,
    plan: &Plan,
) -> Result<Duration, Fault> {
    catch(|| {
        let mut device_inputs = DeviceInputs::new(backend);
        let prepared = prepare(&mut device_inputs, case, precision, &mut plan.rng(&case.to_string()))?;
        let parts = prepared.bounds.len() - 1;
        let run = || -> Result<Duration, Fault> {
            let start = Instant::now();
            let result = (prepared.compute)(0..parts)?;
            pollster::block_on(backend.sync())?;
            drop(result);
            Ok(start.elapsed())
        };
        run()?;
        let (mut best, mut runs, start) = (Duration::MAX, 0, Instant::now());
        while runs < RUNS || start.elapsed() < BUDGET {
            best = best.min(run()?);
            runs += 1;
        }
        Ok(best)
    })
}
