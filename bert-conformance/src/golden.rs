//! Checkpoints against outputs that an independent implementation recorded in `f64`: small ones of this crate with
//! random weights, one for each head, and trained ones where they are.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::backend::Backend;
use bert_core::checkpoint::Checkpoint;
use bert_core::graph::{Encoder, Head, Model, Output};
use bert_core::ops::{Pooling, Precision};
use bert_core::{ModelConfig, PackedBatch};
use ndarray::{ArrayD, Axis};
use safetensors::{Dtype, SafeTensors};

use crate::check::catch;
use crate::compare::{Scale, compare};
use crate::fault::Fault;
use crate::models::{FLOOR, alone_as_together, run, same_as_twin};
use crate::suite::{Suite, named};
use crate::tolerance::tolerance;

/// A checkpoint, the head to load it with, and the tensors that were recorded.
struct Golden {
    /// The folder.
    name: &'static str,
    head: Head,
    recorded: &'static [(&'static str, Kind)],
}

/// Gives the folder of a checkpoint and the bytes of its recorded outputs, or nothing after a printed reason.
type Find = fn(&str) -> Option<(PathBuf, Vec<u8>)>;

/// What a recorded tensor is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    LastHidden,
    Mean,
    Pooler,
    /// Of every token, or of the first few of the sequences that `mlm_logits_rows` lists.
    MaskedLm,
    NextSentence,
    TokenLabels,
    SequenceLabels,
    AnswerSpans,
    ChoiceScores,
}

/// In the folder `checkpoints` of this crate, made by its script; several spellings of names, two file formats.
const SMALL: &[Golden] = &[
    Golden {
        name: "bert-embedding",
        head: Head::None,
        recorded: &[
            ("last_hidden_state", Kind::LastHidden),
            ("mean_pooled", Kind::Mean),
            ("pooler_output", Kind::Pooler),
        ],
    },
    Golden {
        name: "bert-pretraining",
        head: Head::PreTraining,
        recorded: &[
            ("last_hidden_state", Kind::LastHidden),
            ("prediction_logits", Kind::MaskedLm),
            ("seq_relationship_logits", Kind::NextSentence),
        ],
    },
    Golden {
        name: "bert-masked-lm",
        head: Head::MaskedLm,
        recorded: &[("last_hidden_state", Kind::LastHidden), ("mlm_logits", Kind::MaskedLm)],
    },
    Golden {
        name: "bert-question-answering",
        head: Head::QuestionAnswering,
        recorded: &[("last_hidden_state", Kind::LastHidden), ("logits", Kind::AnswerSpans)],
    },
    Golden {
        name: "bert-token-classification",
        head: Head::TokenClassification,
        recorded: &[("last_hidden_state", Kind::LastHidden), ("logits", Kind::TokenLabels)],
    },
    Golden {
        name: "bert-sequence-classification",
        head: Head::SequenceClassification,
        recorded: &[("last_hidden_state", Kind::LastHidden), ("logits", Kind::SequenceLabels)],
    },
    Golden {
        name: "bert-multiple-choice",
        head: Head::MultipleChoice,
        recorded: &[("last_hidden_state", Kind::LastHidden), ("logits", Kind::ChoiceScores)],
    },
    Golden {
        name: "distilbert-masked-lm",
        head: Head::MaskedLm,
        recorded: &[("last_hidden_state", Kind::LastHidden), ("mlm_logits", Kind::MaskedLm)],
    },
];

/// What `cargo xtask models` brings.
const TRAINED: &[Golden] = &[
    Golden {
        name: "all-MiniLM-L6-v2",
        head: Head::None,
        recorded: &[
            ("last_hidden_state", Kind::LastHidden),
            ("mean_pooled", Kind::Mean),
            ("pooler_output", Kind::Pooler),
        ],
    },
    Golden {
        name: "splade-tiny-mlm",
        head: Head::MaskedLm,
        recorded: &[("last_hidden_state", Kind::LastHidden), ("mlm_logits", Kind::MaskedLm)],
    },
    Golden {
        name: "rampart-ner",
        head: Head::TokenClassification,
        recorded: &[("last_hidden_state", Kind::LastHidden), ("logits", Kind::TokenLabels)],
    },
    Golden {
        name: "antiberty-pretraining",
        head: Head::PreTraining,
        recorded: &[
            ("last_hidden_state", Kind::LastHidden),
            ("pooler_output", Kind::Pooler),
            ("prediction_logits", Kind::MaskedLm),
            ("seq_relationship_logits", Kind::NextSentence),
        ],
    },
];

