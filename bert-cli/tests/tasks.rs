//! What each command answers, on tiny models: shapes and rules, not knowledge.

mod common;

use common::{Tiny, bert, bert_reading};
use serde_json::{Value, json};

/// A run on the CPU, where nothing has to be said about the device.
fn run(command: &str, model: &Tiny, args: &[&str]) -> common::Run {
    bert([&[command, "--device", "cpu", "-m", model.arg()], args].concat())
}

#[test]
fn fill_mask_gives_candidates_for_each_mask() {
    let model = Tiny::new("BertForMaskedLM");
    let found = run("fill-mask", &model, &["--json", "-k", "3", "the [MASK] of [MASK]"]).json();
    assert_eq!(found["text"], "the [MASK] of [MASK]");
    assert_eq!(found["masks"][1]["range"], json!({"start": 14, "end": 20}));
    for mask in found["masks"].as_array().unwrap() {
        let scores: Vec<f64> = mask["candidates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|candidate| candidate["score"].as_f64().unwrap())
            .collect();
        assert_eq!(scores.len(), 3);
        assert!(scores.is_sorted_by(|a, b| a >= b) && scores[0] < 1.0 && scores[2] > 0.0, "{scores:?}");
    }
    let text = run("fill-mask", &model, &["-k", "2", "the [MASK] of [MASK]"]).ok();
    assert_eq!(text.lines().filter(|line| line.starts_with("  ")).count(), 4, "{text}");
    let csv = run("fill-mask", &model, &["-k", "2", "--csv", "the [MASK] of [MASK]"]).ok();
    assert_eq!(csv.lines().count(), 5, "{csv}");
}

#[test]
fn fill_mask_scores_the_words_that_are_asked_for() {
    let model = Tiny::new("BertForMaskedLM");
    let found = run("fill-mask", &model, &["--json", "--targets", "rome,paris", "in [MASK]"]).json();
    let candidates = found["masks"][0]["candidates"].as_array().unwrap();
    let mut words: Vec<_> =
        candidates.iter().map(|candidate| candidate["token_str"].as_str().unwrap()).collect();
    words.sort_unstable();
    assert_eq!(words, ["paris", "rome"]);
    run("fill-mask", &model, &["--targets", "rome,xyz", "in [MASK]"]).fails(&["\"xyz\"", "x ##y ##z"]);
}

#[test]
fn fill_mask_needs_a_mask_and_a_count() {
    let model = Tiny::new("BertForMaskedLM");
    run("fill-mask", &model, &["rome"]).fails(&["no [MASK]"]);
    run("fill-mask", &model, &[""]).fails(&["no [MASK]"]);
    run("fill-mask", &model, &["  \t "]).fails(&["no [MASK]"]);
    run("fill-mask", &model, &["--top-k", "0", "[MASK]"]).fails(&["--top-k", "at least 1"]);
    run("fill-mask", &model, &["--top-k", "-1", "[MASK]"]).fails(&["--top-k"]);
    let all = run("fill-mask", &model, &["--top-k", "99999999", "--json", "[MASK]"]).json();
    let vocabulary = std::fs::read_to_string(model.file("vocab.txt")).unwrap().lines().count();
    assert_eq!(all["masks"][0]["candidates"].as_array().unwrap().len(), vocabulary);
}

#[test]
fn several_arguments_are_numbered_in_messages() {
    let model = Tiny::new("BertForMaskedLM");
    let found = run("fill-mask", &model, &["--json", "[MASK]", "none", "a [MASK]"]);
    found.reports(&["error: text 2: ", "[MASK]"]);
    assert_eq!(serde_json::from_slice::<Value>(&found.stdout).unwrap().as_array().unwrap().len(), 2);
}

#[test]
fn control_characters_are_texts_like_others() {
    let model = Tiny::new("BertForMaskedLM");
    let found = bert_reading(
        ["fill-mask", "--device", "cpu", "-m", model.arg(), "--jsonl", "-"],
        b"\0 [MASK]\x07\x1b[0m\n",
    )
    .jsonl();
    assert_eq!(found[0]["text"], "\0 [MASK]\u{7}\u{1b}[0m");
}

#[test]
fn a_text_that_is_too_long_is_cut_and_that_is_said() {
    let model = Tiny::new("BertForMaskedLM");
    let long = format!("[MASK] {}", "rome ".repeat(200));
    let found = run("fill-mask", &model, &["--json", &long]);
    assert!(found.stderr.contains("warning: cut after byte"), "{}", found.stderr);
    assert!(found.json()["truncated"]["start"].as_u64().unwrap() > 100);
    let hidden = format!("{} [MASK]", "rome ".repeat(200));
    run("fill-mask", &model, &[&hidden]).fails(&["[MASK]", "64 tokens"]);
}

#[test]
fn next_sentence_answers_by_the_exit_status_when_asked() {
    let model = Tiny::new("BertForNextSentencePrediction");
    let found =
        run("next-sentence", &model, &["--json", "he opened the door.", "the room was empty."]).json();
    let probability = found["is_next"].as_f64().unwrap();
    assert_eq!(found["follows"], json!(probability >= 0.5));
    let asked = run("next-sentence", &model, &["--exit-code", "he opened the door.", "the room was empty."]);
    assert_eq!(asked.code, Some(i32::from(probability < 0.5)));
    assert_eq!(asked.stderr, "");
}

#[test]
fn classify_is_another_name_of_sentiment() {
    let model = Tiny::new("BertForSequenceClassification");
    let found = run("sentiment", &model, &["--json", "a good day"]).json();
    assert_eq!(found, run("classify", &model, &["--json", "a good day"]).json());
    let scores = found["scores"].as_array().unwrap();
    let sum: f64 = scores.iter().map(|score| score["score"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6 && scores.len() == 2, "{found}");
    let best = run("sentiment", &model, &["--json", "--top-k", "1", "a good day"]).json();
    assert_eq!(best["scores"], json!([scores[0]]));
    let pair = run("sentiment", &model, &["--json", "--pair", "a good day", "a bad day"]).json();
    assert_eq!(pair["pair"], "a bad day");
    let raw = run("sentiment", &model, &["--json", "--scores", "regression", "a good day"]).json();
    let sum: f64 =
        raw["scores"].as_array().unwrap().iter().map(|score| score["score"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() > 1e-3, "{raw}");
}

#[test]
fn embeddings_of_empty_texts_are_embeddings() {
    let model = Tiny::new("BertModel");
    let found = bert_reading(["embed", "-m", model.arg(), "--jsonl", "-"], b"rome\n\nparis\n").jsonl();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|line| line["vector"].as_array().unwrap().len() == 16));
    let unit = run("embed", &model, &["--json", "--normalize", "--pooling", "cls", "rome"]).json();
    let length: f64 = unit["vector"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
    let plain = run("embed", &model, &["rome", "paris"]).ok();
    assert!(plain.lines().all(|line| line.split(' ').count() == 16) && plain.lines().count() == 2, "{plain}");
}

#[test]
fn similarity_compares_and_searches() {
    let model = Tiny::new("BertModel");
    let same = run("similarity", &model, &["--json", "rome is good", "rome is good"]).json();
    assert!((same["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-6);
    let search =
        run("similarity", &model, &["--json", "-k", "2", "rome is good", "paris", "rome is good", "bad"])
            .json();
    assert_eq!(search[0]["text"], "rome is good");
    assert_eq!(search.as_array().unwrap().len(), 2);
    let texts = b"paris\nrome is good\nbad\n";
    let args = ["similarity", "-m", model.arg(), "--jsonl", "-k", "1", "rome is good", "-"];
    let search = bert_reading(args, texts).jsonl();
    assert_eq!((search.len(), &search[0]["line"]), (1, &json!(2)));
    let pairs =
        bert_reading(["similarity", "-m", model.arg(), "--jsonl", "-"], b"rome\trome\nrome\tparis\n").jsonl();
    assert_eq!(pairs.len(), 2);
    assert!(pairs[0]["cosine"].as_f64() > pairs[1]["cosine"].as_f64());
}

#[test]
fn features_compare_a_word_in_two_texts() {
    let model = Tiny::new("BertModel");
    let found = run("features", &model, &["--json", "--layer", "0", "--layer", "-1", "the bank"]).json();
    let tokens = found["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 4);
    assert_eq!(tokens[2]["range"], json!({"start": 4, "end": 8}));
    assert_eq!(tokens[2]["layers"].as_array().unwrap().len(), 2);
    assert_eq!(tokens[2]["layers"][1].as_array().unwrap().len(), 16);

    let texts = ["the bank of the river", "money in the bank", "the Bank of the river"];
    let compared = run("features", &model, &[&["--json", "--word", "bank"], &texts[..]].concat()).json();
    let cosine = |i: usize, j: usize| compared["cosines"][i][j].as_f64().unwrap();
    assert!((cosine(0, 2) - 1.0).abs() < 1e-6 && cosine(0, 1) < 0.9999, "{compared}");
    run("features", &model, &["--word", "door", "the bank"]).fails(&["\"door\"", "none of the texts"]);
    run("features", &model, &["--layer", "7", "the bank"]).fails(&["7"]);
}

#[test]
fn every_command_has_examples_in_its_help() {
    let commands =
        ["fill-mask", "next-sentence", "sentiment", "embed", "similarity", "features", "tokenize", "info"];
    for command in commands {
        let help = bert([command, "--help"]).ok();
        assert!(help.contains("Examples:") && help.contains(&format!("bert {command}")), "{help}");
        assert!(help.contains("--json") && help.contains("BERT_MODEL"), "{help}");
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(bert(["completions", shell]).ok().contains("next-sentence"), "{shell}");
    }
    bert(["completions", "tcsh"]).fails(&["tcsh", "bash"]);
}

#[test]
fn usage_errors_have_status_2() {
    bert(["fill-mask", "--no-such-option"]).fails(&["--no-such-option"]);
    bert(["no-such-command"]).fails(&["no-such-command"]);
    let nothing = bert::<[&str; 0], _>([]);
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("Usage: bert"), "{}", nothing.stderr);
}
