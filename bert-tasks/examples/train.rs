//! Training: a classifier out of an encoder and a few labelled texts.
//!
//! `cargo run --release -p bert-tasks --example train -- bert-cli/models/english-mlm`
//!
//! Without a model it begins with a small one, in a second. What it trains is thrown away afterwards.

use std::error::Error;

use bert_tasks::data::Place;
use bert_tasks::data::classification::{Example, Label};
use bert_tasks::training::{Classification, Report, TrainOptions, Trainer};
use bert_tasks::{Device, Pretrained, TextClassification};

const REVIEWS: [(&str, &str); 8] = [
    ("a good movie", "positive"),
    ("it is good, very good", "positive"),
    ("this movie is very good!", "positive"),
    ("you live for a good movie", "positive"),
    ("a bad movie", "negative"),
    ("it is bad, very bad", "negative"),
    ("this movie is very bad!", "negative"),
    ("you live with a bad movie", "negative"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let model = std::env::args().nth(1);
    // Random weights have all to learn; a trained encoder is to forget nothing.
    let (epochs, learning_rate) = if model.is_none() { (50, 1e-3) } else { (10, 1e-4) };
    let small = || bert_conformance::checkpoint("bert-embedding").display().to_string();
    let base = Pretrained::open(&model.unwrap_or_else(small))?;
    let device = Device::auto()?;

    // `data::classification::read` reads examples from CSV, TSV and JSON lines.
    let place = Place::of(file!());
    let examples = REVIEWS.map(|(text, label)| Example {
        text: text.to_owned(),
        second: None,
        label: Label::One(label.to_owned()),
        place: place.clone(),
    });
    let objective = Classification::new(&base, examples.to_vec(), vec![])?;
    let options = TrainOptions { epochs, batch_size: 4, learning_rate, ..TrainOptions::default() };

    let folder = tempfile::tempdir()?;
    let out = folder.path().join("classifier");
    let summary = Trainer::new(&base, &device, options).run(&objective, &out, |report| {
        if let Report::Step { step, steps, loss, .. } = report
            && step % 10 == 0
        {
            println!("step {step} of {steps}: loss {loss:.4}");
        }
    })?;
    println!("{} steps; the folder has a model card, curves and metrics", summary.steps);

    let classifier = TextClassification::load(&out.display().to_string(), &device)?;
    for text in ["that is a good movie", "that is a bad movie"] {
        let best = &classifier.predict(text)?.scores[0];
        println!("{:.3}  {}  {text}", best.score, best.label);
    }
    Ok(())
}
