//! A whole step of masked-LM training, at the shapes of BERT-base and MiniLM-L6 and with random weights.
//!
//! `cargo bench -p bert-backend-cpu --bench train [-- NAME [STEPS [recompute] [dropout]]]`. Prints the best of some steps,
//! part by part.
//! `BERT_SIMD` and `BERT_THREADS` choose what is measured.

use std::time::{Duration, Instant};

use bert_backend_cpu::{CpuBackend, CpuOptions};
use bert_core::contract::Precision;
use bert_core::graph::{Head, Initial, Output};
use bert_core::random::Random;
use bert_core::train::{AdamStep, AdamW, Trainable, clip, loss};
use bert_core::{ModelConfig, PackedBatch};
use pollster::block_on;

/// Name, hidden size, layers, heads, intermediate size; sequences and their length.
const MODELS: [(&str, [usize; 4], [usize; 2]); 2] =
    [("bert-base", [768, 12, 12, 3072], [8, 128]), ("minilm-l6", [384, 6, 12, 1536], [32, 128])];
const VOCABULARY: usize = 30522;
const PARTS: [&str; 6] = ["forward", "loss", "backward", "norm", "optimiser", "whole step"];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let steps = words.get(1).map_or(4, |word| word.parse().expect("a number of steps"));
    for (name, shape, batch) in MODELS {
        if words.first().is_none_or(|word| name.contains(word.as_str())) {
            measure(name, shape, batch, steps, &words);
        }
    }
}

fn measure(
    name: &str,
    [hidden, layers, heads, inner]: [usize; 4],
    [sequences, length]: [usize; 2],
    steps: u64,
    words: &[String],
) {
    let backend = CpuBackend::new(CpuOptions::default()).expect("a backend");
    let config = format!(
        r#"{{"vocab_size": {VOCABULARY}, "hidden_size": {hidden}, "num_hidden_layers": {layers},
            "num_attention_heads": {heads}, "intermediate_size": {inner}}}"#
    );
    let config = ModelConfig::from_json(&config).expect("a configuration");
    let head = Head::MaskedLm;
    let source = Initial::new(1, 0.02);
    let mut model = Trainable::new(backend.clone(), config, &source, head, Precision::F32).expect("a model");

    let asked = |setting: &str| words.iter().any(|word| word == setting);
    model.set_recompute(asked("recompute"));
    let (mut batch, mut targets) = (PackedBatch::default(), vec![]);
    for sequence in 0..sequences {
        let ids: Vec<u32> =
            (0..length).map(|i| ((sequence * length + i) * 7919 % VOCABULARY) as u32).collect();
        // 15 % of the tokens
        let marked: Vec<u32> = (0..length as u32).filter(|i| i * 3 % 20 < 3).collect();
        targets.extend(marked.iter().map(|&i| Some(ids[i as usize])));
        batch.push_marked(&ids, &vec![0; length], &marked);
    }

    let mut best = [Duration::MAX; PARTS.len()];
    let mut held = [0.0f64; PARTS.len()];
    let mut losses = vec![];
    for number in 1..=steps {
        let mut times = vec![Instant::now()];
        let dropout = asked("dropout").then(|| Random::new(7).numbered(number));
        let mut memory = vec![];
        let mut part = || {
            memory.push(status("VmRSS:").unwrap_or_default());
            times.push(Instant::now());
        };
        let scores = model.forward(&batch, &[Output::Scores(head)], dropout).expect("scores").remove(0);
        part();
        let loss = loss::classes(&backend, &model.value(&scores), &targets, 0.0).expect("a loss");
        losses.push(block_on(loss.value(&backend)).expect("its value"));
        part();
        let gradients = model.backward(&[(scores, loss.gradient)]).expect("gradients");
        part();
        let norm = block_on(model.gradient_norm(&gradients)).expect("a norm");
        part();
        let step = AdamStep { number, rate: 1e-4, scale: clip(norm, 1.0) };
        model.step(&gradients, &AdamW::default(), &step).expect("a step");
        part();
        held[..memory.len()].copy_from_slice(&memory);
        let whole = times[times.len() - 1] - times[0];
        let parts = times.windows(2).map(|pair| pair[1] - pair[0]).chain([whole]);
        best.iter_mut().zip(parts).for_each(|(best, part)| *best = part.min(*best));
    }
    println!("{name}, {sequences} x {length} tokens, {backend:?}: losses {losses:.5?}");
    for ((part, best), held) in PARTS.iter().zip(best).zip(held) {
        let held = if held > 0.0 { format!("{held:9.0} MiB held after it") } else { String::new() };
        println!("  {part:<10} {:9.1} ms {held}", best.as_secs_f64() * 1e3);
    }
    if let Some(peak) = status("VmHWM:") {
        println!("  peak RSS   {peak:9.0} MiB so far");
    }
}

/// Memory of this process in MiB, where the system says: what it holds, or the most that it has held at once.
fn status(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
