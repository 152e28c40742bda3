use proptest::prelude::*;

use super::*;

/// `document:line text` of each paragraph.
fn read(files: &[(&str, &[u8])], options: &Options) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = |(name, bytes): &(&str, &[u8])| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let files: Vec<_> = files.iter().map(path).collect();
    paragraphs(files, options)
        .map(|paragraph| paragraph.map(|p| format!("{}:{} {}", p.document, p.place.line, p.text)))
        .collect()
}

#[test]
fn blank_lines_and_files_end_documents() {
    let one = b"\n\n a \r\nb\n \t\n\nc\n";
    let found = read(&[("1.txt", one), ("0.text", b"d"), ("2.txt", b"")], &Options::default()).unwrap();
    assert_eq!(found, ["0:3 a", "0:4 b", "1:7 c", "2:1 d"]);
    let each = Options { document_per_line: true, ..Options::default() };
    assert_eq!(read(&[("1.txt", b"a\nb\n\nc\n")], &each).unwrap(), ["0:1 a", "1:2 b", "2:4 c"]);
    assert!(paragraphs::<&str>([], &each).next().is_none());
}

#[test]
fn an_object_is_a_document() {
    let file = br#"{"text": "a\n\n b\r\nc"}
{"text": ""}

{"text": "d", "id": 1}"#;
    assert_eq!(
        read(&[("x.jsonl", file)], &Options::default()).unwrap(),
        ["0:1 a", "0:1 b", "0:1 c", "1:4 d"]
    );
    let body = Options { field: "body".into(), ..Options::default() };
    let error = read(&[("x.jsonl", file)], &body).unwrap_err().to_string();
    assert!(error.contains("x.jsonl:1: ") && error.contains("\"body\""), "{error}");
    assert!(matches!(read(&[("x.jsonl", b"a")], &body), Err(DataError::Json { .. })));
}

#[test]
fn damage_is_an_error_or_replaced() {
    let files = [("a.txt", &b"good\n"[..]), ("b.txt", b"x\n\0bad\xff\n")];
    let error = read(&files, &Options::default()).unwrap_err();
    assert!(matches!(&error, DataError::NotText { place, .. } if place.line == 2), "{error}");
    let replace = Options { damaged: Damaged::Replace, ..Options::default() };
    assert_eq!(read(&files, &replace).unwrap()[2], "1:2 \u{fffd}bad\u{fffd}");
    let short = Options { max_line: 3, ..Options::default() };
    assert!(matches!(read(&files, &short), Err(DataError::TooLong { .. })));
}

#[test]
fn a_missing_file_ends_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = paragraphs([folder.path().join("none.txt")], &Options::default());
    assert!(matches!(found.next(), Some(Err(DataError::Open { .. }))));
    assert!(found.next().is_none());
    // A folder can be opened, but not be read.
    assert!(paragraphs([folder.path()], &Options::default()).next().unwrap().is_err());
}

proptest! {
    #[test]
    fn any_bytes_give_text_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), json: bool) {
        let name = if json { "x.jsonl" } else { "x.txt" };
        let _ = read(&[(name, &bytes)], &Options::default());
        let replace = Options { damaged: Damaged::Replace, ..Options::default() };
        let found = read(&[("x.txt", &bytes)], &replace);
        if !bytes.starts_with(&[0xff, 0xfe]) && !bytes.starts_with(&[0xfe, 0xff]) {
            prop_assert!(found.unwrap().iter().all(|text| !text.contains(['\n', '\0'])));
        }
    }
}
