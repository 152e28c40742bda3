//! A step of masked-LM training: 15 % of the tokens decoded, forward, backward, clipping, AdamW; no dropout.
//!
//! Each case runs in a process of its own, whose peak of memory is then that of the case.

use std::process::Command;

use bert_core::contract::Precision;
use bert_core::graph::{Head, Initial, Output};
use bert_core::train::{AdamStep, AdamW, Trainable, clip, loss};
use bert_core::{ModelConfig, PackedBatch};
use clap::ValueEnum;
use pollster::block_on;
use serde::{Deserialize, Serialize};

use super::clock::{self, Times};
use super::memory;
use super::results::{Limits, Training};
use super::workload::{Case, Shape};
use super::{Args, load};
use crate::error::{Error, Result};

/// What a case of another engine's table is called, in front of the name of the batch.
pub const PREFIX: &str = "train-";

/// What the process of a case says.
#[derive(Serialize, Deserialize)]
struct Report {
    #[serde(flatten)]
    times: Times,
    peak_mb: Option<f64>,
}

/// A case by its name here or in the tables of other engines.
///
/// # Errors
/// What is known, for another word.
pub fn case(word: &str) -> std::result::Result<Case, String> {
    Case::from_str(word.strip_prefix(PREFIX).unwrap_or(word), true)
}

/// All cases of the shapes that are asked for, each in a process of its own.
///
/// # Errors
/// [`Error::Child`] if a process did not end well.
pub fn measure(args: &Args, threads: usize) -> Result<Vec<Training>> {
    let mut measured = vec![];
    for &shape in &args.shape {
        let config = shape.model_config();
        for &case in shape.training_cases() {
            if !args.case.is_empty() && !args.case.contains(&case) {
                continue;
            }
            let (model, precision) = (shape.name(), Precision::F32.to_string());
            eprintln!("{model} {precision} a training step of {} with {threads} threads …", case.name());
            let Report { times, peak_mb } = in_child(args, case, threads)?;
            let tokens = case.tokens();
            let gflop = flops(case, &config) / 1e9;
            measured.push(Training {
                model,
                precision,
                threads,
                case,
                tokens,
                times,
                peak_mb,
                gflop,
                optimiser_gbytes: optimiser_bytes(&config) / 1e9,
                floor_ms: None,
            });
        }
    }
    Ok(measured)
}

