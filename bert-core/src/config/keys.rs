//! The keys of a `config.json`, read one by one, so that every complaint names its key.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::contract::Activation;
use crate::{Error, Result};

/// A `config.json`. Of a key that stands twice the last one counts, and `null` is as good as no key, as Python
/// reads it.
pub(super) struct Keys {
    map: Map<String, Value>,
    /// A family's own word for a key: `(key, its own word)`.
    own: &'static [(&'static str, &'static str)],
}

impl Keys {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Ok(Self { map: serde_json::from_str(text)?, own: &[] })
    }

    /// The same keys, some of which have another word in this family.
    pub(super) fn with_own(self, own: &'static [(&'static str, &'static str)]) -> Self {
        Self { own, ..self }
    }

    /// Whether a key stands there and says that it has no value.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.map.get(key) == Some(&Value::Null)
    }

    /// The value of a key, with the word that the file uses for it. The common word counts where both stand
    /// there, as in transformers.
    fn get(&self, key: &'static str) -> Option<(&'static str, &Value)> {
        let own = self.own.iter().find(|(common, _)| *common == key).map(|&(_, own)| own);
        [Some(key), own].into_iter().flatten().find_map(|word| {
            let value = self.map.get(word).filter(|value| !value.is_null())?;
            Some((word, value))
        })
    }

    fn read<'a, T>(
        &'a self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some((word, value)) = self.get(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(invalid(word, value, expected)),
        }
    }

    /// A count or an extent. The limit keeps every product of two of them far from overflow; the largest
    /// vocabulary has 250,002 entries.
    pub(super) fn size(&self, key: &'static str, default: usize) -> Result<usize> {
        let expected = "it must be a whole number between 1 and 2^32";
        let read = |value: &Value| value.as_u64().filter(|size| (1..=0xffff_ffff).contains(size));
        Ok(self.read(key, expected, read)?.map_or(default, |size| size as usize))
    }

    /// A whole number that may be 0.
    pub(super) fn count(&self, key: &'static str) -> Result<Option<usize>> {
        let expected = "it must be a whole number below 2^32";
        let read = |value: &Value| value.as_u64().filter(|count| *count <= 0xffff_ffff);
        Ok(self.read(key, expected, read)?.map(|count| count as usize))
    }

    /// A number from 0 up to but without 1.
    pub(super) fn fraction(&self, key: &'static str, default: f64) -> Result<f64> {
        Ok(self.get_fraction(key)?.unwrap_or(default))
    }

    /// The same, if it is there.
    pub(super) fn get_fraction(&self, key: &'static str) -> Result<Option<f64>> {
        let read = |value: &Value| value.as_f64().filter(|number| (0.0..1.0).contains(number));
        self.read(key, "it must be a number between 0 and 1", read)
    }

    pub(super) fn flag(&self, key: &'static str, default: bool) -> Result<bool> {
        Ok(self.read(key, "it must be true or false", Value::as_bool)?.unwrap_or(default))
    }

    pub(super) fn word(&self, key: &'static str) -> Result<Option<&str>> {
        self.read(key, "it must be a string", Value::as_str)
    }

    pub(super) fn words(&self, key: &'static str) -> Result<Vec<String>> {
        let read = |value: &Value| {
            value.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        };
        Ok(self.read(key, "it must be a list of strings", read)?.unwrap_or_default())
    }

    pub(super) fn activation(&self, key: &'static str, default: Activation) -> Result<Activation> {
        let expected = "the known ones are gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, relu, tanh";
        let read = |value: &Value| {
            ACTIVATIONS
                .iter()
                .find(|(word, _)| value.as_str() == Some(word))
                .map(|&(_, activation)| activation)
        };
        Ok(self.read(key, expected, read)?.unwrap_or(default))
    }

    /// The names of the labels by index. A file without names gets `LABEL_0`, `LABEL_1` …, two of them unless
    /// it says how many.
    pub(super) fn labels(&self) -> Result<Vec<String>> {
        let named: Option<BTreeMap<&String, &Value>> = self
            .read("id2label", "it must be an object", |value| {
                value.as_object().map(|names| names.iter().collect())
            })?
            .filter(|names: &BTreeMap<_, _>| !names.is_empty());
        let Some(named) = named else {
            let count = self.count("num_labels")?.unwrap_or(2);
            if count > 100_000 {
                return Err(invalid("num_labels", count, "it must be at most 100000"));
            }
            return Ok((0..count).map(|index| format!("LABEL_{index}")).collect());
        };
        let mut names = vec![None; named.len()];
        for (key, name) in named {
            // Trainers also write numbers as names.
            let word = match name {
                Value::String(word) => Some(word.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            };
            let slot = key.trim().parse().ok().and_then(|index: usize| names.get_mut(index));
            match (slot, word) {
                (Some(slot @ None), Some(word)) => *slot = Some(word),
                (_, word) => {
                    let expected = match word {
                        Some(_) => "keys must count up from 0 without gaps",
                        None => "a label must be a string or a number",
                    };
                    return Err(invalid("id2label", format!("{key:?}: {name}"), expected));
                }
            }
        }
        Ok(names.into_iter().flatten().collect())
    }

    /// Refuses every value of a key but one, which is also its default.
    pub(super) fn only<'a>(&'a self, key: &'static str, allowed: impl Into<Value>, why: &str) -> Result<()> {
        let allowed = allowed.into();
        self.read(key, why, |value: &'a Value| (*value == allowed).then_some(())).map(drop)
    }

    /// Refuses a key that holds anything.
    pub(super) fn empty(&self, key: &'static str, why: &str) -> Result<()> {
        let holds = |value: &Value| match value {
            Value::Object(map) => {
                map.values().any(|value| value.as_array().is_none_or(|list| !list.is_empty()))
            }
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        self.read(key, why, |value| (!holds(value)).then_some(())).map(drop)
    }
}

/// Activations as `config.json` spells them. The first word of each is the one to write.
const ACTIVATIONS: [(&str, Activation); 7] = [
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("relu", Activation::Relu),
    ("tanh", Activation::Tanh),
];

/// The word to write for an activation; none for the identity.
pub(super) fn activation_word(activation: Activation) -> Option<&'static str> {
    ACTIVATIONS.iter().find(|(_, known)| *known == activation).map(|&(word, _)| word)
}

pub(super) fn invalid(field: &'static str, found: impl fmt::Display, expected: impl Into<String>) -> Error {
    Error::Config { field, found: shortened(&found.to_string()), expected: expected.into() }
}

/// A value as a message can show it, whatever the file holds.
fn shortened(found: &str) -> String {
    const SHOWN: usize = 80;
    match found.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes)", &found[..end], found.len()),
        None => found.to_owned(),
    }
}
