//! `bert train` for each task: a few examples are learnt, and the command of the task answers with the model that comes
//! out.

use std::fs;

use crate::common::training::{Setting, WORDS};
use crate::common::{Run, bert};
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
        run.stderr.starts_with(
            "note: questions about texts longer than 16 tokens, which take several windows: 40 of 40"
        ),
        "{}",
        run.stderr
    );
    let summary = run.json();
    assert!(summary["examples"].as_u64().unwrap() > 80, "{summary}");
    let best = &summary["best"];
    assert_eq!((&best["metric"], &best["examples"]), (&json!("f1"), &json!(40)));
    assert!(best["value"].as_f64().unwrap() > 0.9, "{summary}");
    assert!(best["details"]["exact"].as_f64().unwrap() > 0.9, "{summary}");
    assert!(best["details"]["best_f1"].as_f64().unwrap() >= best["value"].as_f64().unwrap(), "{summary}");
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
    let mut child =
        crate::common::command(args(&setting, "answer", "train.json", "killed", &more)).spawn().unwrap();
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
        (file(none), &["none of the questions to train on has an answer (1 in all)"]),
        (file(&format!("{good}, {wrong}")), &["train.json: question \"7\"", "is not at character 5"]),
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
    assert_eq!(run.stderr, "warning: 1 question is too long, and cut\n");
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
         warning: 1 entity begins or ends inside a word: all of the word is learnt\n"
    );
}

