//! The forms of Hugging Face's inference clients, `huggingface_hub` and `@huggingface/inference`:
//! `{"inputs": …, "parameters": …}`. Source: <https://huggingface.co/docs/inference-providers/tasks>.
//!
//! The task is said in the path (`/models/{name}/pipeline/{task}`), or follows from the inputs and from what the model
//! can do. Places in a text are code points, as those clients count; `"parameters": {"offsets": "utf16"}` gives units of
//! UTF-16 to programs in JavaScript.

mod answers;
mod labels;
mod vectors;
mod zero_shot;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::post;
use serde::Serialize;
use serde_json::Value;

use super::vectors::Texts;
use super::{App, Body};
use crate::models::{Served, named_or_first};
use crate::offsets::Offsets;
use crate::reader::{Fields, Notes, check_count};
use crate::server::Shared;
use crate::{Kind, Refusal};

pub fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/models/{*path}", post(model)).route("/pipeline/{task}", post(pipeline))
}

/// The tasks by the names that they have there, each with the word of the task that answers it.
const TASKS: [(&str, &str); 9] = [
    ("fill-mask", "fill-mask"),
    ("text-classification", "sentiment"),
    ("sentiment-analysis", "sentiment"),
    ("token-classification", "entities"),
    ("ner", "entities"),
    ("question-answering", "answer"),
    ("feature-extraction", "embed"),
    ("sentence-similarity", "embed"),
    ("zero-shot-classification", "sentiment"),
];

/// `POST /`: for a client whose model is the address of the server.
pub async fn root(State(shared): App, body: Body) -> Result<Response, Refusal> {
    answer(&shared, None, None, &body).await
}

async fn pipeline(State(shared): App, Path(task): Path<String>, body: Body) -> Result<Response, Refusal> {
    answer(&shared, None, Some(&task), &body).await
}

/// Names of models may hold a `/`, as on the hub.
async fn model(State(shared): App, Path(path): Path<String>, body: Body) -> Result<Response, Refusal> {
    let (name, task) = match path.split_once("/pipeline/") {
        Some((name, task)) => (name, Some(task)),
        None => (path.as_str(), None),
    };
    answer(&shared, Some(name), task, &body).await
}

/// What is asked.
struct Asked {
    inputs: Value,
    parameters: Fields,
    /// What else was sent.
    rest: Fields,
    most: usize,
}

async fn answer(
    shared: &Shared,
    name: Option<&str>,
    task: Option<&str>,
    body: &Body,
) -> Result<Response, Refusal> {
    let mut rest = body.object()?;
    let inputs: Value = rest.need("inputs")?;
    let parameters = rest.inner("parameters")?;
    // How a hosted service is to work; nothing here waits for a model to be loaded.
    let _options: Option<Value> = rest.take("options")?;
    let sent: Option<String> = rest.take("model")?;
    let name = name.or(sent.as_deref());
    let task = match task {
        Some(task) => task,
        None => infer(shared, name, &inputs, &parameters)?,
    };
    let Some((task, word)) = TASKS.into_iter().find(|(known, _)| *known == task) else {
        let known: Vec<_> = TASKS.iter().map(|(name, _)| *name).collect();
        let task: String = task.chars().take(40).collect();
        return Err(Refusal::new(
            Kind::NotFound,
            format!("no task {task:?} here; there are {}", known.join(", ")),
        ));
    };
    let served = shared.find(name, word)?;
    let asked = Asked { inputs, parameters, rest, most: shared.options.max_client_batch };
    match task {
        "fill-mask" => labels::fill_mask(&served, asked).await,
        "token-classification" | "ner" => labels::token_classification(&served, asked).await,
        "question-answering" => answers::question_answering(&served, asked).await,
        "feature-extraction" => vectors::feature_extraction(&served, asked).await,
        "sentence-similarity" => vectors::sentence_similarity(&served, asked).await,
        "zero-shot-classification" => zero_shot::zero_shot(&served, asked).await,
        _ => labels::text_classification(&served, asked).await,
    }
}

/// The task, from the form of the inputs and from what the model can do.
fn infer(
    shared: &Shared,
    name: Option<&str>,
    inputs: &Value,
    parameters: &Fields,
) -> Result<&'static str, Refusal> {
    if inputs.get("question").is_some() {
        return Ok("question-answering");
    }
    if inputs.get("source_sentence").is_some() {
        return Ok("sentence-similarity");
    }
    if parameters.0.contains_key("candidate_labels") {
        return Ok("zero-shot-classification");
    }
    let models = shared.models();
    let model = named_or_first(&models, name)?;
    let masked = model.task("fill-mask").is_some_and(|task| is_masked(task, inputs));
    let words = model.tasks();
    let word = words.iter().find(|&&word| word != "fill-mask" || masked || words.len() == 1);
    let found = TASKS.iter().find(|(_, task)| word == Some(task));
    found.map(|(name, _)| *name).ok_or_else(|| {
        let message =
            format!("what to do does not follow from the inputs; {} does {}", model.name, words.join(", "));
        Refusal::invalid(message)
    })
}

/// Whether a text has a mask.
fn is_masked(task: &Served, inputs: &Value) -> bool {
    let tokenizer = task.tokenizer();
    let Some(mask) = tokenizer.special().mask.and_then(|id| tokenizer.id_to_token(id)) else { return false };
    match inputs {
        Value::String(text) => text.contains(&mask),
        Value::Array(list) => list.iter().any(|text| text.as_str().is_some_and(|text| text.contains(&mask))),
        _ => false,
    }
}

impl Asked {
    /// The texts, and whether they are a list.
    fn texts(&self) -> Result<(Vec<String>, bool), Refusal> {
        let several = self.inputs.is_array();
        let texts: Texts = serde_json::from_value(self.inputs.clone())
            .map_err(|error| Refusal::invalid(format!("the field \"inputs\" cannot be used: {error}")))?;
        let texts = texts.list();
        check_count(texts.len(), self.most)?;
        Ok((texts, several))
    }

    /// The notes, with the parameters that nobody has taken.
    fn notes(&self, notes: Notes) -> Notes {
        notes.and_ignored(&self.parameters).and_ignored(&self.rest)
    }

    fn offsets(&mut self) -> Result<Offsets, Refusal> {
        Ok(self.parameters.take("offsets")?.unwrap_or(Offsets::Chars))
    }

    /// One answer for one input, a list for a list.
    fn respond<T: Serialize>(&self, notes: Notes, mut answers: Vec<T>, several: bool) -> Response {
        let notes = self.notes(notes);
        match several {
            true => notes.with(&answers),
            false => notes.with(&answers.pop()),
        }
    }
}
