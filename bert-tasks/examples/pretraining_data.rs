//! Tokenises raw text into shards and makes the examples of an epoch, and says how fast both are.
//!
//! `cargo run --release -p bert-tasks --example pretraining_data -- VOCAB.txt FOLDER THREADS TEXT...`
//!
//! Without arguments it takes a small vocabulary and the README of this crate.

use std::error::Error;
use std::time::Instant;

use bert_tasks::data::text;
use bert_tasks::pretraining::{BuildOptions, ExampleOptions, Examples, Shards, Vocabulary, build_shards};
use bert_tasks::tokenizer::Tokenizer;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let scratch = tempfile::tempdir()?;
    if arguments.is_empty() {
        let vocab = bert_conformance::checkpoint("bert-masked-lm").join("vocab.txt");
        let text = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let folder = scratch.path().join("shards");
        arguments = vec![vocab.display().to_string(), folder.display().to_string(), "2".into(), text.into()];
    }
    let [vocab, folder, threads, files @ ..] = &arguments[..] else {
        return Err("give a vocab.txt, a folder for shards, the number of threads, and files of text".into());
    };
    let tokenizer = Tokenizer::from_parts(&std::fs::read_to_string(vocab)?, None)?;
    let options = BuildOptions { threads: threads.parse()?, ..BuildOptions::default() };

    let start = Instant::now();
    let paragraphs = text::paragraphs(files, &text::Options::default());
    let built = build_shards(paragraphs, &tokenizer, folder, &options)?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{} documents, {} sentences, {} tokens in {seconds:.1} s: {:.0} tokens/s on {threads} threads",
        built.documents,
        built.sentences,
        built.tokens,
        built.tokens as f64 / seconds
    );

    let start = Instant::now();
    let shards = Shards::open(&built.paths, Vocabulary::new(&tokenizer)?)?;
    let examples = Examples::new(shards, ExampleOptions::default())?;
    println!("opened in {:.3} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let epoch = examples.epoch(0);
    println!("{} examples, counted in {:.3} s", epoch.len(), start.elapsed().as_secs_f64());

    let start = Instant::now();
    let (mut count, mut tokens, mut next) = (0, 0, 0);
    for example in epoch.examples_from(0).take(100_000) {
        let example = example?;
        count += 1;
        tokens += example.ids.len();
        next += usize::from(example.is_next == Some(true));
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{count} examples, {:.1} tokens and {:.2} next on average: {:.0} examples/s, {:.0} tokens/s on one thread",
        tokens as f64 / f64::from(count),
        next as f64 / f64::from(count),
        f64::from(count) / seconds,
        tokens as f64 / seconds
    );
    Ok(())
}
