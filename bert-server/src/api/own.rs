//! This server's own form: `POST /v1/{task}` takes what [`AnyTask`](bert_tasks::any) takes, and answers its
//! [records](bert_tasks::records).
//!
//! Beside the fields of the task a request may have `model`, a name, and `offsets`: `bytes` (by default), `chars` or
//! `utf16`. Instead of one input it may have `inputs`, a list of objects; other fields then hold for all of them. One
//! that cannot be answered is an error in its place.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::post;
use bert_tasks::embedding::cosine;
use bert_tasks::records::EmbeddingRecord;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::{App, Body, apart};
use crate::ask::{Answer, ask_each};
use crate::models::Served;
use crate::offsets::{Converter, Offsets, convert_record};
use crate::reader::{Fields, Notes, check_count};
use crate::{Kind, Refusal};

pub fn routes() -> Router<std::sync::Arc<crate::server::Shared>> {
    Router::new().route("/v1/tokenize", post(tokenize)).route("/v1/{task}", post(task))
}

/// What is answered: one record, or one for each of several inputs.
#[derive(Serialize)]
struct Reply {
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Vec<Box<RawValue>>>,
    timing: Timing,
}

#[derive(Serialize)]
struct Timing {
    /// From the whole body to the answers, waiting included.
    seconds: f64,
}

impl Timing {
    fn of(took: Duration) -> Self {
        Self { seconds: (took.as_secs_f64() * 1e6).round() / 1e6 }
    }
}

/// What a request holds beside the fields of its task.
struct Asked {
    model: Option<String>,
    offsets: Offsets,
    inputs: Vec<Map<String, Value>>,
    /// Whether there is a list of them.
    several: bool,
}

fn read(body: &Body, most: usize) -> Result<Asked, Refusal> {
    let mut fields = body.object()?;
    let model = fields.take("model")?;
    let offsets = fields.take("offsets")?.unwrap_or_default();
    let Some(inputs) = fields.take::<Vec<Map<String, Value>>>("inputs")? else {
        return Ok(Asked { model, offsets, inputs: vec![fields.0], several: false });
    };
    check_count(inputs.len(), most)?;
    let common = fields.0;
    let merged = |input: Map<String, Value>| {
        let mut all = common.clone();
        all.extend(input);
        all
    };
    Ok(Asked { model, offsets, inputs: inputs.into_iter().map(merged).collect(), several: true })
}

async fn task(State(shared): App, Path(word): Path<String>, body: Body) -> Result<Response, Refusal> {
    let started = Instant::now();
    let asked = read(&body, shared.options.max_client_batch)?;
    drop(body);
    let similar = word == "similarity";
    let served = shared.find(asked.model.as_deref(), if similar { "embed" } else { &word })?;
    let answers = match similar {
        true => similarities(served, &asked).await?,
        false => records(served, &asked).await?,
    };
    let mut notes = Notes::default();
    let mut out = Vec::with_capacity(answers.len());
    for answer in answers {
        match answer {
            Ok(answer) => {
                // The form has a place for it: it is counted, and needs no header.
                notes.truncated += usize::from(answer.is_truncated());
                out.push(answer.0);
            }
            Err(refusal) if asked.several => out.push(raw(&json!({"error": refusal.object()}))?),
            Err(refusal) => return Err(refusal),
        }
    }
    let (answer, answers) = match asked.several {
        true => (None, Some(out)),
        false => (out.pop(), None),
    };
    Ok(notes.with(&Reply { answer, answers, timing: Timing::of(started.elapsed()) }))
}

fn raw(value: &Value) -> Result<Box<RawValue>, Refusal> {
    to_raw_value(value).map_err(|error| Refusal::new(Kind::Internal, error.to_string()))
}

async fn records(served: &Served, asked: &Asked) -> Result<Vec<Result<Answer, Refusal>>, Refusal> {
    let inputs = asked.inputs.iter().cloned().map(Value::Object).collect();
    let mut answers = ask_each(served, inputs).await?;
    if asked.offsets != Offsets::Bytes {
        for (answer, input) in answers.iter_mut().zip(&asked.inputs) {
            if let Ok(found) = answer {
                *answer = converted(found, input, asked.offsets);
            }
        }
    }
    Ok(answers)
}

