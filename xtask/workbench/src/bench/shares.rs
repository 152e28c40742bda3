//! Which operation takes how much of a forward pass.

use std::time::{Duration, Instant};

use bert_backend_cpu::CpuBackend;
use bert_core::PackedBatch;
use bert_core::graph::Model;
use bert_core::observe::profile::{Call, Profile};
use serde::{Deserialize, Serialize};

use super::load;
use crate::error::Result;

/// The calls of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The operation, for linear layers with their extents: `linear 768→3072`.
    pub operation: String,
    /// Of the time of all calls, between 0 and 1.
    pub share: f64,
    /// Milliseconds in a forward pass.
    pub ms: f64,
    /// 10⁹ operations a second, where arithmetic is counted.
    pub gflops: Option<f64>,
}

/// Runs a profiled model for this long.
const BUDGET: Duration = Duration::from_secs(1);

/// Shares of one forward pass, the mean of several, in the order of the first calls.
///
/// # Errors
/// A batch that is too long for the model.
pub fn measure(model: &Model<Profile<CpuBackend>>, batch: &PackedBatch) -> Result<Vec<Share>> {
    load::forward(model, batch)?;
    model.backend().take();
    let (mut runs, start) = (0, Instant::now());
    while runs == 0 || start.elapsed() < BUDGET {
        load::forward(model, batch)?;
        runs += 1;
    }
    Ok(shares(&model.backend().take(), runs))
}

fn shares(calls: &[Call], runs: u32) -> Vec<Share> {
    let mut kinds: Vec<(String, Duration, u64)> = vec![];
    for call in calls {
        let mut name = call.operation.to_owned();
        if let ("linear", [_, inputs], [_, outputs]) =
            (name.split(' ').next().unwrap_or_default(), &call.input[..], &call.output[..])
        {
            name = format!("{name} {inputs}→{outputs}");
        }
        match kinds.iter_mut().find(|(kind, ..)| *kind == name) {
            Some((_, time, flops)) => (*time, *flops) = (*time + call.time, *flops + call.flops),
            None => kinds.push((name, call.time, call.flops)),
        }
    }
    let total: f64 = kinds.iter().map(|(_, time, _)| time.as_secs_f64()).sum();
    let share = |(operation, time, flops): (String, Duration, u64)| {
        let seconds = time.as_secs_f64();
        let gflops = (flops > 0).then(|| flops as f64 / seconds / 1e9);
        Share { operation, share: seconds / total, ms: seconds * 1e3 / f64::from(runs), gflops }
    };
    kinds.into_iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use bert_core::tensor::Shape;

    use super::*;

    #[test]
    fn calls_of_one_kind_are_added_up() {
        let call = |operation, input: [usize; 2], output: [usize; 2], flops, ms| Call {
            operation,
            input: Shape::from(input),
            output: Shape::from(output),
            flops,
            time: Duration::from_millis(ms),
        };
        let calls = [
            call("linear", [4, 8], [4, 24], 3_000_000, 1),
            call("attention", [4, 24], [4, 8], 1_000_000, 2),
            call("linear gelu", [4, 8], [4, 32], 0, 1),
            call("linear", [4, 8], [4, 24], 3_000_000, 4),
        ];
        let shares = shares(&calls, 2);
        let names: Vec<_> = shares.iter().map(|share| share.operation.as_str()).collect();
        assert_eq!(names, ["linear 8→24", "attention", "linear gelu 8→32"]);
        assert_eq!((shares[0].share, shares[0].ms), (5.0 / 8.0, 2.5));
        assert_eq!((shares[0].gflops, shares[2].gflops), (Some(1.2), None));
    }
}
