//! The forms of text-embeddings-inference. Source: <https://huggingface.github.io/text-embeddings-inference/>.
//!
//! That serves one model; here the first that does the task answers, or that of the field `model`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use bert_tasks::records::{FeaturesRecord, SparseEmbeddingRecord, TextClassificationRecord};
use bert_tasks::tokenizer::Tokenizer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::vectors::{Texts, inputs, raw_vector, similarities};
use super::{App, Body, apart};
use crate::ask::{Answer, ask_all};
use crate::models::named_or_first;
use crate::offsets::{Converter, Offsets};
use crate::reader::{Fields, Notes, check_count, json as respond};
use crate::server::Shared;
use crate::{Kind, Refusal};

pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/embed", post(embed))
        .route("/embed_all", post(embed_all))
        .route("/embed_sparse", post(embed_sparse))
        .route("/predict", post(predict))
        .route("/rerank", post(rerank))
        .route("/similarity", post(similarity))
        .route("/tokenize", post(tokenize))
        .route("/decode", post(decode))
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

/// What `/predict` is asked: a text, a pair, or a list of lists of one or two texts.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, a pair of texts, or a list of lists of one or two texts")]
enum Predicted {
    Text(String),
    Pair([String; 2]),
    Many(Vec<Vec<String>>),
}

#[derive(Serialize)]
pub struct Label {
    pub score: f32,
    pub label: String,
}

/// `{"inputs", "raw_scores": false}` → `[{"score", "label"}]`, a list of such lists for several
async fn predict(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let (sequences, several) = match fields.need::<Predicted>("inputs")? {
        Predicted::Text(text) => (vec![vec![text]], false),
        Predicted::Pair(pair) => (vec![pair.into()], false),
        Predicted::Many(list) => (list, true),
    };
    check_count(sequences.len(), shared.options.max_client_batch)?;
    let common = Common::take(&mut fields)?;
    let raw: bool = fields.take("raw_scores")?.unwrap_or(false);
    let served = shared.find(common.model.as_deref(), "sentiment")?;
    let mut inputs = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let mut input = match &sequence[..] {
            [text] => json!({"text": text}),
            [text, pair] => json!({"text": text, "pair": pair}),
            _ => {
                return Err(Refusal::invalid(format!(
                    "a sequence is one text or two; found {}",
                    sequence.len()
                )));
            }
        };
        if raw {
            input["scores"] = json!("regression");
        }
        inputs.push(input);
    }
    let answers = ask_all(&served, inputs).await?;
    let mut labels = answers.iter().map(labels).collect::<Result<Vec<_>, _>>()?;
    let notes = common.notes(&answers)?.and_ignored(&fields);
    Ok(match several {
        true => notes.with(&labels),
        false => notes.with(&labels.pop()),
    })
}

/// The labels of a text, best first.
pub fn labels(answer: &Answer) -> Result<Vec<Label>, Refusal> {
    let record: TextClassificationRecord = answer.read()?;
    let scores = record.answer.scores.into_iter();
    Ok(scores.map(|score| Label { score: score.score, label: score.label }).collect())
}

/// A text by its place in the request, and how well it goes with the query.
pub struct Scored {
    pub index: usize,
    pub score: f32,
}

/// How well texts go with a query, best first, by a classifier of pairs with a single label (a cross-encoder); and the
/// name of the model.
pub async fn rerank_scores(
    shared: &Shared,
    model: Option<&str>,
    query: &str,
    texts: &[String],
    raw: bool,
) -> Result<(String, Vec<Scored>, Notes), Refusal> {
    let models = shared.models();
    let mut candidates = models.iter().filter(|candidate| model.is_none_or(|name| candidate.name == name));
    let found = candidates.find_map(|model| {
        let task = model.task("sentiment").filter(|task| task.session().config().labels.len() == 1)?;
        Some((model.name.clone(), task))
    });
    let Some((name, served)) = found else {
        let message = "no such model here ranks texts; that takes a classifier of pairs with a single label";
        return Err(Refusal::new(Kind::NotFound, message));
    };
    let scores = if raw { "regression" } else { "multi" };
    let input = |text: &String| json!({"text": query, "pair": text, "scores": scores});
    let answers = ask_all(served, texts.iter().map(input).collect()).await?;
    let mut scored = Vec::with_capacity(answers.len());
    for (index, answer) in answers.iter().enumerate() {
        let score = labels(answer)?.first().map_or(0.0, |label| label.score);
        scored.push(Scored { index, score });
    }
    scored.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok((name, scored, Notes::of(&answers)))
}

