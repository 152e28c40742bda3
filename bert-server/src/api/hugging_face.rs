//! The forms of Hugging Face's inference clients, `huggingface_hub` and `@huggingface/inference`:
//! `{"inputs": …, "parameters": …}`. Source: <https://huggingface.co/docs/inference-providers/tasks>.
//!
//! The task is said in the path (`/models/{name}/pipeline/{task}`), or follows from the inputs and from what the model
//! can do. Places in a text are code points, as those clients count; `"parameters": {"offsets": "utf16"}` gives units of
//! UTF-16 to programs in JavaScript.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::post;
use bert_tasks::fill_mask::Candidate;
use bert_tasks::records::{FillMaskRecord, QuestionAnsweringRecord, TokenClassificationRecord};
use bert_tasks::token_classification::Entity;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::tei::labels;
use super::vectors::{Texts, inputs, raw_vector, similarities};
use super::{App, Body};
use crate::ask::ask_all;
use crate::models::{Served, named_or_first};
use crate::offsets::{Converter, Offsets};
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
        "fill-mask" => fill_mask(&served, asked).await,
        "token-classification" | "ner" => token_classification(&served, asked).await,
        "question-answering" => question_answering(&served, asked).await,
        "feature-extraction" => feature_extraction(&served, asked).await,
        "sentence-similarity" => sentence_similarity(&served, asked).await,
        "zero-shot-classification" => zero_shot(&served, asked).await,
        _ => text_classification(&served, asked).await,
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

/// The words for one mask, or for each of several.
#[derive(Serialize)]
#[serde(untagged)]
enum Filled {
    One(Vec<Candidate>),
    Many(Vec<Vec<Candidate>>),
}

