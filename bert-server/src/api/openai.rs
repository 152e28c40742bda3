//! The forms of OpenAI's clients, and the common form of rerankers. Source: <https://platform.openai.com/docs/api-reference/embeddings>.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::tei::{Scored, rerank_scores};
use super::vectors::{Texts, inputs, raw_vector, vector};
use super::{App, Body};
use crate::ask::{Answer, ask_all};
use crate::models::{find, named};
use crate::reader::{Notes, check_count, json as respond};
use crate::server::Shared;
use crate::{Model, Refusal};

pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/rerank", post(rerank))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
}

#[derive(Serialize)]
struct Embeddings<'a> {
    object: &'static str,
    data: Vec<Embedding>,
    model: Option<&'a str>,
    usage: Value,
}

#[derive(Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Vector,
}

/// A vector as the library wrote it, as numbers, or as a text.
#[derive(Serialize)]
#[serde(untagged)]
enum Vector {
    Raw(Box<RawValue>),
    Numbers(Vec<f32>),
    Text(String),
}

/// `{"input": text or texts, "model", "encoding_format": "float" | "base64", "dimensions"}`. Vectors have length 1.
async fn embeddings(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let input: Value = fields.need("input")?;
    if input.as_array().is_some_and(|list| list.first().is_some_and(|first| !first.is_string())) {
        return Err(Refusal::invalid("send texts: ids of tokens are those of another model's tokenizer"));
    }
    let texts: Texts = serde_json::from_value(input).map_err(|error| Refusal::invalid(error.to_string()))?;
    let texts = texts.list();
    check_count(texts.len(), shared.options.max_client_batch)?;
    let model: Option<String> = fields.take("model")?;
    let format: String = fields.take("encoding_format")?.unwrap_or_else(|| "float".to_owned());
    let dimensions: Option<usize> = fields.take("dimensions")?;
    let _user: Option<Value> = fields.take("user")?;
    if !["float", "base64"].contains(&format.as_str()) {
        return Err(Refusal::invalid("encoding_format must be \"float\" or \"base64\""));
    }
    let models = shared.models();
    let served = find(&models, model.as_deref(), "embed")?;
    let does = |model: &&Model| model.task("embed").is_some_and(|task| Arc::ptr_eq(task, served));
    let name = models.iter().find(does).map(Model::name);
    // Counted on the side: the answer does not tell.
    let (tokenizer, counted) = (served.tokenizer().clone(), texts.clone());
    let longest = served.session().max_length();
    let tokens = tokio::task::spawn_blocking(move || {
        counted
            .iter()
            .filter_map(|text| tokenizer.encode(text).ok())
            .map(|encoded| encoded.len().min(longest))
            .sum::<usize>()
    });
    let options = Map::from_iter([("normalize".to_owned(), json!(true))]);
    let answers = ask_all(served, inputs(texts, &options)).await?;
    let mut data = Vec::with_capacity(answers.len());
    for (index, answer) in answers.iter().enumerate() {
        let embedding = encoded(answer, &format, dimensions)?;
        data.push(Embedding { object: "embedding", index, embedding });
    }
    let tokens = tokens.await.unwrap_or_default();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    let reply = Embeddings { object: "list", data, model: name, usage };
    Ok(Notes::of(&answers).and_ignored(&fields).with(&reply))
}

/// A vector as numbers, or as the base64 of 32-bit numbers in little-endian order.
fn encoded(answer: &Answer, format: &str, dimensions: Option<usize>) -> Result<Vector, Refusal> {
    if format == "float" && dimensions.is_none() {
        return raw_vector(answer).map(Vector::Raw);
    }
    let mut vector = vector(answer)?;
    if let Some(dimensions) = dimensions {
        if dimensions == 0 || dimensions > vector.len() {
            let message =
                format!("dimensions is {dimensions}; this model's vectors have {} of them", vector.len());
            return Err(Refusal::invalid(message));
        }
        vector.truncate(dimensions);
        let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
        }
    }
    Ok(match format {
        "float" => Vector::Numbers(vector),
        _ => Vector::Text(STANDARD.encode(vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())),
    })
}

#[derive(Serialize)]
struct Rerank<'a> {
    model: &'a str,
    results: Vec<Ranked>,
}

#[derive(Serialize)]
struct Ranked {
    index: usize,
    relevance_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Value>,
}

/// `{"query", "documents": texts or {"text"} objects, "top_n", "return_documents", "model"}`.
async fn rerank(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let query: String = fields.need("query")?;
    let documents: Vec<Value> = fields.need("documents")?;
    let text = |document: Value| match document {
        Value::String(text) => Ok(text),
        Value::Object(mut object) => match object.remove("text") {
            Some(Value::String(text)) => Ok(text),
            _ => Err(Refusal::invalid("a document that is an object needs the field \"text\"")),
        },
        _ => Err(Refusal::invalid("documents are strings, or objects with the field \"text\"")),
    };
    let texts = documents.into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    check_count(texts.len(), shared.options.max_client_batch)?;
    let model: Option<String> = fields.take("model")?;
    let top: usize = fields.take("top_n")?.unwrap_or(usize::MAX);
    let whole: bool = fields.take("return_documents")?.unwrap_or(false);
    let (served, scored, notes) = rerank_scores(&shared, model.as_deref(), &query, &texts, false).await?;
    let result = |Scored { index, score }: Scored| {
        let document = whole.then(|| json!({"text": texts[index]}));
        Ranked { index, relevance_score: score, document }
    };
    let results: Vec<_> = scored.into_iter().take(top).map(result).collect();
    Ok(notes.and_ignored(&fields).with(&Rerank { model: &served, results }))
}

fn about(model: &Model) -> Value {
    json!({"id": model.name(), "object": "model", "created": 0, "owned_by": "bert", "tasks": model.tasks()})
}

async fn models(State(shared): App) -> Response {
    let data: Vec<_> = shared.models().iter().map(about).collect();
    respond(&json!({"object": "list", "data": data}))
}

async fn model(State(shared): App, name: axum::extract::Path<String>) -> Result<Response, Refusal> {
    Ok(respond(&about(named(&shared.models(), &name)?)))
}
