use std::io::Read;

use proptest::prelude::*;

use super::*;

type Found = Vec<Result<(u64, Vec<String>), u64>>;

fn read(file: &[u8], dialect: Dialect, limit: usize) -> Found {
    let source: Source = Box::new(io::Cursor::new(file.to_vec()));
    let mut records = Delimited::new(source, dialect).with_limit(limit);
    let mut found = vec![];
    while let Some(record) = records.next_record().unwrap() {
        let text = |field: &Vec<u8>| String::from_utf8_lossy(field).into_owned();
        let record = record.map(|record| (record.line, record.fields.iter().map(text).collect()));
        found.push(record.map_err(Broken::line));
    }
    found
}

fn csv(file: &str) -> Found {
    read(file.as_bytes(), Dialect::default(), 1 << 20)
}

fn row(line: u64, fields: &[&str]) -> Result<(u64, Vec<String>), u64> {
    Ok((line, fields.iter().map(ToString::to_string).collect()))
}

#[test]
fn lines_are_counted_however_they_end() {
    for end in ["\n", "\r\n", "\r"] {
        let file = ["\u{feff}a,b", "", "\"x", "", "y\",1", "", "z,", "\"q\"\"\" ,2"].join(end);
        let inside = format!("x{end}{end}y");
        let expected =
            [row(1, &["a", "b"]), row(3, &[&inside, "1"]), row(7, &["z", ""]), row(8, &["q\" ", "2"])];
        assert_eq!(csv(&file), expected, "{end:?}");
        assert_eq!(csv(&(file + end)), expected, "{end:?}");
    }
    // A stray return is data where lines end otherwise.
    assert_eq!(csv("a,b\nx\ry,1\n"), [row(1, &["a", "b"]), row(2, &["x\ry", "1"])]);
    for empty in ["", "\u{feff}", "\n", "\r\n\r\n"] {
        assert_eq!(csv(empty), [], "{empty:?}");
    }
}

#[test]
fn a_quote_that_is_never_closed_is_told_where_it_opens() {
    assert_eq!(csv("a,b\n\"open,1\nx,2\n"), [row(1, &["a", "b"]), Err(2), row(3, &["x", "2"])]);
    // In a later line of a record whose first quote is closed.
    assert_eq!(csv("\"a\nb\",\"c\nd,e\n"), [Err(2), row(3, &["d", "e"])]);
    assert_eq!(csv("\"").len(), 1);
    assert_eq!(csv("a\"b,\"c\"d\"\n"), [row(1, &["a\"b", "cd\""])]);
    // Not further than the longest record.
    let found =
        read(format!("\"{}\n{}\nx\n", "a".repeat(60), "b".repeat(60)).as_bytes(), Dialect::default(), 100);
    assert_eq!((found.len(), &found[0], &found[2]), (3, &Err(1), &row(3, &["x"])));
}

#[test]
fn long_lines_are_passed_over() {
    let file = format!("a\n{}\nb\n", "x".repeat(200));
    assert_eq!(read(file.as_bytes(), Dialect::default(), 100), [row(1, &["a"]), Err(2), row(3, &["b"])]);
    let endless = io::BufReader::new(io::repeat(b'x').take(1 << 24));
    let mut records = Delimited::new(Box::new(endless), Dialect::default()).with_limit(100);
    assert_eq!(records.next_record().unwrap(), Some(Err(Broken::TooLong { line: 1, limit: 100 })));
}

#[test]
fn tabs_need_no_quotes() {
    let found = read(b"a\t\"b\nc\td\"\n", Dialect::TSV, 100);
    assert_eq!(found, [row(1, &["a", "\"b"]), row(2, &["c", "d\""])]);
}

proptest! {
    /// What a writer of CSV wrote is read as it was.
    #[test]
    fn records_come_back(
        records in prop::collection::vec(prop::collection::vec("[ab,;\"\r\n é]{0,4}", 1..4), 0..8),
    ) {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(vec![]);
        for record in &records {
            writer.write_record(record).unwrap();
        }
        let file = writer.into_inner().unwrap();
        let found = read(&file, Dialect::default(), 1 << 20);
        let found: Vec<_> = found.into_iter().map(|record| record.unwrap().1).collect();
        prop_assert_eq!(found, records);
    }
}
