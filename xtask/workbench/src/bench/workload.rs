//! What is timed: the batches, the model, and the work in them.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::checkpoint;
use bert_core::contract::Precision;
use bert_core::graph::{Head, Initial};
use bert_core::{ModelConfig, PackedBatch};
use clap::ValueEnum;
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A batch, by its count of sequences and their length; the same as those of other engines' benches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Case {
    B1s16,
    B1s128,
    B1s512,
    B8s128,
    B32s128,
    /// 16 sequences of 8 to 256 tokens, 892 in all.
    Mix16,
}

impl Case {
    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().expect("no case is hidden").get_name().to_owned()
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::B1s16 => "1 × 16 tokens",
            Self::B1s128 => "1 × 128 tokens",
            Self::B1s512 => "1 × 512 tokens",
            Self::B8s128 => "8 × 128 tokens",
            Self::B32s128 => "32 × 128 tokens",
            Self::Mix16 => "16 texts of 8 to 256 tokens, 892 in all",
        }
    }

    /// The lengths of the sequences, in tokens.
    pub fn lengths(self) -> &'static [usize] {
        match self {
            Self::B1s16 => &[16],
            Self::B1s128 => &[128],
            Self::B1s512 => &[512],
            Self::B8s128 => &[128; 8],
            Self::B32s128 => &[128; 32],
            Self::Mix16 => &[8, 11, 12, 15, 18, 21, 24, 28, 33, 39, 47, 58, 72, 92, 158, 256],
        }
    }

    /// Rows in all.
    pub fn tokens(self) -> usize {
        self.lengths().iter().sum()
    }

    /// Random ids, with `[CLS]` and `[SEP]` where the vocabulary is BERT's.
    pub fn batch(self, config: &ModelConfig) -> PackedBatch {
        random(self.lengths(), config)
    }

    /// One sequence of any length.
    pub fn single(length: usize, config: &ModelConfig) -> PackedBatch {
        random(&[length], config)
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

fn random(lengths: &[usize], config: &ModelConfig) -> PackedBatch {
    const ENGLISH: std::ops::Range<u32> = 1000..30_000;
    let vocab = config.vocab_size as u32;
    let ids = if vocab >= ENGLISH.end { ENGLISH } else { 0..vocab };
    let mut rng = Rng::with_seed(7);
    let mut batch = PackedBatch::default();
    for &length in lengths {
        let mut sequence: Vec<u32> = (0..length).map(|_| rng.u32(ids.clone())).collect();
        if ids == ENGLISH {
            (sequence[0], sequence[length - 1]) = (101, 102);
        }
        batch.push(&sequence, &vec![0; length]);
    }
    batch
}

/// The weights that every forward pass reads: those of the linear layers.
pub fn weights(config: &ModelConfig) -> f64 {
    let (hidden, inner) = (config.hidden_size as f64, config.intermediate_size as f64);
    config.num_hidden_layers as f64 * hidden * (4.0 * hidden + 2.0 * inner)
}

/// Bytes of one weight.
pub fn bytes_each(precision: Precision) -> f64 {
    match precision {
        Precision::Bf16 | Precision::F16 => 2.0,
        Precision::Int8 => 1.0,
        _ => 4.0,
    }
}

/// The shape of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// 12 layers of 768.
    BertBase,
    /// 6 layers of 384.
    #[value(name = "minilm-l6")]
    MiniLmL6,
}

impl Shape {
    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().expect("no shape is hidden").get_name().to_owned()
    }

    /// What is timed of a model of this name.
    pub fn cases(name: &str) -> &'static [Case] {
        match name == Self::MiniLmL6.name() {
            true => &[Case::B1s128],
            false => &[Case::B1s16, Case::B1s128, Case::B1s512, Case::B8s128, Case::Mix16],
        }
    }

    /// The batches whose training steps are timed.
    pub fn training_cases(self) -> &'static [Case] {
        match self {
            Self::BertBase => &[Case::B8s128, Case::Mix16],
            Self::MiniLmL6 => &[Case::B32s128],
        }
    }

    /// The configuration.
    pub fn model_config(self) -> ModelConfig {
        ModelConfig::from_json(self.config()).expect("the shapes are valid")
    }

    fn config(self) -> &'static str {
        match self {
            Self::BertBase => r#"{"model_type": "bert", "architectures": ["BertModel"]}"#,
            Self::MiniLmL6 => {
                r#"{"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 384,
                    "intermediate_size": 1536, "num_hidden_layers": 6}"#
            }
        }
    }

    /// A checkpoint with random weights, written once.
    ///
    /// # Errors
    /// [`Error::File`] if the target folder cannot be written.
    pub fn folder(self) -> Result<PathBuf> {
        let parent = crate::workspace_root().join("target/bench");
        let folder = parent.join(self.name());
        if folder.join("config.json").is_file() {
            return Ok(folder);
        }
        eprintln!("writing a model of the shape {} to {} …", self.name(), folder.display());
        // A name of its own until it is whole: an interrupted run leaves nothing that looks like a model.
        let partial = parent.join(format!("{}.{}.tmp", self.name(), std::process::id()));
        fs::create_dir_all(&partial).map_err(Error::file("create", &partial))?;
        let written = write(self.config(), &partial).and_then(|()| match fs::rename(&partial, &folder) {
            // Another run was quicker.
            Err(_) if folder.join("config.json").is_file() => Ok(()),
            renamed => renamed.map_err(Error::file("rename to", &folder)),
        });
        if partial.exists() {
            let _ = fs::remove_dir_all(&partial);
        }
        written.map(|()| folder)
    }
}

fn write(json: &str, folder: &Path) -> Result<()> {
    let config = ModelConfig::from_json(json).expect("the shapes are valid");
    let numbers = Initial::new(0, config.initializer_range);
    Ok(checkpoint::save(folder, &config, Head::None, &numbers)?)
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
        assert_eq!(weights(&base), 12.0 * 7_077_888.0);
    }

    #[test]
    fn shapes_are_what_they_are_called() {
        let config = |shape: Shape| ModelConfig::from_json(shape.config()).unwrap();
        let (base, mini) = (config(Shape::BertBase), config(Shape::MiniLmL6));
        assert_eq!((base.num_hidden_layers, base.hidden_size, base.intermediate_size), (12, 768, 3072));
        assert_eq!((mini.num_hidden_layers, mini.hidden_size, mini.intermediate_size), (6, 384, 1536));
    }

    #[test]
    fn batches_fit_small_vocabularies() {
        let small = ModelConfig::from_json(r#"{"vocab_size": 25}"#).unwrap();
        for case in Case::value_variants() {
            case.batch(&small).check(&small).unwrap();
        }
    }
}
