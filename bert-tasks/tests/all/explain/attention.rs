//! Attention against transformers' `output_attentions`, recorded by `xtask/scripts/attention.py`.

use bert_tasks::bert_core::PackedBatch;
use bert_tasks::bert_core::graph::Output;
use bert_tasks::checkpoint::Checkpoint;
use bert_tasks::explain::{Attention, AttentionOptions, ExplainError};
use bert_tasks::text_classification::Text;
use bert_tasks::{Device, Error, Head, ModelConfig, Precision, Task};
use serde::Deserialize;

use super::{assert_safe, checkpoint, run_page};

#[derive(Deserialize)]
struct Recorded {
    checkpoint: String,
    text: Option<String>,
    pair: Option<String>,
    ids: Vec<u32>,
    /// `[layers, heads, tokens, tokens]`
    attentions: Vec<Vec<Vec<Vec<f32>>>>,
}

fn recorded() -> Vec<Recorded> {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}

fn load(name: &str, options: AttentionOptions) -> Attention {
    let (model, device) = checkpoint(name);
    Attention::load(&model, &device).unwrap().with_options(options).unwrap()
}

fn text(first: &str, second: Option<&str>) -> Text {
    Text { text: first.to_owned(), pair: second.map(str::to_owned) }
}

#[test]
fn weights_are_those_of_transformers() {
    let mut worst = 0f32;
    for recorded in recorded() {
        // A batch with another sequence before: each has its own rows.
        let segments: Vec<u32> = match (&recorded.pair, recorded.ids.iter().position(|&id| id == 3)) {
            (Some(_), Some(end)) => (0..recorded.ids.len()).map(|token| u32::from(token > end)).collect(),
            _ => vec![0; recorded.ids.len()],
        };
        let folder = bert_conformance::checkpoint(&recorded.checkpoint);
        let (config, files) =
            (ModelConfig::from_folder(&folder).unwrap(), Checkpoint::open(&folder).unwrap());
        let device = Device::cpu().unwrap();
        let model = device.load(config, &files, Head::None, Precision::F32).unwrap();
        let mut batch = PackedBatch::default();
        batch.push(&[2, 5, 3], &[0; 3]);
        batch.push(&recorded.ids, &segments);
        let layers = recorded.attentions.len();
        let outputs: Vec<_> = (1..=layers).map(Output::Attention).collect();
        let found = pollster_block(model.run(&batch, &outputs));
        for (output, (found, expected)) in outputs.iter().zip(found.iter().zip(&recorded.attentions)) {
            let rows = output.axis().rows(&batch, 1);
            let (heads, count) = (expected.len(), recorded.ids.len());
            assert_eq!((rows.start, rows.len()), (9, count * count));
            let all = found.as_slice::<f32>().unwrap();
            for (pair, row) in rows.enumerate() {
                for head in 0..heads {
                    let expected = expected[head][pair / count][pair % count];
                    worst = worst.max((all[row * heads + head] - expected).abs());
                }
            }
        }
        if let Some(first) = &recorded.text {
            let attention = load(&recorded.checkpoint, AttentionOptions::default());
            let found = attention.predict_one(text(first, recorded.pair.as_deref())).unwrap();
            assert_eq!(found.tokens.len(), recorded.ids.len());
            assert_eq!(found.tokens[0].text, None);
            assert_eq!(found.tokens.iter().any(|token| token.text == Some(1)), recorded.pair.is_some());
            for (found, expected) in found.layers.iter().zip(&recorded.attentions) {
                for (found, expected) in found.heads.iter().zip(expected) {
                    let pairs = found.weights.iter().flatten().zip(expected.iter().flatten());
                    worst = pairs.fold(worst, |worst, (a, b)| worst.max((a - b).abs()));
                }
            }
        }
    }
    println!("largest difference {worst:.1e}");
    assert!(worst < 1e-5, "{worst}");
}

/// The encoder of a CPU never waits.
fn pollster_block<T>(future: impl Future<Output = bert_tasks::bert_core::Result<T>>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(result) => result.unwrap(),
        std::task::Poll::Pending => panic!("a CPU answers at once"),
    }
}

