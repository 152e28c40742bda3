//! `bert train` for each task: a few examples are learnt, and the command of the task answers with the model that comes
//! out.

mod common;

use std::fs;

use common::training::{Setting, WORDS};
use common::{Run, bert};
use serde_json::{Value, json};

/// The arguments of a run on files of the setting.
fn args(setting: &Setting, task: &str, train: &str, out: &str, more: &[&str]) -> Vec<String> {
    let (train, out) = (setting.arg(train), setting.arg(out));
    let args = ["train", task, "--device", "cpu", "-m", setting.base.arg(), "--train", &train, "--out", &out];
    args.iter().chain(more).map(ToString::to_string).collect()
}

fn train(setting: &Setting, task: &str, train: &str, out: &str, more: &[&str]) -> Run {
    bert(args(setting, task, train, out, more))
}

/// The losses of a run.
fn losses(setting: &Setting, out: &str) -> Vec<f64> {
    let lines = fs::read_to_string(setting.path(out).join("metrics.jsonl")).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| line["loss"].as_f64()).collect()
}

/// The loss fell to less than half of what it was.
#[track_caller]
fn fell(setting: &Setting, out: &str) {
    let losses = losses(setting, out);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let part = losses.len() / 4;
    assert!(mean(&losses[losses.len() - part..]) < 0.5 * mean(&losses[..part]), "{losses:?}");
}

/// Fast, for a model that is small.
const FAST: [&str; 8] = ["--epochs", "20", "--batch-size", "8", "--lr", "1e-2", "--token-budget", "64"];

/// Questions whose answer is a name, in texts of `length` words; every fifth text has none.
fn squad(count: usize, length: usize) -> Value {
    let question = |index: usize| {
        let mut words: Vec<&str> = (0..length).map(|at| WORDS[3 + (index * 3 + at) % 5]).collect();
        let name = ["paris", "rome"][index % 2];
        let place = index * 7 % length;
        let none = index % 5 == 4;
        if !none {
            words[place] = name;
        }
        let start = words[..place].iter().map(|word| word.len() + 1).sum::<usize>();
        let answers = if none { json!([]) } else { json!([{"text": name, "answer_start": start}]) };
        let qas = json!([{
            "id": index.to_string(), "question": "river bank", "answers": answers, "is_impossible": none,
        }]);
        json!({"context": words.join(" "), "qas": qas})
    };
    let paragraphs: Vec<Value> = (0..count).map(question).collect();
    json!({"version": "v2.0", "data": [{"title": "names", "paragraphs": paragraphs}]})
}

#[test]
fn answers_are_learnt_over_windows() {
    let setting = Setting::new();
    fs::write(setting.path("train.json"), squad(40, 24).to_string()).unwrap();
    let train_file = setting.arg("train.json");
    let more = ["--eval", &train_file, "--json", "--max-length", "16", "--doc-stride", "4"];
    let run = train(&setting, "answer", "train.json", "model", &[&FAST[..], &more].concat());
    assert!(
        run.stderr.starts_with("note: 40 of 40 questions are about texts longer than 16 tokens"),
        "{}",
        run.stderr
    );
    let summary = run.json();
    assert!(summary["examples"].as_u64().unwrap() > 80, "{summary}");
    let best = &summary["best"];
    assert_eq!((&best["metric"], &best["examples"]), (&json!("f1"), &json!(40)));
    assert!(best["value"].as_f64().unwrap() > 0.9, "{summary}");
    assert!(best["details"]["exact"].as_f64().unwrap() > 0.9, "{summary}");
    assert!(best["details"]["best f1"].as_f64().unwrap() >= best["value"].as_f64().unwrap(), "{summary}");
    fell(&setting, "model");

    let model = setting.arg("model");
    let answer = |context: &str| {
        let args = ["answer", "-m", &model, "--device", "cpu", "--json", "--no-answer-threshold", "0"];
        bert(args.iter().copied().chain(["river bank", context])).json()["answers"][0]["text"].clone()
    };
    assert_eq!(answer("money door rome room the"), "rome");
    assert_eq!(answer("money door room the"), Value::Null);
}

#[test]
fn a_run_on_questions_that_was_killed_leads_to_the_same_model() {
    let setting = Setting::new();
    fs::write(setting.path("train.json"), squad(24, 24).to_string()).unwrap();
    let dev = setting.arg("train.json");
    let more = ["--eval", &dev, "-q", "--max-length", "16", "--save-steps", "3", "--dropout"];
    let more = [&FAST[..], &more].concat();
    train(&setting, "answer", "train.json", "whole", &more).ok();
    let out = setting.arg("killed");
    let mut child = common::command(args(&setting, "answer", "train.json", "killed", &more)).spawn().unwrap();
    let metrics = setting.path("killed").join("metrics.jsonl");
    while fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 8 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    bert(["train", "answer", "--resume", "--out", &out, "-q"]).ok();
    setting.same("whole", "killed");
    let config = fs::read_to_string(setting.path("whole/config.toml")).unwrap();
    assert!(config.contains("max-length = 16"), "{config}");
}

