//! Where texts come from: arguments, lines, JSONL, CSV; and what is wrong with them.

use std::fs;

use crate::common::{Tiny, bert, bert_reading};
use serde_json::json;

fn tokens(value: &serde_json::Value) -> Vec<&str> {
    value["tokens"].as_array().unwrap().iter().map(|token| token["token"].as_str().unwrap()).collect()
}

#[test]
fn one_text_is_an_object_and_several_are_an_array() {
    let model = Tiny::new("BertModel");
    let one = bert(["tokenize", "-m", model.arg(), "--json", "Paris!"]).json();
    assert_eq!(tokens(&one), ["[CLS]", "paris", "!", "[SEP]"]);
    assert_eq!(
        one["tokens"][1],
        json!({"id": one["tokens"][1]["id"], "token": "paris", "start": 0, "end": 5})
    );
    let two = bert(["tokenize", "-m", model.arg(), "--json", "paris", "rome"]).json();
    assert_eq!(two.as_array().unwrap().len(), 2);
    assert_eq!(tokens(&two[1]), ["[CLS]", "rome", "[SEP]"]);
}

#[test]
fn the_formats_hold_the_same() {
    let model = Tiny::new("BertModel");
    let run = |format| bert(["tokenize", "-m", model.arg(), "--no-special", format, "paris, rome", "a"]);
    let json = run("--json").json();
    assert_eq!(json.as_array().unwrap(), &run("--jsonl").jsonl());
    let csv = run("--csv").ok();
    let ids: Vec<_> = (0..3).map(|i| json[0]["tokens"][i]["id"].to_string()).collect();
    let id = json[1]["tokens"][0]["id"].to_string();
    let expected = format!(
        "id,token,start,end\n{},paris,0,5\n{},\",\",5,6\n{},rome,7,11\n{id},a,0,1\n",
        ids[0], ids[1], ids[2]
    );
    assert_eq!(csv, expected);
}

#[test]
fn lines_of_stdin_keep_their_numbers() {
    let model = Tiny::new("BertModel");
    let input = "\u{feff}paris\r\n\r\nrome \0\n🍋";
    let found = bert_reading(["tokenize", "-m", model.arg(), "--jsonl", "-"], input.as_bytes()).jsonl();
    let texts: Vec<_> =
        found.iter().map(|line| (line["line"].as_u64().unwrap(), line["text"].as_str().unwrap())).collect();
    assert_eq!(texts, [(1, "paris"), (2, ""), (3, "rome \0"), (4, "🍋")]);
    assert_eq!(tokens(&found[1]), ["[CLS]", "[SEP]"]);
    let same = bert_reading(["tokenize", "-m", model.arg(), "--jsonl", "--input", "-"], input.as_bytes());
    assert_eq!(same.jsonl(), found);
}

#[test]
fn files_are_read_as_their_names_say() {
    let model = Tiny::new("BertModel");
    let folder = tempfile::tempdir().unwrap();
    for (name, content, column) in [
        ("a.txt", "paris\nrome\n", None),
        ("a.jsonl", "\"paris\"\n{\"text\": \"rome\"}\n", None),
        ("a.csv", "id,text\n1,paris\n2,rome\n", None),
        ("b.csv", "id,city\n1,paris\n2,rome\n", Some("city")),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let mut args = vec!["tokenize", "-m", model.arg(), "--jsonl", "--input", path.to_str().unwrap()];
        args.extend(column.iter().flat_map(|column| ["--column", column]));
        let found = bert(args).jsonl();
        let texts: Vec<_> = found.iter().map(|line| line["text"].as_str().unwrap()).collect();
        assert_eq!(texts, ["paris", "rome"], "{name}");
    }
    let csv = b"text\nparis\n";
    let found = bert_reading(["tokenize", "-m", model.arg(), "--jsonl", "--input-format", "csv", "-"], csv);
    assert_eq!(found.jsonl()[0]["line"], 2);
}

#[test]
fn no_text_says_how_to_give_one() {
    bert(["tokenize"]).fails(&["no text given", "--input FILE"]);
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.txt");
    fs::write(&empty, "").unwrap();
    let model = Tiny::new("BertModel");
    bert_reading(["tokenize", "-m", model.arg(), "-"], b"").fails(&["stdin holds no text"]);
    bert(["tokenize", "-m", model.arg(), "-i", empty.to_str().unwrap()]).fails(&["empty.txt holds no text"]);
    bert(["tokenize", "-i", empty.to_str().unwrap(), "text"]).fails(&["arguments", "--input", "choose one"]);
}

