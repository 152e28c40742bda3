//! Spellings, twins, unused tensors, and what an error says about the tensor that it misses.

use bert_core::checkpoint::{Checkpoint, CheckpointError, Family, MissingCause, Origin, ShapeCause};

use super::checkpoint_error;
use super::files::{Tensor, counting, f32s, safetensors};

const WORDS: &str = "embeddings.word_embeddings.weight";

fn open(tensors: &[Tensor<'_>]) -> Checkpoint {
    Checkpoint::from_bytes(safetensors(tensors)).unwrap()
}

#[test]
fn any_spelling_finds_any_other() {
    let checkpoint = open(&[
        ("module.distilbert.transformer.layer.3.attention.q_lin.weight", "F32", &[2, 2], counting(4)),
        ("vocab_layer_norm.weight", "F32", &[2], counting(2)),
    ]);
    assert_eq!(checkpoint.family(), Family::DISTILBERT);
    for name in [
        "encoder.layer.3.attention.self.query.weight",
        "bert.encoder.layer.3.attention.self.query.weight",
        "transformer.layer.3.attention.q_lin.weight",
    ] {
        assert!(checkpoint.contains(name), "{name}");
        assert_eq!(checkpoint.shape(name), Some(&[2, 2][..]));
        assert_eq!(checkpoint.tensor(name, &[2, 2]).unwrap().bytes(), counting(4));
    }
    assert!(!checkpoint.contains("encoder.layer.4.attention.self.query.weight"));
    assert_eq!(
        checkpoint.names().collect::<Vec<_>>(),
        ["cls.predictions.transform.LayerNorm.weight", "encoder.layer.3.attention.self.query.weight"]
    );
}

#[test]
fn equal_twins_are_one_tensor_and_different_ones_an_error() {
    let twins = |second: Vec<u8>, shape: &'static [usize]| {
        open(&[
            ("cls.predictions.bias", "F32", &[2], counting(2)),
            ("cls.predictions.decoder.bias", "F32", shape, second),
        ])
    };
    let equal = twins(counting(2), &[2]);
    assert_eq!(equal.tensor("cls.predictions.decoder.bias", &[2]).unwrap().bytes(), counting(2));
    assert_eq!(equal.unused(), []);

    for different in [twins(f32s(&[0.0, 1.5]), &[2]), twins(counting(2), &[2, 1])] {
        // A stray conflict hurts nobody who does not ask for it.
        assert_eq!(different.optional("pooler.dense.bias", &[2]).unwrap().map(drop), None);
        match checkpoint_error(different.tensor("cls.predictions.bias", &[2])) {
            CheckpointError::Conflict { name, first, second, .. } => {
                assert_eq!(name, "cls.predictions.bias");
                assert_eq!(
                    [first.as_str(), second.as_str()],
                    ["cls.predictions.bias", "cls.predictions.decoder.bias"]
                );
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn unused_tensors_are_those_that_nobody_asked_for() {
    let checkpoint = open(&[
        ("bert.embeddings.position_ids", "I64", &[1, 2], vec![0; 16]),
        ("bert.embeddings.LayerNorm.gamma", "F32", &[1], counting(1)),
        ("cls.species.weight", "F32", &[1], counting(1)),
        ("pooler.dense.bias", "F32", &[1], counting(1)),
    ]);
    let unused = || checkpoint.unused().iter().map(|info| info.stored_name.to_owned()).collect::<Vec<_>>();
    assert_eq!(unused(), ["cls.species.weight", "bert.embeddings.LayerNorm.gamma", "pooler.dense.bias"]);
    checkpoint.tensor("embeddings.LayerNorm.weight", &[1]).unwrap();
    assert!(checkpoint.optional("pooler.dense.bias", &[1]).unwrap().is_some());
    assert!(checkpoint.contains("cls.species.weight"), "to look is not to use");
    assert_eq!(unused(), ["cls.species.weight"]);

    let infos: Vec<_> = checkpoint.tensors().collect();
    assert_eq!(infos.len(), 4);
    assert_eq!(infos[2].name, "embeddings.position_ids");
    assert_eq!((infos[2].dtype.to_string(), infos[2].shape), ("i64".into(), &[1, 2][..]));
}

#[test]
fn optional_tensors_may_be_missing_but_not_misshapen() {
    let checkpoint = open(&[(WORDS, "F32", &[4, 2], counting(8))]);
    assert!(checkpoint.optional("cls.predictions.decoder.weight", &[4, 2]).unwrap().is_none());
    match checkpoint_error(checkpoint.optional(WORDS, &[5, 2])) {
        CheckpointError::Misshapen(error) => {
            assert_eq!((error.expected.as_slice(), error.found.as_slice()), (&[5, 2][..], &[4, 2][..]));
            assert_eq!(error.cause, ShapeCause::Config("vocab_size"));
        }
        other => panic!("{other}"),
    }
    let transposed = checkpoint_error(checkpoint.tensor(WORDS, &[2, 4]));
    assert!(transposed.to_string().contains("transposed"), "{transposed}");
}

#[test]
fn a_missing_tensor_is_explained() {
    let checkpoint = open(&[
        (WORDS, "F32", &[1, 1], counting(1)),
        ("encoder.layer.0.attention.self.query.weight", "F32", &[1, 1], counting(1)),
        ("encoder.layer.0.attention.self.query.bias", "F32", &[1], counting(1)),
        ("classifier.weight", "F32", &[3, 1], counting(3)),
    ]);
    match checkpoint_error(checkpoint.tensor("bert.encoder.layer.1.attention.self.query.bias", &[1])) {
        CheckpointError::Missing(error) => {
            assert_eq!(error.file, Origin::Memory);
            assert_eq!(error.name, "encoder.layer.1.attention.self.query.bias");
            assert_eq!((error.shape.as_slice(), error.family, error.count), (&[1][..], Family::BERT, 4));
            assert_eq!(error.nearest[0].name, "encoder.layer.0.attention.self.query.bias");
            assert_eq!(error.nearest[0].shape, [1]);
            assert_eq!(error.cause, Some(MissingCause::FewerLayers { found: 1 }));
            let text = error.to_string();
            for part in [
                "encoder.layer.1.attention.self.query.bias of shape [1]",
                "family: BERT",
                "num_hidden_layers",
            ] {
                assert!(text.contains(part), "{text}");
            }
        }
        other => panic!("{other}"),
    }
    let head = checkpoint_error(checkpoint.tensor("qa_outputs.weight", &[2, 1])).to_string();
    assert!(head.contains("saved without any `qa_outputs`"), "{head}");
}
