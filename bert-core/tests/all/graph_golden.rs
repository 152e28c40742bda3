//! The model graph on the `f64` reference against outputs of trained checkpoints that an independent
//! implementation computed.

use std::path::PathBuf;

use bert_core::checkpoint::Checkpoint;
use bert_core::contract::{Pooling, Precision};
use bert_core::graph::{Encoder, Head, Model, Output};
use bert_core::reference::Reference;
use bert_core::{ModelConfig, PackedBatch};
use safetensors::SafeTensors;

/// A trained checkpoint and its golden outputs, or a printed reason why there is none.
struct Golden {
    folder: PathBuf,
    file: Vec<u8>,
}

impl Golden {
    fn find(name: &str) -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace root").to_owned();
        let shared = std::env::var_os("BERT_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
        let golden = shared.join("golden").join(name).join("golden.safetensors");
        let folder = root.join("target/models").join(name);
        let Ok(file) = std::fs::read(&golden) else {
            eprintln!("SKIPPED {name}: no golden outputs at {}", golden.display());
            return None;
        };
        if !folder.is_dir() {
            eprintln!("SKIPPED {name}: no checkpoint at {}; run cargo xtask models", folder.display());
            return None;
        }
        Some(Self { folder, file })
    }

    /// The rows of a tensor, its last axis being the row.
    fn rows(&self, name: &str) -> Vec<Vec<f32>> {
        let file = SafeTensors::deserialize(&self.file).unwrap();
        let tensor = file.tensor(name).unwrap();
        let values: Vec<f32> = match tensor.dtype() {
            safetensors::Dtype::F32 => bytemuck::allocation::pod_collect_to_vec(tensor.data()),
            safetensors::Dtype::I64 => bytemuck::allocation::pod_collect_to_vec::<u8, i64>(tensor.data())
                .iter()
                .map(|&x| x as f32)
                .collect(),
            other => panic!("{name} is {other:?}"),
        };
        values.chunks(*tensor.shape().last().unwrap()).map(<[f32]>::to_vec).collect()
    }

    /// The padded batch, packed, and for each packed row the padded one.
    fn batch(&self) -> (PackedBatch, Vec<usize>) {
        let (ids, segments, mask) =
            (self.rows("input_ids"), self.rows("token_type_ids"), self.rows("attention_mask"));
        let longest = ids[0].len();
        let mut batch = PackedBatch::default();
        let mut padded = vec![];
        for (row, mask) in mask.iter().enumerate() {
            let length = mask.iter().sum::<f32>() as usize;
            let cut = |values: &[f32]| values[..length].iter().map(|&x| x as u32).collect::<Vec<_>>();
            let all: Vec<_> = (0..length as u32).collect();
            batch.push_marked(&cut(&ids[row]), &cut(&segments[row]), &all);
            padded.extend((0..length).map(|position| row * longest + position));
        }
        (batch, padded)
    }
}

/// Within 2e-5, absolute or relative to the largest value of the row.
fn assert_close(what: &str, found: &[Vec<f32>], expected: impl Iterator<Item = Vec<f32>>) {
    let expected: Vec<_> = expected.collect();
    assert_eq!(found.len(), expected.len(), "{what}");
    let mut worst = 0.0f32;
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.len(), expected.len(), "{what}");
        let scale = expected.iter().fold(1.0f32, |max, x| max.max(x.abs()));
        worst = found.iter().zip(expected).fold(worst, |worst, (a, b)| worst.max((a - b).abs() / scale));
    }
    println!("{what}: largest error {worst:.1e}");
    assert!(worst < 2e-5, "{what}: {worst}");
}

fn run(golden: &Golden, head: Head, outputs: &[Output]) -> (Vec<Vec<Vec<f32>>>, Vec<usize>) {
    let config = ModelConfig::from_folder(&golden.folder).unwrap();
    let checkpoint = Checkpoint::open(&golden.folder).unwrap();
    let model = Model::load(Reference, config, &checkpoint, head, Precision::F32).unwrap();
    let (batch, padded) = golden.batch();
    let results = pollster::block_on(model.run(&batch, outputs)).unwrap();
    let rows = results
        .iter()
        .map(|result| result.to_f32().unwrap().rows().into_iter().map(|row| row.to_vec()).collect())
        .collect();
    (rows, padded)
}

#[test]
fn sentence_embeddings() {
    let Some(golden) = Golden::find("all-MiniLM-L6-v2") else { return };
    let outputs = [Output::HiddenState(6), Output::Pooled(Pooling::Mean), Output::PoolerOutput];
    let (found, padded) = run(&golden, Head::None, &outputs);
    let hidden = golden.rows("last_hidden_state");
    assert_close("hidden state", &found[0], padded.iter().map(|&row| hidden[row].clone()));
    assert_close("mean", &found[1], golden.rows("mean_pooled").into_iter());
    assert_close("pooler", &found[2], golden.rows("pooler_output").into_iter());
}

#[test]
fn masked_lm_with_a_tied_decoder_and_old_names() {
    let Some(golden) = Golden::find("splade-tiny-mlm") else { return };
    let logits_rows: Vec<usize> = golden.rows("mlm_logits_rows")[0].iter().map(|&row| row as usize).collect();
    let (batch, _) = golden.batch();
    let logits = golden.rows("mlm_logits");
    let outputs = [Output::HiddenState(2), Output::Scores(Head::MaskedLm)];
    let (mut found, padded) = run(&golden, Head::MaskedLm, &outputs);
    let (mut scores, mut expected) = (vec![], vec![]);
    for (index, &sequence) in logits_rows.iter().enumerate() {
        for (position, row) in batch.sequence(sequence).take(14).enumerate() {
            scores.push(std::mem::take(&mut found[1][row]));
            expected.push(logits[index * 14 + position].clone());
        }
    }
    let hidden = golden.rows("last_hidden_state");
    assert_close("hidden state", &found[0], padded.iter().map(|&row| hidden[row].clone()));
    assert_close("logits", &scores, expected.into_iter());
}

#[test]
fn token_classification() {
    let Some(golden) = Golden::find("rampart-ner") else { return };
    let (found, padded) = run(
        &golden,
        Head::TokenClassification,
        &[Output::HiddenState(6), Output::Scores(Head::TokenClassification)],
    );
    for (name, found) in ["last_hidden_state", "logits"].iter().zip(&found) {
        let expected = golden.rows(name);
        assert_close(name, found, padded.iter().map(|&row| expected[row].clone()));
    }
}

#[test]
fn pre_training_heads_from_a_pickle() {
    let Some(golden) = Golden::find("antiberty-pretraining") else { return };
    let outputs = [
        Output::HiddenState(8),
        Output::PoolerOutput,
        Output::Scores(Head::MaskedLm),
        Output::Scores(Head::NextSentence),
    ];
    let (found, padded) = run(&golden, Head::PreTraining, &outputs);
    for (index, name) in [(0, "last_hidden_state"), (2, "prediction_logits")] {
        let expected = golden.rows(name);
        assert_close(name, &found[index], padded.iter().map(|&row| expected[row].clone()));
    }
    assert_close("pooler", &found[1], golden.rows("pooler_output").into_iter());
    assert_close("next sentence", &found[3], golden.rows("seq_relationship_logits").into_iter());
}
