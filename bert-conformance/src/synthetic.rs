//! Models with random weights: the right shapes and names, and nothing learnt.
//!
//! A parameter's numbers follow from the seed and its name, so they can be made when they are written: a
//! large checkpoint never lies in memory.

use std::borrow::Cow;
use std::path::Path;

use bert_core::ModelConfig;
use bert_core::config::ModelType;
use bert_core::graph::Head;
use fastrand::Rng;
use safetensors::tensor::{Dtype, SafeTensorError, View};

/// A tensor of normal numbers.
#[derive(Clone, Debug)]
pub struct Parameter {
    name: String,
    shape: Vec<usize>,
    mean: f32,
    deviation: f32,
    seed: u64,
}

/// How far weights spread.
#[derive(Clone, Copy, Debug)]
pub enum Spread {
    /// Deviation 0.02, as models are initialised.
    Initial,
    /// Wide enough that attention scores are peaked and that a parameter left out is seen.
    Trained,
}

impl View for Parameter {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut rng = Rng::with_seed(seed(self.seed, &self.name));
        let count = self.shape.iter().product::<usize>();
        Cow::Owned(
            (0..count)
                .flat_map(|_| (self.mean + self.deviation * normal(&mut rng) as f32).to_le_bytes())
                .collect(),
        )
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of::<f32>()
    }
}

/// Everything that a model of this configuration has, with one head, under the names of its layout.
pub fn parameters(config: &ModelConfig, head: Head, spread: Spread, seed: u64) -> Vec<Parameter> {
    let mut model = Model { parameters: vec![], spread, seed };
    match config.model_type {
        ModelType::Bert => bert(&mut model, config, head),
        ModelType::DistilBert => distilbert(&mut model, config, head),
    }
    model.parameters
}

/// The bytes of a `model.safetensors`.
///
/// # Errors
/// What the writer of the format says.
pub fn to_bytes(parameters: Vec<Parameter>) -> Result<Vec<u8>, SafeTensorError> {
    safetensors::serialize(parameters.into_iter().map(|parameter| (parameter.name.clone(), parameter)), None)
}

/// Writes a `model.safetensors`, one tensor after another.
///
/// # Errors
/// What the writer of the format or the system say.
pub fn to_file(parameters: Vec<Parameter>, path: &Path) -> Result<(), SafeTensorError> {
    let parameters = parameters.into_iter().map(|parameter| (parameter.name.clone(), parameter));
    safetensors::serialize_to_file(parameters, None, path)
}

/// A number of the standard normal distribution, by the method of Box and Muller.
pub fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

/// A seed of its own for each name. (FNV-1a, whose values are the same everywhere.)
pub fn seed(seed: u64, name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    seed ^ hash
}

struct Model {
    parameters: Vec<Parameter>,
    spread: Spread,
    seed: u64,
}

impl Model {
    fn add(&mut self, name: String, shape: &[usize], mean: f32, deviation: f32) {
        self.parameters.push(Parameter { name, shape: shape.to_vec(), mean, deviation, seed: self.seed });
    }

    fn table(&mut self, name: &str, rows: usize, hidden: usize) {
        let deviation = if let Spread::Initial = self.spread { 0.02 } else { 1.0 };
        self.add(format!("{name}.weight"), &[rows, hidden], 0.0, deviation);
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) {
        let (weight, bias) = match self.spread {
            Spread::Initial => (0.02, 0.0),
            Spread::Trained => (1.5 / (inputs as f32).sqrt(), 0.3),
        };
        self.add(format!("{name}.weight"), &[outputs, inputs], 0.0, weight);
        self.add(format!("{name}.bias"), &[outputs], 0.0, bias);
    }

    fn norm(&mut self, name: &str, hidden: usize) {
        let deviation = if let Spread::Initial = self.spread { 0.0 } else { 0.3 };
        self.add(format!("{name}.weight"), &[hidden], 1.0, deviation);
        self.add(format!("{name}.bias"), &[hidden], 0.0, deviation);
    }

