//! Shards and examples of a part of a real corpus.

use bert_tasks::data::text;
use bert_tasks::pretraining::{BuildOptions, ExampleOptions, Examples, Shards, Vocabulary, build_shards};
use bert_tasks::tokenizer::Tokenizer;

use crate::common::shared;

#[test]
fn news_become_examples() {
    let (Some(corpus), Some(vocab)) =
        (shared("data/corpus/wikinews.txt.zst"), shared("data/vocab/bert-base-uncased.vocab.txt"))
    else {
        return;
    };
    let tokenizer = Tokenizer::from_parts(&std::fs::read_to_string(vocab).unwrap(), None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let paragraphs = text::paragraphs([corpus], &text::Options::default()).take(3000);
    let built = build_shards(paragraphs, &tokenizer, folder.path(), &BuildOptions::default()).unwrap();
    assert!(built.documents > 300 && built.sentences > 3000 && built.tokens > 100_000, "{built:?}");

    let shards = Shards::open_folder(folder.path(), Vocabulary::new(&tokenizer).unwrap()).unwrap();
    let examples = Examples::new(shards, ExampleOptions::default()).unwrap();
    let epoch = examples.epoch(0);
    let (mut tokens, mut masked, mut next) = (0, 0, 0);
    for example in epoch.examples_from(0) {
        let example = example.unwrap();
        tokens += example.ids.len() - 3;
        masked += example.masked.len();
        next += usize::from(example.is_next == Some(true));
    }
    println!("{built:?}: {} examples, {tokens} tokens, {masked} masked, {next} next", epoch.len());
    assert!((masked as f64 / tokens as f64 - 0.15).abs() < 0.005);
    // An example of one sentence has no next one, and news have long sentences and short articles.
    assert!((0.25..0.55).contains(&(next as f64 / epoch.len() as f64)));
}
