//! Small runs of `bert train`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Run, Tiny, bert};

/// A base, files of examples, and a place for results.
pub struct Setting {
    pub base: Tiny,
    folder: tempfile::TempDir,
}

pub const WORDS: [&str; 8] = ["bank", "river", "paris", "money", "door", "room", "the", "a"];

/// Texts whose label says one word of them.
pub fn examples(count: usize) -> Vec<(String, &'static str)> {
    let example = |index: usize| {
        let label = if index.is_multiple_of(3) { "good" } else { "bad" };
        (format!("{} {label} {}", WORDS[index % 8], WORDS[index / 8 % 8]), label)
    };
    (0..count).map(example).collect()
}

impl Setting {
    pub fn new() -> Self {
        let setting = Self { base: Tiny::new("BertForMaskedLM"), folder: tempfile::tempdir().unwrap() };
        setting.table("train.tsv", "text\tlabel", &examples(48));
        setting.table("dev.tsv", "text\tlabel", &examples(60)[48..]);
        setting
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn table(&self, name: &str, header: &str, examples: &[(String, &str)]) {
        let lines: String = examples.iter().map(|(text, label)| format!("{text}\t{label}\n")).collect();
        fs::write(self.path(name), format!("{header}\n{lines}")).unwrap();
    }

    /// The arguments of a run of the base on `train.tsv`.
    pub fn args(&self, out: &str, more: &[&str]) -> Vec<String> {
        let (train, out) = (self.arg("train.tsv"), self.arg(out));
        let args = ["--device", "cpu", "-m", self.base.arg(), "--train", &train, "--out", &out];
        let usual = ["--epochs", "4", "--batch-size", "8", "--lr", "3e-3", "--token-budget", "24"];
        let given = |flag: &str| more.contains(&flag);
        let usual = usual.chunks(2).filter(|pair| !given(pair[0])).flatten();
        ["train", "classify"].iter().chain(&args).chain(usual).chain(more).map(ToString::to_string).collect()
    }

    pub fn train(&self, out: &str, more: &[&str]) -> Run {
        bert(self.args(out, more))
    }

    /// What every file of a run holds, without the times: those of `metrics.jsonl`, and a line of the card.
    pub fn files(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path(out)).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let files = entries.map(|path| (name(&path), fs::read(&path).unwrap()));
        let mut files: BTreeMap<_, _> = files.filter(|(name, _)| name != "metrics.jsonl").collect();
        if let Some(card) = files.get_mut("README.md") {
            let text = String::from_utf8(std::mem::take(card)).unwrap();
            let (times, others): (Vec<_>, Vec<_>) =
                text.lines().partition(|line| line.starts_with("| computed |"));
            assert_eq!(times.len(), 1);
            *card = others.join("\n").into_bytes();
        }
        files
    }

    #[track_caller]
    pub fn same(&self, one: &str, other: &str) {
        let (one, other) = (self.files(one), self.files(other));
        assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
        for (name, bytes) in &one {
            assert!(other[name] == *bytes, "{name} differs");
        }
    }
}

impl Run {
    /// It failed with these words, and left no folder.
    #[track_caller]
    pub fn reports_without(&self, setting: &Setting, out: &str, parts: &[&str]) {
        self.fails(parts);
        assert!(!setting.path(out).exists());
    }
}