impl Suite<'_> {
    /// Every checkpoint of this crate.
    pub(super) fn small<B: Backend>(&mut self, backend: &B, twins: &[B]) {
        self.recorded(backend, twins, "checkpoint", SMALL, small);
    }

    /// Every trained checkpoint that is there; says so where one is missing.
    pub(super) fn trained<B: Backend>(&mut self, backend: &B, twins: &[B]) {
        self.recorded(backend, twins, "golden", TRAINED, trained);
    }

    /// `kind` is what the tolerance table calls these checkpoints.
    fn recorded<B: Backend>(
        &mut self,
        backend: &B,
        twins: &[B],
        kind: &str,
        checkpoints: &[Golden],
        find: Find,
    ) {
        for golden in checkpoints {
            let operation = format!("{kind} {}", golden.name);
            for precision in backend.info().precisions {
                let name = |(tensor, _): &(&str, Kind)| named(format!("{operation} {tensor}"), precision);
                let names: Vec<_> = golden.recorded.iter().map(name).collect();
                if !names.iter().any(|name| self.plan.wants(name)) {
                    continue;
                }
                let Some((folder, bytes)) = find(golden.name) else { continue };
                let result = catch(|| {
                    let recorded = Recorded::read(&bytes, golden)?;
                    let found = self.outputs(backend, twins, &folder, &recorded, golden.head, precision)?;
                    Ok((recorded, found))
                });
                let tolerance = tolerance(kind, None, precision, self.name);
                match result {
                    Err(fault) => {
                        let case = named(operation.clone(), precision);
                        self.judge_model(&operation, case, precision, tolerance, Err(fault));
                    }
                    Ok((recorded, found)) => {
                        for (name, (found, want)) in names.into_iter().zip(found.iter().zip(&recorded.wanted))
                        {
                            if self.plan.wants(&name) {
                                let result = compare(found, want, Scale::Row, FLOOR, tolerance);
                                self.judge_model(&operation, name, precision, tolerance, result);
                            }
                        }
                    }
                }
            }
        }
    }

    /// What a backend gives for the recorded batch, after its twins and each sequence alone gave the same.
    fn outputs<B: Backend>(
        &self,
        backend: &B,
        twins: &[B],
        folder: &PathBuf,
        recorded: &Recorded,
        head: Head,
        precision: Precision,
    ) -> Result<Vec<ArrayD<f64>>, Fault> {
        let load = |backend: &B| -> Result<_, Fault> {
            let config = ModelConfig::from_folder(folder)?;
            let checkpoint = Checkpoint::open(folder)?;
            Ok(Model::load(backend.clone(), config, &checkpoint, head, precision)?)
        };
        let model = load(backend)?;
        let mut outputs = recorded.outputs.clone();
        outputs[0] = Output::HiddenState(model.config().num_hidden_layers);
        let found = run(&model, &recorded.batch, &outputs)?;
        for twin in twins {
            same_as_twin(&outputs, &run(&load(twin)?, &recorded.batch, &outputs)?, &found)?;
        }
        let kept = (0..outputs.len()).filter(|&i| !matches!(outputs[i], Output::MaskedLm(_)));
        let (asked, together): (Vec<_>, Vec<_>) =
            kept.map(|i| (outputs[i].clone(), found[i].clone())).unzip();
        alone_as_together(&model, &recorded.batch, &asked, &together)?;
        Ok(found)
    }
}

/// [`Find`] for the checkpoints of this crate.
fn small(name: &str) -> Option<(PathBuf, Vec<u8>)> {
    let folder = crate::checkpoint(name);
    let path = folder.join("golden.safetensors");
    let read = fs::read(&path).inspect_err(|error| {
        eprintln!("SKIPPED {name}: {error}: {}; it is in the sources of bert-conformance", path.display());
    });
    Some((folder, read.ok()?))
}

/// [`Find`] for trained ones.
fn trained(name: &str) -> Option<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace root");
    let folder = root.join("target/models").join(name);
    if !folder.is_dir() {
        eprintln!("SKIPPED {name}: no checkpoint at {}; run cargo xtask models", folder.display());
        return None;
    }
    let shared = std::env::var_os("BERT_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let path = shared.join("golden").join(name).join("golden.safetensors");
    match fs::read(&path) {
        Ok(bytes) => Some((folder, bytes)),
        Err(error) => {
            eprintln!(
                "SKIPPED {name}: no recorded outputs at {} ({error}); BERT_SHARED names their folder",
                path.display()
            );
            None
        }
    }
}

