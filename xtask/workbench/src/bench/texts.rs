//! From the lines of a file to vectors: the tokenizer and the model together.

use std::path::Path;
use std::time::{Duration, Instant};

use bert_tasks::{Device, DeviceOptions, Embedding, ModelSource, Precision, Pretrained, Task};

use super::{clock, report};
use crate::error::{Error, Result};

/// Times it, and says how long tokenisation alone takes on one thread.
///
/// # Errors
/// A model or a file that cannot be read.
pub fn run(
    model: &Path,
    file: &Path,
    threads: Option<usize>,
    precision: Precision,
    budget: Duration,
) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(Error::file("read", file))?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let files = Pretrained::from_source(ModelSource::Folder(model.to_path_buf()))?;
    let device = Device::open("cpu", DeviceOptions { threads })?;
    let task = Embedding::from_pretrained(&files, &device, precision)?;

    let start = Instant::now();
    let tokens = lines.iter().map(|line| Ok(task.prepare(line)?.sequences[0].ids.len()));
    let tokens: usize = tokens.sum::<Result<usize>>()?;
    let tokenise_ms = start.elapsed().as_secs_f64() * 1e3;

    let times = clock::time(budget, || {
        task.predict_all(lines.iter().cloned()).map(|vectors| drop(std::hint::black_box(vectors)))
    })?;
    let threads = super::load::cpu(threads)?.threads();
    report::texts_line(lines.len(), tokens, tokenise_ms, threads, &times);
    Ok(())
}