/// `[{"score", "token", "token_str", "sequence"}]`; a list of such lists where a text has several masks.
async fn fill_mask(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
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
async fn text_classification(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
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
async fn token_classification(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
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

#[derive(Serialize)]
struct Found {
    score: f32,
    start: usize,
    end: usize,
    answer: String,
}

/// `{"score", "start", "end", "answer"}`, a list of such objects for a `top_k` above 1.
async fn question_answering(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
    let mut fields = match &asked.inputs {
        Value::Object(object) => Fields(object.clone()),
        _ => return Err(Refusal::invalid("inputs must be an object with \"question\" and \"context\"")),
    };
    let (question, context): (String, String) = (fields.need("question")?, fields.need("context")?);
    let unit = asked.offsets()?;
    let top_k: usize = match asked.parameters.take("top_k")? {
        Some(count) => count,
        None => asked.parameters.take("topk")?.unwrap_or(1),
    };
    let none_allowed: bool = asked.parameters.take("handle_impossible_answer")?.unwrap_or(false);
    let mut options = Map::from_iter([("top_k".to_owned(), json!(top_k))]);
    for (name, own) in [
        ("doc_stride", "doc_stride"),
        ("max_answer_len", "max_answer_tokens"),
        ("max_seq_len", "max_length"),
        ("align_to_words", "align_to_words"),
    ] {
        asked.parameters.pass(name, &mut options, own);
    }
    if none_allowed {
        options.insert("no_answer_threshold".to_owned(), json!(0.0));
    }
    options.insert("question".to_owned(), json!(question));
    options.insert("context".to_owned(), json!(context));
    let answers = ask_all(served, vec![Value::Object(options)]).await?;
    let notes = asked.notes(Notes::of(&answers)).and_ignored(&fields);
    let Some(answer) = answers.first() else { return Ok(notes.with(&json!([]))) };
    let record: QuestionAnsweringRecord = answer.read()?;
    let mut places = Converter::new(&context, unit);
    let none = Found { score: record.no_answer_score, start: 0, end: 0, answer: String::new() };
    let found = record.answers.into_iter().map(|answer| {
        let (start, end) = (places.convert(answer.range.start), places.convert(answer.range.end));
        Found { score: answer.score, start, end, answer: answer.text }
    });
    let mut found: Vec<_> = found.collect();
    if found.is_empty() {
        found.push(none);
    }
    Ok(match top_k {
        1 => notes.with(&found.swap_remove(0)),
        _ => notes.with(&found),
    })
}

/// The vector of a text, a list of vectors for a list of texts.
async fn feature_extraction(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
    let (texts, several) = asked.texts()?;
    let mut options = Map::new();
    for fields in [&mut asked.parameters, &mut asked.rest] {
        fields.pass("normalize", &mut options, "normalize");
        if fields.take::<String>("prompt_name")?.is_some() {
            return Err(Refusal::invalid("prompts have no names here; put the prompt before the text"));
        }
    }
    // `truncate` and `truncation_direction` are as the models were trained: the end of a long text is cut, and told.
    let _: (Option<Value>, Option<Value>) =
        (asked.rest.take("truncate")?, asked.rest.take("truncation_direction")?);
    let answers = ask_all(served, inputs(texts, &options)).await?;
    let mut vectors = answers.iter().map(raw_vector).collect::<Result<Vec<_>, _>>()?;
    let notes = asked.notes(Notes::of(&answers));
    Ok(match several {
        true => notes.with(&vectors),
        false => notes.with(&vectors.pop()),
    })
}

/// `[number]`, a cosine for each sentence.
async fn sentence_similarity(served: &Arc<Served>, asked: Asked) -> Result<Response, Refusal> {
    let Value::Object(object) = &asked.inputs else {
        return Err(Refusal::invalid("inputs must be an object with \"source_sentence\" and \"sentences\""));
    };
    let mut fields = Fields(object.clone());
    let (source, sentences): (String, Vec<String>) =
        (fields.need("source_sentence")?, fields.need("sentences")?);
    check_count(sentences.len(), asked.most)?;
    let (cosines, notes) = similarities(served, source, sentences).await?;
    Ok(asked.notes(notes).and_ignored(&fields).with(&cosines))
}

/// `[{"label", "score"}]`, best first: how surely a text entails a hypothesis about each label, by a model that was
/// trained on entailment.
async fn zero_shot(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
    let Some(text) = asked.inputs.as_str() else {
        return Err(Refusal::invalid("inputs must be one text for zero-shot classification"));
    };
    let labels_asked: Vec<String> = asked.parameters.need("candidate_labels")?;
    check_count(labels_asked.len(), asked.most)?;
    let several: bool = asked.parameters.take("multi_label")?.unwrap_or(false);
    let template: String =
        asked.parameters.take("hypothesis_template")?.unwrap_or_else(|| "This example is {}.".to_owned());
    if !template.contains("{}") {
        return Err(Refusal::invalid("hypothesis_template needs a {} in the place of the label"));
    }
    let known = &served.session().config().labels;
    let named =
        |beginning: &str| known.iter().find(|label| label.to_lowercase().starts_with(beginning)).cloned();
    let (Some(entails), Some(contradicts)) = (named("entail"), named("contra")) else {
        let message = format!(
            "zero-shot classification takes a model of entailment; this one's labels are {}",
            known.join(", ")
        );
        return Err(Refusal::invalid(message));
    };
    // Scores before any softmax: labels are compared with each other.
    let input =
        |label: &String| json!({"text": text, "pair": template.replace("{}", label), "scores": "regression"});
    let answers = ask_all(served, labels_asked.iter().map(input).collect()).await?;
    let mut logits = Vec::with_capacity(answers.len());
    for answer in &answers {
        let scores = labels(answer)?;
        let score = |name: &str| {
            scores.iter().find(|label| label.label == name).map_or(0.0, |label| f64::from(label.score))
        };
        logits.push((score(&entails), score(&contradicts)));
    }
    let scores = zero_shot_scores(&logits, several);
    let mut scored: Vec<_> = labels_asked.iter().zip(scores).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    let list: Vec<_> =
        scored.into_iter().map(|(label, score)| json!({"label": label, "score": score})).collect();
    Ok(asked.notes(Notes::of(&answers)).with(&list))
}

/// From the scores of entailment and contradiction: each label by itself, or all of them against each other.
fn zero_shot_scores(logits: &[(f64, f64)], several: bool) -> Vec<f64> {
    if several {
        return logits
            .iter()
            .map(|(entails, contradicts)| 1.0 / (1.0 + (contradicts - entails).exp()))
            .collect();
    }
    let most = logits.iter().map(|(entails, _)| *entails).fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|(entails, _)| (entails - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_compete_or_stand_alone() {
        let scores = zero_shot_scores(&[(2.0, 0.0), (0.0, 0.0), (1000.0, 0.0)], false);
        assert_eq!(scores, [0.0, 0.0, 1.0]);
        let scores = zero_shot_scores(&[(0.0, 0.0), (1000.0, -1000.0), (-1000.0, 1000.0)], true);
        assert_eq!(scores, [0.5, 1.0, 0.0]);
        assert!(zero_shot_scores(&[], false).is_empty());
    }
}
