//! Whole models: small random ones of both layouts, with every head, against the same graph on the `f64`
//! reference.

use bert_core::backend::Backend;
use bert_core::checkpoint::Checkpoint;
use bert_core::graph::{Encoder, Head, Model, Output};
use bert_core::ops::{Pooling, Precision};
use bert_core::reference::Reference;
use bert_core::tensor::HostTensor;
use bert_core::{ModelConfig, PackedBatch};
use ndarray::{ArrayD, Axis, Slice};

use super::check::{Checked, catch, same_bits};
use super::compare::{Scale, compare};
use super::data::numbers;
use super::fault::Fault;
use super::prepare::random_batch;
use super::suite::Suite;
use super::tolerance::{is_invariant, tolerance};
use crate::synthetic::{self, Spread};

/// A layout with a head, a configuration that differs from the default in everything, and what to ask for.
struct Example {
    name: &'static str,
    config: &'static str,
    heads: &'static [Head],
}

const EXAMPLES: &[Example] = &[
    Example {
        name: "bert",
        config: r#"{"model_type": "bert", "vocab_size": 101, "hidden_size": 60, "num_hidden_layers": 2,
            "num_attention_heads": 4, "intermediate_size": 130, "hidden_act": "gelu",
            "max_position_embeddings": 65, "type_vocab_size": 2, "layer_norm_eps": 1e-5, "num_labels": 5}"#,
        heads: &[
            Head::None,
            Head::MaskedLm,
            Head::NextSentence,
            Head::PreTraining,
            Head::TokenClassification,
            Head::SequenceClassification,
            Head::QuestionAnswering,
            Head::MultipleChoice,
        ],
    },
    Example {
        name: "distilbert",
        config: r#"{"model_type": "distilbert", "vocab_size": 101, "dim": 48, "n_layers": 3, "n_heads": 3,
            "hidden_dim": 97, "activation": "relu", "max_position_embeddings": 65, "num_labels": 3}"#,
        heads: &[
            Head::None,
            Head::MaskedLm,
            Head::TokenClassification,
            Head::SequenceClassification,
            Head::QuestionAnswering,
            Head::MultipleChoice,
        ],
    },
];

/// Alone, the longest that the model takes, all short, ragged.
const BATCHES: &[&[usize]] = &[&[1], &[65, 1, 17], &[2, 1, 1], &[3, 17, 1, 33, 2]];

impl Suite<'_> {
    /// Every head of every layout on every batch. The twins are the same backend with other threads: they
    /// have to give the same bits.
    pub(super) fn models<B: Backend>(&mut self, backend: &B, twins: &[B]) {
        for example in EXAMPLES {
            for &head in example.heads {
                for precision in backend.info().precisions {
                    self.model(example, head, backend, twins, precision);
                }
            }
        }
    }

    fn model<B: Backend>(
        &mut self,
        example: &Example,
        head: Head,
        backend: &B,
        twins: &[B],
        precision: Precision,
    ) {
        let mut label = format!("{} {head}", example.name);
        if precision != Precision::F32 {
            label = format!("{label} {precision}");
        }
        let batches: Vec<_> = BATCHES.iter().map(|lengths| (name_of(&label, lengths), *lengths)).collect();
        if !batches.iter().any(|(name, _)| self.plan.wants(name)) {
            return;
        }
        let config = ModelConfig::from_json(example.config).expect("the examples are right");
        let tolerance = tolerance("model", None, precision, self.name);
        let load = || -> Result<_, Fault> {
            let parameters = synthetic::parameters(&config, head, Spread::Trained, self.plan.seed);
            let bytes = synthetic::to_bytes(parameters).expect("names are distinct, shapes fit");
            let checkpoint = Checkpoint::from_bytes(bytes)?;
            let reference = load(&Reference, &config, &checkpoint, head, Precision::F32)?;
            let tested = load(backend, &config, &checkpoint, head, precision)?;
            let twins = twins.iter().map(|twin| load(twin, &config, &checkpoint, head, precision));
            Ok((reference, tested, twins.collect::<Result<Vec<_>, Fault>>()?))
        };
        let (reference, tested, twins) = match catch(load) {
            Ok(models) => models,
            Err(fault) => {
                let checked = Checked { result: Err(fault), inputs: vec![] };
                return self.judge("model".into(), format!("{label} loading"), tolerance, checked);
            }
        };
        for (name, lengths) in batches {
            if !self.plan.wants(&name) {
                continue;
            }
            let batch = random_batch(&mut self.plan.rng(&name), lengths, config.vocab_size);
            let outputs = outputs(&config, head, batch.tokens());
            let invariant = is_invariant("attention", false, self.name);
            let result = catch(|| {
                let found = run(&tested, &batch, &outputs)?;
                let wanted = run(&reference, &batch, &outputs)?;
                for twin in &twins {
                    for (output, (a, b)) in
                        outputs.iter().zip(run(twin, &batch, &outputs)?.iter().zip(&found))
                    {
                        same_bits(&format!("{output:?} with other threads"), a, b)?;
                    }
                }
                if invariant && batch.sequences() > 1 {
                    alone_as_together(&tested, &batch, &outputs, &found)?;
                }
                Ok((found, wanted))
            });
            let compared = match result {
                Ok((found, wanted)) => outputs
                    .iter()
                    .zip(found.iter().zip(&wanted))
                    .map(|(output, (found, wanted))| {
                        (format!("{name} {output:?}"), compare(found, wanted, Scale::Row, 0.1, tolerance))
                    })
                    .collect(),
                Err(fault) => vec![(name, Err(fault))],
            };
            for (name, result) in compared {
                let checked = Checked { result, inputs: vec![] };
                self.judge(format!("model {}", example.name), short(name), tolerance, checked);
            }
        }
    }
}

