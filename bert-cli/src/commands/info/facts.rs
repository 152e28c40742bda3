//! Parts of what is told of a model.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;
use bert_tasks::checkpoint::AdapterConfig;
use bert_tasks::tokenizer::Tokenizer;
use bert_tasks::{Activation, ModelConfig};
use serde::Serialize;

use crate::output::Page;
use crate::style::{self, thousands, visible};

/// An activation as `config.json` spells it.
fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Identity => "none",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_new",
        Activation::Relu => "relu",
        Activation::Tanh => "tanh",
    }
}

/// An adapter over the model.
#[derive(Serialize)]
pub struct AdapterFacts {
    pub rank: usize,
    pub alpha: f64,
    pub targets: Vec<String>,
    pub modules_to_save: Vec<String>,
}

impl From<&AdapterConfig> for AdapterFacts {
    fn from(config: &AdapterConfig) -> Self {
        let AdapterConfig { rank, alpha, targets, modules_to_save, .. } = config.clone();
        Self { rank, alpha, targets, modules_to_save }
    }
}

/// The numbers of the configuration.
#[derive(Serialize)]
pub struct Shape {
    pub layers: usize,
    /// How many of them have parameters of their own.
    pub distinct_layers: usize,
    pub hidden_size: usize,
    pub attention_heads: usize,
    pub intermediate_size: usize,
    pub activation: &'static str,
    pub max_positions: usize,
    pub token_types: usize,
    pub vocab_size: usize,
    pub layer_norm_eps: f64,
}

/// What the tokenizer is.
#[derive(Serialize)]
pub struct TokenizerFacts {
    pub kind: String,
    pub vocab_size: usize,
    pub max_length: Option<usize>,
    pub special: BTreeMap<&'static str, String>,
}

impl Shape {
    pub fn of(config: &ModelConfig) -> Self {
        Self {
            layers: config.num_hidden_layers,
            distinct_layers: config.distinct_layers(),
            hidden_size: config.hidden_size,
            attention_heads: config.num_attention_heads,
            intermediate_size: config.intermediate_size,
            activation: activation_name(config.hidden_act),
            max_positions: config.max_position_embeddings,
            token_types: config.type_vocab_size,
            vocab_size: config.vocab_size,
            layer_norm_eps: config.layer_norm_eps,
        }
    }
}

impl TokenizerFacts {
    pub fn of(tokenizer: &Tokenizer) -> Self {
        let special = tokenizer.special();
        let roles = [
            ("cls", Some(special.cls)),
            ("sep", Some(special.sep)),
            ("unk", special.unk),
            ("pad", special.pad),
            ("mask", special.mask),
        ];
        let token = |(role, id): (_, Option<u32>)| Some((role, tokenizer.id_to_token(id?)?));
        Self {
            kind: tokenizer.kind().to_string(),
            vocab_size: tokenizer.vocab_size(),
            max_length: tokenizer.max_length(),
            special: roles.into_iter().filter_map(token).collect(),
        }
    }
}

/// Writes facts, a line each. What is wrong stands out.
pub fn show_facts(facts: &[(&str, String)], page: &mut Page<'_>) -> io::Result<()> {
    let screen = page.screen;
    for (name, value) in facts {
        let style = if matches!(*name, "not finite" | "error") { style::BAD } else { Style::new() };
        let (name, value) = (screen.paint(style::STRONG, name), screen.paint(style, visible(value)));
        writeln!(page, "{name:<11} {value}")?;
    }
    Ok(())
}

/// The layers in words.
pub fn of_layers(shape: &Shape) -> String {
    let shared = match shape.distinct_layers {
        own if own == shape.layers => String::new(),
        own => format!(" (parameters of {own})"),
    };
    let Shape { layers, hidden_size, attention_heads, intermediate_size, activation, .. } = shape;
    format!(
        "{layers}{shared} of {hidden_size} with {attention_heads} heads, feed-forward {intermediate_size}, {activation}"
    )
}

/// The tokenizer in words.
pub fn of_tokenizer(facts: &TokenizerFacts) -> String {
    let special = facts.special.values().cloned().collect::<Vec<_>>().join(" ");
    let max_length = facts.max_length.map_or("no limit".to_owned(), |length| format!("{length} at most"));
    format!("{}, {} tokens, {max_length}, {special}", facts.kind, thousands(facts.vocab_size as u64))
}
