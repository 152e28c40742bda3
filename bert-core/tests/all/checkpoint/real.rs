//! Published checkpoints, where the checkout has them.

use std::path::{Path, PathBuf};

use bert_core::checkpoint::{Checkpoint, Family};
use bert_core::tensor::DType;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// A checkpoint folder, or `None` with a line that says so.
fn find(folder: PathBuf, how: &str) -> Option<PathBuf> {
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED a published checkpoint: {} is missing; {how}", folder.display());
    None
}

#[test]
fn a_pytorch_file_as_pytorch_wrote_it() {
    let folder = workspace().join("target/models/antiberty-pretraining");
    let Some(folder) = find(folder, "run `cargo xtask models`") else { return };
    let checkpoint = Checkpoint::open(&folder).unwrap();
    assert_eq!(checkpoint.family(), Family::BERT);
    let words = checkpoint.tensor("embeddings.word_embeddings.weight", &[25, 512]).unwrap();
    assert_eq!(words.dtype(), DType::F32);
    checkpoint.tensor("cls.predictions.bias", &[25]).unwrap();
    checkpoint.tensor("encoder.layer.7.intermediate.dense.weight", &[2048, 512]).unwrap();
    assert_eq!(checkpoint.non_finite(), []);
    // Antibodies have heads of their own.
    assert!(checkpoint.unused().iter().any(|info| info.name == "cls.species.weight"));
    assert!(checkpoint.tensors().all(|info| info.shape.len() <= 2));
}

#[test]
fn a_safetensors_file_in_half_precision() {
    let shared = std::env::var_os("BERT_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let folder = shared.join("models/english-mlm");
    let Some(folder) = find(folder, "it comes with the reference data, see BERT_SHARED") else { return };
    let checkpoint = Checkpoint::open(&folder).unwrap();
    assert_eq!(checkpoint.family(), Family::BERT);
    let words = checkpoint.tensor("embeddings.word_embeddings.weight", &[30522, 384]).unwrap();
    assert_eq!(words.dtype(), DType::F16);
    let decoder = checkpoint.optional("cls.predictions.decoder.weight", &[30522, 384]).unwrap();
    assert!(decoder.is_none(), "the decoder is tied");
    assert_eq!(checkpoint.non_finite(), []);
}
