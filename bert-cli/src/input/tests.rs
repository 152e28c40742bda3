//! Files of every format, and what is wrong with them.

use super::*;

fn write(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

fn args(path: &Path, column: &[&str]) -> InputArgs {
    let column = column.iter().map(ToString::to_string).collect();
    InputArgs { input: Some(path.to_owned()), column, ..InputArgs::default() }
}

/// Line numbers with texts, or with what is wrong.
fn all(mut inputs: Inputs) -> Vec<(u64, Result<Vec<String>, String>)> {
    let mut found = vec![];
    while let Some(item) = inputs.next().unwrap() {
        let (place, result) = match item {
            Ok(item) => (item.place, Ok(item.texts)),
            Err(bad) => (bad.place, Err(bad.error.to_string())),
        };
        let Place::Line(line) = place else { panic!("{place:?}") };
        found.push((line, result));
    }
    found
}

fn texts(name: &str, content: &[u8], column: &[&str]) -> Vec<(u64, Result<Vec<String>, String>)> {
    let (_folder, path) = write(name, content);
    all(Inputs::texts(&args(&path, column), vec![]).unwrap())
}

fn good(line: u64, text: &str) -> (u64, Result<Vec<String>, String>) {
    (line, Ok(vec![text.to_owned()]))
}

#[test]
fn lines_keep_their_place_whatever_ends_them() {
    let content = b"\xef\xbb\xbfone\r\n\r\n  \nnul \0 inside\nlast \xf0\x9f\x8d\x8b";
    let expected = [good(1, "one"), good(2, ""), good(3, "  "), good(4, "nul \0 inside"), good(5, "last 🍋")];
    assert_eq!(texts("a.txt", content, &[]), expected);
    assert_eq!(texts("a", content, &[]), expected);
    assert_eq!(texts("a.txt", b"", &[]), []);
    assert_eq!(texts("a.txt", b"\n", &[]), [good(1, "")]);
}

#[test]
fn a_bad_line_does_not_stop_the_next() {
    let found = texts("a.txt", b"fine\nb\xffd\nalso fine\n", &[]);
    assert_eq!((&found[0], &found[2]), (&good(1, "fine"), &good(3, "also fine")));
    assert_eq!(found[1].0, 2);
    assert!(found[1].1.as_ref().unwrap_err().contains("UTF-8"), "{found:?}");

    let (_folder, path) = write("a.txt", b"b\xffd\n");
    let lossy = InputArgs { lossy: true, ..args(&path, &[]) };
    assert_eq!(all(Inputs::texts(&lossy, vec![]).unwrap()), [good(1, "b\u{fffd}d")]);
}

#[test]
fn jsonl_takes_strings_and_objects() {
    let content = "\u{feff}\"a\\u0000b\"\n\n{\"text\": \"x\", \"id\": 7}\r\n{\"id\": 7}\n{\"text\": 3}\n[\n";
    let found = texts("a.jsonl", content.as_bytes(), &[]);
    assert_eq!(&found[..2], [good(1, "a\0b"), good(3, "x")]);
    let errors: Vec<_> = found[2..].iter().map(|(line, error)| (*line, error.clone().unwrap_err())).collect();
    assert_eq!(errors.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 5, 6]);
    assert!(errors[0].1.contains("\"text\"") && errors[0].1.contains("\"id\""), "{errors:?}");
    assert!(errors[1].1.contains("number"), "{errors:?}");
    assert!(errors[2].1.contains("JSON"), "{errors:?}");
    assert_eq!(texts("a.ndjson", b"{\"body\": \"x\"}", &["body"]), [good(1, "x")]);
}

#[test]
fn csv_takes_the_named_column() {
    let content = b"\xef\xbb\xbfid,text\r\n1,plain\r\n2,\"two\nlines, \"\"quoted\"\"\"\r\n3\r\n4,\r\n";
    let found = texts("a.csv", content, &[]);
    assert_eq!(found[0], good(2, "plain"));
    assert_eq!(found[1], good(3, "two\nlines, \"quoted\""));
    assert_eq!(found[2].0, 5);
    assert!(found[2].1.is_err());
    assert_eq!(found[3], good(6, ""));
    assert_eq!(texts("a.csv", b"a,b\n1,2\n", &["b"]), [good(2, "2")]);
    assert_eq!(texts("a.csv", b"only\n1\n", &[]), [good(2, "1")]);
    assert_eq!(texts("a.CSV", b"text\nb\xff\nc\n", &[])[1], good(3, "c"));
}

#[test]
fn a_missing_column_lists_what_is_there() {
    for (content, column) in [("a,b\n1,2\n", "c"), ("a,a\n1,2\n", "a")] {
        let (_folder, path) = write("a.csv", content.as_bytes());
        let error = Inputs::texts(&args(&path, &[column]), vec![]).err().unwrap().to_string();
        assert!(error.contains(&format!("{column:?}")), "{error}");
    }
}

#[test]
fn pairs_in_every_format() {
    let names = ["question", "context"];
    let pair = |line, first: &str, second: &str| (line, Ok(vec![first.to_owned(), second.to_owned()]));
    let read = |name, content: &str, column: &[&str]| {
        let (_folder, path) = write(name, content.as_bytes());
        all(Inputs::pairs(&args(&path, column), names, vec![]).unwrap())
    };
    assert_eq!(read("a.txt", "q\tc\n", &[]), [pair(1, "q", "c")]);
    assert!(read("a.txt", "q\n", &[])[0].1.is_err());
    assert!(read("a.txt", "q\tc\td\n", &[])[0].1.is_err());
    assert_eq!(read("a.jsonl", r#"{"context": "c", "question": "q"}"#, &[]), [pair(1, "q", "c")]);
    assert_eq!(read("a.jsonl", r#"["q", "c"]"#, &[]), [pair(1, "q", "c")]);
    assert!(read("a.jsonl", r#""q""#, &[])[0].1.is_err());
    assert_eq!(read("a.csv", "context,id,question\nc,1,q\n", &[]), [pair(2, "q", "c")]);
    assert_eq!(read("a.csv", "x,y\nq,c\n", &["x", "y"]), [pair(2, "q", "c")]);
    assert_eq!(read("a.csv", "x,y\nq,c\n", &["y", "x"]), [pair(2, "c", "q")]);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| Inputs::texts(&args(path, &[]), vec![]).err().unwrap();
    assert!(matches!(open(&folder.path().join("none.txt")), Error::Open { .. }));
    assert!(matches!(open(folder.path()), Error::IsFolder { .. }));
    let (_folder, path) = write("a.txt", b"\xff\xfeh\0i\0");
    assert!(matches!(Inputs::texts(&args(&path, &[]), vec![]).unwrap().next(), Err(Error::Utf16 { .. })));
    assert!(matches!(Inputs::texts(&InputArgs::default(), vec![]), Err(Error::NoText)));
    assert!(matches!(Inputs::texts(&args(&path, &[]), vec!["a".into()]), Err(Error::TwoSources { .. })));
}

#[test]
fn the_end_of_each_item_is_known() {
    let (_folder, path) = write("a.txt", b"one\ntwo\nthree");
    let mut inputs = Inputs::texts(&args(&path, &[]), vec![]).unwrap();
    assert_eq!(inputs.size(), Some(13));
    let mut ends = vec![];
    while let Some(item) = inputs.next().unwrap() {
        ends.push(item.unwrap().end);
    }
    assert_eq!(ends, [4, 8, 13]);
}
