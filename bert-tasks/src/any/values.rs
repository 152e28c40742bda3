//! From JSON to the types that fields have.

use serde_json::Value;

use super::fields::shorten;
use crate::token_classification::{Aggregation, Scheme};
use crate::{Pooling, ProblemType};

/// A type of a field.
pub trait FromJson: Sized {
    /// What the field takes, for messages.
    const EXPECTED: &'static str;

    /// The value; `None` for another kind of value.
    fn from_json(value: &Value) -> Option<Self>;
}

impl FromJson for String {
    const EXPECTED: &'static str = "a string";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl FromJson for Vec<String> {
    const EXPECTED: &'static str = "an array of strings";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(String::from_json).collect()
    }
}

impl FromJson for usize {
    const EXPECTED: &'static str = "a whole number of at least 0";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_u64()?.try_into().ok()
    }
}

impl FromJson for i64 {
    const EXPECTED: &'static str = "a whole number";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_i64()
    }
}

impl FromJson for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl FromJson for f32 {
    const EXPECTED: &'static str = "a number that fits in 32 bits";

    fn from_json(value: &Value) -> Option<Self> {
        Some(value.as_f64()? as Self).filter(|number| number.is_finite())
    }
}

/// One or several layers.
impl FromJson for Vec<i64> {
    const EXPECTED: &'static str = "an array of whole numbers";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(Value::as_i64).collect()
    }
}

impl FromJson for Aggregation {
    const EXPECTED: &'static str = "\"none\", \"simple\", \"first\", \"average\" or \"max\"";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

impl FromJson for Scheme {
    const EXPECTED: &'static str = "\"iob\", \"bioes\" or \"plain\"";

    fn from_json(value: &Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

impl FromJson for ProblemType {
    const EXPECTED: &'static str = "\"single\", \"multi\" or \"regression\"";

    fn from_json(value: &Value) -> Option<Self> {
        Some(match value.as_str()? {
            "single" => Self::SingleLabelClassification,
            "multi" => Self::MultiLabelClassification,
            "regression" => Self::Regression,
            _ => return None,
        })
    }
}

/// One way to pool, or several.
impl FromJson for Vec<Pooling> {
    const EXPECTED: &'static str =
        "\"mean\", \"cls\", \"max\" or \"mean-sqrt-len\", or an array of such words";

    fn from_json(value: &Value) -> Option<Self> {
        let one = |value: &Value| {
            Some(match value.as_str()? {
                "mean" => Pooling::Mean,
                "cls" => Pooling::Cls,
                "max" => Pooling::Max,
                "mean-sqrt-len" => Pooling::MeanSqrtLen,
                _ => return None,
            })
        };
        match value {
            Value::Array(list) => list.iter().map(one).collect(),
            word => Some(vec![one(word)?]),
        }
    }
}

/// The kind of a value.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A value for a message: as it is if it is short by its nature, else its kind.
pub fn brief(value: &Value) -> String {
    match value {
        Value::Bool(_) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {:?}", shorten(text)),
        _ => kind(value).to_owned(),
    }
}
