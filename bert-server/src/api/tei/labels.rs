//! Labels of texts and of pairs, and the order that they give.

use axum::extract::State;
use axum::response::Response;
use bert_tasks::records::TextClassificationRecord;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Common;
use crate::api::{App, Body};
use crate::ask::{Answer, ask_all};
use crate::reader::{Notes, check_count};
use crate::server::Shared;
use crate::{Kind, Refusal};

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
pub async fn predict(State(shared): App, body: Body) -> Result<Response, Refusal> {
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
pub async fn rerank(State(shared): App, body: Body) -> Result<Response, Refusal> {
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
