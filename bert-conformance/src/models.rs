//! Whole models: small random ones of every family, with every head, against the same graph on the `f64`
//! reference.

use bert_core::contract::{Backend, Pooling, Precision};
use bert_core::graph::{Encoder, Head, Initial, Model, Output, ParameterSource};
use bert_core::reference::Reference;
use bert_core::tensor::HostTensor;
use bert_core::{ModelConfig, PackedBatch};
use ndarray::{ArrayD, Axis, Slice};

use crate::check::{catch, same_bits};
use crate::compare::{Scale, compare};
use crate::data::numbers;
use crate::fault::Fault;
use crate::prepare::random_batch;
use crate::suite::{Plan, Suite, named};
use crate::tolerance::tolerance;

/// A family, a configuration that differs from the default in everything, and the heads that it can have.
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
            Head::Sparse,
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
            "hidden_dim": 97, "activation": "relu", "max_position_embeddings": 65, "num_labels": 3,
            "tie_word_embeddings": false}"#,
        heads: &[
            Head::None,
            Head::MaskedLm,
            Head::TokenClassification,
            Head::SequenceClassification,
            Head::QuestionAnswering,
            Head::MultipleChoice,
        ],
    },
    Example {
        name: "roberta",
        config: r#"{"model_type": "roberta", "vocab_size": 101, "hidden_size": 40, "num_hidden_layers": 2,
            "num_attention_heads": 4, "intermediate_size": 70, "hidden_act": "gelu_new", "pad_token_id": 1,
            "max_position_embeddings": 67, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "num_labels": 4}"#,
        heads: &[
            Head::None,
            Head::MaskedLm,
            Head::TokenClassification,
            Head::SequenceClassification,
            Head::QuestionAnswering,
            Head::MultipleChoice,
        ],
    },
    Example {
        name: "roberta-prelayernorm",
        config: r#"{"model_type": "roberta-prelayernorm", "vocab_size": 101, "hidden_size": 40,
            "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 70, "hidden_act": "gelu",
            "pad_token_id": 1, "max_position_embeddings": 67, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
            "num_labels": 4}"#,
        heads: &[
            Head::None,
            Head::MaskedLm,
            Head::TokenClassification,
            Head::SequenceClassification,
            Head::QuestionAnswering,
            Head::MultipleChoice,
        ],
    },
    Example {
        name: "electra",
        config: r#"{"model_type": "electra", "vocab_size": 101, "embedding_size": 24, "hidden_size": 40,
            "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 70, "hidden_act": "relu",
            "max_position_embeddings": 65, "layer_norm_eps": 1e-6, "num_labels": 4}"#,
        heads: &[
            Head::None,
            Head::MaskedLm,
            Head::ReplacedTokens,
            Head::TokenClassification,
            Head::SequenceClassification,
            Head::QuestionAnswering,
            Head::MultipleChoice,
        ],
    },
    Example {
        name: "albert",
        config: r#"{"model_type": "albert", "vocab_size": 101, "embedding_size": 24, "hidden_size": 40,
            "num_hidden_layers": 3, "num_hidden_groups": 2, "num_attention_heads": 4, "intermediate_size": 70,
            "max_position_embeddings": 65, "layer_norm_eps": 1e-6, "num_labels": 4}"#,
        heads: &[
            Head::None,
            Head::PreTraining,
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
    /// Every head of every family on every batch. The twins are the same backend with other threads: they
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
        let config = ModelConfig::from_json(example.config).expect("the examples are right");
        let label = named(format!("{} {head}", example.name), precision);
        let mut trials: Vec<_> =
            BATCHES.iter().map(|lengths| Trial::new(&label, lengths, &config, head, self.plan)).collect();
        trials.retain(|trial| trial.names.iter().any(|name| self.plan.wants(name)));
        if trials.is_empty() {
            return;
        }
        let operation = format!("model {}", example.name);
        let tolerance = tolerance(&operation, None, precision, self.name);
        let models = catch(|| {
            let numbers = Initial::spread(self.plan.seed);
            let reference = load(&Reference, &config, &numbers, head, Precision::F32)?;
            let tested = load(backend, &config, &numbers, head, precision)?;
            let twins = twins.iter().map(|twin| load(twin, &config, &numbers, head, precision));
            Ok((reference, tested, twins.collect::<Result<Vec<_>, Fault>>()?))
        });
        let (reference, tested, twins) = match models {
            Ok(models) => models,
            Err(fault) => return self.judge_model(&operation, label, precision, tolerance, Err(fault)),
        };
        for trial in trials {
            match catch(|| Ok((trial.run(&tested, &twins)?, trial.outputs_of(&reference)?))) {
                Err(fault) => {
                    self.judge_model(&operation, trial.name, precision, tolerance, Err(fault));
                }
                Ok((found, wanted)) => {
                    for (name, (found, wanted)) in trial.names.into_iter().zip(found.iter().zip(&wanted)) {
                        if self.plan.wants(&name) {
                            let result = compare(found, wanted, Scale::Row, FLOOR, tolerance);
                            self.judge_model(&operation, name, precision, tolerance, result);
                        }
                    }
                }
            }
        }
    }
}

