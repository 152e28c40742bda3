//! The answers of the server's own form, one after another: from the fields of an input to its record.

use std::collections::VecDeque;
use std::sync::Arc;

use bert_tasks::embedding::cosine;
use bert_tasks::records::EmbeddingRecord;
use serde::Serialize;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use crate::ask::{Answer, Questions};
use crate::models::Served;
use crate::offsets::{Offsets, convert_record};
use crate::reader::Fields;
use crate::server::Shared;
use crate::{Kind, Refusal};

/// The fields of an input.
pub type Input = Map<String, Value>;

/// A task by the word of its path. Similarity is the cosine of two vectors, which come from the task that gives them.
#[derive(Clone)]
pub struct Task {
    word: String,
    similarity: bool,
}

impl Task {
    pub fn new(word: String) -> Self {
        let similarity = word == "similarity";
        Self { word, similarity }
    }

    /// Who does it.
    pub fn find(&self, shared: &Shared, model: Option<&str>) -> Result<Arc<Served>, Refusal> {
        shared.find(model, if self.similarity { "embed" } else { &self.word })
    }
}

/// Inputs that wait for their answers.
pub struct Answers {
    task: Task,
    questions: Questions,
    expected: VecDeque<Expected>,
}

/// What is to be made of the next answers.
enum Expected {
    /// A record. The input is kept where places in it are to be counted in other units.
    Record { input: Option<(Input, Offsets)> },
    /// Of two vectors one number; the first may be there.
    Similarity { first: Option<Result<Answer, Refusal>>, unit: Offsets },
    /// Nothing is asked.
    Refused(Refusal),
}

impl Answers {
    pub fn new(task: Task) -> Self {
        Self { task, questions: Questions::default(), expected: VecDeque::new() }
    }

    /// How many inputs wait.
    pub fn waiting(&self) -> usize {
        self.expected.len()
    }

    /// Asks one more. What is wrong with it is told in its place.
    pub fn push(&mut self, served: &Arc<Served>, input: Input, unit: Offsets) {
        let expected = match self.task.similarity {
            true => match vectors(input) {
                Ok(inputs) => {
                    inputs.into_iter().for_each(|input| self.questions.push(served, input));
                    Expected::Similarity { first: None, unit }
                }
                Err(refusal) => Expected::Refused(refusal),
            },
            false => {
                let kept = (unit != Offsets::Bytes).then(|| (input.clone(), unit));
                self.questions.push(served, Value::Object(input));
                Expected::Record { input: kept }
            }
        };
        self.expected.push_back(expected);
    }

    /// Puts an error in the place of an answer.
    pub fn push_refusal(&mut self, refusal: Refusal) {
        self.expected.push_back(Expected::Refused(refusal));
    }

    /// The next answer; `None` if no input waits. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// Not even the first input finds room in the queue.
    pub async fn next(&mut self) -> Result<Option<Result<Answer, Refusal>>, Refusal> {
        let answer = match self.expected.front_mut() {
            None => return Ok(None),
            Some(Expected::Refused(refusal)) => Err(refusal.clone()),
            Some(Expected::Record { input }) => {
                let answer = next(&mut self.questions).await?;
                match input.take() {
                    Some((input, unit)) => answer.and_then(|answer| converted(&answer, &input, unit)),
                    None => answer,
                }
            }
            Some(Expected::Similarity { first, unit }) => {
                if first.is_none() {
                    *first = Some(next(&mut self.questions).await?);
                }
                let second = next(&mut self.questions).await?;
                similarity(first.take().unwrap_or_else(|| Err(lost())), second, *unit)
            }
        };
        self.expected.pop_front();
        Ok(Some(answer))
    }
}

async fn next(questions: &mut Questions) -> Result<Result<Answer, Refusal>, Refusal> {
    Ok(questions.next().await?.unwrap_or_else(|| Err(lost())))
}

fn lost() -> Refusal {
    Refusal::new(Kind::Internal, "an answer was lost: a bug of the server")
}

/// The record with its places in other units.
fn converted(answer: &Answer, input: &Input, unit: Offsets) -> Result<Answer, Refusal> {
    let mut record: Value = answer.read()?;
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    let list = |name: &str| {
        input.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    };
    let mut texts: Vec<&str> =
        ["question", "text", "first", "prompt"].into_iter().find_map(text).into_iter().collect();
    texts.extend(["pair", "second"].into_iter().find_map(text));
    texts.extend(list("choices").chain(list("texts")));
    let main = text("context").or_else(|| texts.first().copied()).unwrap_or_default();
    convert_record(&mut record, main, &texts, unit);
    raw(&record)
}

/// The inputs for the vectors of two texts.
fn vectors(input: Input) -> Result<[Value; 2], Refusal> {
    let mut fields = Fields(input);
    let texts = [fields.need::<String>("first")?, fields.need::<String>("second")?];
    Ok(texts.map(|text| {
        let mut input = fields.0.clone();
        input.insert("text".to_owned(), Value::String(text));
        Value::Object(input)
    }))
}

/// Both texts are told what of them was not seen.
fn similarity(
    first: Result<Answer, Refusal>,
    second: Result<Answer, Refusal>,
    unit: Offsets,
) -> Result<Answer, Refusal> {
    let (first, second): (EmbeddingRecord, EmbeddingRecord) = (first?.read()?, second?.read()?);
    let cosine = cosine(&first.answer.vector, &second.answer.vector);
    let mut truncated = json!({"truncated": [first.answer.truncated, second.answer.truncated]});
    convert_record(&mut truncated, "", &[&first.text, &second.text], unit);
    let truncated = truncated["truncated"].take();
    raw(&SimilarityRecord { first: first.text, second: second.text, cosine, truncated })
}

/// As that of the library, which does not tell what of the texts was not seen.
#[derive(Serialize)]
struct SimilarityRecord {
    first: String,
    second: String,
    cosine: f32,
    truncated: Value,
}

/// Anything as an answer.
fn raw(value: &impl Serialize) -> Result<Answer, Refusal> {
    to_raw_value(value).map(Answer).map_err(|error| Refusal::new(Kind::Internal, error.to_string()))
}

/// What stands in the place of an answer.
pub fn failed(refusal: &Refusal) -> Answer {
    // The only thing that JSON cannot hold are maps whose keys are no strings.
    Answer(to_raw_value(&json!({"error": refusal.object()})).expect("a refusal is a text and a number"))
}
