//! Checkpoints against outputs that an independent implementation recorded in `f64`: small ones of this crate with
//! random weights, one for each head, and trained ones where they are.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::checkpoint::Checkpoint;
use bert_core::contract::{Backend, Pooling, Precision};
use bert_core::graph::{Axis as Rows, Head, Model, Output};
use bert_core::{ModelConfig, PackedBatch};
use ndarray::{ArrayD, Axis};
use safetensors::{Dtype, SafeTensors};

use crate::check::catch;
use crate::compare::{Scale, compare};
use crate::fault::Fault;
use crate::models::{FLOOR, alone_as_together, run, same_as_twin};
use crate::suite::{Suite, named};
use crate::tolerance::tolerance;

/// Gives the folder of a checkpoint and the bytes of its recorded outputs, or nothing after a printed reason.
type Find = fn(&str) -> Option<(PathBuf, Vec<u8>)>;

/// In the folder `checkpoints` of this crate, made by its script; several spellings of names, two file formats.
const SMALL: &[&str] = &[
    "bert-embedding",
    "bert-pretraining",
    "bert-masked-lm",
    "bert-next-sentence",
    "bert-question-answering",
    "bert-token-classification",
    "bert-sequence-classification",
    "bert-multiple-choice",
    "distilbert-masked-lm",
    "distilbert-question-answering",
    "distilbert-token-classification",
    "distilbert-sequence-classification",
    "distilbert-multiple-choice",
    "roberta-embedding",
    "roberta-masked-lm",
    "roberta-question-answering",
    "roberta-token-classification",
    "roberta-sequence-classification",
    "roberta-multiple-choice",
    "camembert-masked-lm",
    "xlm-roberta-token-classification",
    "roberta-prelayernorm-embedding",
    "roberta-prelayernorm-masked-lm",
    "roberta-prelayernorm-question-answering",
    "roberta-prelayernorm-token-classification",
    "roberta-prelayernorm-sequence-classification",
    "roberta-prelayernorm-multiple-choice",
    "electra-embedding",
    "electra-masked-lm",
    "electra-replaced-tokens",
    "electra-question-answering",
    "electra-token-classification",
    "electra-sequence-classification",
    "electra-multiple-choice",
    "albert-embedding",
    "albert-pretraining",
    "albert-masked-lm",
    "albert-question-answering",
    "albert-token-classification",
    "albert-sequence-classification",
    "albert-multiple-choice",
];

/// What `cargo xtask models` brings.
const TRAINED: &[&str] = &["all-MiniLM-L6-v2", "splade-tiny-mlm", "rampart-ner", "antiberty-pretraining"];

/// Those of them with recorded scores of the vocabulary, from which follow the weights of words.
const SPARSE: [&str; 3] = ["bert-masked-lm", "distilbert-masked-lm", "splade-tiny-mlm"];

