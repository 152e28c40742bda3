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
        json!({"id": one["tokens"][1]["id"], "token": "paris", "range": {"start": 0, "end": 5}})
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

/// A folder with these files.
fn files(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

fn gz(content: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    std::io::Write::write_all(&mut gz, content).unwrap();
    gz.finish().unwrap()
}

#[test]
fn every_format_is_read_by_its_name_compressed_or_not() {
    let model = Tiny::new("BertModel");
    let contents: [(&str, &str); 7] = [
        ("a.txt", "paris\nrome\n"),
        ("a.json", "[\n  \"paris\",\n  {\"text\": \"rome\", \"n\": NaN}\n]\n"),
        ("a.jsonl", "\"paris\"\n{\"text\": \"rome\"}\n"),
        ("a.ndjson", "\u{feff}{\"text\": \"paris\"}\r\n\r\n{\"text\": \"rome\"}"),
        ("a.csv", "id,text\n1,paris\n2,rome\n"),
        ("a.tsv", "id\ttext\n\"1\tparis\n2\trome\n"),
        ("a", "paris\nrome\n"),
    ];
    for (name, content) in contents {
        let zst = ruzstd::encoding::compress_to_vec(
            content.as_bytes(),
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        let (gz_name, zst_name) = (format!("{name}.gz"), format!("{name}.zst"));
        let folder =
            files(&[(name, content.as_bytes()), (&gz_name, &gz(content.as_bytes())), (&zst_name, &zst)]);
        for name in [name, &gz_name, &zst_name] {
            let found = bert(["tokenize", "-m", model.arg(), "--jsonl", "-i", &path(&folder, name)]).jsonl();
            let texts: Vec<_> = found.iter().map(|line| line["text"].as_str().unwrap()).collect();
            assert_eq!(texts, ["paris", "rome"], "{name}");
        }
    }
}

#[test]
fn a_file_of_an_unknown_kind_is_refused_and_not_read_as_lines() {
    let folder = files(&[
        ("a.md", b"text\n"),
        ("a.xlsx", b"PK\x03\x04"),
        ("a.parquet", b"PAR1"),
        ("a.bin", b"\0"),
        ("a.csv.bz2", b"BZh9"),
        ("picture", b"\x89PNG\r\n\x1a\n"),
        ("compressed", &gz(b"text\n")),
        ("compressed.txt", &gz(b"text\n")),
        ("noise", &(0..=255).cycle().take(4000).collect::<Vec<u8>>()),
        ("table.csv", b"PAR1\x15\x04"),
    ]);
    let run = |name: &str, args: &[&str]| bert([&["tokenize", "-i", &path(&folder, name)], args].concat());
    for name in ["a.md", "a.xlsx", "a.parquet", "a.bin"] {
        run(name, &[]).fails(&[
            name,
            "are not read",
            ".txt",
            ".json",
            ".jsonl",
            ".csv",
            ".tsv",
            ".gz",
            ".zst",
        ]);
    }
    run("a.md", &[]).fails(&["--input-format"]);
    run("a.parquet", &[]).fails(&["read_parquet"]);
    run("a.csv.bz2", &[]).fails(&[".bz2", ".gz"]);
    run("picture", &[]).fails(&["a picture, and not text"]);
    run("compressed", &[]).fails(&["compressed with gzip"]);
    run("compressed.txt", &["--lossy"]).fails(&["compressed with gzip"]);
    run("noise", &[]).fails(&["binary, and not text"]);
    run("table.csv", &[]).fails(&["is Parquet"]);
    let model = Tiny::new("BertModel");
    run("a.md", &["-m", model.arg(), "--input-format", "txt"]).ok();
    bert_reading(["tokenize", "-m", model.arg(), "-"], &gz(b"text\n")).fails(&["stdin is compressed"]);
}

#[test]
fn json_that_is_read_as_lines_is_told() {
    let model = Tiny::new("BertModel");
    let run = bert_reading(["tokenize", "-m", model.arg(), "--jsonl", "-"], b"{\"text\": \"paris\"}\n");
    assert!(run.stderr.contains("note: stdin is read as one text a line") && run.stderr.contains("jsonl"));
    let quiet = bert_reading(["tokenize", "-m", model.arg(), "--jsonl", "-"], b"[MASK] is (\"paris\")\n");
    assert_eq!(quiet.stderr, "");
    let said = ["tokenize", "-m", model.arg(), "--jsonl", "--input-format", "txt", "-"];
    assert_eq!(bert_reading(said, b"{\"text\": \"paris\"}\n").stderr, "");
}

#[test]
fn a_wrong_column_is_told_once_and_before_the_model_is_loaded() {
    let many = "{\"body\": \"x\", \"id\": 1}\n".repeat(1000);
    let folder = files(&[
        ("a.jsonl", many.as_bytes()),
        ("a.json", format!("[{}]", many.trim().replace('\n', ",\n")).as_bytes()),
        ("a.csv", b"body,id\nx,1\n"),
        ("a.tsv", b"body\tid\nx\t1\n"),
    ]);
    for name in ["a.jsonl", "a.json", "a.csv", "a.tsv"] {
        let run = |args: &[&str]| {
            bert([&["embed", "-m", "/no/such/model", "-i", &path(&folder, name)], args].concat())
        };
        run(&[]).fails(&["\"text\"", "\"body\" and \"id\"", "--column"]);
        run(&["--column", "none"]).fails(&["\"none\"", "\"body\" and \"id\""]);
        run(&["--column", "body", "--keep", "none", "--jsonl"]).fails(&["\"none\"", "\"body\" and \"id\""]);
    }
    // A field that some lack is told for those alone.
    let model = Tiny::new("BertModel");
    let some = b"{\"body\": 1}\n{\"text\": \"paris\"}";
    let run = bert_reading(["tokenize", "-m", model.arg(), "--jsonl", "--input-format", "jsonl", "-"], some);
    run.reports(&["stdin, line 1: no field \"text\""]);
    assert!(!run.stdout.is_empty());
}

#[test]
fn a_table_without_rows_is_no_error() {
    let model = Tiny::new("BertForMaskedLM");
    let folder =
        files(&[("a.csv", b"text,label\n"), ("a.json", b"[ ]"), ("empty.csv", b""), ("empty.json", b" \n")]);
    let out = path(&folder, "out.json");
    for name in ["a.csv", "a.json"] {
        let args = ["fill-mask", "-m", model.arg(), "-i", &path(&folder, name), "-o", &out];
        assert_eq!(bert(args).ok(), "");
        assert_eq!(fs::read_to_string(&out).unwrap(), "[]\n");
        fs::remove_file(&out).unwrap();
    }
    for name in ["empty.csv", "empty.json"] {
        bert(["fill-mask", "-m", model.arg(), "-i", &path(&folder, name)]).fails(&[name, "holds no text"]);
    }
}

#[test]
fn the_separator_of_a_table_is_recognised_or_said() {
    let model = Tiny::new("BertModel");
    let run = |content: &str, args: &[&str]| {
        let args = [&["tokenize", "-m", model.arg(), "--jsonl", "--input-format", "csv", "-"], args].concat();
        bert_reading(args, content.as_bytes())
    };
    for (content, name) in [("id;text\n1;paris, rome\n", "semicolon"), ("id\ttext\n1\tparis, rome\n", "tab")]
    {
        let run = run(content, &[]);
        assert!(
            run.stderr.contains(&format!("note: stdin: the header shows that a {name}")),
            "{}",
            run.stderr
        );
        assert_eq!(run.jsonl()[0]["text"], "paris, rome");
    }
    for delimiter in ["~", "tab"] {
        let separator = if delimiter == "tab" { "\t" } else { delimiter };
        let content = format!("id{separator}text\n1{separator}\"a{separator}b\"\n");
        let run = run(&content, &["--delimiter", delimiter]);
        assert_eq!((run.stderr.as_str(), run.stdout.is_empty()), ("", false));
        assert_eq!(run.jsonl()[0]["text"], format!("a{separator}b"));
    }
    assert_eq!(run("sep=;\r\nid;text\r\n1;a,b\r\n", &[]).jsonl()[0]["text"], "a,b");
    run("id;text\n1\n", &[]).fails(&["line 2: expected 2 columns", "texts with a semicolon need quotes"]);
    run("text;b\n1;2\n", &["--delimiter", "comma", "--column", "text;b"]).ok();
    run("id;text\n1;2\n", &["--delimiter", ";;"]).fails(&["one ASCII character"]);
    let txt = ["tokenize", "-m", model.arg(), "--delimiter", ";", "-"];
    bert_reading(txt, b"a;b\n").fails(&["--delimiter", "CSV or TSV", "read as txt"]);
}

#[test]
fn errors_name_the_true_line() {
    let model = Tiny::new("BertModel");
    let run = |format: &str, content: &str| {
        let args = ["tokenize", "-m", model.arg(), "--jsonl", "--input-format", format, "-"];
        bert_reading(args, content.as_bytes())
    };
    let quote = run("csv", "id,text\n1,a\n2,\"b\n3,c\n4,d\n");
    quote.reports(&["stdin, line 3: a quote is opened here and never closed"]);
    assert_eq!(quote.stdout.iter().filter(|&&byte| byte == b'\n').count(), 3);
    let returns = run("csv", "id,text\r1,a\r2\r3,c\r");
    returns.reports(&["stdin, line 3: expected 2 columns"]);
    run("json", "[\n{\"text\": \"a\"},\n{\"text\":\n tru}\n]")
        .reports(&["line 3: not valid JSON", "at line 4"]);
    run("json", "[\n\"a\",\n\"b\"").reports(&["line 3: not valid JSON: the array is not closed"]);
    run("jsonl", "\"a\"\n{\"text\": \"\\ud83d\"}\n\"b\"\n").reports(&["line 2", "surrogate"]);
    run("jsonl", "\"a\"\n{\"text\": \"b\", \"text\": \"c\"}\n")
        .reports(&["line 2: more than one field \"text\""]);
}

#[test]
fn what_python_writes_is_read() {
    let model = Tiny::new("BertModel");
    let content = "\u{feff}{\"x\": NaN, \"text\": \"a\u{2028}b\"}\r\n{\"text\": \"c\", \"x\": -Infinity, \"y\": \"\\ud83d\"}\r\n";
    let args = ["tokenize", "-m", model.arg(), "--jsonl", "--input-format", "jsonl", "--keep", "x", "-"];
    let found = bert_reading(args, content.as_bytes()).jsonl();
    assert_eq!((&found[0]["text"], &found[0]["x"]), (&json!("a\u{2028}b"), &json!(null)));
    assert_eq!((&found[1]["line"], &found[1]["text"]), (&json!(2), &json!("c")));
}

#[test]
fn nested_fields_and_several_columns() {
    let model = Tiny::new("BertModel");
    let folder = files(&[
        ("a.json", br#"{"meta": {"text": "paris"}, "turns": [{"text": "rome"}], "empty": ""}"#),
        ("a.csv", b"title,body,n\nparis,rome,1\n,rome,2\n"),
    ]);
    let read = |name: &str, args: &[&str]| {
        let found =
            bert([&["tokenize", "-m", model.arg(), "--jsonl", "-i", &path(&folder, name)], args].concat());
        let text = |line: &serde_json::Value| line["text"].as_str().unwrap().to_owned();
        found.jsonl().iter().map(text).collect::<Vec<_>>()
    };
    assert_eq!(read("a.json", &["--column", "meta.text"]), ["paris"]);
    let columns = ["--column", "turns.0.text", "--column", "empty", "--column", "meta.text"];
    assert_eq!(read("a.json", &columns), ["rome paris"]);
    assert_eq!(read("a.csv", &["--column", "title", "--column", "body"]), ["paris rome", "rome"]);
    assert_eq!(
        read("a.csv", &["--column", "body", "--column", "title", "--join", " | "]),
        ["rome | paris", "rome"]
    );
    let file = path(&folder, "a.csv");
    bert(["next-sentence", "-i", &file, "--column", "title", "--column", "body", "--column", "n"])
        .fails(&["expected 2, found 3"]);
}

#[test]
fn other_columns_travel_along() {
    let model = Tiny::new("BertForSequenceClassification");
    let folder = files(&[
        ("a.csv", "id,text,label,more\n7,paris,x,\"a, \"\"b\"\"\"\n8,rome,y,\n".as_bytes()),
        (
            "a.jsonl",
            br#"{"id": 12345678901234567890, "text": "paris", "more": {"a": [1, 2]}, "label": null}
{"text": "rome", "id": "8", "more": "x"}
"#,
        ),
    ]);
    let run = |name: &str, args: &[&str]| {
        bert([&["classify", "-m", model.arg(), "--top-k", "1", "-i", &path(&folder, name)], args].concat())
    };
    let found = run("a.csv", &["--keep", "more", "--keep", "id", "--jsonl"]).jsonl();
    assert_eq!(
        (&found[0]["id"], &found[0]["more"], &found[0]["line"]),
        (&json!("7"), &json!("a, \"b\""), &json!(2))
    );
    // A name that the results have already.
    let table = run("a.csv", &["--keep", "all", "--csv"]).ok();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows[0], "line,id,input_label,more,text,label,score");
    assert!(
        rows[1].starts_with("2,7,x,\"a, \"\"b\"\"\",paris,") && rows[2].starts_with("3,8,y,,rome,"),
        "{table}"
    );
    let tsv = run("a.csv", &["--keep", "id", "--tsv"]).ok();
    assert!(tsv.starts_with("line\tid\ttext\tlabel\tscore\n2\t7\tparis\t"), "{tsv}");

    let text = run("a.jsonl", &["--keep", "all", "--jsonl"]).ok();
    assert!(
        text.starts_with(
            r#"{"line": 1, "id": 12345678901234567890, "more": {"a": [1, 2]}, "input_label": null, "text""#
        ),
        "{text}"
    );
    assert!(
        text.lines()
            .nth(1)
            .unwrap()
            .starts_with(r#"{"line": 2, "id": "8", "more": "x", "input_label": null, "#),
        "{text}"
    );
    let table = run("a.jsonl", &["--keep", "id", "--keep", "more.a", "--csv"]).ok();
    assert!(
        table.contains("\n1,12345678901234567890,\"[1, 2]\",paris,") && table.contains("\n2,8,,rome,"),
        "{table}"
    );

    run("a.csv", &["--keep", "id"]).fails(&["--keep", "--jsonl"]);
    run("a.jsonl", &["--keep", "ids", "--jsonl"]).fails(&["\"ids\"", "\"id\", \"text\"", "--keep NAME"]);
    // In the results of a search, too.
    let embedder = Tiny::new("BertModel");
    let file = path(&folder, "a.csv");
    let args = ["similarity", "-m", embedder.arg(), "rome", "-i", &file, "--keep", "id", "--jsonl"];
    assert_eq!(bert(args).jsonl()[0]["id"], "8");
    bert(["features", "-m", embedder.arg(), "--word", "rome", "-i", &file, "--keep", "id"])
        .fails(&["--keep"]);
    bert(["summarize", &file, "--keep", "id"]).fails(&["--keep", "one document"]);
    bert(["tokenize", "-i", &file, "--join", "x"]).fails(&["--join", "several columns"]);
    bert(["classify", "--keep", "id", "text"]).fails(&["--keep", "arguments"]);
}

#[test]
fn a_whole_file_is_one_text() {
    let model = Tiny::new("BertModel");
    let folder = files(&[("a.md", b"\xef\xbb\xbfparis\n\nrome\n"), ("a.txt.gz", &gz(b"paris"))]);
    let run = |name: &str| {
        bert(["tokenize", "-m", model.arg(), "--json", "--whole-file", "-i", &path(&folder, name)])
    };
    assert_eq!(run("a.md").json()["text"], "paris\n\nrome\n");
    assert_eq!(run("a.txt.gz").json()["text"], "paris");
    let stdin = bert_reading(["tokenize", "-m", model.arg(), "--json", "--whole-file", "-"], b"a\nb");
    assert_eq!(stdin.json()["text"], "a\nb");
    bert(["next-sentence", "--whole-file", "-i", &path(&folder, "a.md")])
        .fails(&["--whole-file", "several texts"]);
    bert(["tokenize", "--whole-file", "text"]).fails(&["--whole-file", "arguments"]);
}

#[test]
fn a_run_can_be_given_up_after_errors() {
    let model = Tiny::new("BertModel");
    let run = |args: &[&str]| {
        let args =
            [&["tokenize", "-m", model.arg(), "--jsonl", "--input-format", "jsonl", "-"], args].concat();
        bert_reading(args, b"\"a\"\n1\n\"b\"\n2\n\"c\"\n3\n")
    };
    let errors =
        |run: &crate::common::Run| run.stderr.lines().filter(|line| line.contains("found a number")).count();
    for (args, count) in [
        (&["--fail-fast"][..], 1),
        (&["--max-errors", "0"], 1),
        (&["--max-errors", "1"], 2),
        (&["--max-errors", "3"], 3),
        (&[], 3),
    ] {
        let run = run(args);
        assert_eq!((run.code, errors(&run)), (Some(2), count), "{args:?}: {}", run.stderr);
        let given_up = run.stderr.contains("given up");
        assert_eq!(given_up, count < 3, "{args:?}: {}", run.stderr);
    }
    run(&["--fail-fast", "--max-errors", "1"]).fails(&["cannot be used with"]);
}