fn in_child(args: &Args, case: Case, threads: usize) -> Result<Report> {
    let program = std::env::current_exe().map_err(Error::file("find", "this program".as_ref()))?;
    let mut command = Command::new(&program);
    command.args(["bench", "--training-step", &case.name()]);
    command.args(["--threads", &threads.to_string(), "--budget", &args.budget.to_string()]);
    let output = command.output().map_err(Error::file("run", &program))?;
    serde_json::from_slice(&output.stdout).map_err(|_| Error::Child {
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Times one case in this process and prints a line of JSON, for [`measure`] and for scripts that compare engines.
///
/// # Errors
/// A number of threads that cannot be started.
pub fn report(args: &Args, case: Case) -> Result<()> {
    let shapes = Shape::value_variants();
    let shape = shapes.iter().find(|shape| shape.training_cases().contains(&case)).unwrap_or(&shapes[0]);
    let times = time(args, *shape, case)?;
    let report = Report { times, peak_mb: memory::peak().map(|bytes| bytes as f64 / 1e6) };
    println!("{}", serde_json::to_string(&report).expect("plain numbers"));
    Ok(())
}

fn time(args: &Args, shape: Shape, case: Case) -> Result<Times> {
    let backend = load::cpu(args.threads.first().copied())?;
    let (config, head) = (shape.model_config(), Head::MaskedLm);
    let source = Initial::new(1, config.initializer_range);
    let (batch, targets) = marked(case, &config);
    let mut model = Trainable::new(backend.clone(), config, &source, head, Precision::F32)?;
    let mut number = 0;
    clock::time(args.budget(), || {
        number += 1;
        let scores = model.forward(&batch, &[Output::Scores(head)], None)?.remove(0);
        let loss = loss::classes(&backend, &model.value(&scores), &targets, 0.0)?;
        std::hint::black_box(block_on(loss.value(&backend))?);
        let gradients = model.backward(&[(scores, loss.gradient)])?;
        let norm = block_on(model.gradient_norm(&gradients))?;
        let step = AdamStep { number, rate: 1e-5, scale: clip(norm, 1.0) };
        Ok(model.step(&gradients, &AdamW::default(), &step)?)
    })
}

/// The batch of a case with 15 % of each sequence's tokens marked, and what they were.
fn marked(case: Case, config: &ModelConfig) -> (PackedBatch, Vec<Option<u32>>) {
    let plain = case.batch(config);
    let (mut batch, mut targets, mut start) = (PackedBatch::default(), vec![], 0);
    for &length in case.lengths() {
        let ids = &plain.ids()[start..start + length];
        let marked: Vec<u32> = (0..length as u32).filter(|place| is_marked(*place)).collect();
        targets.extend(marked.iter().map(|&place| Some(ids[place as usize])));
        batch.push_marked(ids, &vec![0; length], &marked);
        start += length;
    }
    (batch, targets)
}

/// Three of twenty.
fn is_marked(place: u32) -> bool {
    place * 3 % 20 < 3
}

/// Arithmetic of a step: three times that of the forward pass, since each product has two in the backward pass.
fn flops(case: Case, config: &ModelConfig) -> f64 {
    let marked =
        case.lengths().iter().map(|&length| (0..length as u32).filter(|place| is_marked(*place)).count());
    let marked = marked.sum::<usize>() as f64;
    let (hidden, vocabulary) = (config.hidden_size as f64, config.vocab_size as f64);
    3.0 * (case.flops(config) + 2.0 * marked * hidden * (hidden + vocabulary))
}

/// What AdamW moves: for each parameter it reads four numbers and writes three.
fn optimiser_bytes(config: &ModelConfig) -> f64 {
    let parameters = bert_core::graph::parameters(config, Head::MaskedLm).expect("the head fits the shapes");
    let count: usize = parameters.iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum();
    (count * 7 * size_of::<f32>()) as f64
}

/// The same with the least time that the limits of the machine allow: the arithmetic, and then the optimiser.
pub fn bounded(step: Training, limits: &Limits) -> Training {
    let compute = limits.gflops(&step.precision).map(|gflops| step.gflop / gflops * 1e3);
    let floor_ms = compute.map(|compute| compute + step.optimiser_gbytes / limits.read_gbytes * 1e3);
    Training { floor_ms, ..step }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_have_the_names_of_the_tables() {
        assert_eq!(case("train-mix16"), Ok(Case::Mix16));
        assert_eq!(case("b32s128"), Ok(Case::B32s128));
        assert!(case("train-").is_err());
    }

    #[test]
    fn three_of_twenty_tokens_are_decoded() {
        let config = ModelConfig::from_json("{}").unwrap();
        let (batch, targets) = marked(Case::B8s128, &config);
        assert_eq!(batch.tokens(), 1024);
        assert!((150..=160).contains(&targets.len()), "{}", targets.len());
        let (mix, targets) = marked(Case::Mix16, &config);
        assert_eq!(mix.tokens(), 892);
        assert!(targets.iter().all(Option::is_some));
    }

    #[test]
    fn a_step_is_three_forward_passes_and_the_optimiser() {
        let base = ModelConfig::from_json("{}").unwrap();
        let step = flops(Case::B8s128, &base);
        // The vocabulary of 30,522 adds about 4 % to the encoder's.
        let encoder = 3.0 * Case::B8s128.flops(&base);
        assert!((1.03..1.06).contains(&(step / encoder)), "{}", step / encoder);
        // 109.5 M parameters, 28 bytes each.
        let bytes = optimiser_bytes(&base);
        assert!((3.0e9..3.15e9).contains(&bytes), "{bytes}");
    }
}
