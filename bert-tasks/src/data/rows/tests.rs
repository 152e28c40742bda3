use proptest::prelude::*;

use super::*;

fn rows_of(name: &str, bytes: &[u8], reading: &Reading, wanted: Vec<Wanted>) -> Result<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let count = wanted.len();
    let rows = Rows::open(&path, reading, wanted)?;
    rows.map(|row| {
        let mut row = row?;
        let fields: Result<Vec<_>> =
            (0..count).map(|at| Ok(row.optional_text(at, "field")?.unwrap_or_else(|| "-".into()))).collect();
        Ok(format!("{}:{}", row.place.line, fields?.join("|")))
    })
    .collect()
}

fn wanted(text: Option<&str>, label: Option<&str>) -> Vec<Wanted> {
    let [text, label] = [text, label].map(|given| given.map(str::to_owned));
    vec![
        Wanted::required("text", &["sentence", "text"], &text),
        Wanted::required("label", &["label"], &label),
        Wanted::optional("second", &["second"], &None),
    ]
}

fn rows(name: &str, file: &str) -> Result<Vec<String>> {
    rows_of(name, file.as_bytes(), &Reading::default(), wanted(None, None))
}

#[test]
fn columns_are_found_by_name_in_any_order() {
    assert_eq!(
        rows("x.csv", "id,Label,TEXT\n1,a,x\n2,b,\"y, \"\"z\"\"\nw\"\n3,c,v").unwrap(),
        ["2:x|a|-", "3:y, \"z\"\nw|b|-", "5:v|c|-"]
    );
    assert_eq!(rows("x.tsv", "\u{feff}label\tsecond\ttext\n\na\tb\t\"x\r\n").unwrap(), ["3:\"x|a|b"]);
    assert_eq!(rows("x.csv", "\u{feff}label,text\na,x\n").unwrap(), ["2:x|a|-"]);
    assert_eq!(rows("x.csv", "text,sentence,label\nx,y,a\n").unwrap(), ["2:y|a|-"]);
    assert_eq!(
        rows(
            "x.jsonl",
            "{\"text\": \"x\", \"label\": 1, \"weight\": NaN}\n\n{\"label\": true, \"text\": \"y\", \"second\": null}\n"
        )
        .unwrap(),
        ["1:x|1|-", "3:y|true|-"]
    );
}

#[test]
fn tables_without_a_header_need_numbers() {
    let numbers = || wanted(Some("2"), Some("1"));
    let read = |file: &str, wanted| rows_of("x.tsv", file.as_bytes(), &Reading::default(), wanted);
    assert_eq!(read("a\tx\nb\ty\n", numbers()).unwrap(), ["1:x|a|-", "2:y|b|-"]);
    assert_eq!(read("label\ttext\nb\ty\n", numbers()).unwrap(), ["2:y|b|-"]);
    assert_eq!(read("label\tx\nb\ty\n", numbers()).unwrap(), ["1:x|label|-", "2:y|b|-"]);
    let error = read("a\tx\n", wanted(None, None)).unwrap_err().to_string();
    assert!(error.contains("x.tsv:1: no column for the text: looked for sentence, text"), "{error}");
    assert!(error.contains("found \"a\", \"x\"") && error.contains("by its number"), "{error}");
    for beyond in ["3", "0", "-1", "one"] {
        let error = read("a\tx\n", wanted(Some(beyond), Some("1"))).unwrap_err();
        assert!(matches!(error, DataError::NoColumn { role: "text", .. }), "{error}");
    }
    let said = |header| Reading { header: Some(header), format: None };
    let given = || wanted(Some("1"), Some("2"));
    assert_eq!(rows_of("x.csv", b"text,label\nx,a\n", &said(false), given()).unwrap()[0], "1:text|label|-");
    assert_eq!(rows_of("x.csv", b"p,q\nx,a\n", &said(true), given()).unwrap(), ["2:x|a|-"]);
    // A column may serve twice if both times it is asked for.
    assert_eq!(read("a\tx\n", wanted(Some("1"), Some("1"))).unwrap(), ["1:a|a|-"]);
}

#[test]
fn a_label_before_a_text() {
    let reading = Reading { format: Some(Format::LabelFirst), header: None };
    let file = "1 a fine film\n0 \n2\r\n\n3\ttabs  too \n";
    let read = rows_of("stsa.binary.dev", file.as_bytes(), &reading, wanted(None, None)).unwrap();
    assert_eq!(read, ["1:a fine film|1|-", "2:|0|-", "3:|2|-", "5:tabs  too|3|-"]);
}

