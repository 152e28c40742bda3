//! Answers as lines, each as soon as it is there: `POST /v1/{task}` with `Accept: application/x-ndjson`, or with a body of
//! such lines. Each line of a body is what a request with one input is, and each line of the reply is its answer or
//! `{"error": …}`. However many lines there are, only some of them are in memory.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use tokio::time::timeout;

use super::answers::{Answers, Input, Task, failed};
use crate::ask::Answer;
use crate::guard::Permit;
use crate::line_reader::LineReader;
use crate::models::Served;
use crate::offsets::Offsets;
use crate::reader::{Fields, LINES};
use crate::server::Shared;
use crate::{Kind, Refusal};

/// How many inputs are read before the first of them is answered.
const AHEAD: usize = 512;

/// Where inputs come from.
pub enum Source {
    /// A list, which one model answers.
    List { served: Arc<Served>, unit: Offsets, inputs: std::vec::IntoIter<Input> },
    /// The lines of a body, each of which may name a model.
    Body(LineReader),
}

/// A reply in the making.
struct Lines {
    shared: Arc<Shared>,
    task: Task,
    answers: Answers,
    /// What is left to be read.
    source: Option<Source>,
    /// The place among the requests that are worked on.
    _permit: Permit,
}

/// Answers what comes from a source. The first answer is waited for, so that a request that finds no room has the status
/// that says so.
pub async fn respond(
    shared: Arc<Shared>,
    task: Task,
    source: Source,
    permit: Permit,
) -> Result<Response, Refusal> {
    let answers = Answers::new(task.clone());
    let mut lines = Lines { shared, task, answers, source: Some(source), _permit: permit };
    let first = lines.next().await?;
    let rest = unfold((first, lines), async |(first, mut lines)| {
        let line = match first {
            Some(line) => line,
            None => lines.next_in_time().await?,
        };
        Some((Ok::<_, Infallible>(line), (None, lines)))
    });
    // Packing asks once more after the end.
    Ok(([(header::CONTENT_TYPE, LINES)], Body::from_stream(rest.fuse())).into_response())
}

impl Lines {
    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// Not even the first input finds room in the queue.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let (waiting, reads) = (self.answers.waiting(), self.source.is_some());
            tokio::select! {
                biased;
                answer = self.answers.next(), if waiting > 0 => {
                    return Ok(answer?.map(|answer| self.line(answer)));
                }
                input = read(&mut self.source), if reads && waiting < AHEAD => match input {
                    Some(input) => self.push(input),
                    None => self.source = None,
                },
                else => return Ok(None),
            }
        }
    }

    /// The next line, which may be that nothing happened for too long: that is the last one.
    async fn next_in_time(&mut self) -> Option<Bytes> {
        let limit = self.shared.options.timeout;
        let refusal = match timeout(limit, self.next()).await {
            Ok(Ok(line)) => return line,
            Ok(Err(refusal)) => refusal,
            Err(_) => {
                let message = format!("no line and no answer within {} seconds", limit.as_secs_f64());
                Refusal::new(Kind::TimedOut, message)
            }
        };
        self.source = None;
        self.answers = Answers::new(self.task.clone());
        Some(self.line(Err(refusal)))
    }

    /// Asks what was read.
    fn push(&mut self, read: Result<Read, Refusal>) {
        let asked = read.and_then(|read| match read {
            Read::Input(served, unit, input) => Ok((served, unit, input)),
            Read::Line(mut fields) => {
                let (model, unit) = (fields.take::<String>("model")?, fields.take("offsets")?);
                let served = self.task.find(&self.shared, model.as_deref())?;
                Ok((served, unit.unwrap_or_default(), fields.0))
            }
        });
        match asked {
            Ok((served, unit, input)) => self.answers.push(&served, input, unit),
            Err(refusal) => self.answers.push_refusal(refusal),
        }
    }

    fn line(&self, answer: Result<Answer, Refusal>) -> Bytes {
        let answer = answer.unwrap_or_else(|refusal| failed(&refusal));
        self.shared.metrics.truncated(answer.is_truncated().into());
        Bytes::from(format!("{}\n", answer.0.get()))
    }
}

/// What a source gives.
enum Read {
    Input(Arc<Served>, Offsets, Input),
    Line(Fields),
}

/// The next of a source; `None` after the last one. Nothing is lost if the future is dropped.
async fn read(source: &mut Option<Source>) -> Option<Result<Read, Refusal>> {
    match source.as_mut()? {
        Source::List { served, unit, inputs } => {
            inputs.next().map(|input| Ok(Read::Input(served.clone(), *unit, input)))
        }
        Source::Body(lines) => {
            let line = match lines.next().await? {
                Ok(line) => serde_json::from_slice(line),
                Err(refusal) => return Some(Err(refusal)),
            };
            let number = lines.number();
            Some(line.map(|fields| Read::Line(Fields(fields))).map_err(|error| {
                Refusal::invalid(format!(
                    "line {number} is not an object with the fields of an input: {error}"
                ))
            }))
        }
    }
}
