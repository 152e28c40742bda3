//! `bert generate` and `bert complete` on tiny models: forms and errors.

use crate::common::{Tiny, bert, bert_reading};

fn run(command: &str, model: &Tiny, args: &[&str]) -> crate::common::Run {
    bert([&[command, "--device", "cpu", "-m", model.arg()], args].concat())
}

#[test]
fn texts_begin_with_their_prompt() {
    let model = Tiny::new("BertForMaskedLM");
    for method in ["blocks", "mask-predict", "gibbs"] {
        let args = ["--method", method, "--length", "5", "--steps", "5", "--seed", "3", "the door"];
        let text = run("generate", &model, &args).ok();
        assert!(text.starts_with("the door ") && text.lines().count() == 1, "{text}");
        assert_eq!(run("generate", &model, &args).ok(), text);
        let shown = run("generate", &model, &[&args[..], &["--show-steps"]].concat()).ok();
        assert!(shown.lines().count() > 1 && shown.ends_with(&text), "{shown}");
    }
    let json = run("generate", &model, &["--json", "-n", "2", "--length", "4", "the door"]).json();
    assert_eq!(json["prompt"], "the door");
    assert_eq!(json["texts"].as_array().unwrap().len(), 2);
    let help = bert(["generate", "--help"]).ok();
    assert!(help.contains("learnt to fill gaps, not to write") && help.contains("Examples:"), "{help}");
}

#[test]
fn settings_and_models_that_do_not_fit_are_errors() {
    let model = Tiny::new("BertForMaskedLM");
    run("generate", &model, &["--method", "magic", "a"]).fails(&["magic", "mask-predict"]);
    run("generate", &model, &["--temperature", "-1", "a"]).fails(&["temperature is -1"]);
    run("generate", &model, &["--length", "4000", "a"]).fails(&["length is 4000"]);
    run("generate", &model, &[]).fails(&["no text given"]);
    run("complete", &model, &[]).fails(&["no text given"]);
    run("complete", &Tiny::new("BertForQuestionAnswering"), &["a"]).fails(&["masked language model"]);
    let long = run("complete", &model, &[&"the door ".repeat(200)]);
    assert!(long.stderr.contains("saw only what stands behind byte"), "{}", long.stderr);
    long.ok();
}

#[test]
fn suggestions_are_numbered_and_taken() {
    let model = Tiny::new("BertForMaskedLM");
    let json = run("complete", &model, &["--json", "-k", "2", "--words", "2", "the door"]).json();
    let first = json["suggestions"][0]["text"].as_str().unwrap();
    let args = ["complete", "--device", "cpu", "-m", model.arg(), "-k", "2", "--words", "2", "--interactive"];
    let text = bert_reading(args, b"the door\n1\n\n\nroom\n").ok();
    assert!(text.starts_with(&format!("the door\n  1  …{first}\n  2  …")), "{text}");
    assert!(text.contains(&format!("\nthe door{first}\n  1  …")), "{text}");
    assert!(text.contains("\nroom\n  1  …"), "{text}");
    let empty: &[u8] = b"";
    assert_eq!(bert_reading(args, empty).ok(), "");
    // Bytes that are no text, and no line end.
    assert!(bert_reading(args, b"\xff\0door").ok().contains("door"));
    let lines =
        bert_reading(["complete", "--device", "cpu", "-m", model.arg(), "--jsonl", "-"], b"a\nb\n").jsonl();
    assert_eq!(lines.len(), 2);
}
