//! A JSON value that holds the texts of one input.

use std::fmt;

use bert_tasks::data::read_json;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::RecordError;

/// A JSON value; of an object only the fields that are asked for are looked into.
pub enum Json {
    /// An object.
    Object(Object),
    /// Any other value.
    Other(Value),
}

impl Json {
    /// Reads a value. Numbers that JSON does not have, as Python writes them, are null. Of a document, `start` is the line
    /// that the value begins at; without it the value is a line of its own.
    ///
    /// # Errors
    /// Text that is no JSON.
    pub fn parse(text: &str, start: Option<u64>) -> Result<Self, RecordError> {
        let read = || {
            let value: Box<RawValue> = read_json(text)?;
            Ok(match value.get().starts_with('{') {
                true => Self::Object(serde_json::from_str(value.get())?),
                false => Self::Other(serde_json::from_str(value.get())?),
            })
        };
        read().map_err(|error: serde_json::Error| {
            let (what, column) = (what(&error), error.column());
            let reason = match start {
                Some(start) => format!("{what} at line {}, column {column}", start + error.line() as u64 - 1),
                None => format!("{what} at column {column}"),
            };
            RecordError::Json { reason, line: start.is_none() }
        })
    }
}

/// The fields of an object, in their order, each as it is written.
pub struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    /// An object of strings.
    pub fn of_texts<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let raw = |text| serde_json::value::to_raw_value(text).expect("a string is JSON");
        Self(fields.map(|(name, text)| (name.to_owned(), raw(text))).collect())
    }

    /// The names of the fields.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether it has a field of this very name.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }

    /// The value of a field, by its name in any case, or by a path such as `meta.text` or `messages.0.text`.
    ///
    /// # Errors
    /// Two fields of that name.
    pub fn find(&self, path: &str) -> Result<Option<Box<RawValue>>, RecordError> {
        if let Some(value) = self.named(path, |name| name == path)? {
            return Ok(Some(value.to_owned()));
        }
        for (at, _) in path.match_indices('.') {
            let (head, rest) = (&path[..at], &path[at + 1..]);
            if let Some(value) = self.named(head, |name| name == head)?
                && let Some(found) = inside(value, rest)?
            {
                return Ok(Some(found));
            }
        }
        Ok(self.named(path, |name| name.eq_ignore_ascii_case(path))?.map(ToOwned::to_owned))
    }

    fn named(&self, wanted: &str, is: impl Fn(&str) -> bool) -> Result<Option<&RawValue>, RecordError> {
        let mut found = self.0.iter().filter(|(name, _)| is(name)).map(|(_, value)| &**value);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(RecordError::Twice { name: wanted.to_owned() }),
            (first, _) => Ok(first),
        }
    }

    /// The value of a field that has to be there.
    ///
    /// # Errors
    /// None or two of that name, and a string that no text can be, such as half of a surrogate pair.
    pub fn get(&self, path: &str) -> Result<Value, RecordError> {
        match self.find(path)? {
            Some(value) => serde_json::from_str(value.get())
                .map_err(|error| RecordError::JsonText { name: path.to_owned(), reason: what(&error) }),
            None => Err(RecordError::NoField { name: path.to_owned(), found: self.names() }),
        }
    }
}

/// What is wrong, without where.
fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place).unwrap_or(&text) {
        // It is valid as an escape; only the character is missing.
        what if what.contains("hex escape") => "half of a surrogate pair, which is no character".to_owned(),
        what => what.to_owned(),
    }
}

/// What a path leads to in a value, which is valid JSON.
fn inside(value: &RawValue, path: &str) -> Result<Option<Box<RawValue>>, RecordError> {
    let wrong = |error| RecordError::JsonText { name: path.to_owned(), reason: what(&error) };
    let text = value.get();
    if text.starts_with('{') {
        let object: Object = serde_json::from_str(text).map_err(wrong)?;
        return object.find(path);
    }
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let Some(index) = head.parse::<usize>().ok().filter(|_| text.starts_with('[')) else { return Ok(None) };
    let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(wrong)?;
    match (elements.get(index), rest) {
        (Some(element), Some(rest)) => inside(element, rest),
        (element, _) => Ok(element.map(|&element| element.to_owned())),
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = vec![];
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn get(text: &str, path: &str) -> Result<Value, String> {
        match Json::parse(text, None).map_err(|error| error.to_string())? {
            Json::Object(object) => object.get(path).map_err(|error| error.to_string()),
            Json::Other(_) => panic!("no object"),
        }
    }

    #[test]
    fn fields_are_found_by_name_and_by_path() {
        let text = r#"{"a.b": 1, "a": {"b": 2, "C": {"d": [0, {"e": 3}]}}, "Text": 4}"#;
        for (path, value) in
            [("a.b", json!(1)), ("a.C.d.1.e", json!(3)), ("a.C.d.0", json!(0)), ("text", json!(4))]
        {
            assert_eq!(get(text, path).unwrap(), value, "{path}");
        }
        for path in ["b", "a.x", "a.C.d.2", "a.C.d.x", "Text.x", "", ".", "a."] {
            let error = get(text, path).unwrap_err();
            assert!(error.contains("no field") && error.contains("\"Text\""), "{error}");
        }
    }

    #[test]
    fn a_field_that_is_there_twice_is_an_error_if_it_is_read() {
        let text = r#"{"a": 1, "a": 2, "b": 3, "N": 4, "n": 5}"#;
        assert_eq!(get(text, "b").unwrap(), 3);
        assert_eq!(get(text, "n").unwrap(), 5);
        assert!(get(text, "a").unwrap_err().contains("more than one field \"a\""));
    }

    #[test]
    fn what_is_wrong_in_other_fields_does_not_spoil_the_text() {
        let text = r#"{"x": NaN, "y": "\ud83d", "z": -Infinity, "text": "\ud83d\ude00"}"#;
        assert_eq!(get(text, "text").unwrap(), "😀");
        assert_eq!(get(text, "x").unwrap(), Value::Null);
        assert!(get(text, "y").unwrap_err().contains("field \"y\": half of a surrogate pair"));
        assert!(get(r#"{"text": "\ud83d end"}"#, "text").unwrap_err().contains("surrogate"));
        let error = get(r#"{"text": "a", "x": tru}"#, "text").unwrap_err();
        assert_eq!(
            error,
            "not valid JSON (expected ident at column 23); JSONL holds one whole value per line"
        );
        let error = Json::parse("{\n  \"a\": 1\n  \"b\": 2\n}", Some(7)).err().unwrap().to_string();
        assert_eq!(error, "not valid JSON (expected `,` or `}` at line 9, column 3)");
    }
}
