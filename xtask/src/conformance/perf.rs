//! What overrides are worth: every provided operation by its default body and as the backend has it.

use std::time::{Duration, Instant};

use bert_core::backend::Backend;
use bert_core::ops::{Activation, Pooling, Precision};

use super::case::{Bias, Case, Op, Segments};
use super::check::catch;
use super::data::Desk;
use super::defaults::Defaults;
use super::fault::Fault;
use super::prepare::prepare;
use super::suite::Plan;

/// The time of one operation in one shape, as medians.
pub struct Timing {
    /// The name of the case.
    pub case: String,
    /// By the default body, on the backend's own eight methods.
    pub default: Duration,
    /// As the backend has it.
    pub own: Duration,
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
        Case::new(Op::Attention, [12, 64]).lengths(&[128]),
        Case::new(Op::Attention, [12, 64]).lengths(&[8, 128, 16, 40]),
        Case::new(Op::LayerNorm, [128, 768]),
        Case::new(Op::AddLayerNorm, [128, 768]),
        Case::new(Op::Softmax, [1536, 128]),
        Case::new(Op::Pool(Pooling::Mean), [768]).lengths(&[8, 128, 16, 40]),
    ]
}

/// Times a backend.
///
/// # Errors
/// The first operation that fails.
pub fn measure<B: Backend>(backend: &B, plan: &Plan) -> Result<Vec<Timing>, Fault> {
    let wanted = cases().into_iter().filter(|case| plan.wants(&case.to_string()));
    wanted
        .map(|case| {
            let default = median(&Defaults(backend.clone()), &case, plan)?;
            let own = median(backend, &case, plan)?;
            Ok(Timing { case: case.to_string(), default, own })
        })
        .collect()
}

/// For this long, and this many times at least.
const BUDGET: Duration = Duration::from_millis(300);
const RUNS: usize = 5;

fn median<B: Backend>(backend: &B, case: &Case, plan: &Plan) -> Result<Duration, Fault> {
    catch(|| {
        let mut desk = Desk::new(backend);
        let prepared = prepare(&mut desk, case, Precision::F32, &mut plan.rng(&case.to_string()))?;
        let parts = prepared.bounds.len() - 1;
        let run = || -> Result<Duration, Fault> {
            let start = Instant::now();
            let result = (prepared.compute)(0..parts)?;
            pollster::block_on(backend.sync())?;
            drop(result);
            Ok(start.elapsed())
        };
        run()?;
        let (mut times, start) = (vec![], Instant::now());
        while times.len() < RUNS || start.elapsed() < BUDGET {
            times.push(run()?);
        }
        times.sort();
        Ok(times[times.len() / 2])
    })
}
