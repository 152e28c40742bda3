//! `bert summarize` and `bert evaluate summary` on tiny models: forms and errors.

use crate::common::{Tiny, bert, bert_reading};

const TEXT: &str = "The room was empty. Sarah opened the door.\nIt was day. The end came.";

#[test]
fn documents_come_from_files_lines_and_stdin() {
    let model = Tiny::new("BertModel");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.txt");
    std::fs::write(&file, TEXT).unwrap();
    let args = ["summarize", "--device", "cpu", "-m", model.arg()];
    let path = file.to_str().unwrap();
    for method in ["k-means", "text-rank", "mmr", "lead"] {
        let json = bert([&args[..], &[path, "--method", method, "-s", "2", "--json"]].concat()).json();
        let sentences = json["sentences"].as_array().unwrap();
        assert_eq!((sentences.len(), &json["of"]), (2, &4.into()), "{json}");
        let range = |at: usize, side: &str| sentences[at]["range"][side].as_u64().unwrap() as usize;
        assert_eq!(sentences[0]["text"], TEXT[range(0, "start")..range(0, "end")]);
        assert!(range(0, "end") <= range(1, "start"));
    }
    let lead = bert([&args[..], &[path, "--method", "lead", "-s", "1"]].concat()).ok();
    assert_eq!(lead, "The room was empty.\n");
    assert_eq!(
        bert_reading([&args[..], &["-", "--method", "lead", "-s", "1"]].concat(), TEXT.as_bytes()).ok(),
        lead
    );
    assert_eq!(bert([&args[..], &[path, "--ranking", "--csv"]].concat()).ok().lines().count(), 5);
    let lines = folder.path().join("a.jsonl");
    std::fs::write(&lines, "{\"text\": \"One. Two.\"}\n{\"text\": \"Three.\"}\n").unwrap();
    assert_eq!(bert([&args[..], &["--input", lines.to_str().unwrap(), "--jsonl"]].concat()).jsonl().len(), 2);
}

#[test]
fn what_cannot_be_summarised_is_said() {
    let model = Tiny::new("BertModel");
    let args = ["summarize", "--device", "cpu", "-m", model.arg()];
    let with = |more: &[&'static str]| [&args[..], more].concat();
    bert(with(&[])).fails(&["no document given", "--input FILE"]);
    bert(with(&["no/such/file"])).fails(&["cannot open no/such/file"]);
    bert_reading(with(&["-"]), b"").fails(&["no sentence"]);
    bert_reading(with(&["-"]), b"\xff").fails(&["UTF-8"]);
    bert_reading(with(&["-", "--ratio", "2"]), b"One.").fails(&["ratio is 2"]);
    bert(with(&["-", "--ratio", "0.5", "--words", "3"])).fails(&["--words"]);
}

#[test]
fn the_first_sentences_are_named_where_they_win() {
    let model = Tiny::new("BertModel");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.jsonl");
    let example =
        "{\"text\": \"The room was empty. Sarah opened the door.\", \"summary\": \"The room was empty.\"}\n";
    std::fs::write(&file, example).unwrap();
    let args =
        ["evaluate", "summary", "--device", "cpu", "-m", model.arg(), "--data", file.to_str().unwrap()];
    let lead = bert([&args[..], &["--method", "lead", "-s", "1", "--json"]].concat());
    assert!(!lead.stderr.contains("better summary"), "{}", lead.stderr);
    assert_eq!(lead.json()["figures"]["rougeL"]["value"], 1.0);
    let all = bert([&args[..], &["--method", "mmr", "-s", "1"]].concat());
    let other = bert([&args[..], &["--method", "mmr", "-s", "1", "--json"]].concat()).json();
    let wins =
        other["figures"]["lead_rougeL"]["value"].as_f64() > other["figures"]["rougeL"]["value"].as_f64();
    assert_eq!(all.stderr.contains("(lead) are a better summary"), wins, "{}", all.stderr);
    std::fs::write(&file, "{\"text\": \"a\"}\n").unwrap();
    bert(args).fails(&["summary"]);
}
