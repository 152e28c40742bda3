//! `bert pretrain`: a model from raw text, from nothing or from another model.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Run, Tiny, bert};
use serde_json::{Value, json};

const TOPICS: usize = 8;
const WORDS: usize = 6;

/// A folder with a text, the shape of a small model and its vocabulary.
struct Setting {
    folder: tempfile::TempDir,
}

/// Words of a topic; which ones depends on the number.
fn sentence(topic: usize, number: usize) -> String {
    let words = (0..5).map(|place| format!("t{topic}w{}", (number * 7 + place * (number % 5 + 1)) % WORDS));
    words.collect::<Vec<_>>().join(" ")
}

/// Documents of a topic each.
fn text(first: usize, documents: usize) -> String {
    let mut text = String::new();
    for document in first..first + documents {
        for number in 0..6 {
            let _ = writeln!(text, "{} .", sentence(document % TOPICS, document * 6 + number));
        }
        text.push('\n');
    }
    text
}

impl Setting {
    fn new() -> Self {
        let setting = Self { folder: tempfile::tempdir().unwrap() };
        let words = (0..TOPICS * WORDS).map(|at| format!("t{}w{}\n", at / WORDS, at % WORDS));
        let vocab = format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n.\n{}", words.collect::<String>());
        let config = json!({
            "model_type": "bert", "architectures": ["BertForPreTraining"], "vocab_size": vocab.lines().count(),
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
            "max_position_embeddings": 32, "hidden_act": "gelu",
        });
        fs::create_dir(setting.path("tokenizer")).unwrap();
        fs::write(setting.path("tokenizer/vocab.txt"), vocab).unwrap();
        fs::write(setting.path("config.json"), config.to_string()).unwrap();
        fs::write(setting.path("text.txt"), text(0, 64)).unwrap();
        fs::write(setting.path("held-out.txt"), text(64, 64)).unwrap();
        setting
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pretrain(&self, out: &str, more: &[&str]) -> Run {
        let arg = |name| self.path(name).to_str().unwrap().to_owned();
        let mut args = vec!["pretrain".to_owned(), "--device=cpu".to_owned()];
        args.extend(["--corpus", &arg("text.txt"), "--out", &arg(out)].map(str::to_owned));
        if !more.contains(&"-m") {
            let (architecture, tokenizer) = (arg("config.json"), arg("tokenizer"));
            args.extend(["--architecture", &architecture, "--tokenizer", &tokenizer].map(str::to_owned));
        }
        args.extend(more.iter().map(|&word| word.to_owned()));
        bert(args)
    }

    fn metrics(&self, out: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(out).join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn model(&self, out: &str) -> Vec<u8> {
        fs::read(self.path(out).join("model.safetensors")).unwrap()
    }
}

const SHORT: [&str; 5] =
    ["--max-length=24", "--batch-size=16", "--learning-rate=5e-3", "-q", "--warmup-ratio=0.1"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SHORT[..], more].concat()
}

#[test]
fn a_model_learns_from_nothing_but_text() {
    let setting = Setting::new();
    let held_out = setting.path("held-out.txt");
    let eval = ["--json", "--max-steps=600", "--eval-steps=200", "--eval", held_out.to_str().unwrap()];
    let summary = setting.pretrain("model", &with(&eval)).json();
    assert_eq!((&summary["steps"], &summary["best"]["metric"]), (&json!(600), &json!("masked accuracy")));

    let metrics = setting.metrics("model");
    let losses: Vec<f64> = metrics.iter().filter_map(|line| line["loss"].as_f64()).collect();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    // All words alike and a coin for the pairs, to begin with; a sixth of the words is left in the end.
    let alike = ((TOPICS * WORDS) as f64).ln() + 2f64.ln();
    let (first, last) = (mean(&losses[..5]), mean(&losses[560..]));
    assert!((first - alike).abs() < 0.5 && last < 0.75 * first, "{first} {last}");
    let evaluations: Vec<&Value> = metrics.iter().filter_map(|line| line.get("evaluation")).collect();
    let [.., last] = &evaluations[..] else { panic!("there are none") };
    let others = &last["details"];
    assert_eq!(evaluations.len(), 3);
    assert!(others["next sentence accuracy"].as_f64().unwrap() > 0.75, "{last}");
    assert!(last["value"].as_f64().unwrap() > 1.5 / (TOPICS * WORDS) as f64, "{last}");

    // It is a model like any other.
    let model = setting.path("model");
    let words = [sentence(3, 1), sentence(3, 2), sentence(5, 1)];
    let follows = |second: &str| {
        let args =
            ["next-sentence", "--device=cpu", "--json", "-m", model.to_str().unwrap(), &words[0], second];
        bert(args).json()["is_next"].as_f64().unwrap()
    };
    assert!(follows(&words[1]) > follows(&words[2]));
    let masked = words[0].replacen("t3", "[MASK] t3", 1);
    let filled = bert(["fill-mask", "--device=cpu", "--json", "-m", model.to_str().unwrap(), &masked]).json();
    assert!(filled.to_string().contains("\"t3w"), "{filled}");
}

#[test]
fn a_stopped_run_goes_on_to_the_same_model_and_text_is_tokenised_once() {
    let setting = Setting::new();
    setting.pretrain("whole", &with(&["--max-steps=30", "--save-steps=7"])).ok();
    // A run that a full disk ends after a few steps leaves its last state; here, the one of step 28.
    let cut = setting.path("cut");
    setting.pretrain("cut", &with(&["--max-steps=30", "--save-steps=7"])).ok();
    fs::remove_file(cut.join("model.safetensors")).unwrap();
    setting.pretrain("cut", &["--resume", "-q"]).ok();
    assert!(setting.model("whole") == setting.model("cut"));

    let modified = |path: &Path| fs::metadata(path.join("00000.shard")).unwrap().modified().unwrap();
    let shards = setting.path("whole/shards");
    let (before, arg) = (modified(&shards), format!("--shards={}", shards.display()));
    setting.pretrain("again", &with(&["--max-steps=30", &arg])).ok();
    assert_eq!(modified(&shards), before);
    assert!(setting.model("whole") == setting.model("again") && !setting.path("again/shards").exists());

    // Another text is not taken for the one that was tokenised.
    fs::write(setting.path("text.txt"), text(0, 65)).unwrap();
    setting
        .pretrain("other", &with(&["--max-steps=1", &arg]))
        .fails(&["holds the shards of another corpus", &shards.display().to_string()]);
}

#[test]
fn a_model_that_is_there_goes_on_with_single_texts_or_pairs() {
    let setting = Setting::new();
    let base = Tiny::new("BertForMaskedLM");
    fs::write(setting.path("text.txt"), "Rome was empty.\nMy name was Sarah.\n\nThe door opened.\n").unwrap();
    let short = ["-m", base.arg(), "--max-steps=3", "--max-length=12", "-q", "--json"];
    assert_eq!(setting.pretrain("pairs", &short).json()["steps"], 3);
    let config = |out: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(setting.path(out).join("config.json")).unwrap()).unwrap()
    };
    assert_eq!(config("pairs")["architectures"], json!(["BertForPreTraining"]));
    setting.pretrain("single", &[&short[..], &["--next-sentence=false", "--whole-words"]].concat()).ok();
    assert_eq!(config("single")["architectures"], json!(["BertForMaskedLM"]));
    assert!(setting.model("pairs") != setting.model("single"));

    // The file of settings repeats a run.
    let toml = setting.path("single/config.toml");
    let again = setting.path("again");
    let args = ["pretrain", "-q", "--config", toml.to_str().unwrap(), "--out", again.to_str().unwrap()];
    bert(args).ok();
    assert!(setting.model("again") == setting.model("single"));
}

