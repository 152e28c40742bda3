//! This server's own form: `POST /v1/{task}` takes what [`AnyTask`](bert_tasks::any) takes, and answers its
//! [records](bert_tasks::records).
//!
//! Beside the fields of the task a request may have `model`, a name, and `offsets`: `bytes` (by default), `chars` or
//! `utf16`. Instead of one input it may have `inputs`, a list of objects; other fields then hold for all of them. One
//! that cannot be answered is an error in its place. Answers may come as [lines](super::lines).

use std::time::{Duration, Instant};

use axum::extract::{FromRequest, Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use serde::Serialize;
use serde_json::value::RawValue;

use super::answers::{Answers, Input, Task, failed};
use super::lines::{self, Source};
use super::{App, Body, tokens};
use crate::Refusal;
use crate::guard::Permit;
use crate::line_reader::LineReader;
use crate::offsets::Offsets;
use crate::reader::{Notes, check_count, has_lines, wants_lines};

pub fn routes() -> Router<std::sync::Arc<crate::server::Shared>> {
    Router::new().route("/v1/tokenize", post(tokens::tokenize)).route("/v1/{task}", post(task))
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
    inputs: Vec<Input>,
    /// Whether there is a list of them.
    several: bool,
}

fn read(body: &Body, most: usize) -> Result<Asked, Refusal> {
    let mut fields = body.object()?;
    let model = fields.take("model")?;
    let offsets = fields.take("offsets")?.unwrap_or_default();
    let Some(inputs) = fields.take::<Vec<Input>>("inputs")? else {
        return Ok(Asked { model, offsets, inputs: vec![fields.0], several: false });
    };
    check_count(inputs.len(), most)?;
    let common = fields.0;
    let merged = |input: Input| {
        let mut all = common.clone();
        all.extend(input);
        all
    };
    Ok(Asked { model, offsets, inputs: inputs.into_iter().map(merged).collect(), several: true })
}

async fn task(
    State(shared): App,
    Path(word): Path<String>,
    Extension(permit): Extension<Permit>,
    request: Request,
) -> Result<Response, Refusal> {
    let task = Task::new(word);
    if has_lines(request.headers()) {
        // Whether anyone does it is known before any line is read.
        task.find(&shared, None)?;
        let source = Source::Body(LineReader::new(request.into_body(), shared.options.max_body));
        return lines::respond(shared, task, source, permit).await;
    }
    let as_lines = wants_lines(request.headers());
    let body = Body::from_request(request, &()).await?;
    let started = Instant::now();
    let asked = read(&body, shared.options.max_client_batch)?;
    drop(body);
    let served = task.find(&shared, asked.model.as_deref())?;
    if as_lines {
        let source = Source::List { served, unit: asked.offsets, inputs: asked.inputs.into_iter() };
        return lines::respond(shared, task, source, permit).await;
    }
    let mut out = Vec::with_capacity(asked.inputs.len());
    let mut answers = Answers::new(task);
    for input in asked.inputs {
        answers.push(&served, input, asked.offsets);
    }
    let mut notes = Notes::default();
    while let Some(answer) = answers.next().await? {
        let answer = match answer {
            Err(refusal) if asked.several => failed(&refusal),
            answer => answer?,
        };
        // The form has a place for it: it is counted, and needs no header.
        notes.truncated += usize::from(answer.is_truncated());
        out.push(answer.0);
    }
    let (answer, answers) = match asked.several {
        true => (None, Some(out)),
        false => (out.pop(), None),
    };
    Ok(notes.with(&Reply { answer, answers, timing: Timing::of(started.elapsed()) }))
}