/// The record with its places in other units.
fn converted(answer: &Answer, input: &Map<String, Value>, unit: Offsets) -> Result<Answer, Refusal> {
    let mut record: Value = answer.read()?;
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    let mut texts: Vec<&str> =
        ["question", "text", "first", "prompt"].into_iter().find_map(text).into_iter().collect();
    texts.extend(["pair", "second"].into_iter().find_map(text));
    texts.extend(
        input.get("choices").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str),
    );
    let main = text("context").or_else(|| texts.first().copied()).unwrap_or_default();
    convert_record(&mut record, main, &texts, unit);
    raw(&record).map(Answer)
}

/// Similarity is the cosine of two vectors, which come from the task that gives them. Both are told what of them was not
/// seen.
async fn similarities(served: &Served, asked: &Asked) -> Result<Vec<Result<Answer, Refusal>>, Refusal> {
    let mut inputs = vec![];
    for input in &asked.inputs {
        let mut fields = Fields(input.clone());
        for name in ["first", "second"] {
            let text: String = fields.need(name)?;
            let mut input = input.clone();
            input.remove("first");
            input.remove("second");
            input.insert("text".to_owned(), Value::String(text));
            inputs.push(Value::Object(input));
        }
    }
    let mut vectors = ask_each(served, inputs).await?.into_iter();
    let mut answers = vec![];
    while let (Some(first), Some(second)) = (vectors.next(), vectors.next()) {
        answers.push(similarity(first, second, asked.offsets));
    }
    Ok(answers)
}

fn similarity(
    first: Result<Answer, Refusal>,
    second: Result<Answer, Refusal>,
    unit: Offsets,
) -> Result<Answer, Refusal> {
    let (first, second): (EmbeddingRecord, EmbeddingRecord) = (first?.read()?, second?.read()?);
    let cosine = cosine(&first.answer.vector, &second.answer.vector);
    let mut truncated = json!({"truncated": [first.answer.truncated, second.answer.truncated]});
    convert_record(&mut truncated, "", &[&first.text, &second.text], unit);
    let truncated = truncated["truncated"].take();
    let record = SimilarityRecord { first: first.text, second: second.text, cosine, truncated };
    to_raw_value(&record).map(Answer).map_err(|error| Refusal::new(Kind::Internal, error.to_string()))
}

/// As that of the library, which does not tell what of the texts was not seen.
#[derive(Serialize)]
struct SimilarityRecord {
    first: String,
    second: String,
    cosine: f32,
    truncated: Value,
}

/// A token, as `POST /v1/tokenize` tells it.
#[derive(Serialize)]
struct Token {
    id: u32,
    token: String,
    /// 0, or 1 for the second text of a pair.
    segment: u32,
    /// Where it is in its text; null for a token that the text does not have.
    range: Option<Value>,
}

/// The tokens of a text or a pair: `{"text", "pair", "special": true, "model", "offsets"}`.
async fn tokenize(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let (text, pair) = (fields.need::<String>("text")?, fields.take::<String>("pair")?);
    let special = fields.take("special")?.unwrap_or(true);
    let (model, offsets) = (fields.take::<String>("model")?, fields.take("offsets")?.unwrap_or_default());
    if let Some(name) = fields.0.keys().next() {
        let known = "text, pair, special, model, offsets";
        return Err(Refusal::invalid(format!("tokenize has no field {name:?}; its fields are {known}")));
    }
    let model = match model {
        Some(name) => crate::models::named(&shared.models, &name)?,
        None => &shared.models[0],
    };
    let tokenizer = model.tasks[0].tokenizer().clone();
    let tokens = apart(move || {
        let encoded = match &pair {
            Some(pair) => tokenizer.encode_pair(&text, pair)?,
            None if special => tokenizer.encode(&text)?,
            None => tokenizer.encode_without_special(&text)?,
        };
        let texts = [text.as_str(), pair.as_deref().unwrap_or_default()];
        let mut converters = texts.map(|text| Converter::new(text, offsets));
        let mut tokens = Vec::with_capacity(encoded.len());
        for (index, &id) in encoded.ids.iter().enumerate() {
            let source = encoded.sources[index];
            let range = source.map(|source| {
                let converter = &mut converters[usize::from(source.sequence.min(1))];
                json!({"start": converter.convert(source.start), "end": converter.convert(source.end)})
            });
            let token = tokenizer.id_to_token(id).unwrap_or_default();
            tokens.push(Token { id, token, segment: encoded.segments[index], range });
        }
        Ok(tokens)
    });
    let tokens = tokens.await?;
    Ok(crate::reader::json(&json!({"model": model.name, "tokens": tokens})))
}
