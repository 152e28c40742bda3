//! The real binary, and tiny checkpoints for it to run.

// Each test file uses its own part of this.
#![allow(dead_code)]

pub mod training;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bert_conformance::small::{self, Small, Tensors};
use bert_tasks::Head;
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

/// A run of `bert`, which starts without any setting of the environment, and with no signal ignored: a shell without
/// job control has those that it runs in the background ignore SIGINT.
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
    #[cfg(unix)]
    // SAFETY: between fork and exec nothing is called but `signal`, which is safe there.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut command, || {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
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

/// A checkpoint folder with random weights, two layers of 16 numbers.
pub struct Tiny {
    folder: tempfile::TempDir,
}

impl Tiny {
    /// A model of this class, such as `BertForMaskedLM`.
    pub fn new(class: &str) -> Self {
        Self::with_more(class, &[])
    }

    /// The same with the parameters of other heads beside its own.
    pub fn with_more(class: &str, heads: &[Head]) -> Self {
        let labels = match class {
            "BertForTokenClassification" => &["O", "B-PER", "I-PER", "B-LOC", "I-LOC"][..],
            _ => &["negative", "positive"],
        };
        let fields = json!({"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32});
        let words = "rome italy opened door room was empty day my name sarah connor los angeles";
        let folder = tempfile::tempdir().unwrap();
        Small::new(class).fields(&fields).labels(labels).words(words).more(heads).save(folder.path());
        Self { folder }
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
    pub fn configure(&self, field: &str, value: Value) {
        small::configure(self.path(), |config| drop(config.insert(field.to_owned(), value)));
    }

    /// Changes the tensors.
    pub fn edit(&self, edit: impl FnOnce(&mut Tensors)) {
        small::edit(self.path(), edit);
    }
}
