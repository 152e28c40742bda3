//! Questions to tasks: any number of inputs, of which only some wait at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bert_tasks::batcher::{Client, Reply};
use bert_tasks::{AnyTask, Error};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::models::Served;
use crate::{Kind, Refusal};

/// The JSON text of a record.
pub struct Answer(pub Box<RawValue>);

impl Answer {
    /// Whether the model did not see a part of the texts.
    pub fn is_truncated(&self) -> bool {
        // The last field of each record that has it. In a string the quotes would be escaped.
        let field = "\"truncated\":";
        let text = self.0.get();
        text.rfind(field).is_some_and(|at| {
            text[at + field.len()..].starts_with(['{', '[']) && text[at..].contains("\"start\"")
        })
    }

    /// The record, or a part of it.
    pub fn read<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Refusal> {
        serde_json::from_str(self.0.get())
            .map_err(|error| Refusal::new(Kind::Internal, format!("the answer cannot be read back: {error}")))
    }
}

/// The inputs of one request, answered in their order. Only a window of them waits at once, so that a request holds a part
/// of a queue and never all of it. If it is dropped, what has not been computed never is.
#[derive(Default)]
pub struct Questions {
    /// Who is asked. A request is one client of each task, however many inputs it has.
    asked: Vec<(Arc<Served>, Client<AnyTask>)>,
    /// What is not in a queue yet, each with the index of who is asked.
    inputs: VecDeque<(usize, Value)>,
    /// What is on its way into a queue.
    submitting: Option<JoinHandle<Result<Submitted, Error>>>,
    replies: VecDeque<Reply<Box<RawValue>>>,
    /// Whether any input has found room.
    begun: bool,
}

/// What found room in the queues, and what did not.
type Submitted = (Vec<Reply<Box<RawValue>>>, VecDeque<(usize, Value)>);

impl Questions {
    /// Asks one more.
    pub fn push(&mut self, served: &Arc<Served>, input: Value) {
        let known = self.asked.iter().position(|(own, _)| Arc::ptr_eq(own, served));
        let index = known.unwrap_or_else(|| {
            self.asked.push((served.clone(), served.batcher.client()));
            self.asked.len() - 1
        });
        self.inputs.push_back((index, input));
    }

    /// The next answer; `None` if all that was asked is answered. What was begun goes on if the future is dropped.
    ///
    /// # Errors
    /// Not even the first input finds room. A later one that finds none waits.
    pub async fn next(&mut self) -> Result<Option<Result<Answer, Refusal>>, Refusal> {
        loop {
            let window = self.asked.iter().map(|(served, _)| served.window).min().unwrap_or(1);
            // Half a window at a time, so that few hand-overs between threads are needed.
            if self.submitting.is_none() && self.replies.len() <= window / 2 && !self.inputs.is_empty() {
                let count = (window - self.replies.len()).min(self.inputs.len());
                let chunk = self.inputs.drain(..count).collect();
                let clients: Vec<_> = self.asked.iter().map(|(_, client)| client.clone()).collect();
                self.submitting = Some(spawn_blocking(move || submit(&clients, chunk)));
            }
            if let Some(submitting) = &mut self.submitting {
                let submitted = submitting.await;
                self.submitting = None;
                let (new, left) = submitted.map_err(|_| {
                    Refusal::new(Kind::Internal, "the task failed on this request: a bug of the server")
                })??;
                self.replies.extend(new);
                for input in left.into_iter().rev() {
                    self.inputs.push_front(input);
                }
                self.begun |= !self.replies.is_empty();
                if !self.begun {
                    let message = "as many requests wait as may; try again later";
                    return Err(Refusal::new(Kind::Overloaded, message));
                }
            }
            if let Some(reply) = self.replies.front_mut() {
                let answer = reply.await;
                self.replies.pop_front();
                return Ok(Some(answer.map(Answer).map_err(Refusal::from)));
            }
            if self.inputs.is_empty() {
                return Ok(None);
            }
            // The queue is full of what others asked.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Answers all inputs, in their order.
///
/// # Errors
/// The first input that cannot be answered, with its index.
pub async fn ask_all(served: &Arc<Served>, inputs: Vec<Value>) -> Result<Vec<Answer>, Refusal> {
    let count = inputs.len();
    let mut questions = Questions::default();
    inputs.into_iter().for_each(|input| questions.push(served, input));
    let mut answers = Vec::with_capacity(count);
    while let Some(answer) = questions.next().await? {
        answers.push(answer.map_err(|error| error.at(answers.len(), count))?);
    }
    Ok(answers)
}

/// Tokenises inputs and puts them in the queues until one finds no room. It may take long, on a thread that may be busy.
fn submit(clients: &[Client<AnyTask>], mut inputs: VecDeque<(usize, Value)>) -> Result<Submitted, Error> {
    let mut replies = vec![];
    while let Some((asked, input)) = inputs.front() {
        // A copy, since it is lost where there is no room.
        match clients[*asked].submit(input.clone()) {
            Ok(reply) => replies.push(reply),
            Err(Error::QueueFull { .. }) => break,
            Err(error) => return Err(error),
        }
        inputs.pop_front();
    }
    Ok((replies, inputs))
}
