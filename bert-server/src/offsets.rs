//! Places in a text, in the units that a client counts in. The library counts bytes of UTF-8.

use serde::Deserialize;
use serde_json::{Value, json};

/// What places in a text count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offsets {
    /// Bytes of UTF-8, as in Rust, Go and C.
    #[default]
    Bytes,
    /// Code points, as in Python.
    Chars,
    /// Units of UTF-16, as in JavaScript, Java and C#.
    Utf16,
}

/// Converts places of one text. Rising places cost one pass over it.
pub struct Converter<'a> {
    text: &'a str,
    unit: Offsets,
    /// A place whose count is known: bytes, units.
    known: (usize, usize),
}

impl<'a> Converter<'a> {
    pub fn new(text: &'a str, unit: Offsets) -> Self {
        Self { text, unit, known: (0, 0) }
    }

    /// The units before a byte. A place inside of a character counts as its beginning, one beyond the text as its end.
    pub fn convert(&mut self, byte: usize) -> usize {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        if byte < self.known.0 {
            self.known = (0, 0);
        }
        let between = &self.text[self.known.0..byte];
        let units = match self.unit {
            Offsets::Bytes => between.len(),
            Offsets::Chars => between.chars().count(),
            Offsets::Utf16 => between.encode_utf16().count(),
        };
        self.known = (byte, self.known.1 + units);
        self.known.1
    }
}

/// Converts every place of a record. `texts` are those of the request: places called `range` are in `main`, or in the text
/// whose index stands beside them as `text`; those called `truncated` are in the first text, or in each where there is a
/// list of them.
pub fn convert_record(record: &mut Value, main: &str, texts: &[&str], unit: Offsets) {
    if unit != Offsets::Bytes {
        let mut others: Vec<_> = texts.iter().map(|text| Converter::new(text, unit)).collect();
        convert_ranges(record, &mut Converter::new(main, unit), &mut others);
        if let Some(truncated) = record.get_mut("truncated") {
            convert_truncated(truncated, texts, unit);
        }
    }
}

fn convert_ranges(value: &mut Value, main: &mut Converter<'_>, others: &mut [Converter<'_>]) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| convert_ranges(value, main, others)),
        Value::Object(object) => {
            let text = object.get("text").and_then(Value::as_u64);
            for (key, value) in object {
                match key.as_str() {
                    "range" => match text.and_then(|index| others.get_mut(index as usize)) {
                        Some(own) => convert_range(value, own),
                        None => convert_range(value, main),
                    },
                    "truncated" => (),
                    _ => convert_ranges(value, main, others),
                }
            }
        }
        _ => (),
    }
}

fn convert_range(range: &mut Value, converter: &mut Converter<'_>) {
    for end in ["start", "end"] {
        if let Some(byte) = range.get(end).and_then(Value::as_u64) {
            range[end] = json!(converter.convert(byte as usize));
        }
    }
}

fn convert_truncated(truncated: &mut Value, texts: &[&str], unit: Offsets) {
    match truncated {
        Value::Array(list) => {
            for (index, value) in list.iter_mut().enumerate() {
                match value {
                    // Of a prompt and its choices: the two texts of each sequence.
                    Value::Array(pair) => {
                        let own = [texts.first(), texts.get(index + 1)];
                        for (value, text) in pair.iter_mut().zip(own) {
                            convert_range(
                                value,
                                &mut Converter::new(text.copied().unwrap_or_default(), unit),
                            );
                        }
                    }
                    value => {
                        let text = texts.get(index).copied().unwrap_or_default();
                        convert_range(value, &mut Converter::new(text, unit));
                    }
                }
            }
        }
        value => {
            convert_range(value, &mut Converter::new(texts.first().copied().unwrap_or_default(), unit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_each_unit() {
        let text = "aé😀z";
        let at = |unit, byte| Converter::new(text, unit).convert(byte);
        for (byte, chars, utf16) in [(0, 0, 0), (1, 1, 1), (3, 2, 2), (7, 3, 4), (8, 4, 5), (99, 4, 5)] {
            assert_eq!((at(Offsets::Chars, byte), at(Offsets::Utf16, byte)), (chars, utf16));
            assert_eq!(at(Offsets::Bytes, byte), byte.min(8));
        }
        // Inside of a character, and backwards.
        let mut converter = Converter::new(text, Offsets::Chars);
        assert_eq!([8, 5, 1, 7].map(|byte| converter.convert(byte)), [4, 2, 1, 3]);
    }

    #[test]
    fn records_are_converted_whole() {
        let mut record = json!({
            "entities": [{"range": {"start": 2, "end": 6}}, {"range": {"start": 6, "end": 7}}],
            "truncated": [null, {"start": 4, "end": 5}],
        });
        convert_record(&mut record, "é😀z", &["é😀z", "😀b"], Offsets::Utf16);
        assert_eq!(record["entities"][0]["range"], json!({"start": 1, "end": 3}));
        assert_eq!(record["entities"][1]["range"], json!({"start": 3, "end": 4}));
        assert_eq!(record["truncated"], json!([null, {"start": 2, "end": 3}]));
        let mut record = json!({"uses": [{"text": 1, "range": {"start": 4, "end": 5}}, {"text": 0, "range": {"start": 2, "end": 3}}]});
        convert_record(&mut record, "", &["éa", "😀b"], Offsets::Chars);
        assert_eq!(record["uses"][0]["range"], json!({"start": 1, "end": 2}));
        assert_eq!(record["uses"][1]["range"], json!({"start": 1, "end": 2}));
        let mut record = json!({"truncated": [[null, {"start": 2, "end": 3}]]});
        convert_record(&mut record, "", &["a", "éb"], Offsets::Chars);
        assert_eq!(record["truncated"], json!([[null, {"start": 1, "end": 2}]]));
    }
}
