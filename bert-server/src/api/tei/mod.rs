//! The forms of text-embeddings-inference. Source: <https://huggingface.github.io/text-embeddings-inference/>.
//!
//! That serves one model; here the first that does the task answers, or that of the field `model`.

mod labels;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use bert_tasks::records::{FeaturesRecord, SparseEmbeddingRecord};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub use self::labels::{Scored, labels, rerank_scores};
use super::vectors::{Texts, inputs, raw_vector, similarities};
use super::{App, Body};
use crate::ask::{Answer, ask_all};
use crate::reader::{Fields, Notes, check_count, json as respond};
use crate::server::Shared;
use crate::{Kind, Refusal};

pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/embed", post(embed))
        .route("/embed_all", post(embed_all))
        .route("/embed_sparse", post(embed_sparse))
        .route("/predict", post(labels::predict))
        .route("/rerank", post(labels::rerank))
        .route("/similarity", post(similarity))
        .route("/tokenize", post(tokens::tokenize))
        .route("/decode", post(tokens::decode))
        .route("/info", get(info))
}

/// What most requests have in common.
struct Common {
    model: Option<String>,
    /// Whether a text that is too long is cut; an error if not.
    truncate: bool,
}

impl Common {
    fn take(fields: &mut Fields) -> Result<Self, Refusal> {
        // The direction does not matter: the end is cut, as nearly all models were trained.
        let direction: Option<String> = fields.take("truncation_direction")?;
        if direction.is_some_and(|direction| !direction.eq_ignore_ascii_case("right")) {
            return Err(Refusal::invalid(
                "texts are cut at their end: truncation_direction must be \"Right\"",
            ));
        }
        if fields.take::<String>("prompt_name")?.is_some() {
            return Err(Refusal::invalid("prompts have no names here; put the prompt before the text"));
        }
        Ok(Self { model: fields.take("model")?, truncate: fields.take("truncate")?.unwrap_or(true) })
    }

    /// What is to be said beside the answers; an error if a text was cut that must not be.
    fn notes(&self, answers: &[Answer]) -> Result<Notes, Refusal> {
        let notes = Notes::of(answers);
        match notes.truncated > 0 && !self.truncate {
            true => {
                let message = format!(
                    "{} of the texts are too long for the model, and truncate is false",
                    notes.truncated
                );
                Err(Refusal::new(Kind::TooLarge, message))
            }
            false => Ok(notes),
        }
    }
}

fn texts(shared: &Shared, fields: &mut Fields) -> Result<Vec<String>, Refusal> {
    let texts = fields.need::<Texts>("inputs")?.list();
    check_count(texts.len(), shared.options.max_client_batch)?;
    Ok(texts)
}

/// `{"inputs": text or texts, "normalize": true, "truncate"}` → `[[number]]`
async fn embed(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let texts = texts(&shared, &mut fields)?;
    let common = Common::take(&mut fields)?;
    let normalize: bool = fields.take("normalize")?.unwrap_or(true);
    let served = shared.find(common.model.as_deref(), "embed")?;
    let options = Map::from_iter([("normalize".to_owned(), json!(normalize))]);
    let answers = ask_all(&served, inputs(texts, &options)).await?;
    let vectors = answers.iter().map(raw_vector).collect::<Result<Vec<_>, _>>()?;
    Ok(common.notes(&answers)?.and_ignored(&fields).with(&vectors))
}

/// As `/embed`, a vector for each token → `[[[number]]]`
async fn embed_all(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let texts = texts(&shared, &mut fields)?;
    let common = Common::take(&mut fields)?;
    let served = shared.find(common.model.as_deref(), "features")?;
    let answers = ask_all(&served, inputs(texts, &Map::new())).await?;
    let mut states = Vec::with_capacity(answers.len());
    for answer in &answers {
        let record: FeaturesRecord = answer.read()?;
        states.push(record.answer.tokens.into_iter().map(|token| token.layers.concat()).collect::<Vec<_>>());
    }
    Ok(common.notes(&answers)?.and_ignored(&fields).with(&states))
}

#[derive(Serialize)]
struct Weight {
    index: u32,
    value: f32,
}

/// `{"inputs": text or texts}` → `[[{"index", "value"}]]`
async fn embed_sparse(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let texts = texts(&shared, &mut fields)?;
    let common = Common::take(&mut fields)?;
    let served = shared.find(common.model.as_deref(), "sparse-embed")?;
    let answers = ask_all(&served, inputs(texts, &Map::new())).await?;
    let mut vectors = Vec::with_capacity(answers.len());
    for answer in &answers {
        let record: SparseEmbeddingRecord = answer.read()?;
        let weights =
            record.answer.words.into_iter().map(|word| Weight { index: word.token, value: word.weight });
        vectors.push(weights.collect::<Vec<_>>());
    }
    Ok(common.notes(&answers)?.and_ignored(&fields).with(&vectors))
}

/// `{"inputs": {"source_sentence", "sentences"}, "parameters"}` → `[number]`
async fn similarity(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let mut sentences = fields.inner("inputs")?;
    let (source, others) = (sentences.need("source_sentence")?, sentences.need::<Vec<String>>("sentences")?);
    check_count(others.len(), shared.options.max_client_batch)?;
    let common = Common::take(&mut fields.inner("parameters")?)?;
    let model: Option<String> = fields.take("model")?;
    let served = shared.find(model.as_deref(), "embed")?;
    let (cosines, notes) = similarities(&served, source, others).await?;
    if notes.truncated > 0 && !common.truncate {
        return Err(Refusal::new(Kind::TooLarge, "a text is too long for the model, and truncate is false"));
    }
    Ok(notes.and_ignored(&fields).with(&cosines))
}

/// What is served, with the limits. Its clients know one model: the one that makes vectors, if there is one.
async fn info(State(shared): App) -> Response {
    let models = shared.models();
    let all = || models.iter().flat_map(|model| model.tasks.iter().map(move |task| (model, task)));
    let (first, task) =
        all().find(|(_, task)| task.kind.word == "embed").unwrap_or((&models[0], &models[0].tasks[0]));
    let labels = &first.config().labels;
    let id2label: Map<String, Value> =
        labels.iter().enumerate().map(|(id, label)| (id.to_string(), json!(label))).collect();
    let label2id: Map<String, Value> =
        labels.iter().enumerate().map(|(id, label)| (label.clone(), json!(id))).collect();
    let model_type = match task.kind.word {
        "sentiment" if labels.len() == 1 => json!({"reranker": {"id2label": id2label, "label2id": label2id}}),
        "sentiment" => json!({"classifier": {"id2label": id2label, "label2id": label2id}}),
        _ => json!({"embedding": {}}),
    };
    let served: Vec<_> =
        models.iter().map(|model| json!({"name": model.name, "tasks": model.tasks()})).collect();
    let options = &shared.options;
    respond(&json!({
        "model_id": first.name,
        "model_sha": null,
        "model_dtype": first.precision.to_string(),
        "model_type": model_type,
        "max_concurrent_requests": options.max_concurrent,
        "max_input_length": task.session().max_length(),
        "max_batch_tokens": task.session().token_budget(),
        "max_batch_requests": null,
        "max_client_batch_size": options.max_client_batch,
        "auto_truncate": true,
        "tokenization_workers": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "sha": null,
        "docker_label": null,
        "models": served,
        "device": task.session().backend_info().device,
    }))
}