#[derive(Serialize)]
struct Rank {
    index: usize,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// `{"query", "texts", "raw_scores": false, "return_text": false}` → `[{"index", "score", "text"}]`, best first
async fn rerank(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let (query, texts): (String, Vec<String>) = (fields.need("query")?, fields.need("texts")?);
    check_count(texts.len(), shared.options.max_client_batch)?;
    let common = Common::take(&mut fields)?;
    let raw: bool = fields.take("raw_scores")?.unwrap_or(false);
    let whole: bool = fields.take("return_text")?.unwrap_or(false);
    let (_, scored, notes) = rerank_scores(&shared, common.model.as_deref(), &query, &texts, raw).await?;
    if notes.truncated > 0 && !common.truncate {
        return Err(Refusal::new(Kind::TooLarge, "a text is too long for the model, and truncate is false"));
    }
    let rank = |Scored { index, score }: Scored| {
        let text = whole.then(|| texts[index].clone());
        Rank { index, score, text }
    };
    Ok(notes.and_ignored(&fields).with(&scored.into_iter().map(rank).collect::<Vec<_>>()))
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

#[derive(Serialize)]
struct Token {
    id: u32,
    text: String,
    special: bool,
    start: Option<usize>,
    stop: Option<usize>,
}

fn tokenizer(shared: &Shared, model: Option<&str>) -> Result<Tokenizer, Refusal> {
    Ok(named_or_first(&shared.models(), model)?.tasks[0].tokenizer().clone())
}

/// `{"inputs": text or texts, "add_special_tokens": true}` → `[[{"id", "text", "special", "start", "stop"}]]`, places in
/// code points
async fn tokenize(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let texts = texts(&shared, &mut fields)?;
    let special: bool = fields.take("add_special_tokens")?.unwrap_or(true);
    let common = Common::take(&mut fields)?;
    let tokenizer = tokenizer(&shared, common.model.as_deref())?;
    let tokens = apart(move || {
        texts.iter().map(|text| tokens(&tokenizer, text, special)).collect::<Result<Vec<_>, _>>()
    });
    let tokens = tokens.await?;
    Ok(Notes::default().and_ignored(&fields).with(&tokens))
}

fn tokens(tokenizer: &Tokenizer, text: &str, special: bool) -> bert_tasks::Result<Vec<Token>> {
    let encoded = if special { tokenizer.encode(text)? } else { tokenizer.encode_without_special(text)? };
    let mut places = Converter::new(text, Offsets::Chars);
    let token = |(index, &id): (usize, &u32)| {
        let range =
            encoded.range(index).map(|range| (places.convert(range.start), places.convert(range.end)));
        Token {
            id,
            text: tokenizer.id_to_token(id).unwrap_or_default(),
            special: range.is_none(),
            start: range.map(|(start, _)| start),
            stop: range.map(|(_, stop)| stop),
        }
    };
    Ok(encoded.ids.iter().enumerate().map(token).collect())
}

/// The ids of one text, or of several.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of ids, or a list of such lists")]
enum Ids {
    One(Vec<u32>),
    Many(Vec<Vec<u32>>),
}

/// `{"ids": [id] or [[id]], "skip_special_tokens": true}` → `[text]`
async fn decode(State(shared): App, body: Body) -> Result<Response, Refusal> {
    let mut fields = body.object()?;
    let ids = match fields.need::<Ids>("ids")? {
        Ids::One(ids) => vec![ids],
        Ids::Many(lists) => lists,
    };
    check_count(ids.len(), shared.options.max_client_batch)?;
    let skip: bool = fields.take("skip_special_tokens")?.unwrap_or(true);
    let common = Common::take(&mut fields)?;
    let tokenizer = tokenizer(&shared, common.model.as_deref())?;
    let texts = apart(move || {
        ids.iter().map(|ids| Ok(tokenizer.decode(ids, skip)?)).collect::<Result<Vec<String>, _>>()
    });
    let texts = texts.await?;
    Ok(Notes::default().and_ignored(&fields).with(&texts))
}

/// What is served, with the limits.
async fn info(State(shared): App) -> Response {
    let models = shared.models();
    let first = &models[0];
    let task = &first.tasks[0];
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
