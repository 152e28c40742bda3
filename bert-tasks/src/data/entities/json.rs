//! Entities in JSON lines.

use std::ops::Range;

use serde::Deserialize;

use super::super::error::{DataError, Result};
use super::super::json::read_json;
use super::super::lines::Lines;
use super::conll::Sentence;
use super::{Example, Marked, Offsets, Options};

/// An object of a line, in either form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Object {
    Text {
        text: String,
        #[serde(alias = "spans")]
        entities: Vec<Entity>,
    },
    Words {
        #[serde(alias = "words")]
        tokens: Vec<String>,
        #[serde(alias = "ner_tags", alias = "labels")]
        tags: Vec<String>,
    },
}

#[derive(Deserialize)]
struct Entity {
    start: usize,
    end: usize,
    #[serde(alias = "type", alias = "entity")]
    label: String,
}

/// The next example of a file.
pub fn next(lines: &mut Lines, options: &Options) -> Result<Option<Example>> {
    loop {
        let Some(line) = lines.next_line()? else { return Ok(None) };
        if line.trim().is_empty() {
            continue;
        }
        let object = read_json::<Object>(line);
        let place = lines.place().clone();
        return match object.map_err(|source| DataError::Json { place: place.clone(), source })? {
            Object::Text { text, entities } => {
                let mut marked = vec![];
                for Entity { start, end, label } in entities {
                    let range = bytes(&text, start..end, options.offsets).map_err(|reason| {
                        let (label, range) = (label.clone(), start..end);
                        DataError::Span { place: Some(place.clone()), label, range, reason }
                    })?;
                    marked.push(Marked { label, range });
                }
                Ok(Some(Example { text, words: None, entities: marked, place }))
            }
            Object::Words { tokens, tags } if tokens.len() == tags.len() => {
                let sentence = Sentence { words: tokens, labels: tags };
                Ok(Some(Example::of_words(&sentence, options.scheme, place)))
            }
            Object::Words { tokens, tags } => Err(DataError::Field {
                place,
                field: "number of tags",
                found: tags.len().to_string(),
                expected: format!("{}, one for each token", tokens.len()),
            }),
        };
    }
}

/// The bytes of a range of a text.
fn bytes(text: &str, range: Range<usize>, offsets: Offsets) -> Result<Range<usize>, &'static str> {
    if range.start >= range.end {
        return Err("it is empty");
    }
    match offsets {
        Offsets::Bytes if range.end > text.len() => Err("it ends after the end of the text"),
        Offsets::Bytes if !(text.is_char_boundary(range.start) && text.is_char_boundary(range.end)) => {
            Err("it begins or ends inside a character; are the offsets counted in characters?")
        }
        Offsets::Bytes => Ok(range),
        Offsets::Chars => {
            let mut places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            let start = places.nth(range.start).ok_or("it begins after the end of the text")?;
            let end = places.nth(range.end - range.start - 1);
            Ok(start..end.ok_or("it ends after the end of the text; are the offsets counted in bytes?")?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &'static str, options: &Options) -> Result<Example> {
        let mut lines = Lines::new("file.jsonl", Box::new(file.as_bytes()));
        next(&mut lines, options).map(|example| example.expect("it has one"))
    }

    fn marked(example: &Example) -> Vec<(&str, &str)> {
        let entities = example.entities.iter();
        entities.map(|marked| (marked.label.as_str(), &example.text[marked.range.clone()])).collect()
    }

    #[test]
    fn texts_with_places_in_chars_or_bytes() {
        let chars = r#"{"text": "Zoë–Eva", "entities": [{"start": 0, "end": 3, "label": "A", "id": 1}, {"start": 4, "end": 7, "type": "B"}]}"#;
        let bytes = r#"{"text": "Zoë–Eva", "spans": [{"start": 0, "end": 4, "label": "A"}, {"start": 7, "end": 10, "label": "B"}]}"#;
        let in_bytes = Options { offsets: Offsets::Bytes, ..Options::default() };
        for (file, options) in [(chars, &Options::default()), (bytes, &in_bytes)] {
            assert_eq!(marked(&read(file, options).unwrap()), [("A", "Zoë"), ("B", "Eva")]);
        }
        assert!(read(bytes, &Options::default()).unwrap_err().to_string().contains("7..10"));
        let error = read(r#"{"text": "é", "entities": [{"start": 0, "end": 1, "label": "A"}]}"#, &in_bytes);
        assert!(error.unwrap_err().to_string().contains("inside a char"));
        let huge = r#"{"text": "a", "entities": [{"start": 1, "end": 18446744073709551615, "label": "A"}]}"#;
        assert!(read(huge, &in_bytes).is_err() && read(huge, &Options::default()).is_err());
        let empty = r#"{"text": "a", "entities": [{"start": 1, "end": 1, "label": "A"}]}"#;
        assert!(read(empty, &in_bytes).unwrap_err().to_string().starts_with("file.jsonl:1: entity A"));
    }

    #[test]
    fn words_with_tags() {
        let file = r#"{"tokens": ["Zoë", "Li", "sang"], "tags": ["B-PER", "I-PER", "O"]}"#;
        let example = read(file, &Options::default()).unwrap();
        assert_eq!(marked(&example), [("PER", "Zoë Li")]);
        assert_eq!(example.words, Some(vec![0..4, 5..7, 8..12]));
        let error = read(r#"{"tokens": ["a", "b"], "tags": ["O"]}"#, &Options::default()).unwrap_err();
        assert!(error.to_string().contains("number of tags is 1; it must be 2"), "{error}");
        assert!(matches!(read(r#"{"text": "a"}"#, &Options::default()), Err(DataError::Json { .. })));
    }
}
