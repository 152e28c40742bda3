//! How JSON is laid out.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

/// All in one line, with a blank after commas and colons.
struct Spaced {
    /// Whether numbers keep every digit.
    exact: bool,
}

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

    fn write_f64<W: ?Sized + io::Write>(&mut self, out: &mut W, number: f64) -> io::Result<()> {
        CompactFormatter.write_f64(out, if self.exact { number } else { rounded(number) })
    }
}

/// A number without the digits that mean nothing: what is computed from `f32` has no more than eight.
pub fn rounded(number: f64) -> f64 {
    format!("{number:.7e}").parse().unwrap_or(number)
}

/// A value in one line. Numbers of twice the precision are [`rounded`], unless they are to be `exact`.
///
/// # Errors
/// A value that JSON cannot hold, such as a map whose keys are no strings.
pub fn line(value: &impl Serialize, exact: bool) -> serde_json::Result<String> {
    let mut out = vec![];
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Spaced { exact }))?;
    Ok(String::from_utf8(out).expect("JSON is UTF-8"))
}

/// A value for people to read: what fits in a line stays in one, and so does a list of numbers, however
/// long it is; of the rest, each field and element takes a line.
///
/// # Errors
/// As [`line`](fn@line).
pub fn pretty(value: &impl Serialize, exact: bool) -> serde_json::Result<String> {
    let line = line(value, exact)?;
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
        let text = pretty(&value, false).unwrap();
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
        for text in [text, line(&value, false).unwrap()] {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let numbers =
            [0.14338995815865416, 1.000000008268369, 1e-12, 72.77064824, -0.1 - 0.2, 1e300, 0.0, 5.0];
        let expected = "[0.14338996, 1.0, 1e-12, 72.770648, -0.3, 1e+300, 0.0, 5.0]";
        assert_eq!(line(&numbers, false).unwrap(), expected);
        assert_eq!(line(&[numbers[0]], true).unwrap(), "[0.14338995815865416]");
        assert_eq!(
            line(&[0.1f32, 1.0 / 3.0, f32::MIN_POSITIVE], false).unwrap(),
            "[0.1, 0.33333334, 1.1754944e-38]"
        );
        assert_eq!(line(&(u64::MAX, f64::NAN), false).unwrap(), "[18446744073709551615, null]");
    }

    #[test]
    fn the_keys_of_an_object() {
        let object = json!({"a": [1, {"x": 2}], "b \": \"": "c: d", "é": null});
        assert_eq!(keys(&line(&object, false).unwrap()), ["a", "b \": \"", "é"]);
        assert!(keys("{}").is_empty());
    }

    #[test]
    fn a_document_of_one_line_is_opened_up() {
        assert_eq!(pretty(&json!({"a": 1}), false).unwrap(), "{\n  \"a\": 1\n}");
        assert_eq!(pretty(&json!({}), false).unwrap(), "{}");
        assert_eq!(pretty(&json!("a: \"b\", c"), false).unwrap(), r#""a: \"b\", c""#);
    }
}