#[test]
fn entities_that_are_of_no_use_are_errors() {
    let setting = Setting::new();
    let dev = setting.arg("dev.jsonl");
    fs::write(setting.path("good.conll"), conll(4)).unwrap();
    for (name, text, parts) in [
        ("train.conll", "paris B-LOC\nmoney\n", &["train.conll:2: a word without a label: \"money\""][..]),
        ("train.conll", "paris O\nmoney O\n", &["none of the examples to train on has an entity (1 in all)"]),
        ("train.conll", "\n\n", &["train.conll holds no examples"]),
        ("train.json", "", &["train.json", "the file name does not tell the format"]),
        (
            "train.jsonl",
            "{\"text\": \"paris\", \"entities\": []}\n{\"text\": \"paris\", \"entities\": [{\"start\": 0, \"end\": 9, \"label\": \"LOC\"}]}\n",
            &["train.jsonl:2: entity LOC at 0..9: it ends after the end of the text"],
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
        &["dev.jsonl:1: unknown label \"B-ORG\"", "B-LOC"],
    );
}

/// Words that belong to [`WORDS`], each to one.
const OTHERS: [&str; 8] = ["rome", "italy", "opened", "empty", "day", "name", "sarah", "los"];

fn vectors(model: &str, texts: &[&str]) -> Vec<Vec<f64>> {
    let args = ["embed", "-m", model, "--device", "cpu", "--jsonl"];
    let answers = bert(args.iter().chain(texts)).jsonl();
    let numbers =
        |answer: &Value| answer["vector"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    answers.iter().map(numbers).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn vectors_are_learnt_from_pairs_whatever_fits_in_memory() {
    let setting = Setting::new();
    let pairs: String = (0..8).map(|at| format!("the {},a {}\n", WORDS[at], OTHERS[at])).collect();
    fs::write(setting.path("train.csv"), format!("query,passage\n{pairs}")).unwrap();
    let file = setting.arg("train.csv");
    // So small a model stands no more dropout.
    for field in ["hidden_dropout_prob", "attention_probs_dropout_prob"] {
        setting.base.configure(field, json!(0.02));
    }
    let run = |out: &str, more: &[&str]| {
        let usual = ["--eval", &file, "--json", "--epochs", "150", "--lr", "1e-2", "--batch-size", "8"];
        train(&setting, "embed", "train.csv", out, &[&usual[..], more].concat()).json()
    };
    let summary = run("model", &[]);
    assert_eq!((&summary["best"]["metric"], &summary["best"]["value"]), (&json!("accuracy@1"), &json!(1.0)));
    fell(&setting, "model");
    // A step in parts is the same step, but for the last bits of sums; where numbers are dropped, each part is computed
    // twice with the same ones left.
    run("parts", &["--token-budget", "9"]);
    for (whole, parts) in losses(&setting, "model").into_iter().zip(losses(&setting, "parts")).take(5) {
        assert!((whole - parts).abs() < 1e-4 * whole, "{whole} {parts}");
    }
    let summary = run("dropped", &["--token-budget", "9", "--dropout"]);
    assert_eq!(summary["best"]["value"], 1.0);

    let model = setting.arg("model");
    let found = vectors(&model, &["the paris", "a opened", "a empty"]);
    assert!(cosine(&found[0], &found[1]) > cosine(&found[0], &found[2]));
    let pooling = fs::read_to_string(setting.path("model/1_Pooling/config.json")).unwrap();
    assert!(pooling.contains("\"pooling_mode_mean_tokens\": true"), "{pooling}");
    assert!(
        setting.path("model/modules.json").exists()
            && setting.path("model/sentence_bert_config.json").exists()
    );
}

#[test]
fn vectors_are_learnt_from_scores_and_triplets_and_keep_their_recipe() {
    let setting = Setting::new();
    let modules = json!([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]);
    setting.base.write("modules.json", modules.to_string().as_bytes());
    fs::create_dir(setting.base.file("1_Pooling")).unwrap();
    let pooling = br#"{"word_embedding_dimension": 16, "pooling_mode_cls_token": true}"#;
    setting.base.write("1_Pooling/config.json", pooling);

    let (mut scored, mut triplets) = (String::new(), String::new());
    for at in 0..8 {
        for other in 0..3 {
            let score = if other == 0 { 5.0 } else { 1.0 };
            scored += &format!("{}\t{}\t{score}\n", WORDS[at], OTHERS[(at + other) % 8]);
        }
        let [anchor, positive, negative] = [WORDS[at], OTHERS[at], OTHERS[(at + 1) % 8]];
        triplets += &format!("{}\n", json!({"anchor": anchor, "positive": positive, "negative": negative}));
    }
    fs::write(setting.path("scored.tsv"), scored).unwrap();
    fs::write(setting.path("triplets.jsonl"), triplets).unwrap();
    let (scored, triplets) = (setting.arg("scored.tsv"), setting.arg("triplets.jsonl"));
    let fast = ["--json", "--epochs", "40", "--lr", "1e-2", "--batch-size", "8", "--token-budget", "32"];
    let more = ["--kind", "scored", "--max-score", "5", "--eval", &scored];
    let summary = train(&setting, "embed", "scored.tsv", "scored", &[&fast[..], &more].concat()).json();
    assert_eq!(summary["best"]["metric"], "spearman");
    // Equal scores have no order of their own: more than this there is not.
    assert!(summary["best"]["value"].as_f64().unwrap() > 0.75, "{summary}");
    fell(&setting, "scored");

    let more = ["--kind", "triplets", "--eval-kind", "scored", "--max-score", "5", "--eval", &scored];
    let summary = train(&setting, "embed", "triplets.jsonl", "triplets", &[&fast[..], &more].concat()).json();
    assert!(summary["best"]["value"].as_f64().unwrap() > 0.75, "{summary}");
    let more = ["--kind", "triplets", "--eval", &triplets, "--pooling", "mean"];
    let summary = train(&setting, "embed", "triplets.jsonl", "mean", &[&fast[..], &more].concat()).json();
    assert_eq!((&summary["best"]["metric"], &summary["best"]["value"]), (&json!("accuracy"), &json!(1.0)));

    // The files that say how are the base's, unless another way was chosen.
    let model = setting.arg("scored");
    assert_eq!(fs::read(setting.path("scored/1_Pooling/config.json")).unwrap(), pooling);
    let vector = vectors(&model, &["paris"]).remove(0);
    assert!((vector.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-6, "{vector:?}");
    let chosen = fs::read_to_string(setting.path("mean/1_Pooling/config.json")).unwrap();
    assert!(chosen.contains("\"pooling_mode_cls_token\": false") && chosen.contains("mean_tokens\": true"));
    assert!(fs::read_to_string(setting.path("mean/modules.json")).unwrap().contains("2_Normalize"));
}

#[test]
fn pairs_that_are_of_no_use_are_errors() {
    let setting = Setting::new();
    for (text, more, parts) in [
        ("a,b\n", &[][..], &["one pair is too few"][..]),
        ("anchor,positive\na,b\nc\n", &[], &["train.csv:3: 1 fields where the table has 2 columns"]),
        ("", &[], &["train.csv holds no examples"]),
        ("a,b\nc,d\n", &["--batch-size", "1"], &["batch_size is 1", "at least 2"]),
        ("a,b\nc,d\n", &["--scale", "0"], &["scale is 0", "above 0"]),
        ("a,b\nc,d\n", &["--kind", "triplets"], &["no column for the negative text"]),
        (
            "a,b,5\nc,d,5\n",
            &["--kind", "scored", "--max-score", "5"],
            &["all 2 examples have the label \"1\""],
        ),
        ("a,b,5\n", &["--kind", "scored"], &["train.csv:1: the score is", "from 0 to 1"]),
        ("a,b\nc,d\n", &["--columns", "1,2,3"], &["columns is", "2 columns for pairs"]),
    ] {
        fs::write(setting.path("train.csv"), text).unwrap();
        train(&setting, "embed", "train.csv", "out", more).reports_without(&setting, "out", parts);
    }
    fs::write(setting.path("train.csv"), "a,bank river paris\nc,d\n").unwrap();
    let run = train(&setting, "embed", "train.csv", "cut", &["--max-length", "4", "--epochs", "1"]);
    assert_eq!(run.stderr, "warning: 1 example is longer than 4 tokens, and cut\n");
}

#[test]
fn choices_are_learnt() {
    let setting = Setting::new();
    let mut csv = "sent1,sent2,ending0,ending1,ending2,ending3,label\n".to_owned();
    for index in 0..32 {
        let endings = (0..4).map(|at| {
            let word = if at == index * 3 % 4 { "good" } else { "bad" };
            format!("{word} {}", WORDS[(index + at) % 8])
        });
        let endings: Vec<String> = endings.collect();
        csv += &format!("{},the,{},{}\n", WORDS[index % 8], endings.join(","), index * 3 % 4);
    }
    fs::write(setting.path("train.csv"), &csv).unwrap();
    let file = setting.arg("train.csv");
    let more = [&FAST[..], &["--eval", &file, "--json"]].concat();
    let summary = train(&setting, "choose", "train.csv", "model", &more).json();
    assert_eq!(
        (&summary["best"]["metric"], &summary["best"]["value"]),
        (&json!("accuracy"), &json!(1.0)),
        "{summary}"
    );
    fell(&setting, "model");
    let model = setting.arg("model");
    let choice = bert_tasks::MultipleChoice::load(&model, &bert_tasks::Device::cpu().unwrap()).unwrap();
    let answer = choice.predict("paris", &["the bad door", "the good door", "the bad room"]).unwrap();
    assert_eq!(answer.best, 1, "{answer:?}");

    let json = |choices: &[&str], label: usize| {
        format!("{}\n", json!({"question": "a", "choices": choices, "label": label}))
    };
    fs::write(setting.path("train.jsonl"), json(&["a", "b"], 0) + &json(&["a", "b", "c"], 1)).unwrap();
    let parts = ["train.jsonl:2: 3 choices where the first example has 2"];
    train(&setting, "choose", "train.jsonl", "out", &[]).reports_without(&setting, "out", &parts);
    fs::write(setting.path("train.jsonl"), json(&["a", "b"], 0) + &json(&["a", "b"], 2)).unwrap();
    train(&setting, "choose", "train.jsonl", "out", &[]).reports_without(
        &setting,
        "out",
        &["train.jsonl:2: "],
    );
    fs::write(setting.path("train.jsonl"), json(&["a", "b"], 1) + &json(&["a", "the door"], 1)).unwrap();
    let run = train(&setting, "choose", "train.jsonl", "same", &["--max-length", "5", "--epochs", "1"]);
    assert_eq!(
        run.stderr,
        "warning: choice 1 is the right one in all examples; are the labels missing?\n\
         warning: 1 example is longer than 5 tokens, and cut\n"
    );
}

#[test]
fn a_masked_language_model_learns_a_text() {
    let setting = Setting::new();
    let document = |index: usize| {
        let sentences = [
            "the door opened . the room was empty .",
            "my name is sarah connor . my day was good .",
            "the bank of rome . the money of italy .",
        ];
        format!("{}\n{}\n\n", sentences[index % 3], sentences[(index + 1) % 3])
    };
    let text: String = (0..30).map(document).collect();
    fs::write(setting.path("train.txt"), &text).unwrap();
    let file = setting.arg("train.txt");
    let more = [
        "--eval",
        &file,
        "--json",
        "--epochs",
        "100",
        "--lr",
        "1e-2",
        "--batch-size",
        "8",
        "--mask-rate",
        "0.2",
    ];
    let run = train(&setting, "fill-mask", "train.txt", "model", &more);
    assert!(run.stderr.contains("tokens in 30 documents, kept in"), "{}", run.stderr);
    let summary = run.json();
    assert_eq!(summary["best"]["metric"], "masked accuracy");
    assert!(summary["best"]["value"].as_f64().unwrap() > 0.8, "{summary}");
    fell(&setting, "model");
    let model = setting.arg("model");
    let masked = "the door [MASK] . the room was empty . my name is sarah connor . my day was good .";
    let args = ["fill-mask", "-m", &model, "--device", "cpu", "--json", masked];
    let word = bert(args).json()["masks"][0]["candidates"][0]["token_str"].clone();
    assert_eq!(word, "opened");

    for (text, more, parts) in [
        ("\n\n", &[][..], &["train.txt holds no text"][..]),
        ("a\n", &["--mask-rate", "0"], &["rate is 0", "above 0"]),
        ("a\n\0\n", &[], &["train.txt:2: a NUL byte"]),
        ("a\n", &["--max-length", "4"], &["max_length is 4"]),
    ] {
        fs::write(setting.path("train.txt"), text).unwrap();
        train(&setting, "fill-mask", "train.txt", "out", more).reports_without(&setting, "out", parts);
    }
    let none = setting.path("none");
    fs::create_dir(&none).unwrap();
    train(&setting, "fill-mask", "none", "out", &[]).reports_without(
        &setting,
        "out",
        &["no .shard files in"],
    );
}

#[test]
fn next_sentences_are_learnt() {
    let setting = Setting::new();
    let mut pairs = String::new();
    for index in 0..32 {
        let (word, label) = if index % 3 == 0 { ("good", "is_next") } else { ("bad", "Not-Next") };
        let (first, second) = (WORDS[index % 8], WORDS[index / 8 % 8]);
        pairs += &format!("the {first}\t{word} {second}\t{label}\n");
    }
    fs::write(setting.path("train.tsv"), format!("sentence1\tsentence2\tlabel\n{pairs}")).unwrap();
    let file = setting.arg("train.tsv");
    let more = [&FAST[..], &["--eval", &file, "--json"]].concat();
    let summary = train(&setting, "next-sentence", "train.tsv", "model", &more).json();
    assert_eq!(
        (&summary["best"]["metric"], &summary["best"]["value"]),
        (&json!("accuracy"), &json!(1.0)),
        "{summary}"
    );
    fell(&setting, "model");
    let model = setting.arg("model");
    let probability = |second: &str| {
        let args = ["next-sentence", "-m", &model, "--device", "cpu", "--json", "the paris", second];
        bert(args).json()["is_next"].as_f64().unwrap()
    };
    assert!(probability("good river") > 0.5 && probability("bad river") < 0.5);

    let distil = bert_conformance::checkpoint("distilbert-masked-lm");
    let mut args = args(&setting, "next-sentence", "train.tsv", "out", &[]);
    let at = args.iter().position(|arg| arg == setting.base.arg()).unwrap();
    args[at] = distil.to_str().unwrap().to_owned();
    bert(args).reports_without(&setting, "out", &["needs a pooler and two segments", "distilbert"]);

    for (text, parts) in [
        (
            "sentence1\tsentence2\tlabel\na\tb\t1\na\tb\tmaybe\n",
            &["train.tsv:3: the label is \"maybe\"", "0 or false"][..],
        ),
        ("sentence1\tsentence2\tlabel\na\tb\t1\na\tb\t1\n", &["all 2 examples have the label \"1\""]),
        ("text\tlabel\na\t1\n", &["train.tsv:2: the second text is missing"]),
    ] {
        fs::write(setting.path("train.tsv"), text).unwrap();
        train(&setting, "next-sentence", "train.tsv", "out", &[]).reports_without(&setting, "out", parts);
    }
}
