//! Answers to questions.

use std::sync::Arc;

use axum::response::Response;
use bert_tasks::records::QuestionAnsweringRecord;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Asked;
use crate::Refusal;
use crate::ask::ask_all;
use crate::models::Served;
use crate::offsets::Converter;
use crate::reader::{Fields, Notes};

#[derive(Serialize)]
struct Found {
    score: f32,
    start: usize,
    end: usize,
    answer: String,
}

/// `{"score", "start", "end", "answer"}`, a list of such objects for a `top_k` above 1.
pub async fn question_answering(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
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