fn load<B: Backend>(
    backend: &B,
    config: &ModelConfig,
    checkpoint: &Checkpoint,
    head: Head,
    precision: Precision,
) -> Result<Model<B>, Fault> {
    Ok(Model::load(backend.clone(), config.clone(), checkpoint, head, precision)?)
}

fn name_of(label: &str, lengths: &[usize]) -> String {
    let lengths: Vec<_> = lengths.iter().map(usize::to_string).collect();
    format!("{label} lengths {}", lengths.join(","))
}

/// A list of rows says nothing that the lengths have not said.
fn short(name: String) -> String {
    match name.split_once("MaskedLm([") {
        Some((start, _)) => format!("{start}MaskedLm"),
        None => name,
    }
}

/// Everything that a head gives.
pub(super) fn outputs(config: &ModelConfig, head: Head, tokens: usize) -> Vec<Output> {
    let mut outputs: Vec<_> = (0..=config.num_hidden_layers).map(Output::HiddenState).collect();
    let poolings = [Pooling::Cls, Pooling::Mean, Pooling::Max, Pooling::MeanSqrtLen];
    outputs.extend(poolings.map(Output::Pooled));
    let masked_lm = || Output::MaskedLm((0..tokens as u32).rev().collect());
    match head {
        Head::None if config.type_vocab_size == 0 => {} // DistilBERT has no pooler
        Head::None => outputs.push(Output::PoolerOutput),
        Head::MaskedLm => outputs.push(masked_lm()),
        Head::NextSentence => outputs.push(Output::NextSentence),
        Head::PreTraining => outputs.extend([Output::PoolerOutput, masked_lm(), Output::NextSentence]),
        Head::TokenClassification => outputs.push(Output::TokenLabels),
        Head::SequenceClassification => outputs.push(Output::SequenceLabels),
        Head::QuestionAnswering => outputs.push(Output::AnswerSpans),
        Head::MultipleChoice => outputs.push(Output::ChoiceScores),
    }
    outputs
}

pub(super) fn run(
    model: &impl Encoder,
    batch: &PackedBatch,
    outputs: &[Output],
) -> Result<Vec<ArrayD<f64>>, Fault> {
    let results: Vec<HostTensor> = pollster::block_on(model.run(batch, outputs))?;
    results.iter().map(numbers).collect()
}

/// Each sequence as a batch of its own.
pub(super) fn alone_as_together(
    model: &impl Encoder,
    batch: &PackedBatch,
    outputs: &[Output],
    together: &[ArrayD<f64>],
) -> Result<(), Fault> {
    for sequence in 0..batch.sequences() {
        let rows = batch.sequence(sequence);
        let mut single = PackedBatch::default();
        single.push(&batch.ids()[rows.clone()], &batch.segments()[rows.clone()]);
        let asked: Vec<_> = outputs
            .iter()
            .map(|output| match output {
                Output::MaskedLm(_) => Output::MaskedLm((0..rows.len() as u32).rev().collect()),
                other => other.clone(),
            })
            .collect();
        let alone = run(model, &single, &asked)?;
        for ((output, alone), together) in asked.iter().zip(&alone).zip(together) {
            let range = match output {
                Output::HiddenState(_) | Output::TokenLabels | Output::AnswerSpans => rows.clone(),
                // Asked for from the last row to the first.
                Output::MaskedLm(_) => batch.tokens() - rows.end..batch.tokens() - rows.start,
                _ => sequence..sequence + 1,
            };
            let part = together.slice_axis(Axis(0), Slice::from(range)).to_owned();
            same_bits(&format!("{} of sequence {sequence}", short(format!("{output:?}"))), alone, &part)?;
        }
    }
    Ok(())
}
