//! Questions to a task: any number of inputs, of which only some wait at once.

use std::collections::VecDeque;
use std::time::Duration;

use bert_tasks::batcher::{Client, Reply};
use bert_tasks::{AnyTask, Error};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::task::spawn_blocking;

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

/// Answers all inputs, in their order; each may fail by itself.
///
/// The whole is refused only if not even the first input finds room in the queue. If a later one does not, it waits: a
/// request holds a part of the queue and never all of it. If the caller goes away, what has not been computed never is.
pub async fn ask_each(served: &Served, inputs: Vec<Value>) -> Result<Vec<Result<Answer, Refusal>>, Refusal> {
    let client = served.batcher.client();
    let mut answers = Vec::with_capacity(inputs.len());
    let mut inputs = VecDeque::from(inputs);
    let mut replies: VecDeque<Reply<Box<RawValue>>> = VecDeque::new();
    loop {
        // Half a window at a time, so that few hand-overs between threads are needed.
        if replies.len() <= served.window / 2 && !inputs.is_empty() {
            let count = (served.window - replies.len()).min(inputs.len());
            let chunk = inputs.drain(..count).collect();
            let (new, left) = submit(client.clone(), chunk).await?;
            replies.extend(new);
            for input in left.into_iter().rev() {
                inputs.push_front(input);
            }
            if replies.is_empty() {
                if answers.is_empty() {
                    let message = "as many requests wait as may; try again later";
                    return Err(Refusal::new(Kind::Overloaded, message));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        }
        match replies.pop_front() {
            Some(reply) => answers.push(reply.await.map(Answer).map_err(Refusal::from)),
            None => return Ok(answers),
        }
    }
}

/// Answers all inputs, in their order.
///
/// # Errors
/// The first input that cannot be answered, with its index.
pub async fn ask_all(served: &Served, inputs: Vec<Value>) -> Result<Vec<Answer>, Refusal> {
    let count = inputs.len();
    let answers = ask_each(served, inputs).await?;
    answers
        .into_iter()
        .enumerate()
        .map(|(index, answer)| answer.map_err(|error| error.at(index, count)))
        .collect()
}

/// Tokenises inputs and puts them in the queue, on a thread that may be busy for long. Gives back what found no room.
async fn submit(
    client: Client<AnyTask>,
    mut inputs: VecDeque<Value>,
) -> Result<(Vec<Reply<Box<RawValue>>>, VecDeque<Value>), Refusal> {
    let submitted = spawn_blocking(move || {
        let mut replies = vec![];
        while let Some(input) = inputs.front() {
            // A copy, since it is lost where there is no room.
            match client.submit(input.clone()) {
                Ok(reply) => replies.push(reply),
                Err(Error::QueueFull { .. }) => break,
                Err(error) => return Err(error),
            }
            inputs.pop_front();
        }
        Ok((replies, inputs))
    });
    match submitted.await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Refusal::new(Kind::Internal, "the task failed on this request: a bug of the server")),
    }
}
