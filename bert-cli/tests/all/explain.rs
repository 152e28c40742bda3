//! `bert explain`: forms and bad input, on tiny models; what is computed is tested in the library.

use std::fmt::Write;
use std::fs;

use crate::common::{Run, Tiny, bert, bert_reading};
use bert_tasks::Head;
use serde_json::{Value, json};

/// A run on the CPU, where nothing has to be said about the device.
fn explain(kind: &str, model: &Tiny, args: &[&str]) -> Run {
    bert([&["explain", kind, "--device", "cpu", "-m", model.arg()], args].concat())
}

fn base() -> Tiny {
    Tiny::new("BertForMaskedLM")
}

#[test]
fn attention_in_every_form() {
    let model = base();
    let found = explain("attention", &model, &["rome opened", "the door", "--layers", "-1", "--json"]).json();
    assert_eq!((&found["text"], &found["pair"]), (&json!("rome opened"), &json!("the door")));
    assert_eq!(found["layers"].as_array().unwrap().len(), 1);
    assert_eq!(found["layers"][0]["layer"], 2);
    let tokens = found["tokens"].as_array().unwrap();
    assert_eq!(tokens[0], json!({"token": "[CLS]", "text": null, "range": null}));
    assert_eq!(tokens[1], json!({"token": "rome", "text": 0, "range": {"start": 0, "end": 4}}));
    for head in found["layers"][0]["heads"].as_array().unwrap() {
        for row in head["weights"].as_array().unwrap() {
            let sum: f64 = row.as_array().unwrap().iter().map(|weight| weight.as_f64().unwrap()).sum();
            assert!((sum - 1.0).abs() < 1e-5);
        }
    }
    let text = explain("attention", &model, &["rome opened the door", "-k", "3"]).ok();
    assert_eq!(text.matches(" → ").count(), 3, "{text}");
    assert!(text.contains("not by itself an explanation"), "{text}");
    let csv = explain("attention", &model, &["rome opened the door", "-k", "3", "--csv"]).ok();
    assert_eq!(csv.lines().next(), Some("layer,head,from,from_token,to,to_token,weight"));
    assert_eq!(csv.lines().count(), 4);
    let svg = explain("attention", &model, &["rome opened the door", "--svg", "--heads", "2"]).ok();
    assert!(svg.starts_with("<svg") && svg.contains("layer 2, head 2"), "{svg}");
    let page = model.file("page.html");
    let args = ["rome </script><b> &\"", "-o", page.to_str().unwrap()];
    assert_eq!(explain("attention", &model, &args).ok(), "");
    let html = fs::read_to_string(page).unwrap();
    // Words that the model does not know are shown as they are, equal ones with their numbers.
    let text = explain("attention", &model, &["rome 🍋 rome 🍋🍋", "--layers", "-2,-1", "-k", "99"]).ok();
    assert!(text.contains("rome (1) → 🍋 ") && text.contains("🍋🍋 → rome (3)"), "{text}");
    assert!(text.contains("layer 1") && text.contains("layer 2") && !text.contains("[UNK]"), "{text}");
    assert!(explain("attention", &model, &["rome"]).ok().starts_with("no links between different words\n"));
    assert!(
        html.starts_with("<!doctype html>") && html.contains("rome &lt;/script&gt;&lt;b&gt; &amp;&quot;")
    );
    let piped = bert_reading(
        ["explain", "attention", "--device", "cpu", "-m", model.arg(), "-", "--json", "--layers", "1"],
        b"rome opened\n",
    );
    assert_eq!(piped.json()["text"], "rome opened");
}

