//! Inputs that are answered together: how they become batches, and rows become answers.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Range;

use bert_core::PackedBatch;
use bert_core::tensor::HostTensor;
use ndarray::{Array2, Ix2, s};

use super::worker::Job;
use crate::{Error, Prepared, Result, Rows, Sequence, Task};

/// What [`Task::prepare`] makes of an input.
type PreparedBy<T> = Result<Prepared<<T as Task>::Context>>;

/// An input between `prepare` and `finish`.
pub struct Pending<T: Task> {
    input: T::Input,
    prepared: PreparedBy<T>,
    pieces: Vec<Option<Result<T::Piece>>>,
}

impl<T: Task> Pending<T> {
    pub fn new(input: T::Input, prepared: PreparedBy<T>) -> Self {
        let count = prepared.as_ref().map_or(0, |prepared| prepared.sequences.len());
        Self { input, prepared, pieces: (0..count).map(|_| None).collect() }
    }

    /// What its sequences add to batches.
    pub fn cost(&self) -> usize {
        self.sequences().iter().map(Sequence::cost).sum()
    }

    pub fn sequences(&self) -> &[Sequence] {
        self.prepared.as_ref().map_or(&[], |prepared| &prepared.sequences)
    }

    /// Hands a sequence its rows, which are those of `slot` in a batch that was computed.
    pub fn take(&mut self, task: &T, number: usize, job: &Job, slot: usize, results: &[HostTensor]) {
        let Ok(Prepared { context, .. }) = &self.prepared else { return };
        let rows: Result<Rows> = job
            .outputs
            .iter()
            .zip(results)
            .map(|(output, result)| {
                let rows = rows_of(result, output.axis().rows(&job.batch, slot))?;
                match rows.iter().all(|x| x.is_finite()) {
                    true => Ok(rows),
                    false => Err(Error::NotFinite { output: output.name() }),
                }
            })
            .collect();
        self.pieces[number] = Some(rows.and_then(|rows| task.reduce(context, number, rows)));
    }

    /// The answer, when every sequence has its rows.
    pub fn answer(self, task: &T) -> Result<T::Answer> {
        let Self { input, prepared, pieces } = self;
        let pieces = pieces.into_iter().map(|piece| piece.expect("every sequence has its rows"));
        task.finish(&input, prepared?.context, pieces.collect::<Result<_>>()?)
    }
}

/// What the model has to compute for some sequences.
pub fn job<'a, T: Task>(task: &T, sequences: impl Iterator<Item = &'a Sequence>) -> Job {
    let mut batch = PackedBatch::default();
    for Sequence { ids, segments, masked } in sequences {
        batch.push_marked(ids, segments, masked);
    }
    Job { batch, outputs: task.outputs() }
}

/// Tokenises inputs. A browser has one thread.
#[cfg(target_family = "wasm")]
pub fn prepare_all<T: Task>(task: &T, inputs: Vec<T::Input>) -> Vec<(T::Input, PreparedBy<T>)> {
    let prepare = |input| {
        let prepared = task.prepare(&input);
        (input, prepared)
    };
    inputs.into_iter().map(prepare).collect()
}

/// Tokenises inputs on as many threads as the host may use.
#[cfg(not(target_family = "wasm"))]
pub fn prepare_all<T: Task>(task: &T, inputs: Vec<T::Input>) -> Vec<(T::Input, PreparedBy<T>)> {
    let threads = task.session().host_threads().min(inputs.len());
    let share = inputs.len().div_ceil(threads.max(1)).max(1);
    let prepared: Vec<_> = std::thread::scope(|scope| {
        let prepare =
            |part| move || -> Vec<_> { <[T::Input]>::iter(part).map(|input| task.prepare(input)).collect() };
        let mut parts = inputs.chunks(share);
        let first = parts.next();
        // Where the system gives no more threads, this one does it all.
        let spawn = |part| std::thread::Builder::new().spawn_scoped(scope, prepare(part)).map_err(|_| part);
        let others: Vec<_> = parts.map(spawn).collect();
        let first = first.map_or(vec![], |part| prepare(part)());
        let others = others.into_iter().flat_map(|other| match other.map(|thread| thread.join()) {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(part) => prepare(part)(),
        });
        first.into_iter().chain(others).collect()
    });
    inputs.into_iter().zip(prepared).collect()
}

/// Which sequence of which input: `(input, sequence)`.
type Place = (usize, usize);

/// Inputs that are sorted and batched together.
pub struct Window<T: Task> {
    pending: Vec<Pending<T>>,
    /// The sequences of each batch whose result is awaited, in the order in which they come.
    pub batches: VecDeque<Vec<Place>>,
}

impl<T: Task> Window<T> {
    /// Sorts all sequences by length, longest first, and cuts them into batches that cost `budget` at most (or
    /// hold a single sequence).
    pub fn new(pending: Vec<Pending<T>>, budget: usize) -> Self {
        let mut places: Vec<(usize, usize, Place)> = vec![];
        for (index, input) in pending.iter().enumerate() {
            for (number, sequence) in input.sequences().iter().enumerate() {
                places.push((sequence.ids.len(), sequence.cost(), (index, number)));
            }
        }
        places.sort_by_key(|&(length, _, place)| (Reverse(length), place));
        let mut batches: VecDeque<Vec<Place>> = VecDeque::new();
        let mut spent = usize::MAX;
        for (_, cost, place) in places {
            spent = spent.saturating_add(cost);
            match batches.back_mut() {
                Some(batch) if spent <= budget => batch.push(place),
                _ => {
                    batches.push_back(vec![place]);
                    spent = cost;
                }
            }
        }
        Self { pending, batches }
    }

    /// What the model has to compute for a batch.
    pub fn job(&self, task: &T, places: &[Place]) -> Job {
        job(task, places.iter().map(|&(index, number)| &self.pending[index].sequences()[number]))
    }

    /// Hands each sequence of the next batch its rows.
    pub fn take(&mut self, task: &T, job: &Job, results: &[HostTensor]) {
        let places = self.batches.pop_front().expect("a result has a batch");
        for (slot, (index, number)) in places.into_iter().enumerate() {
            self.pending[index].take(task, number, job, slot, results);
        }
    }

    /// The answers, when all batches have come back.
    pub fn answers(self, task: &T) -> impl Iterator<Item = Result<T::Answer>> {
        self.pending.into_iter().map(|pending| pending.answer(task))
    }
}

fn rows_of(result: &HostTensor, range: Range<usize>) -> Result<Array2<f32>> {
    let array = result.to_f32()?;
    let array = array.view().into_dimensionality::<Ix2>().expect("outputs are matrices");
    Ok(array.slice(s![range, ..]).to_owned())
}
