//! The profile sees each word of the graph once, counts its arithmetic, and changes no number.

use bert_core::contract::{Backend, Precision};
use bert_core::graph::{Encoder, Head, Initial, Model, Output};
use bert_core::observe::profile::Profile;
use bert_core::reference::Reference;
use bert_core::{ModelConfig, PackedBatch};

#[test]
fn a_layer_is_seven_calls_and_their_arithmetic_is_that_of_the_paper() {
    let config = ModelConfig::from_json(
        r#"{"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2,
            "intermediate_size": 20, "max_position_embeddings": 9}"#,
    )
    .unwrap();
    let numbers = Initial::spread(3);
    let load = Head::None;
    let profile = Profile::new(Reference);
    let profiled = Model::load(profile.clone(), config.clone(), &numbers, load, Precision::F32).unwrap();
    let plain = Model::load(Reference, config, &numbers, load, Precision::F32).unwrap();

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