#[test]
fn attention_that_cannot_be_shown() {
    let model = base();
    explain("attention", &model, &[]).fails(&["required"]);
    for empty in ["", "  "] {
        explain("attention", &model, &[empty]).fails(&["no words"]);
    }
    explain("attention", &model, &["rome", "--layers", "3"]).fails(&["layer 3", "1 to 2"]);
    explain("attention", &model, &["rome", "--layers", "0"]).fails(&["layer 0", "1 to 2"]);
    explain("attention", &model, &["rome", "--heads", "0"]).fails(&["head 0", "1 to 2"]);
    explain("attention", &model, &["rome", "--heads", "-1"]).fails(&["--heads"]);
    for (option, bad) in [
        ("--layers", "a"),
        ("--layers", ""),
        ("--layers", "1;2"),
        ("--layers", "--json"),
        ("--heads", "1-3"),
        ("--heads", "99999999999999999999"),
    ] {
        explain("attention", &model, &["rome", option, bad])
            .fails(&[option, "separated by commas, such as 1,2"]);
    }
    let both = ["rome", "--layers", "1, 2", "--heads", "2", "--heads", "1", "--json"];
    let found = explain("attention", &model, &both).json();
    assert_eq!(
        (found["layers"].as_array().unwrap().len(), &found["layers"][1]["heads"][1]["head"]),
        (2, &json!(2))
    );
    explain("attention", &model, &["rome", "--svg", "--json"]).fails(&["--svg"]);
    explain("attention", &model, &[&"rome ".repeat(20_000)]).fails(&["tokens", "shorten"]);
    let folder = model.path().to_str().unwrap();
    explain("attention", &model, &["rome", "-o", folder]).fails(&["is a folder"]);
    let nowhere = model.file("no/such/page.html");
    explain("attention", &model, &["rome", "-o", nowhere.to_str().unwrap()]).fails(&["page.html"]);
    model.edit(|tensors| {
        let (_, weight) = tensors.get_mut("bert.encoder.layer.0.attention.self.query.weight").unwrap();
        weight[3] = f32::NAN;
    });
    let damaged = explain("attention", &model, &["rome", "-o", model.file("x.html").to_str().unwrap()]);
    damaged.fails(&["not all finite", "attention weights"]);
    assert!(!model.file("x.html").exists());
}

#[test]
fn words_of_every_task() {
    let classifier = Tiny::new("BertForSequenceClassification");
    let args = ["sentiment", "rome was empty", "--target", "negative", "--json"];
    let found = explain("tokens", &classifier, &args).json();
    assert_eq!((&found["target"], &found["method"]), (&json!("negative"), &json!("occlusion")));
    let words: Vec<_> =
        found["words"].as_array().unwrap().iter().map(|word| word["word"].as_str().unwrap()).collect();
    assert_eq!(words, ["rome", "was", "empty"]);
    assert_eq!(found["words"][2]["range"], json!({"start": 9, "end": 14}));
    assert!(found["faithfulness"]["comprehensiveness"]["random"].is_number());
    assert!(found.get("gap").is_none());

    let args = [
        "classify",
        "rome",
        "italy",
        "--method",
        "integrated-gradients",
        "--steps",
        "8",
        "--json",
        "--no-faithfulness",
    ];
    let found = explain("tokens", &classifier, &args).json();
    assert_eq!(found["words"][1]["text"], 1);
    assert!(found["gap"].is_number() && found.get("faithfulness").is_none());

    let masked = base();
    let args = ["fill-mask", "the [MASK] of [MASK]", "--mask", "2", "--target", "rome", "--json"];
    assert_eq!(explain("tokens", &masked, &args).json()["target"], "rome");
    let pairs = Tiny::with_more("BertForPreTraining", &[Head::NextSentence]);
    let found = explain("tokens", &pairs, &["next-sentence", "rome", "italy", "--json"]).json();
    assert_eq!(found["texts"], json!(["rome", "italy"]));
    let found = explain("tokens", &masked, &["similarity", "rome was", "italy was", "--json"]).json();
    assert_eq!(found["words"].as_array().unwrap().len(), 4);
    let answers = Tiny::new("BertForQuestionAnswering");
    let found =
        explain("tokens", &answers, &["answer", "was rome empty", "my day was empty", "--json"]).json();
    assert_eq!(found["words"].as_array().unwrap().len(), 7);

    let text = explain("tokens", &classifier, &["sentiment", "rome was empty"]).ok();
    assert!(
        text.contains("9..14") && text.contains("comprehensiveness") && text.contains("sufficiency"),
        "{text}"
    );
    let csv = explain("tokens", &classifier, &["sentiment", "rome was empty", "--csv"]).ok();
    assert_eq!(csv.lines().nth(1).unwrap().split(',').take(4).collect::<Vec<_>>(), ["0", "0", "4", "rome"]);
    let page = classifier.file("page.html");
    explain("tokens", &classifier, &["sentiment", "rome <b>was</b>", "-o", page.to_str().unwrap()]).ok();
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains(">rome</mark>") && !html.contains("<b>"), "{html}");
}