#[test]
fn files_without_rows_have_none() {
    for name in ["x.csv", "x.tsv", "x.jsonl"] {
        for file in ["", "\n\n", "\u{feff}"] {
            assert!(rows(name, file).unwrap().is_empty(), "{name} {file:?}");
        }
    }
    assert!(rows("x.csv", "text,label\n").unwrap().is_empty());
    assert!(rows("x.tsv", "text\tlabel").unwrap().is_empty());
}

#[test]
fn what_is_no_row_is_an_error_with_its_line() {
    for (name, file, wrong, line) in [
        ("x.csv", &b"text,label\nx,a\nx,a,b\n"[..], "3 fields where the table has 2", 3),
        ("x.tsv", b"text\tlabel\nx\n", "1 fields where the table has 2", 2),
        ("x.csv", b"text,label\nx,a\nx,\xff\n", "UTF-8", 3),
        ("x.csv", b"text,label\nx,a\0\n", "NUL", 2),
        ("x.csv", b"text,label\rx,a\r\"x,a\ry,b\r", "a quote is opened here", 3),
        ("x.tsv", b"text\tlabel\nx\ta\0\n", "NUL", 2),
        ("x.tsv", b"\xff\xfet\0e\0", "UTF-16", 1),
        ("x.jsonl", b"{\"text\": \"x\", \"label\": 1}\n{\"text\": \"x\"}\n", "no column for the label", 2),
        ("x.jsonl", b"{\"text\": \"x\", \"label\": 1}\n[1]\n", "JSON", 2),
        ("x.jsonl", b"{\"text\": [\"x\"], \"label\": 1}\n", "the field is [\"x\"]; it must be a text", 1),
    ] {
        let error = rows_of(name, file, &Reading::default(), wanted(None, None)).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains(&format!("{name}:{line}: ")), "{error}");
    }
    assert!(matches!(rows("x.data", ""), Err(DataError::UnknownFormat { .. })));
    assert!(matches!(rows("x.csv.xz", ""), Err(DataError::Compression { .. })));
    let nowhere = Rows::open(Path::new("/no/such.csv"), &Reading::default(), vec![]);
    assert!(matches!(nowhere, Err(DataError::Open { .. })));
}

#[test]
fn lines_are_counted_however_they_end() {
    for end in ["\n", "\r\n"] {
        let file = ["text,label", "", "a,1", "", "", "\"b", "c\",2", "d,3"].join(end);
        let reading = Reading { format: None, header: None };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, file).unwrap();
        let rows = Rows::open(&path, &reading, wanted(None, None)).unwrap();
        assert_eq!(rows.map(|row| row.unwrap().place.line).collect::<Vec<_>>(), [3, 6, 8]);
    }
}

#[test]
fn a_quote_that_is_never_closed_ends_at_the_limit() {
    let mut file = b"text,label\nx,\"a".to_vec();
    file.resize(crate::data::MAX_RECORD + (1 << 20), b'.');
    let error = rows_of("x.csv", &file, &Reading::default(), wanted(None, None)).unwrap_err();
    assert!(matches!(&error, DataError::TooLong { place, .. } if place.line == 2), "{error}");
}

#[test]
fn compressed_files_are_read_by_their_inner_name() {
    use std::io::Write;
    let mut gz = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    gz.write_all(b"text,label\n").unwrap();
    let mut bytes = gz.finish().unwrap();
    // Members of a .gz file follow one another.
    let mut gz = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    gz.write_all(b"x,a\n").unwrap();
    bytes.extend(gz.finish().unwrap());
    let read = |bytes: &[u8]| rows_of("x.csv.gz", bytes, &Reading::default(), wanted(None, None));
    assert_eq!(read(&bytes).unwrap(), ["2:x|a|-"]);
    assert!(matches!(read(&bytes[..bytes.len() - 3]), Err(DataError::Read { .. })));
    assert!(matches!(read(b"text,label\n"), Err(DataError::Read { .. })));
    assert!(matches!(read(b""), Err(DataError::Read { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_bytes_give_rows_or_an_error(
        noise in prop::collection::vec(any::<u8>(), 0..60),
        text in "(text|label|\"|,|\t|\n|\r\n|\\{|\\}|:|a| ){0,30}",
    ) {
        for name in ["x.csv", "x.tsv", "x.jsonl", "x.csv.gz", "x.csv.zst"] {
            for header in ["", "text,label\n", "text\tlabel\n"] {
                for rest in [&noise[..], text.as_bytes()] {
                    let file = [header.as_bytes(), rest].concat();
                    let _ = rows_of(name, &file, &Reading::default(), wanted(None, None));
                    let _ = rows_of(name, &file, &Reading::default(), wanted(Some("1"), Some("2")));
                }
            }
        }
    }
}
