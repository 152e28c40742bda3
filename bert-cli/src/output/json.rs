//! How JSON is laid out.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

/// All in one line, with a blank after commas and colons.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

/// A value in one line.
///
/// # Errors
/// A value that JSON cannot hold, such as a map whose keys are no strings.
pub fn line(value: &impl Serialize) -> serde_json::Result<String> {
    let mut out = vec![];
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Spaced))?;
    Ok(String::from_utf8(out).expect("JSON is UTF-8"))
}

/// A value for people to read: what fits in a line stays in one, and so does a list of numbers, however
/// long it is; of the rest, each field and element takes a line.
///
/// # Errors
/// As [`line`](fn@line).
pub fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    let line = line(value)?;
    let mut out = String::with_capacity(line.len() * 2);
    lay_out(&line, 0, 0, &mut out);
    Ok(out)
}

/// The longest line that is not broken.
const WIDTH: usize = 140;

/// Writes a value that stands in one line in `text`, behind `column` characters of its own line.
fn lay_out(text: &str, indent: usize, column: usize, out: &mut String) {
    let parts = parts(text);
    let is_nested = |part: &&str| value_of(part).starts_with(['[', '{']);
    let fits = column + text.chars().count() <= WIDTH;
    let flat_list = text.starts_with('[') && !parts.iter().any(is_nested);
    // The document itself is always opened up.
    if parts.is_empty() || flat_list || (fits && indent > 0) {
        return out.push_str(text);
    }
    out.push_str(&text[..1]);
    for (index, part) in parts.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.extend(std::iter::repeat_n(' ', indent + 2));
        let (key, value) = part.split_at(part.len() - value_of(part).len());
        out.push_str(key);
        lay_out(value, indent + 2, indent + 2 + key.chars().count(), out);
    }
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
    out.push_str(&text[text.len() - 1..]);
}

/// The names of the fields of an object that stands in one line.
pub fn keys(object: &str) -> Vec<String> {
    let key =
        |part: &&str| serde_json::from_str(&part[..part.len() - value_of(part).len() - ": ".len()]).ok();
    parts(object).iter().filter_map(key).collect()
}

/// The elements of an array, or the fields of an object; nothing for anything else.
fn parts(text: &str) -> Vec<&str> {
    if !text.starts_with(['[', '{']) || text.len() == 2 {
        return vec![];
    }
    let inner = &text[1..text.len() - 1];
    let (mut parts, mut start, mut depth) = (vec![], 0, 0);
    for (at, byte) in outside_strings(inner) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + ", ".len();
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    parts
}

/// A field without its key; an element as it is.
fn value_of(part: &str) -> &str {
    match outside_strings(part).next() {
        Some((at, b':')) => &part[at + ": ".len()..],
        _ => part,
    }
}

/// The bytes of a JSON text that belong to no string, with their places.
fn outside_strings(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut inside, mut escaped) = (false, false);
    text.bytes().enumerate().filter(move |&(_, byte)| {
        if escaped {
            escaped = false;
        } else if byte == b'"' {
            inside = !inside;
        } else {
            escaped = inside && byte == b'\\';
            return !inside;
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_long_is_broken_and_nothing_is_lost() {
        let numbers: Vec<u32> = (0..200).collect();
        let long = "x".repeat(130);
        let value = json!({
            "a": "tricky: \"[{,\\\" \n",
            "b": [{"n": 1, "s": [1, 2, [3]]}, {"n": -2.5, "s": &long}],
            "c": &numbers,
            "d": [],
            "e": {},
            "f": {"g": [&long, "y"], "h": {"i": null}},
        });
        let text = pretty(&value).unwrap();
        let expected = format!(
            r#"{{
  "a": "tricky: \"[{{,\\\" \n",
  "b": [
    {{"n": 1, "s": [1, 2, [3]]}},
    {{
      "n": -2.5,
      "s": "{long}"
    }}
  ],
  "c": [{numbers}],
  "d": [],
  "e": {{}},
  "f": {{
    "g": ["{long}", "y"],
    "h": {{"i": null}}
  }}
}}"#,
            numbers = numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
        );
        assert_eq!(text, expected);
        for text in [text, line(&value).unwrap()] {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }

    #[test]
    fn the_keys_of_an_object() {
        let object = json!({"a": [1, {"x": 2}], "b \": \"": "c: d", "é": null});
        assert_eq!(keys(&line(&object).unwrap()), ["a", "b \": \"", "é"]);
        assert!(keys("{}").is_empty());
    }

    #[test]
    fn a_document_of_one_line_is_opened_up() {
        assert_eq!(pretty(&json!({"a": 1})).unwrap(), "{\n  \"a\": 1\n}");
        assert_eq!(pretty(&json!({})).unwrap(), "{}");
        assert_eq!(pretty(&json!("a: \"b\", c")).unwrap(), r#""a: \"b\", c""#);
    }
}