#[test]
fn questions_that_are_of_no_use_are_errors() {
    let setting = Setting::new();
    let file = |qas: &str| {
        format!(r#"{{"data": [{{"paragraphs": [{{"context": "paris money", "qas": [{qas}]}}]}}]}}"#)
    };
    let good = r#"{"id": "1", "question": "the", "answers": [{"text": "money", "answer_start": 6}]}"#;
    let wrong = r#"{"id": "7", "question": "the", "answers": [{"text": "money", "answer_start": 5}]}"#;
    let none = r#"{"id": "2", "question": "the", "answers": [], "is_impossible": true}"#;
    for (text, parts) in [
        (file(""), &["train.json holds no examples"][..]),
        (file(none), &["none of the 1 questions to train on has an answer"]),
        (file(&format!("{good}, {wrong}")), &["train.json: question \"7\"", "does not stand at char 5"]),
        ("{\"data\": [\n{\"paragraphs\": 1}]}".to_owned(), &["train.json", "line 2"]),
    ] {
        fs::write(setting.path("train.json"), text).unwrap();
        train(&setting, "answer", "train.json", "out", &[]).reports_without(&setting, "out", parts);
    }
    fs::write(setting.path("train.json"), file(good)).unwrap();
    fs::write(setting.path("dev.json"), file(wrong)).unwrap();
    let dev = setting.arg("dev.json");
    train(&setting, "answer", "train.json", "out", &["--eval", &dev]).reports_without(
        &setting,
        "out",
        &["dev.json: question \"7\""],
    );
    train(&setting, "answer", "train.json", "out", &["--max-length", "4"]).reports_without(
        &setting,
        "out",
        &["max_length is 4"],
    );
    // The lines of MRQA, and a question that is cut.
    let qas = r#"[{"qid": "1", "question": "the a the a", "detected_answers": [{"text": "x", "char_spans": [[6, 10]]}]}]"#;
    fs::write(setting.path("train.jsonl"), format!("{{\"context\": \"paris money\", \"qas\": {qas}}}\n"))
        .unwrap();
    let run = train(&setting, "answer", "train.jsonl", "mrqa", &["--max-question-tokens", "2"]);
    assert_eq!(run.stderr, "warning: 1 questions are too long, and cut\n");
    let help = bert(["train", "answer", "--help"]).ok();
    assert!(
        help.contains("longer ones are cut [default: 384]") && help.contains("rate [default: 3e-5]"),
        "{help}"
    );
}

/// Sentences with a place of one word or two.
fn conll(count: usize) -> String {
    let mut lines = String::new();
    for index in 0..count {
        lines += &format!("{}\tO\n", WORDS[3 + index % 5]);
        match index % 3 {
            0 => lines += "paris\tB-LOC\n",
            1 => lines += "los\tB-LOC\nangeles\tI-LOC\n",
            _ => lines += "sarah\tB-PER\n",
        }
        lines += &format!("{}\tO\n\n", WORDS[3 + index / 5 % 5]);
    }
    lines
}

#[test]
fn entities_are_learnt_from_columns_and_spans() {
    let setting = Setting::new();
    fs::write(setting.path("train.conll"), conll(48)).unwrap();
    fs::write(setting.path("dev.conll"), conll(12)).unwrap();
    let dev = setting.arg("dev.conll");
    let run = train(
        &setting,
        "entities",
        "train.conll",
        "model",
        &[&FAST[..], &["--eval", &dev, "--json", "--scheme", "bioes"]].concat(),
    );
    let summary = run.json();
    assert_eq!(
        (&summary["best"]["metric"], &summary["best"]["value"]),
        (&json!("f1"), &json!(1.0)),
        "{summary}"
    );
    fell(&setting, "model");
    let model = setting.arg("model");
    let args = ["entities", "-m", &model, "--device", "cpu", "--json", "money los angeles room"];
    let found = bert(args).json();
    let found = &found["entities"][0];
    assert_eq!((&found["label"], &found["text"]), (&json!("LOC"), &json!("los angeles")), "{found}");

    // The same as spans; one begins inside a word.
    let mut lines = String::new();
    for index in 0..16 {
        let start = if index == 0 { 7 } else { 6 };
        let entities = json!([{"start": start, "end": 11, "label": "LOC"}]);
        lines += &format!("{}\n", json!({"text": "money paris room", "entities": entities}));
    }
    fs::write(setting.path("train.jsonl"), lines).unwrap();
    let run = train(&setting, "entities", "train.jsonl", "spans", &["--max-length", "4", "--epochs", "1"]);
    assert_eq!(
        run.stderr,
        "warning: 16 examples are longer than 4 tokens, and cut\n\
         warning: 1 entities begin or end inside a word: all of the word is learnt\n"
    );
}

#[test]
fn entities_that_are_of_no_use_are_errors() {
    let setting = Setting::new();
    let dev = setting.arg("dev.jsonl");
    fs::write(setting.path("good.conll"), conll(4)).unwrap();
    for (name, text, parts) in [
        ("train.conll", "paris B-LOC\nmoney\n", &["train.conll:2: a word without a label: \"money\""][..]),
        ("train.conll", "paris O\nmoney O\n", &["none of the 1 examples to train on has an entity"]),
        ("train.conll", "\n\n", &["train.conll holds no examples"]),
        ("train.json", "", &["train.json", "the name does not tell the format"]),
        (
            "train.jsonl",
            "{\"text\": \"paris\", \"entities\": []}\n{\"text\": \"paris\", \"entities\": [{\"start\": 0, \"end\": 9, \"label\": \"LOC\"}]}\n",
            &["train.jsonl:2: entity LOC at 0..9: it ends behind the text"],
        ),
    ] {
        fs::write(setting.path(name), text).unwrap();
        train(&setting, "entities", name, "out", &[]).reports_without(&setting, "out", parts);
    }
    let unseen = json!({"text": "paris", "entities": [{"start": 0, "end": 5, "label": "ORG"}]});
    fs::write(&dev, format!("{unseen}\n")).unwrap();
    train(&setting, "entities", "good.conll", "out", &["--eval", &dev]).reports_without(
        &setting,
        "out",
        &["dev.jsonl:1: no label \"B-ORG\"", "B-LOC"],
    );
}
