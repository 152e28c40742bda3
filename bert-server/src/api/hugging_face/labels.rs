//! Labels of texts: words for masks, classes, entities.

use std::sync::Arc;

use axum::response::Response;
use bert_tasks::fill_mask::Candidate;
use bert_tasks::records::{FillMaskRecord, TokenClassificationRecord};
use bert_tasks::token_classification::Entity;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Asked;
use crate::Refusal;
use crate::api::tei::labels;
use crate::api::vectors::inputs;
use crate::ask::ask_all;
use crate::models::Served;
use crate::offsets::Converter;
use crate::reader::{Fields, Notes, check_count};

/// The words for one mask, or for each of several.
#[derive(Serialize)]
#[serde(untagged)]
enum Filled {
    One(Vec<Candidate>),
    Many(Vec<Vec<Candidate>>),
}

/// `[{"score", "token", "token_str", "sequence"}]`; a list of such lists where a text has several masks.
pub async fn fill_mask(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
    let (texts, several) = asked.texts()?;
    let mut options = Map::new();
    for name in ["top_k", "targets"] {
        asked.parameters.pass(name, &mut options, name);
    }
    let answers = ask_all(served, inputs(texts, &options)).await?;
    let mut lists = Vec::with_capacity(answers.len());
    for answer in &answers {
        let record: FillMaskRecord = answer.read()?;
        let mut masks: Vec<_> = record.answer.masks.into_iter().map(|mask| mask.candidates).collect();
        lists.push(if masks.len() == 1 { Filled::One(masks.remove(0)) } else { Filled::Many(masks) });
    }
    Ok(asked.respond(Notes::of(&answers), lists, several))
}

/// `[[{"label", "score"}]]`, also for a single text.
pub async fn text_classification(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
    let mut options = Map::new();
    asked.parameters.pass("top_k", &mut options, "top_k");
    if let Some(function) = asked.parameters.take::<String>("function_to_apply")? {
        let scores = match function.as_str() {
            "softmax" => "single",
            "sigmoid" => "multi",
            "none" => "regression",
            _ => {
                return Err(Refusal::invalid(
                    "function_to_apply must be \"softmax\", \"sigmoid\" or \"none\"",
                ));
            }
        };
        options.insert("scores".to_owned(), json!(scores));
    }
    // A pair is an object.
    let texts = match &asked.inputs {
        Value::Object(object) => vec![pair(object, &options)?],
        Value::Array(list) if list.iter().any(Value::is_object) => {
            check_count(list.len(), asked.most)?;
            let object = |value: &Value| match value {
                Value::Object(object) => pair(object, &options),
                _ => Err(Refusal::invalid(
                    "inputs must be all texts, or all objects with \"text\" and \"text_pair\"",
                )),
            };
            list.iter().map(object).collect::<Result<_, _>>()?
        }
        _ => inputs(asked.texts()?.0, &options),
    };
    let answers = ask_all(served, texts).await?;
    let lists = answers.iter().map(labels).collect::<Result<Vec<_>, _>>()?;
    Ok(asked.notes(Notes::of(&answers)).with(&lists))
}

fn pair(object: &Map<String, Value>, options: &Map<String, Value>) -> Result<Value, Refusal> {
    let mut fields = Fields(object.clone());
    let (text, pair) = (fields.need::<String>("text")?, fields.take::<String>("text_pair")?);
    let mut input = options.clone();
    input.insert("text".to_owned(), json!(text));
    input.insert("pair".to_owned(), json!(pair));
    Ok(Value::Object(input))
}

#[derive(Serialize)]
struct Word {
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<String>,
    score: f32,
    word: String,
    start: usize,
    end: usize,
}

/// `[{"entity_group", "score", "word", "start", "end"}]`; `entity` in the place of `entity_group` for single tokens.
pub async fn token_classification(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
    let (texts, several) = asked.texts()?;
    let unit = asked.offsets()?;
    let aggregation: String =
        asked.parameters.take("aggregation_strategy")?.unwrap_or_else(|| "simple".to_owned()).to_lowercase();
    let single = aggregation == "none";
    let mut options = Map::from_iter([("aggregation".to_owned(), json!(aggregation))]);
    asked.parameters.pass("ignore_labels", &mut options, "ignore_labels");
    asked.parameters.pass("stride", &mut options, "stride");
    let answers = ask_all(served, inputs(texts, &options)).await?;
    let mut lists = Vec::with_capacity(answers.len());
    for answer in &answers {
        let record: TokenClassificationRecord = answer.read()?;
        let mut places = Converter::new(&record.text, unit);
        let word = |entity: &Entity| {
            let (start, end) = (places.convert(entity.range.start), places.convert(entity.range.end));
            let label = Some(entity.label.clone());
            let (entity_group, label) = if single { (None, label) } else { (label, None) };
            Word { entity_group, entity: label, score: entity.score, word: entity.text.clone(), start, end }
        };
        lists.push(record.entities.iter().map(word).collect::<Vec<_>>());
    }
    Ok(asked.respond(Notes::of(&answers), lists, several))
}
