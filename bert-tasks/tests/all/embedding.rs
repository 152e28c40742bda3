//! Embeddings and features: on a tiny random model their forms, on a trained one the published quality.

use std::fs;

use crate::common::{Tiny, device, shared, trained};
use bert_core::contract::Pooling;
use bert_tasks::embedding::{Embedding, EmbeddingOptions, cosine};
use bert_tasks::features::{Features, FeaturesOptions};
use bert_tasks::{Device, Error, PackedCache, Precision, Task};

fn options(pooling: &[Pooling]) -> EmbeddingOptions {
    EmbeddingOptions { pooling: Some(pooling.to_vec()), ..Default::default() }
}

#[test]
fn a_plain_encoder_gives_the_mean_of_its_hidden_states() {
    let tiny = Tiny::new("BertModel", &[]);
    let embedding = Embedding::load(tiny.name(), &device()).unwrap();
    let features = Features::load(tiny.name(), &device()).unwrap();
    let text = "the bank of the river";
    let tokens = features.predict(text).unwrap().tokens;
    let vector = embedding.predict(text).unwrap().vector;
    assert_eq!(vector.len(), 32);
    for (i, found) in vector.iter().enumerate() {
        let mean = tokens.iter().map(|token| token.layers[0][i]).sum::<f32>() / tokens.len() as f32;
        assert!((found - mean).abs() < 1e-5);
    }
    let embedding =
        embedding.with_options(options(&[Pooling::Cls, Pooling::Max, Pooling::MeanSqrtLen])).unwrap();
    let three = embedding.predict(text).unwrap().vector;
    assert_eq!((three.len(), embedding.dimensions()), (96, 96));
    assert_eq!(three[..32], tokens[0].layers[0]);
    for i in 0..32 {
        let values = || tokens.iter().map(|token| token.layers[0][i]);
        assert_eq!(three[32 + i], values().fold(f32::MIN, f32::max));
        assert!((three[64 + i] - values().sum::<f32>() / (tokens.len() as f32).sqrt()).abs() < 1e-5);
    }
}

#[test]
fn a_cache_of_packed_weights_changes_no_bit() {
    let tiny = Tiny::new("BertModel", &[]);
    let folder = tiny.folder.path().join("packed");
    let vector = |device: &Device| {
        let embedding = Embedding::from_pretrained(&tiny.open(), device, Precision::Int8).unwrap();
        embedding.predict("the bank of the river").unwrap().vector
    };
    let plain = vector(&device());
    let mut counts = Vec::new();
    for _ in 0..2 {
        let cache = PackedCache::new(&folder);
        assert_eq!(vector(&device().with_packed_cache(&cache).unwrap()), plain);
        assert!(cache.take_problems().is_empty());
        counts.push((cache.read(), cache.written()));
    }
    let written = counts[0].1;
    assert!(written > 0);
    assert_eq!(counts, [(0, written), (written, 0)]);
    let reference: Device = "reference".parse().unwrap();
    let refused = reference.with_packed_cache(&PackedCache::new(&folder));
    assert!(matches!(refused, Err(Error::NoPackedCache { device: "reference" })));
}

