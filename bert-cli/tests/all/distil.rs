//! `bert distil`, and `bert train` with a teacher: a small model comes to answer as a large one does.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use crate::common::{Run, bert, training};
use bert_conformance::small::Small;
use bert_tasks::ModelConfig;
use serde_json::{Value, json};

const WORDS: [&str; 10] = ["bank", "river", "paris", "london", "money", "good", "bad", "you", "live", "work"];

/// A folder with a teacher, the shape of a student and a text.
struct Setting {
    folder: tempfile::TempDir,
}

fn text(first: usize) -> String {
    let mut text = String::new();
    for number in first..first + 600 {
        let words = (0..6).map(|place| WORDS[(number * (place + 3) + number / 7 + place * place) % 10]);
        let _ = writeln!(
            text,
            "{} .{}",
            words.collect::<Vec<_>>().join(" "),
            if number % 4 == 3 { "\n" } else { "" }
        );
    }
    text
}

impl Setting {
    fn new() -> Self {
        let setting = Self { folder: tempfile::tempdir().unwrap() };
        let teacher = Small::new("BertForMaskedLM").seed(5).save(&setting.path("teacher"));
        setting.shape(
            "student.json",
            &teacher,
            &json!({ "num_hidden_layers": 1, "initializer_range": 0.15 }),
        );
        fs::write(setting.path("text.txt"), text(0)).unwrap();
        setting
    }

