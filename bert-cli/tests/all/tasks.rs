//! What each command answers, on tiny models: shapes and rules, not knowledge.

use crate::common::{Tiny, bert, bert_reading};
use bert_tasks::{AnyTask, Device, DeviceOptions};
use serde_json::{Value, json};

/// A run on the CPU, where nothing has to be said about the device.
fn run(command: &str, model: &Tiny, args: &[&str]) -> crate::common::Run {
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
fn answers_are_parts_of_the_context() {
    let model = Tiny::new("BertForQuestionAnswering");
    let context = format!("{} \"los angeles\"! sarah lives é in paris.", "the river is good. ".repeat(60));
    let found = run("answer", &model, &["--json", "-k", "3", "where?", &context]).json();
    let answers = found["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 3);
    for answer in answers {
        let [start, end] = ["start", "end"].map(|side| answer["range"][side].as_u64().unwrap() as usize);
        assert_eq!(answer["text"], context[start..end]);
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("context.txt");
    std::fs::write(&path, &context).unwrap();
    let from_file = ["--context", path.to_str().unwrap(), "--jsonl", "-k", "3", "where?", "who?"];
    let several = run("answer", &model, &from_file).jsonl();
    assert_eq!((several.len(), &several[0]), (2, &found));
    run("answer", &model, &["--context", "no/such/file", "who?"]).fails(&["cannot open no/such/file"]);
    std::fs::write(&path, b"\xff").unwrap();
    run("answer", &model, &from_file[..2]).fails(&["context.txt", "UTF-8"]);
}

#[test]
fn no_answer_is_an_answer() {
    let model = Tiny::new("BertForQuestionAnswering");
    let args = ["--no-answer-threshold", "-1000", "who?", "the river is good."];
    let none = run("answer", &model, &[&["--json"], &args[..]].concat()).json();
    assert_eq!(none["answers"], json!([]));
    let asked = run("answer", &model, &[&["--exit-code"], &args[..]].concat());
    assert_eq!((asked.code, asked.stderr.as_str()), (Some(1), ""));
    let empty = run("answer", &model, &["--json", "who?", ""]).json();
    assert_eq!(empty["answers"], json!([]));
    run("answer", &model, &["who?"]).fails(&["question and context", "found 1"]);
    run("answer", &model, &["--top-k", "0", "who?", "x"]).fails(&["--top-k", "at least 1"]);
}

#[test]
fn entities_can_be_redacted_or_left_out_by_their_score() {
    let model = Tiny::new("BertForTokenClassification");
    let text = "my name is sarah connor é and sarah lives in los angeles.";
    let found = run("entities", &model, &["--json", text]).json();
    let entities = found["entities"].as_array().unwrap();
    let mut expected = String::new();
    let (mut done, mut last) = (0, "");
    for entity in entities {
        let [start, end] = ["start", "end"].map(|side| entity["range"][side].as_u64().unwrap() as usize);
        let label = entity["label"].as_str().unwrap();
        expected += &text[done..start];
        if start > done || label != last {
            expected += &format!("[{label}]");
        }
        (done, last) = (end, label);
    }
    expected += &text[done..];
    let redacted = run("entities", &model, &["--redact", "--json", text]).json();
    assert_eq!(redacted, json!({"redacted": expected}));
    assert_eq!(run("entities", &model, &["--redact", text]).ok(), format!("{expected}\n"));
    assert_eq!(run("entities", &model, &["--redact", "--csv", "", ""]).ok(), "redacted\n\"\"\n\"\"\n");

    let score = |entity: &serde_json::Value| entity["score"].as_f64().unwrap();
    let least = entities.iter().map(score).fold(0.0, f64::max);
    let best = run("entities", &model, &["--json", "--min-score", &least.to_string(), text]).json();
    let best = best["entities"].as_array().unwrap();
    assert!(!best.is_empty() && best.iter().all(|entity| score(entity) >= least), "{best:?}");
    let none = run("entities", &model, &["--redact", "--min-score", "1", text]).ok();
    assert_eq!(none, format!("{text}\n"));
    run("entities", &model, &["--min-score", "2", text]).fails(&["between 0 and 1"]);
    run("entities", &model, &["--redact", "--aggregation", "none", text])
        .fails(&["--redact", "--aggregation"]);
    let classifier = Tiny::new("BertForSequenceClassification");
    let labels = run("classify", &classifier, &["--json", "--min-score", "0.5", text]).json();
    assert_eq!(labels["scores"].as_array().unwrap().len(), 1, "{labels}");
}

#[test]
fn entities_are_parts_of_the_text() {
    let model = Tiny::new("BertForTokenClassification");
    let text = "my name is sarah connor é and sarah lives in los angeles. ".repeat(10);
    let found = run("entities", &model, &["--json", &text]).json();
    let entities = found["entities"].as_array().unwrap();
    assert!(!entities.is_empty());
    let mut last = 0;
    for entity in entities {
        let [start, end] = ["start", "end"].map(|side| entity["range"][side].as_u64().unwrap() as usize);
        assert_eq!(entity["text"], text[start..end]);
        assert!(start >= last && ["PER", "LOC"].contains(&entity["label"].as_str().unwrap()), "{entity}");
        last = end;
    }
    let kept = run("entities", &model, &["--json", "--ignore-labels", "PER", &text]).json();
    let kept: Vec<_> =
        kept["entities"].as_array().unwrap().iter().map(|entity| &entity["label"]).cloned().collect();
    assert!(kept.iter().all(|label| label == "LOC") && kept.len() < entities.len(), "{kept:?}");
    let tokens = run("entities", &model, &["--jsonl", "--aggregation", "none", "sarah connor"]).jsonl();
    let labels =
        tokens[0]["entities"].as_array().unwrap().iter().map(|entity| entity["label"].as_str().unwrap());
    assert!(labels.into_iter().all(|label| label.contains('-')), "{tokens:?}");
    let csv = run("entities", &model, &["--csv", &text]).ok();
    assert_eq!(csv.lines().count(), entities.len() + 1, "{csv}");
    run("entities", &model, &["--ignore-labels", "ORG", &text]).fails(&["ORG", "B-PER"]);
    run("entities", &model, &["--aggregation", "best", &text]).fails(&["best", "average"]);
    run("entities", &model, &["--stride", "63", &text]).fails(&["stride"]);
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
fn choose_weighs_the_choices_of_each_prompt() {
    let model = Tiny::new("BertForMultipleChoice");
    let found = run("choose", &model, &["--json", "the room", "was empty", "is rome", "my name"]).json();
    assert_eq!((&found["prompt"], &found["choices"][2]), (&json!("the room"), &json!("my name")));
    let scores: Vec<f64> =
        found["probabilities"].as_array().unwrap().iter().map(|score| score.as_f64().unwrap()).collect();
    let best = found["best"].as_u64().unwrap() as usize;
    assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-6 && scores.len() == 3, "{found}");
    assert!(scores.iter().all(|score| *score <= scores[best]), "{found}");
    let text = run("choose", &model, &["the room", "was empty", "is rome", "my name"]).ok();
    let first = text.lines().next().unwrap();
    assert!(text.lines().count() == 3 && first.ends_with(found["choices"][best].as_str().unwrap()), "{text}");
    let csv = run("choose", &model, &["--csv", "the room", "was empty", "is rome"]).ok();
    assert!(csv.starts_with("prompt,index,choice,probability,best\nthe room,0,was empty,0."), "{csv}");

    run("choose", &model, &["the room", "was empty"]).fails(&["two choices", "found 2"]);
    run("choose", &model, &["--column", "a", "-"]).fails(&["number of --column options found: 1"]);
    run("choose", &Tiny::new("BertForMaskedLM"), &["a", "b", "c"]).fails(&["multiple choice", "--model"]);
}

#[test]
fn choose_reads_swag_and_json_lines() {
    let model = Tiny::new("BertForMultipleChoice");
    let swag = "id,startphrase,sent1,sent2,ending0,ending1,ending2,ending3,label\n\
        0,x,the door,my name,is sarah,is rome,was empty,is connor,0\n";
    model.write("swag.csv", swag.as_bytes());
    let table = run("choose", &model, &["--jsonl", "-i", model.file("swag.csv").to_str().unwrap()]).jsonl();
    let choices = ["my name is sarah", "my name is rome", "my name was empty", "my name is connor"];
    assert_eq!((table.len(), &table[0]["choices"]), (1, &json!(choices)));
    let single = run("choose", &model, &[&["--json", "the door"], &choices[..]].concat()).json();
    assert_eq!(table[0]["probabilities"], single["probabilities"]);

    let lines = [
        json!({"sent1": "the door", "sent2": "my name", "ending0": "is sarah", "ending1": "is rome"}),
        json!({"prompt": "the door", "choices": ["was empty"]}),
        json!({"question": "the door", "choices": ["my name is sarah", "my name is rome"]}),
    ];
    let lines = lines.map(|line| line.to_string() + "\n").concat();
    let args = ["choose", "--device", "cpu", "-m", model.arg(), "--jsonl", "--input-format", "jsonl", "-"];
    let found = bert_reading(args, lines.as_bytes());
    found.reports(&["line 2", "two choices"]);
    let found: Vec<Value> = found
        .stdout
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    assert_eq!((found.len(), &found[0]["probabilities"]), (2, &found[1]["probabilities"]));
}

#[test]
fn the_command_prints_what_any_task_answers() {
    let files = |class| Tiny::new(class);
    let lm = files("BertForMaskedLM");
    let encoder = files("BertModel");
    let (first, second) = ("the room is empty", "my name is sarah connor");
    for (word, command, model, args, request) in [
        (
            "fill-mask",
            "fill-mask",
            &lm,
            &["-k", "2", "the [MASK]"][..],
            json!({"text": "the [MASK]", "top_k": 2}),
        ),
        ("sparse-embed", "embed", &lm, &["--sparse", first], json!({"text": first})),
        ("embed", "embed", &encoder, &["--normalize", first], json!({"text": first, "normalize": true})),
        ("similarity", "similarity", &encoder, &[first, second], json!({"first": first, "second": second})),
        ("features", "features", &encoder, &[first], json!({"text": first})),
        (
            "next-sentence",
            "next-sentence",
            &files("BertForNextSentencePrediction"),
            &[first, second],
            json!({"first": first, "second": second}),
        ),
        (
            "answer",
            "answer",
            &files("BertForQuestionAnswering"),
            &["-k", "3", first, second],
            json!({"question": first, "context": second, "top_k": 3}),
        ),
        (
            "entities",
            "entities",
            &files("BertForTokenClassification"),
            &["--aggregation", "max", second],
            json!({"text": second, "aggregation": "max"}),
        ),
        (
            "classify",
            "sentiment",
            &files("BertForSequenceClassification"),
            &["--pair", first, second],
            json!({"text": first, "pair": second}),
        ),
        (
            "choose",
            "choose",
            &files("BertForMultipleChoice"),
            &[first, second, "rome"],
            json!({"prompt": first, "choices": [second, "rome"]}),
        ),
    ] {
        let printed = run(command, model, &[&["--jsonl"], args].concat()).ok();
        let device = Device::open("cpu", DeviceOptions::default()).unwrap();
        let record = AnyTask::load(word, model.arg(), &device).unwrap().ask(request).unwrap();
        // The command writes a blank after commas and colons, and no text here holds one.
        let printed = printed.trim_end().replace(": ", ":").replace(", ", ",");
        assert_eq!(printed, record.get(), "{word}");
    }
}

#[cfg(feature = "embedded-model")]
#[test]
fn the_embedded_model_speaks_english() {
    let found = bert(["fill-mask", "--json", "-k", "10", "The capital of France is [MASK]."]).json();
    let candidates = found["masks"][0]["candidates"].as_array().unwrap();
    assert!(candidates.iter().any(|candidate| candidate["token_str"] == "paris"), "{found}");
    let info = bert(["info", "--json"]).json();
    assert_eq!(info["error"], Value::Null);
    // What is built in, and what of it answers which command.
    let built_in = info["built_in"].as_array().unwrap();
    let of = |task: &str| built_in.iter().find(|built_in| built_in["task"] == task).unwrap();
    assert_eq!(
        (&of("fill-mask")["base"], &of("fill-mask")["adapter"]),
        (&json!("english-mlm"), &Value::Null)
    );
    assert_eq!(of("sentiment")["labels"], json!(["negative", "positive"]));
    assert_eq!(of("entities")["adapter"], "english-entities");
    assert!(of("entities")["size"].as_u64() < of("features")["size"].as_u64(), "{info}");
    for task in built_in {
        let task = task["task"].as_str().unwrap();
        match task {
            "fill-mask" => bert([task, "[MASK]"]).ok(),
            "bias" => bert([task, "[MASK]", "a [MASK]"]).ok(),
            "next-sentence" | "similarity" => bert([task, "rome", "paris"]).ok(),
            "generate" => bert([task, "rome", "--length", "2", "--candidates", "1"]).ok(),
            "summarize" => bert_reading([task, "-"], b"Rome is old. Paris is not.").ok(),
            _ => bert([task, "rome"]).ok(),
        };
    }
    let tokens = bert(["tokenize", "--json", "--no-special", "Unbelievable"]).json();
    assert_eq!(tokens["tokens"].as_array().unwrap().len(), 1);
    assert!(
        bert(["features", "--word", "bank", "the bank of the river", "money in the bank"])
            .ok()
            .contains("bank")
    );
}

#[test]
fn every_command_has_examples_in_its_help() {
    let commands = [
        "fill-mask",
        "next-sentence",
        "sentiment",
        "choose",
        "embed",
        "similarity",
        "features",
        "complete",
        "generate",
        "bias",
        "summarize",
        "tokenize",
        "info",
    ];
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
