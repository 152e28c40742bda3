//! Vectors, as the clients of three families want them.

use std::sync::Arc;

use bert_tasks::embedding::cosine;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::Refusal;
use crate::ask::{Answer, ask_all};
use crate::models::Served;
use crate::reader::Notes;

/// One text, or several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or an array of strings")]
pub enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    pub fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// Inputs of a task that takes a text, all with the same options.
pub fn inputs(texts: Vec<String>, options: &Map<String, Value>) -> Vec<Value> {
    let input = |text| {
        let mut input = options.clone();
        input.insert("text".to_owned(), Value::String(text));
        Value::Object(input)
    };
    texts.into_iter().map(input).collect()
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    vector: &'a RawValue,
}

/// The vector as the library wrote it, to be written again.
pub fn raw_vector(answer: &Answer) -> Result<Box<RawValue>, Refusal> {
    Ok(answer.read::<Raw<'_>>()?.vector.to_owned())
}

#[derive(Deserialize)]
struct Numbers {
    vector: Vec<f32>,
}

/// The numbers of a vector.
pub fn vector(answer: &Answer) -> Result<Vec<f32>, Refusal> {
    Ok(answer.read::<Numbers>()?.vector)
}

/// The cosines of a sentence with others.
pub async fn similarities(
    served: &Arc<Served>,
    source: String,
    sentences: Vec<String>,
) -> Result<(Vec<f32>, Notes), Refusal> {
    let texts = [vec![source], sentences].concat();
    let answers = ask_all(served, inputs(texts, &Map::new())).await?;
    let vectors = answers.iter().map(vector).collect::<Result<Vec<_>, _>>()?;
    let (first, others) = vectors.split_first().ok_or_else(|| Refusal::invalid("no sentence to compare"))?;
    Ok((others.iter().map(|other| cosine(first, other)).collect(), Notes::of(&answers)))
}
