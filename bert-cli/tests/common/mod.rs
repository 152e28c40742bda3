//! The real binary, and tiny checkpoints for it to run.

// Each test file uses its own part of this.
#![allow(dead_code)]

pub mod training;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

/// What a run of `bert` gave.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    /// Standard output of a run that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stderr: {}", self.stderr);
        String::from_utf8(self.stdout).unwrap()
    }

    /// As [`ok`](Self::ok), as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// As [`ok`](Self::ok), as one JSON value a line.
    #[track_caller]
    pub fn jsonl(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The run must have failed as errors should: status 2, nothing on standard output, one message with
    /// these parts, and no trace of a panic.
    #[track_caller]
    pub fn fails(&self, parts: &[&str]) {
        assert_eq!(String::from_utf8_lossy(&self.stdout), "", "stderr: {}", self.stderr);
        self.reports(parts);
    }

    /// As [`fails`](Self::fails), but other inputs may have been answered.
    #[track_caller]
    pub fn reports(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "stderr: {}", self.stderr);
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "stderr: {}", self.stderr);
        assert!(
            !self.stderr.contains("panicked") && !self.stderr.contains("RUST_BACKTRACE"),
            "{}",
            self.stderr
        );
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in: {}", self.stderr);
        }
    }
}

/// A run of `bert`, which starts without any setting of the environment.
pub fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bert"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let ours = ["BERT_", "HF_", "NO_COLOR", "CLICOLOR"].iter().any(|prefix| name.starts_with(prefix));
        if ours || name.to_ascii_uppercase().ends_with("_PROXY") {
            command.env_remove(&*name);
        }
    }
    // Tests leave nothing in the user's folders.
    command.env("BERT_WGPU_CACHE", "");
    // Without it Mesa's drivers complain on our stderr.
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    }
    command
}

/// Runs `bert` without standard input.
pub fn bert<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I) -> Run {
    finish(command(args).output().unwrap())
}

/// Runs `bert` with these bytes on standard input.
pub fn bert_reading<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I, input: &[u8]) -> Run {
    let mut command = command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A child that fails early does not read all of it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    finish(output)
}

/// Runs `bert` with these variables.
pub fn bert_with<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I, variables: &[(&str, &OsStr)]) -> Run {
    finish(command(args).envs(variables.iter().copied()).output().unwrap())
}