#[test]
fn the_folder_of_a_sentence_transformer_says_how() {
    let tiny = Tiny::new("BertModel", &[]);
    let write = |file: &str, text: &str| {
        let path = tiny.folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let module = |class: &str, path: &str| {
        format!(r#"{{"path": "{path}", "type": "sentence_transformers.models.{class}"}}"#)
    };
    let modules = |list: &[String]| write("modules.json", &format!("[{}]", list.join(",")));
    modules(&[module("Transformer", ""), module("Pooling", "1_Pooling"), module("Normalize", "2_Normalize")]);
    write("1_Pooling/config.json", r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#);
    write("sentence_bert_config.json", r#"{"max_seq_length": 8}"#);
    write("config_sentence_transformers.json", r#"{"prompts": {"q": "is "}, "default_prompt_name": "q"}"#);
    let embedding = Embedding::load(tiny.name(), &device()).unwrap();
    let found = embedding.predict("the river bank in the capital of france").unwrap();
    // Eight tokens: [CLS] is the river bank in the [SEP]; cut from "capital" on.
    assert_eq!(found.truncated, Some(22..39));
    let length: f32 = found.vector.iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5);

    let plain = embedding.with_options(EmbeddingOptions {
        normalize: Some(false),
        prompt: Some(String::new()),
        ..Default::default()
    });
    let features = Features::load(tiny.name(), &device()).unwrap();
    let first = features.predict("the river").unwrap().tokens[0].layers[0].clone();
    assert_eq!(plain.unwrap().predict("the river").unwrap().vector, first);

    modules(&[module("Transformer", ""), module("Dense", "2_Dense")]);
    assert!(matches!(Embedding::load(tiny.name(), &device()), Err(Error::Module { .. })));
    write("modules.json", "{");
    assert!(matches!(Embedding::load(tiny.name(), &device()), Err(Error::Json { .. })));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let tiny = Tiny::new("BertModel", &[]);
    let embedding = Embedding::load(tiny.name(), &device()).unwrap();
    assert!(embedding.clone().with_options(options(&[])).is_err());
    assert!(embedding.with_options(EmbeddingOptions { max_length: Some(2), ..Default::default() }).is_err());
    let features = Features::load(tiny.name(), &device()).unwrap();
    for layers in [vec![], vec![3], vec![-4], vec![i64::MIN], vec![i64::MAX]] {
        assert!(
            features.clone().with_options(FeaturesOptions { layers: layers.clone() }).is_err(),
            "{layers:?}"
        );
    }
}

#[test]
fn every_layer_of_every_token_with_its_bytes() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let features = Features::load(tiny.name(), &device()).unwrap();
    let last = features.predict("Ünlike bänk 🙂").unwrap();
    let all = features.with_options(FeaturesOptions { layers: vec![0, 1, 2, -1] }).unwrap();
    let text = "Ünlike bänk 🙂";
    let found = all.predict(text).unwrap();
    assert_eq!(found.tokens.first().unwrap().range, None);
    for (token, last) in found.tokens.iter().zip(&last.tokens) {
        assert_eq!(token.layers.len(), 4);
        assert_eq!((&token.layers[2], &token.layers[3]), (&last.layers[0], &last.layers[0]));
        if let Some(range) = &token.range {
            assert!(text.get(range.clone()).is_some_and(|bytes| !bytes.is_empty()));
        }
    }
    assert_eq!(found.span(0..2), found.tokens.get(1).map(|token| token.layers.concat()));
    assert_eq!(found.span(100..200), None);
}

/// A text alone and in any company, in any order: the same bits.
#[test]
fn company_changes_nothing() {
    let tiny = Tiny::new("BertModel", &[]);
    let embedding = Embedding::load(tiny.name(), &device()).unwrap();
    let texts: Vec<String> = (0..200).map(|i| "good money ".repeat(i * 7 % 31) + "the end").collect();
    let together = embedding.predict_all(texts.clone()).unwrap();
    for (text, found) in texts.iter().zip(&together) {
        let alone = embedding.predict(text).unwrap();
        assert!(alone.vector.iter().zip(&found.vector).all(|(a, b)| a.to_bits() == b.to_bits()), "{text}");
    }
}

/// The rank of each value; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let before = values.iter().filter(|&&value| value < values[group[0]]).count();
        group.iter().for_each(|&i| ranks[i] = before as f64 + (group.len() - 1) as f64 / 2.0);
    }
    ranks
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(&a, &b)| f(a - ma, b - mb)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

#[test]
fn sts_b_is_ranked_as_published() {
    let (Some(folder), Some(data)) = (trained("all-MiniLM-L6-v2"), shared("data/stsb/stsb-en-dev.csv"))
    else {
        return;
    };
    let embedding = Embedding::load(folder.to_str().unwrap(), &device()).unwrap();
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(data).unwrap();
    let rows: Vec<(String, String, f64)> = reader.deserialize().map(Result::unwrap).collect();
    let texts = rows.iter().flat_map(|(a, b, _)| [a.clone(), b.clone()]);
    let vectors = embedding.predict_all(texts).unwrap();
    let found: Vec<f64> =
        vectors.chunks(2).map(|pair| cosine(&pair[0].vector, &pair[1].vector).into()).collect();
    let gold: Vec<f64> = rows.iter().map(|row| row.2).collect();
    let spearman = pearson(&ranks(&found), &ranks(&gold));
    println!("{} pairs: Spearman {spearman:.4}, Pearson {:.4}", rows.len(), pearson(&found, &gold));
    assert!((spearman - 0.8672).abs() < 0.0005, "{spearman}");
}

#[test]
fn a_bank_of_a_river_is_another_word_than_a_bank_with_money() {
    let Some(folder) = shared("models/english-mlm") else { return };
    let features = Features::load(folder.to_str().unwrap(), &device()).unwrap();
    let word = |text: &str| {
        let at = text.find("bank").unwrap();
        features.predict(text).unwrap().span(at..at + 4).unwrap()
    };
    let river = word("They walked along the bank of the river.");
    let shore = word("The boat lay on the bank beside the water.");
    let money = word("She put her money into the bank.");
    let near = cosine(&river, &shore);
    let far = cosine(&river, &money);
    println!("river and water {near:.3}, river and money {far:.3}");
    assert!(near > far + 0.05);
}