#[test]
fn invalid_utf8_is_reported_with_its_line_unless_lossy() {
    let model = Tiny::new("BertModel");
    let run = bert_reading(["tokenize", "-m", model.arg(), "--jsonl", "-"], b"paris\nr\xffme\nrome\n");
    run.reports(&["stdin, line 2", "UTF-8 (byte 2 of the text)", "--lossy"]);
    assert_eq!(run.stdout.iter().filter(|&&byte| byte == b'\n').count(), 2);
    let lossy = bert_reading(["tokenize", "-m", model.arg(), "--jsonl", "--lossy", "-"], b"r\xffme\n");
    assert_eq!(lossy.jsonl()[0]["text"], "r\u{fffd}me");
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_no_utf8_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    bert([std::ffi::OsStr::new("tokenize"), std::ffi::OsStr::from_bytes(b"r\xffme")]).fails(&["UTF-8"]);
}

#[test]
fn utf16_is_recognised() {
    let model = Tiny::new("BertModel");
    bert_reading(["tokenize", "-m", model.arg(), "-"], b"\xff\xfep\0a\0")
        .fails(&["stdin is UTF-16", "UTF-8"]);
}

#[test]
fn broken_jsonl_and_csv_name_the_line_and_what_is_there() {
    let model = Tiny::new("BertModel");
    let run = |format, input: &str| {
        bert_reading(
            ["tokenize", "-m", model.arg(), "--jsonl", "--input-format", format, "-"],
            input.as_bytes(),
        )
    };
    run("jsonl", "{\"text\": \"a\"").fails(&["stdin, line 1", "not valid JSON"]);
    run("jsonl", "{\"body\": \"a\"}").fails(&["line 1", "no field \"text\"", "\"body\"", "--column"]);
    run("jsonl", "7").fails(&["line 1", "expected a string", "found a number"]);
    run("csv", "id,body\n1,a\n").fails(&["no column \"text\"", "\"id\" and \"body\"", "--column"]);
    run("csv", "id,text\n1,a,b\n").fails(&["line 2", "expected 2 columns", "found 3"]);
    let several = run("jsonl", "1\n2\n\"paris\"\n");
    assert_eq!((several.code, several.stdout.is_empty()), (Some(2), false));
    assert!(several.stderr.contains("2 of 3 texts have no answer"), "{}", several.stderr);
}

#[test]
fn files_that_are_none_say_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let missing = folder.path().join("missing.txt");
    bert(["tokenize", "-i", missing.to_str().unwrap()]).fails(&[
        "cannot open",
        "missing.txt",
        "No such file",
    ]);
    bert(["tokenize", "-i", path]).fails(&[path, "is a folder"]);
}

#[cfg(unix)]
#[test]
fn a_file_without_permission_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.txt");
    fs::write(&path, "text\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        eprintln!("SKIPPED a_file_without_permission_is_an_error: this user may read everything");
        return;
    }
    bert(["tokenize", "-i", path.to_str().unwrap()]).fails(&[
        "cannot open",
        "secret.txt",
        "Permission denied",
    ]);
}

#[test]
fn a_line_of_a_megabyte_is_a_text() {
    let model = Tiny::new("BertModel");
    let line = format!("{} ", "🍋".repeat(24)).repeat(10_400);
    assert!(line.len() > 1_000_000);
    let found = bert_reading(["tokenize", "-m", model.arg(), "--jsonl", "-"], line.as_bytes()).jsonl();
    assert_eq!(found[0]["tokens"].as_array().unwrap().len(), 10_402);
    let word = "x".repeat(1_000_000);
    let found = bert_reading(["tokenize", "-m", model.arg(), "--jsonl", "-"], word.as_bytes()).jsonl();
    assert_eq!(tokens(&found[0]), ["[CLS]", "[UNK]", "[SEP]"]);
}

#[test]
fn pairs_need_two_texts() {
    let model = Tiny::new("BertForNextSentencePrediction");
    let run = |args: &[&str]| bert([&["next-sentence", "-m", model.arg()], args].concat());
    run(&["one"]).fails(&["expected two texts, first and second; found 1"]);
    let lines = bert_reading(["next-sentence", "-m", model.arg(), "--jsonl", "-"], b"a\tb\nno tab\nc\td\n");
    lines.reports(&["stdin, line 2", "\"first\" and \"second\" separated by tabs, found 1"]);
    assert_eq!(lines.stdout.iter().filter(|&&byte| byte == b'\n').count(), 2);
    run(&["--column", "a", "--input-format", "csv", "-"]).fails(&["expected 2, found 1"]);
}
