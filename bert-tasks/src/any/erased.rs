//! A task whose types are not known: what it remembers of a request, and keeps of a sequence, is in boxes that only it
//! can open.

use std::any::Any;

use bert_core::contract::{MaybeSend, MaybeSync};
use bert_core::graph::Output;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::task::{Asked, Json, JsonTask};
use crate::{Prepared, Result, Rows, Session, Task};

/// What is remembered of a request.
#[cfg(not(target_family = "wasm"))]
pub type Context = Box<dyn Any + Send + Sync>;
/// What is remembered of a request.
#[cfg(target_family = "wasm")]
pub type Context = Box<dyn Any>;

/// What is kept of a sequence.
#[cfg(not(target_family = "wasm"))]
pub type Piece = Box<dyn Any + Send>;
/// What is kept of a sequence.
#[cfg(target_family = "wasm")]
pub type Piece = Box<dyn Any>;

/// The methods of [`Task`] on such boxes.
pub trait ErasedTask: MaybeSend + MaybeSync {
    fn session(&self) -> &Session;
    fn outputs(&self) -> Vec<Output>;
    fn prepare(&self, request: &Value) -> Result<Prepared<Context>>;
    fn reduce(&self, context: &Context, index: usize, rows: Rows) -> Result<Piece>;
    fn finish(&self, request: &Value, context: Context, pieces: Vec<Piece>) -> Result<Box<RawValue>>;
}

/// Why a box can be opened: the engine hands a task what the same task has made.
const OWN: &str = "what a task made comes back to it";

impl<T: JsonTask> ErasedTask for Json<T> {
    fn session(&self) -> &Session {
        Task::session(self)
    }

    fn outputs(&self) -> Vec<Output> {
        Task::outputs(self)
    }

    fn prepare(&self, request: &Value) -> Result<Prepared<Context>> {
        let Prepared { sequences, context } = Task::prepare(self, request)?;
        Ok(Prepared { sequences, context: Box::new(context) })
    }

    fn reduce(&self, context: &Context, index: usize, rows: Rows) -> Result<Piece> {
        let context: &Asked<T> = context.downcast_ref().expect(OWN);
        Ok(Box::new(Task::reduce(self, context, index, rows)?))
    }

    fn finish(&self, request: &Value, context: Context, pieces: Vec<Piece>) -> Result<Box<RawValue>> {
        let context: Box<Asked<T>> = context.downcast().expect(OWN);
        let pieces = pieces.into_iter().map(|piece| *piece.downcast::<T::Piece>().expect(OWN)).collect();
        let record = Task::finish(self, request, *context, pieces)?;
        // The only thing that JSON cannot hold are maps whose keys are no strings.
        Ok(to_raw_value(&record).expect("records are structs, lists, strings and numbers"))
    }
}
