//! The fields of a request, read one by one. What is wrong is remembered until all have been read, so that an error
//! can list every field that the task knows.

use serde_json::{Map, Value};

use super::RequestError;
use super::values::{FromJson, brief, kind};

/// The fields of one object.
pub struct Fields<'a> {
    task: &'static str,
    /// `None` if the value is no object.
    object: Option<&'a Map<String, Value>>,
    value: &'a Value,
    known: Vec<&'static str>,
    /// What was wrong first.
    error: Option<RequestError>,
}

impl<'a> Fields<'a> {
    /// The fields of a value, which should be an object.
    pub fn new(task: &'static str, value: &'a Value) -> Self {
        Self { task, object: value.as_object(), value, known: vec![], error: None }
    }

    /// A field that has to be there. Where it is not, the value means nothing and [`finish`](Self::finish) fails.
    pub fn required<T: FromJson + Default>(&mut self, field: &'static str) -> T {
        self.optional(field).unwrap_or_else(|| {
            let missing = RequestError::MissingField { task: self.task, field, expected: T::EXPECTED };
            self.error.get_or_insert(missing);
            T::default()
        })
    }

    /// A field that may be there. Null counts as not there.
    pub fn optional<T: FromJson>(&mut self, field: &'static str) -> Option<T> {
        self.known.push(field);
        let value = self.object?.get(field).filter(|value| !value.is_null())?;
        let found = T::from_json(value);
        if found.is_none() {
            let (task, expected, found) = (self.task, T::EXPECTED, brief(value));
            self.error.get_or_insert(RequestError::WrongValue { task, field, expected, found });
        }
        found
    }

    /// Writes a field that may be there over a value.
    pub fn set<T: FromJson>(&mut self, field: &'static str, value: &mut T) {
        if let Some(found) = self.optional(field) {
            *value = found;
        }
    }

    /// As [`set`](Self::set), for a value that may be none.
    pub fn set_some<T: FromJson>(&mut self, field: &'static str, value: &mut Option<T>) {
        if let Some(found) = self.optional(field) {
            *value = Some(found);
        }
    }

    /// Reports what was wrong.
    ///
    /// # Errors
    /// No object at all; a field that nobody has asked for; the first field that was missing or wrong.
    pub fn finish(self) -> Result<(), RequestError> {
        let Self { task, known, .. } = self;
        let Some(object) = self.object else {
            return Err(RequestError::NotAnObject { task, known, found: kind(self.value) });
        };
        if let Some(found) = object.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(RequestError::UnknownField { task, found: shorten(found), known });
        }
        self.error.map_or(Ok(()), Err)
    }
}

/// The beginning of a name, for a message: a request may hold names of any length.
pub fn shorten(name: &str) -> String {
    const MOST: usize = 40;
    match name.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<(String, Option<usize>), String> {
        let mut fields = Fields::new("test", value);
        let found = (fields.required("text"), fields.optional("top_k"));
        fields.finish().map(|()| found).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_read() {
        assert_eq!(read(&json!({"text": "a"})), Ok(("a".to_owned(), None)));
        assert_eq!(read(&json!({"text": "", "top_k": null})), Ok((String::new(), None)));
        assert_eq!(read(&json!({"top_k": 3, "text": "a"})), Ok(("a".to_owned(), Some(3))));
    }

    #[test]
    fn errors_name_the_field_and_what_is_known() {
        for (value, parts) in [
            (json!({}), &["\"text\"", "a string"][..]),
            (json!({"text": null}), &["\"text\"", "a string"]),
            (json!({"text": 3}), &["\"text\"", "a string", "the number 3"]),
            (json!({"text": ["a"]}), &["\"text\"", "a string", "an array"]),
            (json!({"text": "a", "top_k": -1}), &["\"top_k\"", "whole number", "-1"]),
            (json!({"text": "a", "top_k": 1.5}), &["\"top_k\"", "whole number", "1.5"]),
            (json!({"text": "a", "top_k": "3"}), &["\"top_k\"", "whole number", "\"3\""]),
            // A misspelt name is more to the point than the field that is missing for it.
            (json!({"txt": "a"}), &["\"txt\"", "text, top_k"]),
            (json!([]), &["an array", "text, top_k"]),
            (json!("a"), &["a string", "text, top_k"]),
            (Value::Null, &["null", "text, top_k"]),
        ] {
            let error = read(&value).unwrap_err();
            assert!(error.contains("test") && parts.iter().all(|part| error.contains(part)), "{error}");
        }
        let error = read(&json!({ "x".repeat(100_000): 1 })).unwrap_err();
        assert!(error.len() < 200, "{error}");
    }
}