#[test]
fn layers_and_heads_are_chosen() {
    let options = AttentionOptions { layers: vec![-1, 2], heads: vec![3, 1, 3], vectors: true };
    let found = load("bert-embedding", options).predict_one("the capital of france").unwrap();
    let heads: Vec<_> = found.layers[0].heads.iter().map(|head| head.head).collect();
    assert_eq!((found.layers.len(), found.layers[0].layer, heads), (1, 2, vec![1, 3]));
    // The weights are the softmax of the products of queries and keys.
    let head = &found.layers[0].heads[1];
    let (queries, keys) = (head.queries.as_ref().unwrap(), head.keys.as_ref().unwrap());
    for (from, row) in head.weights.iter().enumerate() {
        let scores: Vec<f32> = keys
            .outer_iter()
            .map(|key| queries.row(from).dot(&key) / (queries.ncols() as f32).sqrt())
            .collect();
        let sum: f32 = scores.iter().map(|score| score.exp()).sum();
        for (weight, score) in row.iter().zip(scores) {
            assert!((weight - score.exp() / sum).abs() < 1e-5);
        }
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn what_is_not_there_is_named() {
    let (model, device) = checkpoint("bert-embedding");
    let attention = Attention::load(&model, &device).unwrap();
    for layer in [0, 3, -3, i64::MIN, i64::MAX] {
        let options = AttentionOptions { layers: vec![layer], ..AttentionOptions::default() };
        let error = attention.clone().with_options(options).unwrap_err();
        assert!(matches!(error, Error::Explain(ExplainError::Layer { count: 2, .. })), "{error}");
        assert!(error.to_string().contains("layers 1 to 2"), "{error}");
    }
    for head in [0, 4, usize::MAX] {
        let options = AttentionOptions { heads: vec![head], ..AttentionOptions::default() };
        let error = attention.clone().with_options(options).unwrap_err();
        assert!(matches!(error, Error::Explain(ExplainError::Head { count: 3, .. })), "{error}");
    }
    for empty in ["", " \t\n", "\0"] {
        let error = attention.predict_one(empty).unwrap_err();
        assert!(matches!(error, Error::Explain(ExplainError::NoWords)), "{empty:?}: {error}");
    }
    let long = "the ".repeat(64);
    let error = attention.predict_one(long).unwrap_err();
    assert!(matches!(error, Error::Explain(ExplainError::TooLong { tokens: 66, max_length: 65 })), "{error}");
    // As many as there is room for.
    let all = attention.predict_one("the ".repeat(63)).unwrap();
    assert_eq!(all.layers[0].heads[0].weights.len(), 65);
}

#[test]
fn strongest_links_are_between_different_words() {
    let found = load("bert-embedding", AttentionOptions::default());
    let found = found.predict_one(text("the capital of france", Some("is paris"))).unwrap();
    let links = found.strongest(7);
    assert_eq!(links.len(), 7);
    assert!(links.is_sorted_by(|a, b| a.weight >= b.weight));
    for link in &links {
        assert!(
            link.from != link.to
                && found.tokens[link.from].text.is_some()
                && found.tokens[link.to].text.is_some()
        );
        let head = &found.layers[link.layer - 1].heads[link.head - 1];
        assert_eq!(head.weights[link.from][link.to], link.weight);
    }
    // All of them: two layers, three heads, pairs of words.
    let words = found.tokens.iter().filter(|token| token.text.is_some()).count();
    assert_eq!(found.strongest(usize::MAX / 4).len(), 6 * words * (words - 1));
    assert!(found.strongest(0).is_empty());
}

#[test]
fn pages_and_drawings_hold_any_text() {
    let options = AttentionOptions { vectors: true, ..AttentionOptions::default() };
    let attention = load("bert-embedding", options);
    let found = attention.predict_one(text("</script><b> &\" 🍋 TEXTS", Some("\u{202e}<!-- \0"))).unwrap();
    let html = found.to_html();
    assert_safe(&html);
    assert!(html.contains("&lt;/script&gt;&lt;b&gt; &amp;&quot; 🍋 TEXTS"));
    run_page(&html);
    let svg = found.to_svg(2).unwrap();
    assert!(svg.starts_with("<svg xmlns") && svg.trim_end().ends_with("</svg>") && !svg.contains("<b>"));
    assert_eq!(found.to_svg(3), None);
    // Without vectors, and of one token.
    let plain = load("bert-embedding", AttentionOptions::default()).predict_one("a").unwrap();
    run_page(&plain.to_html());
}

/// A batch of one and of many: the same bits.
#[test]
fn batches_change_nothing() {
    let attention = load("bert-embedding", AttentionOptions::default());
    let texts = ["the capital of france", "a", "paris is the capital of france and not of italy"];
    let together = attention.predict_all(texts).unwrap();
    for (text, found) in texts.into_iter().zip(together) {
        assert_eq!(attention.predict_one(text).unwrap(), found);
    }
}

/// The tokenizer does not know the word, and the reader does.
#[test]
fn unknown_tokens_have_the_name_of_their_word() {
    let (model, device) = checkpoint("bert-embedding");
    let attention = Attention::load(&model, &device).unwrap();
    let pair = Text { text: "the 🍋🍋".to_owned(), pair: Some("paris <b>".to_owned()) };
    let found = attention.predict_one(pair).unwrap();
    let names: Vec<_> = (0..found.tokens.len()).map(|token| found.name(token)).collect();
    assert_eq!(names[..5], ["[CLS]", "the", "🍋🍋", "[SEP]", "paris"]);
    assert_eq!((found.tokens[2].token.as_str(), found.tokens[2].unknown), ("[UNK]", true));
    assert!(!found.tokens[0].unknown && !found.tokens[1].unknown);
    assert!(found.to_html().contains("[\"🍋🍋\",0]") && found.to_svg(1).unwrap().contains(">🍋🍋</text>"));
    assert_safe(&found.to_html());
}