#[test]
fn words_that_cannot_be_scored() {
    let model = Tiny::new("BertForSequenceClassification");
    let fails = |args: &[&str], parts: &[&str]| explain("tokens", &model, args).fails(parts);
    fails(&["sentiment", ""], &["no words"]);
    fails(&["sentiment", "rome", "--target", "sad"], &["\"sad\"", "negative, positive"]);
    fails(&["sentiment", "rome", "--mask", "1"], &["--mask", "fill-mask"]);
    fails(&["sentiment", "rome", "--steps", "9"], &["--steps"]);
    let steps = ["sentiment", "rome", "--method", "integrated-gradients", "--steps", "1000000000"];
    fails(&steps, &["--steps", "between 1 and 10000"]);
    fails(&["sentiment", "[SEP]"], &["no words"]);
    fails(&["sentiment", "-", "-"], &["stdin"]);
    fails(&["entities", "rome", "italy"], &["one text"]);
    fails(&["answer", "rome"], &["question", "context"]);
    fails(&["next-sentence", "a", "b", "--target", "c"], &["--target"]);
    fails(&["similarity", "a", "b", "--method", "integrated-gradients"], &["occlusion"]);
    fails(&["fill-mask", "the [MASK]"], &["no head"]);
    fails(&["sentiment", &"rome ".repeat(20_000)], &["tokens", "shorten"]);
    fails(&["poetry", "rome"], &["poetry", "sentiment"]);
    model.edit(|tensors| tensors.get_mut("classifier.bias").unwrap().1[0] = f32::NAN);
    for method in ["occlusion", "integrated-gradients"] {
        fails(&["sentiment", "rome", "--target", "negative", "--method", method], &["not all finite"]);
    }
    let masked = base();
    explain("tokens", &masked, &["fill-mask", "rome"]).fails(&["no [MASK]"]);
    explain("tokens", &masked, &["fill-mask", "the [MASK]", "--mask", "2"]).fails(&["number 2", "has 1"]);
    explain("tokens", &masked, &["fill-mask", "[MASK]"]).fails(&["no words"]);
}

#[test]
fn a_word_in_a_file() {
    let model = base();
    let texts = model.file("texts.txt");
    let mut lines = String::new();
    for number in 0..20 {
        let _ = writeln!(
            lines,
            "{}",
            if number % 2 == 0 { "the door was empty" } else { "my name my name my door" }
        );
    }
    fs::write(&texts, &lines).unwrap();
    let path = texts.to_str().unwrap();
    let found: Value = explain("word", &model, &["Door", path, "--json"]).json();
    assert_eq!((&found["word"], &found["limited"]), (&json!("Door"), &json!(false)));
    assert_eq!(found["occurrences"].as_array().unwrap().len(), 20);
    assert_eq!(found["occurrences"][1]["line"], 2);
    let text = explain("word", &model, &["door", path, "--clusters", "2"]).ok();
    assert!(
        text.contains("  line  text\n  1     the door was empty\n") && text.contains("\n  …\n"),
        "{text}"
    );
    assert!(text.contains("group 2  10 places") && text.contains("in each layer"), "{text}");
    let csv = explain("word", &model, &["door", path, "--csv"]).ok();
    assert_eq!(csv.lines().count(), 21);
    let page = model.file("page.html");
    explain("word", &model, &["door", path, "-o", page.to_str().unwrap()]).ok();
    assert!(fs::read_to_string(page).unwrap().contains("<svg"));
    let limited = explain("word", &model, &["door", path, "--limit", "7", "--json"]);
    assert!(limited.stderr.contains("reading ended after 7"), "{}", limited.stderr);
    assert_eq!(limited.json()["occurrences"].as_array().unwrap().len(), 7);
    let piped = bert_reading(
        ["explain", "word", "--device", "cpu", "-m", model.arg(), "door", "-", "--json"],
        lines.as_bytes(),
    );
    assert_eq!(piped.json()["occurrences"].as_array().unwrap().len(), 20);
    let table = model.file("texts.csv");
    fs::write(&table, "id,body\n1,a door\n2,\"no, the door\"\n").unwrap();
    let found =
        explain("word", &model, &["door", table.to_str().unwrap(), "--column", "body", "--json"]).json();
    assert_eq!(found["occurrences"].as_array().unwrap().len(), 2);
}