#[test]
fn what_cannot_be_trained_on_is_told() {
    let setting = Setting::new();
    let missing = setting.path("missing.txt");
    setting.pretrain("a", &with(&["--max-steps=1", "--mask-rate=0"])).fails(&["rate is 0", "above 0"]);
    setting.pretrain("b", &with(&["--max-steps=0"])).fails(&["max_steps is 0"]);
    setting.pretrain("c", &with(&["--eval", missing.to_str().unwrap()])).fails(&["missing.txt"]);
    fs::write(setting.path("text.txt"), "t1w1 t1w2 .\n").unwrap();
    setting.pretrain("d", &with(&["--max-steps=1"])).fails(&["document"]);
    fs::write(setting.path("text.txt"), "\n\n").unwrap();
    let run = setting.pretrain("e", &with(&["--max-steps=1", "--next-sentence=false"]));
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let config = fs::read_to_string(setting.path("config.json")).unwrap();
    fs::write(setting.path("config.json"), config.replace("\"vocab_size\":54", "\"vocab_size\":9")).unwrap();
    setting.pretrain("f", &with(&["--max-steps=1"])).fails(&["54", "9"]);
    let args = ["pretrain", "--corpus=x", "--out=y", "--tokenizer=z"];
    bert(args).fails(&["--architecture"]);
}
