//! A task whose inputs are JSON: what turns a typed task into one, and what it takes from each.

use serde::Serialize;
use serde_json::Value;

use bert_core::contract::MaybeSend;
use bert_core::graph::Output;

use super::fields::Fields;
use crate::{Prepared, Pretrained, Result, Rows, Session, Task};

/// What a typed task has to say to be asked by JSON.
pub trait JsonTask: Task + Clone + 'static {
    /// What can be chosen.
    type Options: Clone + PartialEq + Send + Sync;
    /// The input and the answer, as they are written.
    type Record: Serialize + MaybeSend;

    /// What is chosen where nobody says otherwise.
    fn default_options() -> Self::Options;

    /// The task on a model that was loaded for it, whose files say what else there is to know.
    fn on(session: Session, files: &Pretrained) -> Result<Self>;

    /// The same model with other options.
    fn configure(self, options: Self::Options) -> Result<Self>;

    /// Reads the options that a request may have.
    fn read_options(fields: &mut Fields<'_>, options: &mut Self::Options);

    /// Reads the options that decide what the model computes, and so are the same for all requests.
    fn read_fixed_options(_fields: &mut Fields<'_>, _options: &mut Self::Options) {}

    /// Reads what is asked.
    fn read_input(fields: &mut Fields<'_>) -> Self::Input;

    /// Puts what was asked and the answer together.
    fn record(&self, input: Self::Input, answer: Self::Answer) -> Self::Record;
}

/// What gives the model of a task, once its options are known to make sense.
pub type Load<'a> = &'a dyn Fn() -> Result<Session>;

/// A typed task that takes JSON. Being a task itself, it has all that tasks have: requests with options of their own
/// share batches.
pub struct Json<T: JsonTask> {
    /// How it is called in messages.
    word: &'static str,
    /// As it was loaded.
    loaded: T,
    /// With the options that it was opened with.
    task: T,
    options: T::Options,
}

impl<T: JsonTask> Json<T> {
    pub fn open(word: &'static str, files: &Pretrained, options: &Value, load: Load<'_>) -> Result<Self> {
        let mut chosen = T::default_options();
        if !options.is_null() {
            let mut fields = Fields::new(word, options);
            T::read_options(&mut fields, &mut chosen);
            T::read_fixed_options(&mut fields, &mut chosen);
            fields.finish()?;
        }
        let loaded = T::on(load()?, files)?;
        let task = loaded.clone().configure(chosen.clone())?;
        Ok(Self { word, loaded, task, options: chosen })
    }
}

/// What is remembered of a request.
pub struct Asked<T: JsonTask> {
    /// With the options of the request.
    task: T,
    input: T::Input,
    context: T::Context,
}

impl<T: JsonTask> Task for Json<T> {
    type Input = Value;
    type Context = Asked<T>;
    type Piece = T::Piece;
    type Answer = T::Record;

    fn session(&self) -> &Session {
        self.task.session()
    }

    fn outputs(&self) -> Vec<Output> {
        self.task.outputs()
    }

    fn prepare(&self, request: &Value) -> Result<Prepared<Asked<T>>> {
        let mut fields = Fields::new(self.word, request);
        let mut options = self.options.clone();
        let input = T::read_input(&mut fields);
        T::read_options(&mut fields, &mut options);
        fields.finish()?;
        let task = match options == self.options {
            true => self.task.clone(),
            false => self.loaded.clone().configure(options)?,
        };
        let Prepared { sequences, context } = task.prepare(&input)?;
        Ok(Prepared { sequences, context: Asked { task, input, context } })
    }

    fn reduce(&self, asked: &Asked<T>, index: usize, rows: Rows) -> Result<T::Piece> {
        asked.task.reduce(&asked.context, index, rows)
    }

    fn finish(&self, _: &Value, asked: Asked<T>, pieces: Vec<T::Piece>) -> Result<T::Record> {
        let Asked { task, input, context } = asked;
        let answer = task.finish(&input, context, pieces)?;
        Ok(task.record(input, answer))
    }
}
