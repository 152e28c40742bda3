//! JSON as Python's `json` module writes it.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// The words that Python writes for numbers that JSON does not have, with those that stand for them here.
const NUMBERS: [(&str, &str); 3] = [("-Infinity", "null"), ("Infinity", "null"), ("NaN", "null")];

/// Reads a JSON value in which `NaN`, `Infinity` and `-Infinity` may stand where a number would: they are read as null.
/// Python's `json.dumps` writes them, and one in a field that nobody reads should not spoil the rest.
///
/// ```
/// use serde_json::{Value, json};
/// let value: Value = bert_tasks::data::read_json(r#"{"text": "NaN", "score": NaN}"#)?;
/// assert_eq!(value, json!({"text": "NaN", "score": null}));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// Text that is no JSON apart from that, or another kind of value than is read.
pub fn read_json<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    serde_json::from_str(text).or_else(|error| match with_null(text) {
        Cow::Owned(text) if error.is_syntax() => serde_json::from_str(&text),
        _ => Err(error),
    })
}

/// The text with null in the place of numbers that JSON does not have.
fn with_null(text: &str) -> Cow<'_, str> {
    let mut replaced = String::new();
    let (mut done, mut at, mut inside) = (0, 0, false);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'"' => inside = !inside,
            b'\\' if inside => at += 1,
            b'-' | b'I' | b'N' if !inside => {
                if let Some((word, null)) = NUMBERS.iter().find(|(word, _)| text[at..].starts_with(word)) {
                    replaced.push_str(&text[done..at]);
                    replaced.push_str(null);
                    at += word.len();
                    done = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    replaced.push_str(&text[done..]);
    Cow::Owned(replaced)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(text: &str) -> Option<Value> {
        read_json(text).ok()
    }

    #[test]
    fn numbers_that_json_does_not_have_are_null() {
        assert_eq!(value("NaN"), Some(Value::Null));
        assert_eq!(
            value(r#"{"a": NaN, "b": [Infinity, -Infinity ,-1],"c":NaN}"#),
            Some(json!({"a": null, "b": [null, null, -1], "c": null}))
        );
        assert_eq!(
            value(r#"{"NaN": "NaN \" Infinity é\\", "x": NaN}"#),
            Some(json!({"NaN": "NaN \" Infinity é\\", "x": null}))
        );
    }

    #[test]
    fn all_else_is_as_strict_as_ever() {
        for text in [
            "nan",
            "NaNa",
            "-NaN",
            "+Infinity",
            "[NaN",
            "{NaN: 1}",
            "{'a': NaN}",
            "\"\\",
            "\"NaN",
            "Infinity1",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
        // The error is that of the text as it stands.
        let error = read_json::<Value>("[1,\n tru]").unwrap_err();
        assert_eq!((error.line(), error.column()), (2, 5));
    }
}
