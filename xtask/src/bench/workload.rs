//! What is timed: the batches, the model, and the work in them.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::graph::Head;
use bert_core::{ModelConfig, PackedBatch};
use clap::ValueEnum;
use fastrand::Rng;
use serde::Serialize;

use crate::error::{Error, Result};
use bert_conformance::synthetic::{self, Spread};

/// A batch, by its count of sequences and their length; the same as those of other engines' benches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Case {
    B1s16,
    B1s128,
    B1s512,
    B8s128,
    /// 16 sequences of 8 to 256 tokens, 892 in all.
    Mix16,
}

impl Case {
    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().expect("no case is hidden").get_name().to_owned()
    }

    /// The lengths of the sequences, in tokens.
    pub fn lengths(self) -> &'static [usize] {
        match self {
            Self::B1s16 => &[16],
            Self::B1s128 => &[128],
            Self::B1s512 => &[512],
            Self::B8s128 => &[128; 8],
            Self::Mix16 => &[8, 11, 12, 15, 18, 21, 24, 28, 33, 39, 47, 58, 72, 92, 158, 256],
        }
    }

    /// Rows in all.
    pub fn tokens(self) -> usize {
        self.lengths().iter().sum()
    }

    /// Random ids, with `[CLS]` and `[SEP]` where the vocabulary is BERT's.
    pub fn batch(self, config: &ModelConfig) -> PackedBatch {
        const ENGLISH: std::ops::Range<u32> = 1000..30_000;
        let vocab = config.vocab_size as u32;
        let ids = if vocab >= ENGLISH.end { ENGLISH } else { 0..vocab };
        let mut rng = Rng::with_seed(7);
        let mut batch = PackedBatch::default();
        for &length in self.lengths() {
            let mut sequence: Vec<u32> = (0..length).map(|_| rng.u32(ids.clone())).collect();
            if ids == ENGLISH {
                (sequence[0], sequence[length - 1]) = (101, 102);
            }
            batch.push(&sequence, &vec![0; length]);
        }
        batch
    }

    /// Arithmetic of a forward pass, a multiply-add counted as two. In each layer, a token costs
    /// `2 hidden (4 hidden + 2 intermediate)` in the linear layers, and a sequence of `l` tokens costs
    /// `4 l² hidden` in the two products of attention. Nothing else is counted.
    pub fn flops(self, config: &ModelConfig) -> f64 {
        let (hidden, inner) = (config.hidden_size as f64, config.intermediate_size as f64);
        let squares: usize = self.lengths().iter().map(|length| length * length).sum();
        let linear = 2.0 * self.tokens() as f64 * hidden * (4.0 * hidden + 2.0 * inner);
        config.num_hidden_layers as f64 * (linear + 4.0 * squares as f64 * hidden)
    }
}

/// Bytes of the weights that every forward pass reads: those of the linear layers, in `f32`.
pub fn weight_bytes(config: &ModelConfig) -> f64 {
    let (hidden, inner) = (config.hidden_size as f64, config.intermediate_size as f64);
    4.0 * config.num_hidden_layers as f64 * hidden * (4.0 * hidden + 2.0 * inner)
}

/// The shape of BERT-base with random weights, written once.
///
/// # Errors
/// [`Error::File`] if the target folder cannot be written.
pub fn bert_base() -> Result<PathBuf> {
    let parent = crate::workspace_root().join("target/bench");
    let folder = parent.join("bert-base");
    if folder.join("config.json").is_file() {
        return Ok(folder);
    }
    eprintln!("writing a model of BERT-base's shape to {} …", folder.display());
    // A name of its own until it is whole: an interrupted run leaves nothing that looks like a model.
    let partial = parent.join(format!("bert-base.{}.tmp", std::process::id()));
    fs::create_dir_all(&partial).map_err(Error::file("create", &partial))?;
    let written = write_bert_base(&partial).and_then(|()| match fs::rename(&partial, &folder) {
        // Another run was quicker.
        Err(_) if folder.join("config.json").is_file() => Ok(()),
        renamed => renamed.map_err(Error::file("rename to", &folder)),
    });
    if partial.exists() {
        let _ = fs::remove_dir_all(&partial);
    }
    written.map(|()| folder)
}

fn write_bert_base(folder: &Path) -> Result<()> {
    const CONFIG: &str = r#"{"model_type": "bert", "architectures": ["BertModel"]}"#;
    let config = ModelConfig::from_json(CONFIG).expect("BERT-base is the default");
    let weights = folder.join("model.safetensors");
    synthetic::to_file(synthetic::parameters(&config, Head::None, Spread::Initial, 0), &weights)
        .map_err(|source| Error::Weights { path: weights, source })?;
    let path = folder.join("config.json");
    fs::write(&path, CONFIG).map_err(Error::file("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_of_bert_base_is_what_is_published() {
        let base = ModelConfig::from_json("{}").unwrap();
        assert_eq!(Case::Mix16.tokens(), 892);
        // 22.3 GFLOP for 128 tokens: "EfficientBERT" and others count 22.5 with the small operations.
        let giga = Case::B1s128.flops(&base) / 1e9;
        assert!((22.0..22.6).contains(&giga), "{giga}");
        assert_eq!(Case::B8s128.flops(&base), 8.0 * Case::B1s128.flops(&base));
        assert_eq!(weight_bytes(&base), 4.0 * 12.0 * 7_077_888.0);
    }

    #[test]
    fn batches_fit_small_vocabularies() {
        let small = ModelConfig::from_json(r#"{"vocab_size": 25}"#).unwrap();
        for case in Case::value_variants() {
            case.batch(&small).check(&small).unwrap();
        }
    }
}
