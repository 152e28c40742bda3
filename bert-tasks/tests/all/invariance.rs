//! An answer depends on its text alone: not on the texts beside it, their order, how batches are cut, or how
//! many threads compute. Not approximately: the same bits.

use crate::common::Tiny;
use bert_core::contract::{Pooling, Precision};
use bert_tasks::embedding::{Embedding, EmbeddingOptions};
use bert_tasks::features::Features;
use bert_tasks::{Device, DeviceOptions, Task};
use proptest::prelude::*;

/// Texts of a few words, of many, of none, and of anything.
fn text() -> impl Strategy<Value = String> {
    let words =
        prop::sample::select(vec!["the", "river", "bank", "money", "movie", "zebra", "42", "日本", "🙂"]);
    prop_oneof![
        prop::collection::vec(words.clone(), 0..6).prop_map(|words| words.join(" ")),
        prop::collection::vec(words, 40..80).prop_map(|words| words.join(" ")),
        any::<String>(),
    ]
}

fn device(threads: usize) -> Device {
    Device::open("cpu", DeviceOptions { threads: Some(threads) }).unwrap()
}

fn bits(vector: &[f32]) -> Vec<u32> {
    vector.iter().map(|x| x.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn company_batches_and_threads_change_nothing(
        texts in prop::collection::vec(text(), 1..24),
        threads in 1usize..5,
        budget in 1usize..400,
    ) {
        let tiny = Tiny::new("BertModel", &[]);
        let options = EmbeddingOptions {
            pooling: Some(vec![Pooling::Cls, Pooling::Mean, Pooling::Max, Pooling::MeanSqrtLen]),
            ..Default::default()
        };
        let load = |threads, budget| {
            let files = tiny.open().with_token_budget(budget);
            let embedding = Embedding::from_pretrained(&files, &device(threads), Precision::F32).unwrap();
            embedding.with_options(options.clone()).unwrap()
        };
        let alone = load(1, 2048);
        let alone: Vec<_> = texts.iter().map(|text| bits(&alone.predict(text).unwrap().vector)).collect();
        for budget in [budget, 2048] {
            let answers = load(threads, budget).predict_all(texts.clone()).unwrap();
            let found: Vec<_> = answers.iter().map(|answer| bits(&answer.vector)).collect();
            prop_assert_eq!(&found, &alone);
        }
    }
}

/// Several callers at once get what each would get alone.
#[test]
fn callers_do_not_disturb_each_other() {
    let tiny = Tiny::new("BertModel", &[]);
    let features = Features::load(tiny.name(), &device(2)).unwrap();
    let texts: Vec<String> = (0..8).map(|i| "the river bank ".repeat(1 + 2 * i)).collect();
    let alone: Vec<_> = texts.iter().map(|text| features.predict(text).unwrap()).collect();
    std::thread::scope(|scope| {
        for (text, alone) in texts.iter().zip(&alone) {
            let features = &features;
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(&features.predict(text).unwrap(), alone);
                }
            });
        }
    });
}