/// What a recorded tensor is called, and what it is; `logits` is what the head gives.
fn output(name: &str, config: &ModelConfig, head: Head) -> Option<Output> {
    Some(match name {
        "last_hidden_state" => Output::HiddenState(config.num_hidden_layers),
        "mean_pooled" => Output::Pooled(Pooling::Mean),
        "pooler_output" => Output::PoolerOutput,
        "mlm_logits" | "prediction_logits" => Output::Scores(Head::MaskedLm),
        "seq_relationship_logits" => Output::Scores(Head::NextSentence),
        "logits" => Output::Scores(head),
        _ => return None,
    })
}

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
        checkpoints: &[&str],
        find: Find,
    ) {
        let plain = checkpoints.iter().map(|checkpoint| (checkpoint, Recorded::read as Read));
        let sparse = checkpoints.iter().filter(|checkpoint| SPARSE.contains(checkpoint));
        let sparse = sparse.map(|checkpoint| (checkpoint, Recorded::read_sparse as Read));
        for (checkpoint, read) in plain.chain(sparse) {
            let operation = format!("{kind} {checkpoint}");
            let Some((folder, bytes)) = find(checkpoint) else { continue };
            for precision in backend.info().precisions {
                let tolerance = tolerance(&operation, None, precision, self.name);
                let results = catch(|| {
                    let recorded = read(&folder, &bytes)?;
                    let names: Vec<_> = recorded.wanted.iter().map(|wanted| wanted.name.as_str()).collect();
                    let names: Vec<_> =
                        names.iter().map(|name| named(format!("{operation} {name}"), precision)).collect();
                    if !names.iter().any(|name| self.plan.wants(name)) {
                        return Ok(vec![]);
                    }
                    let found = self.outputs(backend, twins, &folder, &recorded, precision)?;
                    Ok(names.into_iter().zip(found).zip(recorded.wanted).collect())
                });
                match results {
                    Err(fault) => {
                        let case = named(operation.clone(), precision);
                        self.judge_model(&operation, case, precision, tolerance, Err(fault));
                    }
                    Ok(results) => {
                        for ((name, found), wanted) in results {
                            if self.plan.wants(&name) {
                                let result = compare(&found, &wanted.numbers, Scale::Row, FLOOR, tolerance);
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
        folder: &Path,
        recorded: &Recorded,
        precision: Precision,
    ) -> Result<Vec<ArrayD<f64>>, Fault> {
        let load = |backend: &B| -> Result<_, Fault> {
            let config = ModelConfig::from_folder(folder)?;
            let checkpoint = Checkpoint::open(folder)?;
            Ok(Model::load(backend.clone(), config, &checkpoint, recorded.head, precision)?)
        };
        let model = load(backend)?;
        let outputs: Vec<_> = recorded.wanted.iter().map(|wanted| wanted.output).collect();
        let found = run(&model, &recorded.batch, &outputs)?;
        for twin in twins {
            same_as_twin(&outputs, &run(&load(twin)?, &recorded.batch, &outputs)?, &found)?;
        }
        alone_as_together(&model, &recorded.batch, &outputs, &found)?;
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

/// How a file becomes a batch and what should come of it.
type Read = fn(&Path, &[u8]) -> Result<Recorded, Fault>;

/// A recorded batch, and what should come of it.
struct Recorded {
    head: Head,
    batch: PackedBatch,
    wanted: Vec<Wanted>,
}

/// A recorded output.
struct Wanted {
    /// The tensor in the file.
    name: String,
    output: Output,
    numbers: ArrayD<f64>,
}

impl Recorded {
    /// The file holds padded rows; what is padding says the mask.
    fn read(folder: &Path, bytes: &[u8]) -> Result<Self, Fault> {
        let config = ModelConfig::from_folder(folder)?;
        let head = Head::of(&config).unwrap_or(Head::None);
        let file = SafeTensors::deserialize(bytes).map_err(|error| Fault::Recorded(error.to_string()))?;
        let [ids, segments, mask] =
            ["input_ids", "token_type_ids", "attention_mask"].map(|name| tensor(&file, name));
        let (ids, segments, mask) = (ids?, segments?, mask?);
        let lengths: Vec<_> = mask.outer_iter().map(|mask| mask.sum() as usize).collect();
        let scored = Scored::read(&file, &lengths)?;
        let mut batch = PackedBatch::default();
        for (row, &length) in lengths.iter().enumerate() {
            let cut = |x: &ArrayD<f64>| -> Vec<u32> {
                x.index_axis(Axis(0), row).iter().take(length).map(|&x| x as u32).collect()
            };
            let marks: Vec<_> = (0..scored.counts[row] as u32).collect();
            batch.push_marked(&cut(&ids), &cut(&segments), &marks);
        }
        let longest = ids.shape()[1];
        let tokens: Vec<_> = lengths
            .iter()
            .enumerate()
            .flat_map(|(row, &length)| row * longest..row * longest + length)
            .collect();
        let mut names = file.names();
        names.sort_unstable();
        let mut wanted = vec![];
        for name in names {
            let Some(output) = output(name, &config, head) else { continue };
            let full = tensor(&file, name)?;
            let features = *full.shape().last().expect("not a scalar");
            let rows = full.len() / features;
            let flat = full.to_shape((rows, features)).expect("row-major").to_owned().into_dyn();
            let rows = match output.axis() {
                Rows::Tokens => tokens.clone(),
                Rows::Marked => scored.rows.clone(),
                Rows::Sequences => (0..rows).collect(),
                Rows::Pairs => continue, // recorded for a task, whose tests read them
            };
            wanted.push(Wanted { name: name.to_owned(), output, numbers: flat.select(Axis(0), &rows) });
        }
        Ok(Self { head, batch, wanted })
    }
}

impl Recorded {
    /// The sequences all of whose tokens have recorded scores, and the weights of words that follow from these.
    fn read_sparse(folder: &Path, bytes: &[u8]) -> Result<Self, Fault> {
        let scores = Self::read(folder, bytes)?;
        let is_scores = |wanted: &&Wanted| wanted.output == Output::Scores(Head::MaskedLm);
        let numbers = &scores.wanted.iter().find(is_scores).expect("recorded").numbers;
        let (mut batch, mut weights, mut sequences) = (PackedBatch::default(), vec![], 0);
        for (sequence, tokens) in scores.batch.sequence_rows().enumerate() {
            let rows = scores.batch.marked_rows(sequence);
            if rows.len() != tokens.len() {
                continue;
            }
            batch.push(&scores.batch.ids()[tokens.clone()], &scores.batch.segments()[tokens]);
            let rows = numbers.slice_axis(Axis(0), rows.into());
            let largest = rows.fold_axis(Axis(0), 0f64, |&largest, &score| largest.max(score));
            weights.extend(largest.iter().map(|largest| largest.ln_1p()));
            sequences += 1;
        }
        let shape = [sequences, numbers.shape()[1]];
        let numbers = ArrayD::from_shape_vec(&shape[..], weights).expect("a row for each sequence");
        let wanted = Wanted { name: "sparse".to_owned(), output: Output::Scores(Head::Sparse), numbers };
        Ok(Self { head: Head::Sparse, batch, wanted: vec![wanted] })
    }
}

/// Which tokens have recorded scores of the vocabulary: all, or the first few of the sequences that
/// `mlm_logits_rows` lists.
struct Scored {
    /// How many of each sequence.
    counts: Vec<usize>,
    /// Their rows in the recorded tensor.
    rows: Vec<usize>,
}

impl Scored {
    fn read(file: &SafeTensors<'_>, lengths: &[usize]) -> Result<Self, Fault> {
        let mut scored = Self { counts: vec![0; lengths.len()], rows: vec![] };
        let name = ["mlm_logits", "prediction_logits"].into_iter().find(|name| file.tensor(name).is_ok());
        let Some(name) = name else { return Ok(scored) };
        let recorded = tensor(file, name)?.shape()[1];
        let sequences: Vec<usize> = match tensor(file, "mlm_logits_rows") {
            Ok(list) => list.iter().map(|&sequence| sequence as usize).collect(),
            Err(_) => (0..lengths.len()).collect(),
        };
        assert!(sequences.is_sorted(), "rows of a batch are in order");
        for (index, sequence) in sequences.into_iter().enumerate() {
            let count = lengths[sequence].min(recorded);
            scored.counts[sequence] = count;
            scored.rows.extend(index * recorded..index * recorded + count);
        }
        Ok(scored)
    }
}

pub(super) fn tensor(file: &SafeTensors<'_>, name: &str) -> Result<ArrayD<f64>, Fault> {
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