    fn embeddings(&mut self, prefix: &str, config: &ModelConfig) {
        let hidden = config.hidden_size;
        self.table(&format!("{prefix}.word_embeddings"), config.vocab_size, hidden);
        self.table(&format!("{prefix}.position_embeddings"), config.max_position_embeddings, hidden);
        if config.type_vocab_size > 0 {
            self.table(&format!("{prefix}.token_type_embeddings"), config.type_vocab_size, hidden);
        }
        self.norm(&format!("{prefix}.LayerNorm"), hidden);
    }

    /// Six linear layers and two norms, by the names that the layout has for them.
    fn layer(&mut self, prefix: &str, config: &ModelConfig, names: [&str; 8]) {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        let [query, key, value, attention_output, attention_norm, up, down, norm] =
            names.map(|name| format!("{prefix}.{name}"));
        for name in [query, key, value, attention_output] {
            self.linear(&name, hidden, hidden);
        }
        self.norm(&attention_norm, hidden);
        self.linear(&up, intermediate, hidden);
        self.linear(&down, hidden, intermediate);
        self.norm(&norm, hidden);
    }

    /// What both layouts call alike.
    fn classifier(&mut self, config: &ModelConfig, head: Head) {
        let hidden = config.hidden_size;
        match head {
            Head::TokenClassification | Head::SequenceClassification => {
                self.linear("classifier", config.labels.len(), hidden);
            }
            Head::QuestionAnswering => self.linear("qa_outputs", 2, hidden),
            Head::MultipleChoice => self.linear("classifier", 1, hidden),
            Head::None | Head::MaskedLm | Head::NextSentence | Head::PreTraining => {}
        }
    }
}

/// A tied decoder, as most checkpoints have it.
fn bert(model: &mut Model, config: &ModelConfig, head: Head) {
    let hidden = config.hidden_size;
    model.embeddings("bert.embeddings", config);
    for layer in 0..config.num_hidden_layers {
        let names = [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "attention.output.LayerNorm",
            "intermediate.dense",
            "output.dense",
            "output.LayerNorm",
        ];
        model.layer(&format!("bert.encoder.layer.{layer}"), config, names);
    }
    if !matches!(head, Head::MaskedLm | Head::TokenClassification | Head::QuestionAnswering) {
        model.linear("bert.pooler.dense", hidden, hidden);
    }
    if matches!(head, Head::MaskedLm | Head::PreTraining) {
        model.linear("cls.predictions.transform.dense", hidden, hidden);
        model.norm("cls.predictions.transform.LayerNorm", hidden);
        model.add("cls.predictions.bias".into(), &[config.vocab_size], 0.0, 0.3);
    }
    if matches!(head, Head::NextSentence | Head::PreTraining) {
        model.linear("cls.seq_relationship", 2, hidden);
    }
    model.classifier(config, head);
}

/// With a decoder of its own, where BERT has a tied one.
fn distilbert(model: &mut Model, config: &ModelConfig, head: Head) {
    let hidden = config.hidden_size;
    model.embeddings("distilbert.embeddings", config);
    for layer in 0..config.num_hidden_layers {
        let names = [
            "attention.q_lin",
            "attention.k_lin",
            "attention.v_lin",
            "attention.out_lin",
            "sa_layer_norm",
            "ffn.lin1",
            "ffn.lin2",
            "output_layer_norm",
        ];
        model.layer(&format!("distilbert.transformer.layer.{layer}"), config, names);
    }
    if matches!(head, Head::SequenceClassification | Head::MultipleChoice) {
        model.linear("pre_classifier", hidden, hidden);
    }
    if head == Head::MaskedLm {
        model.linear("vocab_transform", hidden, hidden);
        model.norm("vocab_layer_norm", hidden);
        model.linear("vocab_projector", config.vocab_size, hidden);
    }
    model.classifier(config, head);
}
