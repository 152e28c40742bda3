//! `bert bias` on tiny models: forms and errors.

use crate::common::{Tiny, bert};

fn run(model: &Tiny, args: &[&str]) -> crate::common::Run {
    bert([&["bias", "--device", "cpu", "-m", model.arg()], args].concat())
}

#[test]
fn two_texts_are_set_side_by_side() {
    let model = Tiny::new("BertForMaskedLM");
    let texts = ["The man worked as a [MASK].", "The woman worked as a [MASK]."];
    let text = run(&model, &[texts[0], texts[1], "-k", "3"]).ok();
    let first = text.lines().next().unwrap();
    assert!(first.contains(texts[0]) && first.contains(texts[1]), "{text}");
    let json = run(&model, &[texts[0], texts[1], "-k", "3", "--json"]).json();
    assert_eq!(json["words"][1].as_array().unwrap().len(), 3);
    assert!(json["differences"][0]["log_odds"].is_number());
    run(&model, &[texts[0]]).fails(&["expected two texts"]);
    run(&model, &["The man.", texts[1]]).fails(&["0 masks", "[MASK]"]);
}

#[test]
fn own_sets_and_those_built_in() {
    let model = Tiny::new("BertForMaskedLM");
    let json = run(&model, &["--json", "--samples", "20"]).json();
    assert_eq!(json.as_array().unwrap().len(), 6);
    assert!(json[0]["note"].as_str().unwrap().contains("no proof of fairness"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sets.jsonl");
    let path = file.to_str().unwrap();
    let set = r#"{"name":"s","first":["rome"],"second":["italy"],"templates":["in {} a [MASK]"],"words":["door","xyz"]}"#;
    std::fs::write(&file, format!("{set}\n\n{set}\n")).unwrap();
    let text = run(&model, &["--templates", path]);
    assert!(text.stderr.contains("no proof of fairness"), "{}", text.stderr);
    assert!(text.ok().contains("2 words in 2 sentences, 1 of several tokens"));
    let twice = set.replace("[\"door\",\"xyz\"]", "[\"door\",\"door\",\"xyz\"]");
    std::fs::write(&file, twice).unwrap();
    let json = run(&model, &["--templates", path, "--json"]).json();
    assert_eq!((&json[0]["words"], &json[0]["skipped"][0]["reason"]), (&2.into(), &"there twice".into()));
    for (content, parts) in [
        (set.replace("rome", "爱"), &["no word of a group", "爱"][..]),
        (set.replace("[MASK]", "word"), &["0 masks"][..]),
        (set.replace("{}", "it"), &["0 places for a group"]),
        ("{\"name\": 1}".to_owned(), &["sets.jsonl:1"]),
        (String::new(), &["sets.jsonl holds no sets"]),
        ("\0".to_owned(), &["NUL"]),
    ] {
        std::fs::write(&file, content).unwrap();
        run(&model, &["--templates", path]).fails(parts);
    }
    run(&model, &["--templates", "no/such/file"]).fails(&["cannot open no/such/file"]);
    run(&model, &["爱 is [MASK]", "国 is [MASK]"]).fails(&["the same tokens"]);
    run(&Tiny::new("BertForQuestionAnswering"), &[]).fails(&["masked language model"]);
}

#[test]
fn pairs_of_both_forms() {
    let model = Tiny::new("BertForMaskedLM");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crows.csv");
    std::fs::write(&file, ",sent_more,sent_less,bias_type\n0,the door opened,the room opened,x\n").unwrap();
    let json = run(&model, &["--pairs", file.to_str().unwrap(), "--json"]).json();
    assert_eq!(json["pairs"], 1);
    assert!(json["note"].as_str().unwrap().contains("Blodgett"));
    let pro = folder.path().join("pro_stereotyped_type1.txt.test");
    std::fs::write(&pro, "1 [The door] opened as [he] ran.\n").unwrap();
    run(&model, &["--pairs", pro.to_str().unwrap()]).fails(&["anti_stereotyped_type1.txt.test"]);
    std::fs::write(
        folder.path().join("anti_stereotyped_type1.txt.test"),
        "1 [The door] opened as [she] ran.\n",
    )
    .unwrap();
    assert!(run(&model, &["--pairs", pro.to_str().unwrap()]).ok().contains("1 pairs"));
}

/// As PyTorch has them for the embedded model, each shared token masked in turn.
#[cfg(feature = "embedded-model")]
#[test]
fn scores_of_pairs_are_those_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("crows.csv");
    std::fs::write(
        &file,
        "sent_more,sent_less\nThe poor man stole the bread.,The rich man stole the bread.\n",
    )
    .unwrap();
    let json = bert(["bias", "--device", "cpu", "--pairs", file.to_str().unwrap(), "--json"]).json();
    let pair = &json["strongest"][0];
    for (field, expected) in [("more_score", -17.655705), ("less_score", -18.563474)] {
        let found = pair[field].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-3, "{field}: {found}");
    }
}