    /// The shape of a model like another one, but for some fields.
    fn shape(&self, name: &str, like: &ModelConfig, fields: &Value) {
        let mut config: Value = serde_json::from_str(&like.to_json()).unwrap();
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        fs::write(self.path(name), config.to_string()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn distil(&self, out: &str, more: &[&str]) -> Run {
        let given = |flag: &str| more.iter().any(|arg| arg.starts_with(flag));
        let mut args =
            ["distil", "--device=cpu", "-q", "--corpus", &self.arg("text.txt"), "--out", &self.arg(out)]
                .map(str::to_owned)
                .to_vec();
        let usual = [
            ("--teacher", self.arg("teacher")),
            ("--student", self.arg("student.json")),
            ("--max-length", "24".to_owned()),
            ("--batch-size", "16".to_owned()),
            ("--learning-rate", "5e-3".to_owned()),
        ];
        let usual = usual.into_iter().filter(|(flag, _)| !given(flag) && !given("--resume"));
        args.extend(usual.flat_map(|(flag, value)| [flag.to_owned(), value]));
        args.extend(more.iter().map(|&word| word.to_owned()));
        bert(args)
    }

    fn losses(&self, out: &str) -> Vec<f64> {
        let text = fs::read_to_string(self.path(out).join("metrics.jsonl")).unwrap();
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["loss"].as_f64())
            .collect()
    }

    fn file(&self, out: &str, name: &str) -> Vec<u8> {
        fs::read(self.path(out).join(name)).unwrap()
    }

    /// The words that a model guesses in texts that no run saw.
    fn guesses(&self, model: &str) -> Vec<String> {
        let mut texts = vec![];
        for line in text(5000).lines().filter(|line| !line.is_empty()).take(60) {
            texts.push(line.replacen(line.split(' ').nth(2).unwrap(), "[MASK]", 1));
        }
        fs::write(self.path("masked.txt"), texts.join("\n")).unwrap();
        let (model, input) = (self.arg(model), self.arg("masked.txt"));
        let args = ["fill-mask", "--device=cpu", "-q", "-m", &model, "--input", &input, "--jsonl"];
        let rows = bert(args).jsonl();
        assert_eq!(rows.len(), 60);
        rows.iter().map(|row| row["masks"][0]["candidates"][0]["token_str"].to_string()).collect()
    }
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}

#[test]
fn a_student_learns_from_nothing_but_text_and_its_teacher() {
    let setting = Setting::new();
    let alone = "--distil-weight=1";
    setting.distil("before", &["--max-steps=1", alone, "--learning-rate=1e-6"]).ok();
    let summary = setting.distil("after", &["--max-steps=500", alone, "--json"]).json();
    assert_eq!(summary["steps"], 500);
    let losses = setting.losses("after");
    assert!(mean(&losses[490..]) < 0.5 * mean(&losses[..5]), "{losses:?}");

    let its = setting.guesses("teacher");
    let distinct = its.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert!(distinct > 5, "{distinct}: {its:?}");
    let agreed = |out: &str| setting.guesses(out).iter().zip(&its).filter(|(own, its)| own == its).count();
    let (before, after) = (agreed("before"), agreed("after"));
    assert!(after > before + 12, "{before} before, {after} after");

    let config: Value = serde_json::from_slice(&setting.file("after", "config.json")).unwrap();
    assert_eq!(
        (&config["architectures"], &config["num_hidden_layers"]),
        (&json!(["BertForMaskedLM"]), &json!(1))
    );
    let card = String::from_utf8(setting.file("after", "README.md")).unwrap();
    assert!(card.contains("| teacher | ") && card.contains("Made by `bert distil`"), "{card}");
}

#[test]
fn a_student_with_all_layers_of_its_teacher_has_nothing_to_learn() {
    let setting = Setting::new();
    let teacher = ModelConfig::from_folder(&setting.path("teacher")).unwrap();
    setting.shape("whole.json", &teacher, &json!({}));
    let whole = setting.arg("whole.json");
    let same = ["--max-steps=1", "--distil-weight=1", "--hidden-weight=1", "--init-from-teacher"];
    setting.distil("whole", &[&same[..], &["--student", &whole]].concat()).ok();
    assert!(setting.losses("whole")[0].abs() < 1e-4, "{:?}", setting.losses("whole"));
    setting.distil("half", &same).ok();
    assert!(setting.losses("half")[0] > 0.1);
    // A student that is there goes on from its own numbers.
    setting.distil("on", &["--max-steps=1", "--distil-weight=1", "--student", &setting.arg("teacher")]).ok();
    assert!(setting.losses("on")[0].abs() < 1e-4);
    assert!(!setting.path("on/initial").exists());
}

#[test]
fn a_run_goes_on_to_the_same_student_and_its_file_repeats_it() {
    let setting = Setting::new();
    let some =
        ["--max-steps=20", "--save-steps=7", "--hidden-weight=0.5", "--temperature=3", "--init-from-teacher"];
    setting.distil("whole", &some).ok();
    // A run that a full disk ends after some steps leaves its last state; here, the one of step 14.
    setting.distil("cut", &some).ok();
    fs::remove_file(setting.path("cut/model.safetensors")).unwrap();
    setting.distil("cut", &["--resume"]).ok();
    for file in ["model.safetensors", "state.safetensors"] {
        assert!(setting.file("whole", file) == setting.file("cut", file), "{file} differs");
    }
    let (toml, again) = (setting.arg("whole/config.toml"), setting.arg("again"));
    bert(["distil", "-q", "--config", &toml, "--out", &again]).ok();
    assert!(setting.file("whole", "model.safetensors") == setting.file("again", "model.safetensors"));

    setting
        .distil("cut", &["--resume", "--temperature=2"])
        .fails(&["setting of the run to resume was", "temperature"]);
    Small::new("BertForMaskedLM").seed(6).save(&setting.path("teacher"));
    setting.distil("whole", &["--resume"]).fails(&["the teacher of the run to resume was"]);
}

#[test]
fn a_classifier_follows_a_teacher_and_no_file_takes_the_place_of_another() {
    let setting = training::Setting::new();
    setting.train("teacher", &[]).ok();
    let teacher = setting.arg("teacher");
    let followed = ["--teacher", &teacher, "--distil-weight=0.9", "--hidden-weight=1"];
    setting.train("student", &followed).ok();
    setting.train("alone", &[]).ok();
    setting.same("teacher", "alone");
    let model = |out: &str| fs::read(setting.path(out).join("model.safetensors")).unwrap();
    assert!(model("student") != model("alone"));

    let toml = fs::read_to_string(setting.path("student/config.toml")).unwrap();
    for line in ["distil-weight = 0.9", "temperature = 2.0", "hidden-weight = 1.0"] {
        assert!(toml.contains(line), "{toml}");
    }
    // Other examples in a file of the same length are not taken for those that the run began with.
    let mut examples = training::examples(48);
    examples[5].0.push_str(" the");
    setting.table("train.tsv", "text\tlabel", &examples);
    let out = setting.arg("student");
    let resumed = bert(["train", "classify", "-q", "--resume", "--out", &out]);
    resumed.fails(&["48 of them as before", "differ"]);
}

#[test]
fn what_cannot_be_distilled_is_told() {
    let setting = Setting::new();
    let teacher = ModelConfig::from_folder(&setting.path("teacher")).unwrap();
    let one = "--max-steps=1";
    let args = ["distil", "--corpus", &setting.arg("text.txt"), "--out", &setting.arg("a")];
    bert(args).fails(&["needs --teacher"]);
    bert(args.iter().copied().chain(["--teacher", &setting.arg("teacher")])).fails(&["needs --student"]);
    setting.distil("b", &[one, "--temperature=0"]).fails(&["temperature is 0"]);
    setting.distil("c", &[one, "--next-sentence"]).fails(&["BertForMaskedLM", "next sentence scores"]);
    setting.shape("narrow.json", &teacher, &json!({ "hidden_size": 16 }));
    let narrow = ["--student", &setting.arg("narrow.json"), one];
    setting.distil("d", &[&narrow[..], &["--hidden-weight=1"]].concat()).fails(&["32 hidden features", "16"]);
    setting
        .distil("e", &[&narrow[..], &["--init-from-teacher"]].concat())
        .fails(&["32 hidden features", "16"]);
    setting.distil("f", &narrow).ok();
    let on = ["--student", &setting.arg("teacher"), "--init-from-teacher", one];
    setting.distil("g", &on).fails(&["needs a config.json as --student"]);
    setting.shape("large.json", &teacher, &json!({ "vocab_size": teacher.vocab_size + 8 }));
    setting.distil("h", &["--student", &setting.arg("large.json"), one]).fails(&["vocabulary"]);
    let (text, out) = (setting.arg("text.txt"), setting.arg("i"));
    bert(["train", "fill-mask", "--train", &text, "--out", &out, "--temperature=2"])
        .fails(&["needs --teacher"]);
}