#[test]
fn a_word_that_cannot_be_grouped() {
    let model = base();
    let texts = model.file("texts.txt");
    fs::write(&texts, b"the door\n\nb\xffd door\nmy day\n").unwrap();
    let path = texts.to_str().unwrap();
    let bad = explain("word", &model, &["door", path, "--json"]);
    bad.reports(&["line 3", "UTF-8"]);
    let found: Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!((&found["silhouette"], &found["groups"][0]["size"]), (&json!(null), &json!(1)));
    let lossy = explain("word", &model, &["door", path, "--lossy", "--json"]).json();
    assert_eq!(lossy["occurrences"].as_array().unwrap().len(), 2);
    let fine = model.file("fine.txt");
    fs::write(&fine, "the door\n").unwrap();
    let fine = fine.to_str().unwrap();
    let once = explain("word", &model, &["door", fine]).ok();
    assert!(once.contains("1 place, layer 2; one group: it takes three places"), "{once}");
    assert!(once.contains("group 1  1 place\n") && !once.contains('…'), "{once}");
    let asked = explain("word", &model, &["door", fine, "--clusters", "1"]).ok();
    assert!(asked.contains("one group: no more were asked for"), "{asked}");
    explain("word", &model, &["👩\u{200d}🚀a", fine]).fails(&["\"👩\u{200d}🚀a\"", "none of the texts"]);
    explain("word", &model, &["rome", fine]).fails(&["\"rome\"", "none of the texts"]);
    explain("word", &model, &["", fine]).fails(&["word"]);
    explain("word", &model, &["door", fine, "--clusters", "2"]).fails(&["2 groups of 1"]);
    explain("word", &model, &["door", fine, "--clusters", "0"]).fails(&["at least 1"]);
    explain("word", &model, &["door", fine, "--layer", "9"]).fails(&["layer 9"]);
    explain("word", &model, &["door", fine, "--limit", "5000"]).fails(&["limit", "2000"]);
    explain("word", &model, &["door"]).fails(&["no text"]);
    explain("word", &model, &["door", fine, "--input", fine]).fails(&["choose one"]);
    explain("word", &model, &["door", "no-such-file.txt"]).fails(&["no-such-file.txt"]);
    let empty = model.file("empty.txt");
    fs::write(&empty, "").unwrap();
    explain("word", &model, &["door", empty.to_str().unwrap()]).fails(&["none of the texts"]);
    model.edit(|tensors| {
        tensors.get_mut("bert.encoder.layer.1.output.dense.bias").unwrap().1[0] = f32::INFINITY;
    });
    explain("word", &model, &["door", fine]).fails(&["not all finite"]);
}

/// What a file is called says what is written to it.
#[test]
fn the_extension_of_a_file_is_its_form() {
    let model = Tiny::new("BertForSequenceClassification");
    let texts = model.file("texts.txt");
    fs::write(&texts, "我去银行\nthe cafe\u{301}\n").unwrap();
    let texts = texts.to_str().unwrap();
    let commands: [(&str, &[&str]); 4] = [
        ("attention", &["rome was", "--layers", "1"]),
        ("tokens", &["sentiment", "rome [SEP] was"]),
        ("word", &["银行", texts]),
        ("word", &["CAFÉ", texts]),
    ];
    for (kind, args) in commands {
        let write = |name: &str, more: &[&str]| {
            let path = model.file(name);
            let run = explain(kind, &model, &[args, more, &["-o", path.to_str().unwrap()]].concat());
            (run, fs::read_to_string(path).unwrap_or_default())
        };
        for name in ["a.json", "a.jsonl", "A.JSON"] {
            let (run, text) = write(name, &[]);
            assert_eq!(run.ok(), "");
            assert!(serde_json::from_str::<Value>(&text).unwrap().is_object(), "{kind} {name}");
            assert_eq!(text.lines().count() == 1, name == "a.jsonl");
        }
        assert!(write("a.csv", &[]).1.lines().next().unwrap().contains(','), "{kind}");
        for name in ["page", "a.html", "a.htm"] {
            assert!(write(name, &[]).1.starts_with("<!doctype html>"), "{kind} {name}");
        }
        // What an option says comes first.
        assert!(write("b.html", &["--json"]).1.starts_with('{'), "{kind}");
        write("a.txt", &[]).0.fails(&["a.txt", ".html, .json, .jsonl"]);
        assert!(!model.file("a.txt").exists());
        let (drawn, svg) = write("a.svg", &[]);
        match kind {
            "attention" => assert!(svg.starts_with("<svg")),
            _ => drawn.fails(&["a.svg", ".csv and .tsv"]),
        }
    }
    let words = explain("tokens", &model, &["sentiment", "rome [SEP] was", "--json"]).json();
    let words: Vec<_> = words["words"].as_array().unwrap().iter().map(|word| &word["word"]).collect();
    assert_eq!(words, ["rome", "was"]);
}

/// Many lines without the word, a long one with it: only what surrounds the word is kept.
#[test]
fn a_large_file_is_streamed() {
    let model = base();
    let texts = model.file("large.txt");
    let mut content = "my name was sarah connor of los angeles\n".repeat(250_000);
    content.push_str(&"my day ".repeat(100_000));
    content.push_str("the door\n");
    fs::write(&texts, &content).unwrap();
    let found = explain("word", &model, &["door", texts.to_str().unwrap(), "--json"]).json();
    assert_eq!(found["occurrences"][0]["line"], 250_001);
    assert_eq!(found["occurrences"][0]["range"]["start"], 700_004);
}
