//! The profile sees each word of the graph once, counts its arithmetic, and changes no number.

use bert_core::backend::Backend;
use bert_core::checkpoint::Checkpoint;
use bert_core::graph::{Encoder, Head, Model, Output};
use bert_core::ops::Precision;
use bert_core::profile::Profile;
use bert_core::reference::Reference;
use bert_core::{ModelConfig, PackedBatch};

/// A safetensors file of a model whose numbers count up and down.
fn checkpoint(config: &ModelConfig) -> Checkpoint {
    let hidden = config.hidden_size;
    let mut tensors: Vec<(String, Vec<usize>)> = vec![];
    let mut add = |name: &str, shape: &[usize]| tensors.push((name.to_owned(), shape.to_vec()));
    add("embeddings.word_embeddings.weight", &[config.vocab_size, hidden]);
    add("embeddings.position_embeddings.weight", &[config.max_position_embeddings, hidden]);
    add("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, hidden]);
    add("embeddings.LayerNorm.weight", &[hidden]);
    add("embeddings.LayerNorm.bias", &[hidden]);
    for layer in 0..config.num_hidden_layers {
        for (part, outputs, inputs) in [
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", config.intermediate_size, hidden),
            ("output.dense", hidden, config.intermediate_size),
        ] {
            add(&format!("encoder.layer.{layer}.{part}.weight"), &[outputs, inputs]);
            add(&format!("encoder.layer.{layer}.{part}.bias"), &[outputs]);
        }
        for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
            add(&format!("encoder.layer.{layer}.{part}.weight"), &[hidden]);
            add(&format!("encoder.layer.{layer}.{part}.bias"), &[hidden]);
        }
    }
    let (mut header, mut data) = (serde_json::Map::new(), vec![]);
    for (name, shape) in tensors {
        let (start, count) = (data.len(), shape.iter().product::<usize>());
        data.extend((0..count).flat_map(|i| ((i % 13) as f32 / 13.0 - 0.4).to_le_bytes()));
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name, entry);
    }
    let header = serde_json::Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    Checkpoint::from_bytes(file).unwrap()
}

#[test]
fn a_layer_is_seven_calls_and_their_arithmetic_is_that_of_the_paper() {
    let config = ModelConfig::from_json(
        r#"{"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2,
            "intermediate_size": 20, "max_position_embeddings": 9}"#,
    )
    .unwrap();
    let checkpoint = checkpoint(&config);
    let load = Head::None;
    let profile = Profile::new(Reference);
    let profiled = Model::load(profile.clone(), config.clone(), &checkpoint, load, Precision::F32).unwrap();
    let plain = Model::load(Reference, config, &checkpoint, load, Precision::F32).unwrap();

    let mut batch = PackedBatch::default();
    batch.push(&[1, 2, 3, 4, 5], &[0, 0, 0, 1, 1]);
    batch.push(&[10], &[0]);
    batch.push(&[6, 7, 8, 9, 6, 7, 8, 9, 0], &[0; 9]);
    let outputs = [Output::HiddenState(3)];
    profile.take();
    let found = pollster::block_on(profiled.run(&batch, &outputs)).unwrap();
    let calls = profile.take();
    let wanted = pollster::block_on(plain.run(&batch, &outputs)).unwrap();
    assert_eq!(found[0].bytes(), wanted[0].bytes());

    let operations: Vec<_> =
        calls.iter().map(|call| call.operation).filter(|&operation| operation != "upload").collect();
    let layer =
        ["linear", "attention", "linear", "add_layer_norm", "linear gelu", "linear", "add_layer_norm"];
    assert_eq!(operations, [&["embed"][..], &layer.repeat(3), &["download"]].concat());

    let (tokens, hidden, inner) = (15, 8, 20);
    let products = 2 * tokens * hidden * (3 * hidden + hidden + 2 * inner);
    let attention = 4 * (5 * 5 + 1 + 9 * 9) * hidden;
    assert_eq!(calls.iter().map(|call| call.flops).sum::<u64>(), 3 * (products + attention));
    let first = calls.iter().find(|call| call.operation == "linear").unwrap();
    assert_eq!((&first.input[..], &first.output[..]), (&[15, 8][..], &[15, 24][..]));
}

#[test]
fn a_queueing_backend_is_waited_for_after_every_operation() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static WAITS: AtomicUsize = AtomicUsize::new(0);
    let backend = Profile::waiting(Reference, |_| {
        WAITS.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let x = bert_core::tensor::HostTensor::from_vec(vec![1.0f32, 2.0], [1, 2]);
    let x = backend.upload(&x).unwrap();
    backend.softmax(&x).unwrap();
    assert_eq!(WAITS.load(Ordering::Relaxed), backend.take().len());
}
