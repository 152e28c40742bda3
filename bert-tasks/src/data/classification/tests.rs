use super::super::DataError;
use super::*;

fn read_text(name: &str, text: &str, options: &Options) -> Result<Vec<Example>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    read(&path, options)?.collect()
}

#[test]
fn the_columns_of_known_data_sets() {
    for (file, text, second) in [
        ("sentence\tlabel\na\tx\n", "a", None),
        ("index\tquestion\tsentence\tlabel\n0\ta\tb\tx\n", "a", Some("b")),
        ("index\tsentence1\tsentence2\tlabel\n0\ta\tb\tx\n", "a", Some("b")),
        ("premise\thypothesis\tlabel\na\tb\tx\n", "a", Some("b")),
        ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta\tb\tx\n", "a", Some("b")),
        ("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\nx\t1\t2\ta\tb\n", "a", Some("b")),
        ("label\ttext\nx\ta\n", "a", None),
    ] {
        let examples = read_text("train.tsv", file, &Options::default()).unwrap();
        assert_eq!((examples[0].text.as_str(), examples[0].second.as_deref()), (text, second), "{file}");
        assert_eq!(examples[0].label, Label::One("x".into()));
    }
    let one = Options { text: Some("question".into()), ..Options::default() };
    let examples = read_text("train.tsv", "question\tsentence\tlabel\na\tb\tx\n", &one).unwrap();
    assert_eq!(examples[0].second, None);
}

#[test]
fn many_labels() {
    let options = Options { problem: Some(ProblemType::MultiLabelClassification), ..Options::default() };
    let many = |file: &str, name| -> Result<Vec<String>> {
        Ok(read_text(name, file, &options)?[0].label.names().to_vec())
    };
    for labels in ["joy|fear", " joy | fear |joy", "\"[\"\"joy\"\", \"\"fear\"\"]\""] {
        assert_eq!(many(&format!("text,labels\na,{labels}\n"), "x.csv").unwrap(), ["joy", "fear"]);
    }
    assert!(many("text,labels\na,\n", "x.csv").unwrap().is_empty());
    let json = |labels: &str| many(&format!(r#"{{"text": "a", "labels": {labels}}}"#), "x.jsonl");
    assert_eq!(json(r#"["joy", 3, "joy"]"#).unwrap(), ["joy", "3"]);
    assert!(json("[]").unwrap().is_empty());
    for wrong in ["[[]]", "{}", "null", "[\"\"]", "\"[1\""] {
        let error = json(wrong).unwrap_err();
        assert!(matches!(&error, DataError::Field { field: "label", .. }), "{wrong}: {error}");
    }
}

#[test]
fn scores() {
    let options = Options { problem: Some(ProblemType::Regression), ..Options::default() };
    let file = "sentence1,sentence2,score\na,b,4.5\n";
    assert_eq!(read_text("x.csv", file, &options).unwrap()[0].label, Label::Score(4.5));
    for bad in ["", "inf", "nan", "four"] {
        let error = read_text("x.csv", &format!("text,score\na,{bad}\n"), &options).unwrap_err().to_string();
        assert!(error.contains("x.csv:2: the score is") && error.contains("a number"), "{error}");
    }
}

#[test]
fn labels_that_are_missing_or_unknown_are_errors() {
    let error = read_text("x.csv", "text,label\na, \n", &Options::default()).unwrap_err().to_string();
    assert!(error.contains("x.csv:2: the label is"), "{error}");
    let examples = read_text("x.csv", "text,label\na,2\nb,1\n", &Options::default()).unwrap();
    let labels = LabelSet::new(["1", "0"]).unwrap();
    assert_eq!(examples[1].targets(&labels).unwrap(), [0]);
    let error = examples[0].targets(&labels).unwrap_err().to_string();
    assert!(error.contains("x.csv:2: unknown label \"2\"; the known ones are 1, 0"), "{error}");
}