/// A recorded batch, what to ask for, and what should come.
struct Recorded {
    batch: PackedBatch,
    outputs: Vec<Output>,
    wanted: Vec<ArrayD<f64>>,
}

impl Recorded {
    /// The file holds padded rows; what is padding says the mask.
    fn read(bytes: &[u8], golden: &Golden) -> Result<Self, Fault> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| Fault::Recorded(error.to_string()))?;
        let [ids, segments, mask] =
            ["input_ids", "token_type_ids", "attention_mask"].map(|name| tensor(&file, name));
        let (ids, segments, mask) = (ids?, segments?, mask?);
        let longest = ids.shape()[1];
        let (mut batch, mut padded) = (PackedBatch::default(), vec![]);
        for (row, mask) in mask.outer_iter().enumerate() {
            let length = mask.sum() as usize;
            let cut = |x: &ArrayD<f64>| -> Vec<u32> {
                x.index_axis(Axis(0), row).iter().take(length).map(|&x| x as u32).collect()
            };
            batch.push(&cut(&ids), &cut(&segments));
            padded.extend(row * longest..row * longest + length);
        }
        let (mut outputs, mut wanted) = (vec![], vec![]);
        for &(name, kind) in golden.recorded {
            let full = tensor(&file, name)?;
            let features = *full.shape().last().expect("not a scalar");
            let rows = full.len() / features;
            let flat = full.to_shape((rows, features)).expect("row-major").to_owned().into_dyn();
            let few = (kind == Kind::MaskedLm).then(|| tensor(&file, "mlm_logits_rows").ok()).flatten();
            let (output, rows) = match (kind, few) {
                (Kind::MaskedLm, Some(sequences)) => {
                    let recorded = full.shape()[1];
                    let (asked, rows) = first_tokens(&batch, &sequences, recorded);
                    (Output::MaskedLm(asked), rows)
                }
                (Kind::MaskedLm, None) => {
                    (Output::MaskedLm((0..batch.tokens() as u32).collect()), padded.clone())
                }
                // Of which layer is known when the model is.
                (Kind::LastHidden, _) => (Output::HiddenState(0), padded.clone()),
                (Kind::TokenLabels, _) => (Output::TokenLabels, padded.clone()),
                (Kind::Mean, _) => (Output::Pooled(Pooling::Mean), (0..rows).collect()),
                (Kind::Pooler, _) => (Output::PoolerOutput, (0..rows).collect()),
                (Kind::AnswerSpans, _) => (Output::AnswerSpans, padded.clone()),
                (Kind::NextSentence, _) => (Output::NextSentence, (0..rows).collect()),
                (Kind::SequenceLabels, _) => (Output::SequenceLabels, (0..rows).collect()),
                (Kind::ChoiceScores, _) => (Output::ChoiceScores, (0..rows).collect()),
            };
            outputs.push(output);
            wanted.push(flat.select(Axis(0), &rows));
        }
        Ok(Self { batch, outputs, wanted })
    }
}

/// The first tokens of some sequences: their rows in the batch, and in the recorded tensor.
fn first_tokens(batch: &PackedBatch, sequences: &ArrayD<f64>, recorded: usize) -> (Vec<u32>, Vec<usize>) {
    let (mut asked, mut rows) = (vec![], vec![]);
    for (index, &sequence) in sequences.iter().enumerate() {
        for (position, row) in batch.sequence(sequence as usize).take(recorded).enumerate() {
            asked.push(row as u32);
            rows.push(index * recorded + position);
        }
    }
    (asked, rows)
}

fn tensor(file: &SafeTensors<'_>, name: &str) -> Result<ArrayD<f64>, Fault> {
    let fail = |what: String| Fault::Recorded(format!("{name}: {what}"));
    let tensor = file.tensor(name).map_err(|error| fail(error.to_string()))?;
    let values: Vec<f64> = match tensor.dtype() {
        Dtype::F32 => numbers(tensor.data(), |bytes| f64::from(f32::from_le_bytes(bytes))),
        Dtype::I64 => numbers(tensor.data(), |bytes| i64::from_le_bytes(bytes) as f64),
        other => return Err(fail(format!("neither f32 nor i64 but {other:?}"))),
    };
    Ok(ArrayD::from_shape_vec(tensor.shape(), values).expect("the format checks the length"))
}

fn numbers<const SIZE: usize>(bytes: &[u8], number: impl Fn([u8; SIZE]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<SIZE>().0.iter().map(|&bytes| number(bytes)).collect()
}