/// Hidden states are of the order of 1.
pub(super) const FLOOR: f64 = 0.1;

/// A batch for a model, and what to ask for.
struct Trial {
    name: String,
    batch: PackedBatch,
    outputs: Vec<Output>,
    /// A case for each output.
    names: Vec<String>,
}

impl Trial {
    fn new(label: &str, lengths: &[usize], config: &ModelConfig, head: Head, plan: &Plan) -> Self {
        let words: Vec<_> = lengths.iter().map(usize::to_string).collect();
        let name = format!("{label} lengths {}", words.join(","));
        let batch = marked(&random_batch(&mut plan.rng(&name), lengths, config.vocab_size), config);
        let outputs = outputs(config, head);
        let names = outputs.iter().map(|output| format!("{name} {output:?}")).collect();
        Self { name, batch, outputs, names }
    }

    fn outputs_of(&self, model: &impl Encoder) -> Result<Vec<ArrayD<f64>>, Fault> {
        run(model, &self.batch, &self.outputs)
    }

    /// What a model gives, after its twins and each sequence alone gave the same.
    fn run<M: Encoder>(&self, model: &M, twins: &[M]) -> Result<Vec<ArrayD<f64>>, Fault> {
        let found = self.outputs_of(model)?;
        for twin in twins {
            same_as_twin(&self.outputs, &self.outputs_of(twin)?, &found)?;
        }
        if self.batch.sequences() > 1 {
            alone_as_together(model, &self.batch, &self.outputs, &found)?;
        }
        Ok(found)
    }
}

/// The same batch with every token marked, and all of it in the first segment where a family has no other.
fn marked(batch: &PackedBatch, config: &ModelConfig) -> PackedBatch {
    let mut all = PackedBatch::default();
    for rows in batch.sequence_rows() {
        let segments = batch.segments()[rows.clone()].iter();
        let segments: Vec<_> = segments.map(|&id| if config.type_vocab_size == 1 { 0 } else { id }).collect();
        all.push_marked(&batch.ids()[rows.clone()], &segments, &(0..rows.len() as u32).collect::<Vec<_>>());
    }
    all
}

/// Whether other threads gave the same bits.
pub(super) fn same_as_twin(
    outputs: &[Output],
    twin: &[ArrayD<f64>],
    found: &[ArrayD<f64>],
) -> Result<(), Fault> {
    for (output, (twin, found)) in outputs.iter().zip(twin.iter().zip(found)) {
        same_bits(&format!("{output:?} with other threads"), twin, found)?;
    }
    Ok(())
}

fn load<B: Backend>(
    backend: &B,
    config: &ModelConfig,
    source: &dyn ParameterSource,
    head: Head,
    precision: Precision,
) -> Result<Model<B>, Fault> {
    Ok(Model::load(backend.clone(), config.clone(), source, head, precision)?)
}

/// Everything that a head gives.
fn outputs(config: &ModelConfig, head: Head) -> Vec<Output> {
    let mut outputs: Vec<_> = (0..=config.num_hidden_layers).map(Output::HiddenState).collect();
    outputs.extend([Pooling::Cls, Pooling::Mean, Pooling::Max, Pooling::MeanSqrtLen].map(Output::Pooled));
    if config.pooler && [Head::None, Head::PreTraining].contains(&head) {
        outputs.push(Output::PoolerOutput);
    }
    outputs.extend(head.parts().iter().filter(|&&part| part != Head::None).map(|&part| Output::Scores(part)));
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
    for (sequence, rows) in batch.sequence_rows().enumerate() {
        let mut single = PackedBatch::default();
        let marks = &batch.marked()[batch.marked_rows(sequence)];
        let marks: Vec<_> = marks.iter().map(|&row| row - rows.start as u32).collect();
        single.push_marked(&batch.ids()[rows.clone()], &batch.segments()[rows], &marks);
        // Without a marked token there is nothing to ask a masked-LM head.
        let asked = |output: &&Output| !output.axis().rows(batch, sequence).is_empty();
        let asked: Vec<_> = outputs.iter().filter(asked).copied().collect();
        let together = outputs.iter().zip(together).filter(|(output, _)| asked.contains(output));
        let alone = run(model, &single, &asked)?;
        for ((output, together), alone) in together.zip(&alone) {
            let range = output.axis().rows(batch, sequence);
            let part = together.slice_axis(Axis(0), Slice::from(range)).to_owned();
            same_bits(&format!("{output:?} of sequence {sequence} alone"), alone, &part)?;
        }
    }
    Ok(())
}