fn finish(output: Output) -> Run {
    Run {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// How many files a folder holds.
pub fn count_files(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

const HIDDEN: usize = 16;
const INNER: usize = 32;
const LAYERS: usize = 2;
const POSITIONS: usize = 64;

/// The words that tiny models know. Letters and pieces make every lower-case ASCII word known.
const WORDS: &str = "[PAD] [UNK] [CLS] [SEP] [MASK] . , ! ? ' \" - : the a of is in to and capital france paris rome italy \
     he she opened door room was empty day good bad bank river money my name sarah connor lives los angeles";

/// A checkpoint folder with seeded random weights, two layers of 16 numbers, and every head there is.
pub struct Tiny {
    folder: tempfile::TempDir,
    config: Value,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Tiny {
    /// A model of this class, such as `BertForMaskedLM`.
    pub fn new(class: &str) -> Self {
        let labels = match class {
            "BertForTokenClassification" => vec!["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
            _ => vec!["negative", "positive"],
        };
        let config = json!({
            "model_type": "bert", "architectures": [class], "vocab_size": vocab().lines().count(),
            "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": 2,
            "intermediate_size": INNER, "max_position_embeddings": POSITIONS,
            "id2label": labels.iter().enumerate().map(|(id, label)| (id.to_string(), json!(label))).collect::<serde_json::Map<_, _>>(),
        });
        let folder = tempfile::tempdir().unwrap();
        let tensors = tensors(vocab().lines().count(), labels.len());
        let tiny = Self { folder, config, tensors };
        tiny.write("vocab.txt", vocab().as_bytes());
        tiny.write(
            "tokenizer_config.json",
            br#"{"do_lower_case": true, "tokenizer_class": "BertTokenizer"}"#,
        );
        tiny.write_config();
        tiny.write_weights();
        tiny
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The path as an argument.
    pub fn arg(&self) -> &str {
        self.path().to_str().unwrap()
    }

    /// A file of the folder, there or not.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Replaces a file.
    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.file(name), content).unwrap();
    }

    /// Changes a field of config.json.
    pub fn configure(&mut self, field: &str, value: Value) {
        self.config[field] = value;
        self.write_config();
    }

    /// Changes the tensors.
    pub fn edit(&mut self, edit: impl FnOnce(&mut BTreeMap<String, (Vec<usize>, Vec<f32>)>)) {
        edit(&mut self.tensors);
        self.write_weights();
    }

    fn write_config(&self) {
        self.write("config.json", self.config.to_string().as_bytes());
    }

    fn write_weights(&self) {
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, (shape, data))| {
                (name.clone(), shape.clone(), data.iter().flat_map(|x| x.to_le_bytes()).collect())
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, shape, data)| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
        self.write("model.safetensors", &safetensors::serialize(views, None).unwrap());
    }
}

fn vocab() -> String {
    let letters = ('a'..='z').flat_map(|letter| [letter.to_string(), format!("##{letter}")]);
    let mut seen = std::collections::BTreeSet::new();
    let tokens = WORDS.split_whitespace().map(str::to_owned).chain(letters);
    tokens.filter(|token| seen.insert(token.clone())).map(|token| token + "\n").collect()
}

fn tensors(vocab: usize, labels: usize) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let mut tensors = BTreeMap::new();
    let mut seed = 1u64;
    // A linear congruential generator: enough to make weights that differ.
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 0.8
    };
    let mut add = |name: &str, shape: &[usize]| {
        let data = (0..shape.iter().product::<usize>()).map(|_| random()).collect();
        tensors.insert(name.to_owned(), (shape.to_vec(), data));
    };
    let mut linear = |name: &str, out: usize, input: usize| {
        add(&format!("{name}.weight"), &[out, input]);
        add(&format!("{name}.bias"), &[out]);
    };
    for layer in 0..LAYERS {
        let layer = format!("bert.encoder.layer.{layer}");
        for part in ["self.query", "self.key", "self.value", "output.dense"] {
            linear(&format!("{layer}.attention.{part}"), HIDDEN, HIDDEN);
        }
        linear(&format!("{layer}.intermediate.dense"), INNER, HIDDEN);
        linear(&format!("{layer}.output.dense"), HIDDEN, INNER);
    }
    linear("bert.pooler.dense", HIDDEN, HIDDEN);
    linear("cls.predictions.transform.dense", HIDDEN, HIDDEN);
    linear("cls.seq_relationship", 2, HIDDEN);
    linear("classifier", labels, HIDDEN);
    linear("qa_outputs", 2, HIDDEN);
    add("cls.predictions.bias", &[vocab]);
    add("bert.embeddings.word_embeddings.weight", &[vocab, HIDDEN]);
    add("bert.embeddings.position_embeddings.weight", &[POSITIONS, HIDDEN]);
    add("bert.embeddings.token_type_embeddings.weight", &[2, HIDDEN]);
    let norms = (0..LAYERS)
        .flat_map(|layer| {
            ["attention.output", "output"].map(|part| format!("bert.encoder.layer.{layer}.{part}"))
        })
        .chain(["bert.embeddings".to_owned(), "cls.predictions.transform".to_owned()]);
    for norm in norms {
        tensors.insert(format!("{norm}.LayerNorm.weight"), (vec![HIDDEN], vec![1.0; HIDDEN]));
        tensors.insert(format!("{norm}.LayerNorm.bias"), (vec![HIDDEN], vec![0.0; HIDDEN]));
    }
    tensors
}
