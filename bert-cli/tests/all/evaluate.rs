//! `bert evaluate`: every kind on tiny checkpoints and files made on the spot, what it writes, and what it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{Run, Tiny, bert};
use serde_json::{Value, json};

/// A folder of files.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A path as an argument.
    fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and gives its name as an argument.
    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.arg(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn evaluate(kind: &str, model: &Tiny, data: &str, more: &[&str]) -> Run {
    let args = ["evaluate", kind, "--device", "cpu", "-m", model.arg(), "--data", data];
    bert(args.iter().chain(more))
}

/// The figures have these names, in any order; each has a value that lies in its interval.
#[track_caller]
fn named(report: &Value, names: &[&str]) {
    let figures = report["figures"].as_object().unwrap();
    let mut found: Vec<&str> = figures.keys().map(String::as_str).collect();
    let mut names = names.to_vec();
    found.sort_unstable();
    names.sort_unstable();
    assert_eq!(found, names);
    for (name, figure) in figures {
        if let (Some(value), Some(low), Some(high)) =
            (figure["value"].as_f64(), figure["low"].as_f64(), figure["high"].as_f64())
        {
            assert!(low <= high && value.is_finite(), "{name}: {figure}");
        }
    }
}

fn value(report: &Value, name: &str) -> f64 {
    report["figures"][name]["value"].as_f64().unwrap_or_else(|| panic!("{name}: {report}"))
}

fn squad_file(impossible: bool) -> String {
    let mut qas = vec![
        json!({"id": "é1", "question": "where is the bank", "answers": [{"text": "rome", "answer_start": 20}]}),
        json!({"id": "2", "question": "what opened", "answers": [{"text": "the door", "answer_start": 0}]}),
    ];
    if impossible {
        qas.push(json!({"id": "3", "question": "who", "answers": [], "is_impossible": true}));
    }
    let paragraph = json!({"context": "the door opened, in rome.", "qas": qas});
    json!({"version": "v2.0", "data": [{"title": "T", "paragraphs": [paragraph]}]}).to_string()
}

const V2: [&str; 10] = [
    "exact",
    "f1",
    "HasAns_exact",
    "HasAns_f1",
    "NoAns_exact",
    "NoAns_f1",
    "best_exact",
    "best_exact_thresh",
    "best_f1",
    "best_f1_thresh",
];

#[test]
fn squad_gives_official_figures_and_files() {
    let (model, files) = (Tiny::new("BertForQuestionAnswering"), Files::new());
    let data = files.write("dev.json", &squad_file(true));
    let (predictions, errors) = (files.arg("predictions"), files.arg("errors.jsonl"));
    let more = ["--predictions", &predictions, "--errors", &errors, "--json", "--no-answer-threshold", "9"];
    let run = evaluate("squad", &model, &data, &more);
    assert!(run.stderr.contains("3 texts in ") && run.stderr.contains("texts/s"), "{}", run.stderr);
    let report = run.json();
    named(&report, &V2);
    assert_eq!((report["examples"].as_u64(), report["data"].as_str()), (Some(3), Some("dev.json")));
    assert_eq!(report["model"]["precision"], "f32");

    // The files have the questions in order, and all that the official script reads.
    let texts = files.json("predictions/predictions.json");
    let (best, odds) =
        (files.json("predictions/nbest_predictions.json"), files.json("predictions/null_odds.json"));
    for id in ["é1", "2", "3"] {
        assert!(texts[id].is_string() && odds[id].is_number());
        let best = best[id].as_array().unwrap();
        assert!(best.iter().any(|entry| entry["text"] == "") && best.len() > 1);
        let probability = |at: usize| best[at]["probability"].as_f64().unwrap();
        assert!((1..best.len()).all(|at| probability(at - 1) >= probability(at)));
    }
    let raw = files.read("predictions/predictions.json");
    assert!(raw.find("é1").unwrap() < raw.find("\"2\"").unwrap());
    let wrong = files.lines("errors.jsonl");
    let right = (value(&report, "exact") * 3.0 / 100.0).round() as usize;
    assert_eq!(wrong.len(), 3 - right);
    assert!(wrong.iter().all(|wrong| wrong["input"]["context"].is_string() && wrong["gold"].is_array()));

    // The same answers from the files have the same figures.
    let (texts, odds) = (files.arg("predictions/predictions.json"), files.arg("predictions/null_odds.json"));
    let args =
        ["evaluate", "squad", "--data", &data, "--predictions-file", &texts, "--null-odds", &odds, "--json"];
    let again = bert(args.iter().chain(&["--no-answer-threshold", "9"])).json();
    named(&again, &V2);
    for name in V2 {
        assert_eq!(again["figures"][name], report["figures"][name], "{name}");
    }
    assert!(again["model"].is_null());

    // SQuAD 1.1 has two figures, and no odds.
    let data = files.write("v1.json", &squad_file(false));
    let more = ["--predictions", &files.arg("v1"), "--rouge", "--json"];
    named(
        &evaluate("squad", &model, &data, &more).json(),
        &["exact_match", "f1", "rouge1", "rouge2", "rougeL"],
    );
    assert!(!files.path("v1/null_odds.json").exists() && files.path("v1/nbest_predictions.json").exists());
}

#[test]
fn predictions_are_scored_without_a_model() {
    let files = Files::new();
    let data = files.write("dev.json", &squad_file(true));
    let predictions = files.write("p.json", r#"{"é1": "Rome!", "2": "door opened", "9": "x"}"#);
    let run = bert(["evaluate", "squad", "--data", &data, "--predictions-file", &predictions, "--json"]);
    assert_eq!(run.stderr, "warning: 1 question has no prediction, and counts as wrong\n");
    let report = run.json();
    assert_eq!(value(&report, "HasAns_exact"), 50.0);
    // "door opened" has one word of "door", whose article does not count.
    let f1 = 100.0 * (1.0 + 2.0 * (0.5 * 1.0) / (0.5 + 1.0)) / 2.0;
    assert!((value(&report, "HasAns_f1") - f1).abs() < 1e-12);

    let args = ["evaluate", "squad", "--data", &data, "--predictions-file", &predictions, "--model", "x"];
    assert!(bert(args).stderr.contains("--model has no effect"));

    let broken = files.write("broken.json", "{\"1\":\n 7}");
    let args = ["evaluate", "squad", "--data", &data, "--predictions-file", &broken];
    bert(args).fails(&["broken.json: not an object with a text for each question", "line 2"]);
    bert(args.iter().chain(&["--compare", "x"])).fails(&["cannot be used with"]);
}

/// What the shared predictions of a trained model score: the official script's own output.
#[test]
fn official_figures_of_real_predictions() {
    let Some(shared) = std::env::var_os("BERT_SHARED").map(PathBuf::from) else {
        eprintln!("SKIPPED: set BERT_SHARED to the folder of datasets");
        return;
    };
    let file = |name: &str| shared.join("data/qa").join(name).to_str().unwrap().to_owned();
    let args = [
        "evaluate",
        "squad",
        "--data",
        &file("squad2-half-dev.json"),
        "--predictions-file",
        &file("squad2-half-dev.predictions.json"),
        "--null-odds",
        &file("squad2-half-dev.null-odds.json"),
        "--samples",
        "0",
        "--json",
    ];
    let report = bert(args).json();
    for (name, expected) in [
        ("exact", 72.77064823955249),
        ("f1", 76.12153164119033),
        ("HasAns_exact", 73.53951890034364),
        ("HasAns_f1", 80.53837433510499),
        ("NoAns_exact", 72.06439393939394),
        ("NoAns_f1", 72.06439393939394),
        ("best_exact", 73.95524843698585),
        ("best_exact_thresh", -3.599580764770508),
        ("best_f1", 76.82820058120708),
        ("best_f1_thresh", -3.448373794555664),
    ] {
        // To the last digit, but for the order in which thousands of numbers are added up.
        assert!((value(&report, name) - expected).abs() < 1e-11, "{name}: {report}");
    }
}

#[test]
fn glue_matches_labels_by_name_and_writes_submissions() {
    let (model, files) = (Tiny::new("BertForSequenceClassification"), Files::new());
    let data = files.write("dev.tsv", "sentence\tlabel\nthe bank is empty\t1\nrome\t0\nthe door opened\t1\n");
    let args = ["--task", "sst-2", "--json"];
    let report = evaluate("glue", &model, &data, &args).json();
    named(&report, &["accuracy"]);

    // The other order of the labels means the other labels.
    let names = [&args[..], &["--label-names", "positive,negative"]].concat();
    let other = evaluate("glue", &model, &data, &names).json();
    assert!((value(&report, "accuracy") + value(&other, "accuracy") - 1.0).abs() < 1e-12);

    let test = files.write("test.tsv", "index\tsentence\n0\tthe bank is empty\n1\trome\n");
    let folder = files.arg("submission");
    let run = evaluate("glue", &model, &test, &["--task", "sst-2", "--predictions", &folder, "--json"]);
    assert!(run.stderr.contains("only predictions"), "{}", run.stderr);
    assert_eq!(run.json()["examples"], 0);
    let lines = files.read("submission/SST-2.tsv");
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!((lines[0], lines.len()), ("index\tprediction", 3));
    assert!(
        lines[1..]
            .iter()
            .zip(["0\t", "1\t"])
            .all(|(line, index)| { line.starts_with(index) && ["0", "1"].contains(&&line[2..]) })
    );
    evaluate("glue", &model, &test, &["--task", "sst-2"]).fails(&["no example has a label", "--predictions"]);

    let rte = files.write("rte.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n");
    let run = evaluate("glue", &model, &rte, &["--task", "rte"]);
    run.fails(&["RTE's entailment", "negative, positive", "--label-names"]);
    let bad = files.write("bad.tsv", "sentence\tlabel\na\t1\na\t7\n");
    evaluate("glue", &model, &bad, &["--task", "sst-2"]).fails(&["bad.tsv:3: the label is", "0 or 1"]);
    evaluate("glue", &model, &bad, &["--task", "ax"]).fails(&["task is \"ax\"", "wnli"]);
    evaluate("glue", &model, &bad, &["--task", "sts-b"]).fails(&["bad.tsv:1: no column"]);
}

#[test]
fn two_precisions_are_compared_on_the_same_examples() {
    let (model, files) = (Tiny::new("BertForSequenceClassification"), Files::new());
    let texts = ["rome", "the door opened", "italy was empty", "my name", "a bank", "los angeles"];
    let rows: String =
        (0..60).map(|at| format!("{} {}\t{}\n", texts[at % 6], texts[at / 6 % 6], at % 2)).collect();
    let data = files.write("dev.tsv", &format!("text\tlabel\n{rows}"));
    let more = ["--label-names", "0,1", "--compare-precision", "int8", "--json"];
    let report = evaluate("classify", &model, &data, &more).json();
    let names = ["accuracy", "macro_f1", "matthews_correlation", "precision[0]", "recall[0]", "f1[0]"];
    named(&report, &[&names[..], &["precision[1]", "recall[1]", "f1[1]"]].concat());
    let other = &report["comparison"];
    assert_eq!(other["model"]["precision"], "int8");
    let accuracy = &other["figures"]["accuracy"];
    let difference = accuracy["value"].as_f64().unwrap() - value(&report, "accuracy");
    assert!((accuracy["difference"].as_f64().unwrap() - difference).abs() < 1e-12);
    assert!(other["changed"].as_u64().unwrap() <= 60);

    // A model compared with itself is the same to the last answer.
    let more = ["--label-names", "0,1", "--compare", model.arg()];
    let text = evaluate("classify", &model, &data, &more).ok();
    assert!(text.contains("compared with") && text.contains("0 of 60 answers differ"), "{text}");
    assert!(text.contains("+0.0000  0.0000 to 0.0000"), "{text}");
    let csv = evaluate("classify", &model, &data, &["--label-names", "0,1", "--csv"]).ok();
    assert!(csv.starts_with("figure,value,low,high\naccuracy,"), "{csv}");

    // The same seed draws the same samples.
    let low = |seed: &str| {
        let report =
            evaluate("classify", &model, &data, &["--label-names", "0,1", "--json", "--seed", seed]).json();
        report["figures"]["macro_f1"]["low"].as_f64().unwrap()
    };
    assert_eq!(low("3"), low("3"));
    let long =
        files.write("long.tsv", &format!("text\tlabel\n{}\tpositive\nrome\tnegative\n", "rome ".repeat(600)));
    let run = evaluate("classify", &model, &long, &["--json"]);
    assert!(run.stderr.contains("warning: 1 text was longer than the model's input"), "{}", run.stderr);
    assert_eq!(run.json()["cut"], 1);
    let run = evaluate("classify", &model, &data, &[]);
    run.fails(&["dev.tsv:2: the model has no label \"0\"", "negative, positive", "--label-names"]);
}

#[test]
fn entities_are_counted_leniently_and_strictly() {
    let (model, files) = (Tiny::new("BertForTokenClassification"), Files::new());
    let conll = "my O\nname O\nwas O\nsarah B-PER\nconnor I-PER\n\nrome B-LOC\n\u{1} O\nitaly B-GPE\n";
    let data = files.write("dev.conll", conll);
    let errors = files.arg("errors.jsonl");
    let run = evaluate("ner", &model, &data, &["--json", "--errors", &errors]);
    assert!(run.stderr.contains("the type GPE"), "{}", run.stderr);
    let report = run.json();
    let mut names = vec![];
    for mode in ["lenient", "strict"] {
        for of in ["", "[GPE]", "[LOC]", "[PER]"] {
            names.extend(["precision", "recall", "f1"].map(|figure| format!("{mode}_{figure}{of}")));
        }
    }
    named(&report, &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(value(&report, "strict_recall") <= value(&report, "lenient_recall"));
    let wrong = files.lines("errors.jsonl");
    assert!(wrong.iter().any(|wrong| wrong["gold"][0]["text"] == "sarah connor"), "{wrong:?}");

    // The same file as JSON lines with tokens is read the same; with places of chars there are no words, so nothing
    // is strict.
    let tokens = r#"{"tokens": ["my", "name", "was", "sarah", "connor"], "tags": ["O", "O", "O", "B-PER", "I-PER"]}
{"tokens": ["rome", "\u0001", "italy"], "tags": ["B-LOC", "O", "B-GPE"]}"#;
    let same = evaluate("ner", &model, &files.write("dev.jsonl", tokens), &["--json"]).json();
    assert_eq!(same["figures"], report["figures"]);
    let chars = r#"{"text": "éa rome", "entities": [{"start": 3, "end": 7, "label": "LOC"}]}"#;
    let report = evaluate("ner", &model, &files.write("chars.jsonl", chars), &["--json"]).json();
    assert!(report["figures"]["lenient_f1"].is_object() && report["figures"]["strict_f1"].is_null());
    let text = evaluate("ner", &model, &data, &[]).ok();
    assert!(text.contains("  lenient PER") && text.contains("precision"), "{text}");
    evaluate("ner", &model, &data, &["--scheme", "x"]).fails(&["scheme is \"x\""]);
    evaluate("ner", &model, &files.write("bad.conll", "a O\nb\n"), &[]).fails(&["bad.conll:2: "]);
}

#[test]
fn choices_and_similarities() {
    let files = Files::new();
    let swag = ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\n\
        0,a,1,x,the door,it,gold,opened.,was.,is.,day.,0\n1,a,1,x,my name,it,gold,opened.,was.,is.,day.,3\n";
    let data = files.write("val.csv", swag);
    let report = evaluate("swag", &Tiny::new("BertForMultipleChoice"), &data, &["--json"]).json();
    named(&report, &["accuracy"]);

    let model = Tiny::new("BertModel");
    let sts = "rome italy,rome,5\nthe door,my name,0.5\nempty room,the room was empty,4\n";
    let data = files.write("dev.csv", sts);
    let errors = files.arg("pairs.jsonl");
    let report = evaluate("sts", &model, &data, &["--json", "--errors", &errors]).json();
    named(&report, &["pearson", "spearman"]);
    assert_eq!(files.lines("pairs.jsonl").len(), 3);
    assert_eq!(files.lines("pairs.jsonl")[0]["line"], 1);
    evaluate("sts", &model, &data, &["--scores", "0,1"]).fails(&["dev.csv:1: the score", "from 0 to 1"]);
    evaluate("sts", &model, &data, &["--scores", "1"]).fails(&["scores is NaN,NaN"]);
    let one = files.write("one.csv", "rome italy,rome,5\n");
    let text = evaluate("sts", &model, &one, &[]).ok();
    assert!(text.contains("pearson") && text.contains('–'), "{text}");
}

#[test]
fn searches_find_what_is_the_same() {
    let (model, files) = (Tiny::new("BertModel"), Files::new());
    let names = ["accuracy@1", "accuracy@5", "accuracy@10", "mrr@10", "ndcg@10", "map@100"];
    // A text is nearest to itself.
    let texts = ["rome italy", "the door opened", "my name was sarah", "empty room"];
    let pairs: String =
        texts.iter().map(|text| json!({"query": text, "positive": text}).to_string() + "\n").collect();
    let report = evaluate("retrieval", &model, &files.write("pairs.jsonl", &pairs), &["--json"]).json();
    named(&report, &names);
    assert!(names.iter().all(|name| value(&report, name) == 1.0), "{report}");

    let text = |id: &str, text: &str| json!({"_id": id, "text": text}).to_string() + "\n";
    let queries =
        files.write("queries.jsonl", &(text("q1", texts[0]) + &text("q2", texts[1]) + &text("q3", "day")));
    let documents = [text("d1", texts[0]), text("q2", texts[1]), text("d3", "a day")];
    let corpus = files.write("corpus.jsonl", &documents.concat());
    let qrels = files.write("test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\tq2\t1\nq3\td3\t0\n");
    let more = ["--queries", &queries, "--corpus", &corpus, "--json"];
    let report = evaluate("retrieval", &model, &qrels, &more).json();
    // q3 has nothing to find; q2 does not find itself.
    assert_eq!(report["examples"], 2);
    assert_eq!(value(&report, "accuracy@10"), 0.5);
    evaluate("retrieval", &model, &qrels, &["--queries", &queries]).fails(&["--corpus"]);
}

const TEXT: &str = "the bank is empty. my name was sarah.\nthe door opened.\n\nrome is in italy. a day in los angeles.\n\
    the river.\n\nit was good. you live in london.\n";

#[test]
fn raw_text_is_masked_and_paired_always_the_same() {
    let files = Files::new();
    let data = files.write("text.txt", TEXT);
    let model = Tiny::new("BertForMaskedLM");
    let more = ["--json", "--max-length", "24", "--pseudo-perplexity", "2"];
    let report = evaluate("mlm", &model, &data, &more).json();
    named(&report, &["top_1_accuracy", "top_5_accuracy", "loss", "perplexity", "pseudo_perplexity"]);
    assert!((value(&report, "loss").exp() / value(&report, "perplexity") - 1.0).abs() < 1e-12);
    assert_eq!(evaluate("mlm", &model, &data, &more).json()["figures"], report["figures"]);

    let model = Tiny::new("BertForNextSentencePrediction");
    let report = evaluate("nsp", &model, &data, &["--json", "--max-length", "24"]).json();
    named(&report, &["accuracy"]);
    evaluate("nsp", &model, &files.write("one.txt", "the bank.\n"), &[]).fails(&["document"]);

    // Other words cannot be compared.
    let (model, other) = (Tiny::new("BertForMaskedLM"), Tiny::new("BertForMaskedLM"));
    let vocabulary = fs::read_to_string(other.file("vocab.txt")).unwrap();
    other.write("vocab.txt", vocabulary.replace("\nbank\n", "\nbanks\n").as_bytes());
    evaluate("mlm", &model, &data, &["--compare", other.arg()]).fails(&["have different tokenizers"]);
}

#[test]
fn figures_go_into_a_card_and_the_rest_of_it_stays() {
    let (model, files) = (Tiny::new("BertForMultipleChoice"), Files::new());
    let data =
        files.write("val.jsonl", r#"{"context": "the door", "choices": ["opened", "was"], "label": 0}"#);
    let before = "---\nlicense: mit  # as ever\n---\n\n# A model\n\n---\n";
    let card = files.write("README.md", before);
    let report =
        evaluate("swag", &model, &data, &["--card", &card, "--dataset-name", "swag", "--json"]).json();
    let text = files.read("README.md");
    assert!(text.starts_with("---\nlicense: mit  # as ever\nmodel-index:\n"), "{text}");
    assert!(text.ends_with("\n---\n\n# A model\n\n---\n"), "{text}");
    let value =
        format!("- type: accuracy\n      name: accuracy\n      value: {:?}\n", value(&report, "accuracy"));
    assert!(text.contains(&value) && text.contains("name: swag\n"), "{text}");
    evaluate("swag", &model, &data, &["--card", &card, "--dataset-name", "swag"]).ok();
    assert_eq!(files.read("README.md"), text);
    let broken = files.write("broken.md", "---\nlicense: mit\n");
    let run = evaluate("swag", &model, &data, &["--card", &broken]);
    run.reports(&["broken.md:1: the YAML"]);
    assert_eq!(files.read("broken.md"), "---\nlicense: mit\n");
}

#[test]
fn what_cannot_be_evaluated_is_named_and_leaves_nothing() {
    let (model, files) = (Tiny::new("BertForSequenceClassification"), Files::new());
    let empty = files.write("empty.tsv", "text\tlabel\n");
    evaluate("classify", &model, &empty, &[]).fails(&["empty.tsv: no examples"]);
    evaluate("classify", &model, "/no/such.tsv", &[]).fails(&["cannot open /no/such.tsv"]);
    // An example at the end is wrong: nothing is computed, and no file of errors appears.
    let bad = files.write("bad.tsv", "text\tlabel\na\tpositive\nb\n");
    let errors = files.arg("errors.jsonl");
    evaluate("classify", &model, &bad, &["--errors", &errors]).fails(&["bad.tsv:3: 1 fields"]);
    assert!(!Path::new(&errors).exists());
    evaluate("ner", &model, &files.write("x.conll", "a O\n"), &[]).fails(&["token classification"]);
    bert(["evaluate", "swag", "--data", &bad]).fails(&["bad.tsv"]);
    let good = files.write("good.jsonl", r#"{"context": "a", "choices": ["b", "c"], "label": 0}"#);
    bert(["evaluate", "swag", "--data", &good]).fails(&["a multiple choice model", "--model"]);
}
