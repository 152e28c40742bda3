//! What a task is: how a text becomes sequences, and how the model's numbers become an answer. The engine
//! in between ([`Stream`]) is the same for all.

use std::collections::VecDeque;
use std::iter::Fuse;

use bert_core::PackedBatch;
use bert_core::backend::MaybeSync;
use bert_core::graph::Output;
use bert_core::tensor::HostTensor;
use ndarray::{Array2, Ix2, s};

use crate::tokenizer::Encoded;
use crate::wait::wait;
use crate::{Result, Session};

/// One run of tokens as the model sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids, `[CLS]` and `[SEP]` included; at most [`Session::max_length`].
    pub ids: Vec<u32>,
    /// The segment, 0 or 1, of each token.
    pub segments: Vec<u32>,
    /// The positions whose vocabulary scores are wanted; empty unless the task asks for
    /// [`Output::MaskedLm`].
    pub masked: Vec<u32>,
}

impl Sequence {
    /// What it adds to a batch: its tokens, and something for each row of vocabulary scores, which is as
    /// long as many hidden states.
    fn cost(&self) -> usize {
        self.ids.len() + 8 * self.masked.len()
    }
}

impl From<Encoded> for Sequence {
    fn from(encoded: Encoded) -> Self {
        Self { ids: encoded.ids, segments: encoded.segments, masked: vec![] }
    }
}

/// An input made ready: one sequence, or several where a long text takes windows.
pub struct Prepared<C> {
    /// In the order in which [`Task::finish`] wants their results.
    pub sequences: Vec<Sequence>,
    /// What the task remembers of the input.
    pub context: C,
}

/// The rows of one sequence, for each output that the task asked for: `[tokens, n]`, `[1, n]` for outputs
/// of whole sequences, `[masked, vocab]` for vocabulary scores.
pub type Rows = Vec<Array2<f32>>;

/// A task on a loaded model.
///
/// Implementors say what goes in and what comes out; batching, order and memory are the engine's. Every
/// task has a method of its own for one input; these are for many.
pub trait Task: MaybeSync + Sized {
    /// What is asked.
    type Input: Sync;
    /// What [`prepare`](Self::prepare) remembers for [`finish`](Self::finish).
    type Context: Send;
    /// What is kept of one sequence's rows, which are large and die with their batch.
    type Piece;
    /// What comes out.
    type Answer;

    /// The model that answers.
    fn session(&self) -> &Session;

    /// What the model shall compute. The rows of [`Output::MaskedLm`] are filled in by the engine.
    fn outputs(&self) -> Vec<Output>;

    /// Turns an input into sequences. Runs on several threads.
    ///
    /// # Errors
    /// An input that the task cannot take.
    fn prepare(&self, input: &Self::Input) -> Result<Prepared<Self::Context>>;

    /// Keeps what matters of the rows of sequence `index` of an input.
    ///
    /// # Errors
    /// Numbers that make no answer.
    fn reduce(&self, context: &Self::Context, index: usize, rows: Rows) -> Result<Self::Piece>;

    /// Turns what was kept into the answer.
    ///
    /// # Errors
    /// Numbers that make no answer.
    fn finish(
        &self,
        input: &Self::Input,
        context: Self::Context,
        pieces: Vec<Self::Piece>,
    ) -> Result<Self::Answer>;

    /// Answers any number of inputs, in their order, holding only some of them in memory at a time. Inputs
    /// of like length share a batch; answers do not depend on which.
    ///
    /// An input that cannot be answered gives an error in its place, and the rest go on; a device that
    /// fails gives an error and ends the stream.
    fn stream<I: IntoIterator<Item = Self::Input>>(&self, inputs: I) -> Stream<'_, Self, I::IntoIter> {
        let window = self.session().token_budget();
        Stream {
            task: self,
            inputs: inputs.into_iter().fuse(),
            ready: VecDeque::new(),
            window,
            failed: false,
        }
    }

    /// Answers all inputs, in their order. `progress` is told how many are done.
    ///
    /// # Errors
    /// The first input that cannot be answered.
    fn predict_all(
        &self,
        inputs: impl IntoIterator<Item = Self::Input>,
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<Self::Answer>> {
        let mut answers = vec![];
        for answer in self.stream(inputs) {
            answers.push(answer?);
            progress(answers.len());
        }
        Ok(answers)
    }

    /// Answers one input.
    ///
    /// # Errors
    /// An input that the task cannot take; a device that failed.
    fn predict_one(&self, input: Self::Input) -> Result<Self::Answer> {
        wait(self.predict_one_async(input))
    }

    /// Answers one input, for callers that do something else meanwhile, or cannot wait as in a browser.
    ///
    /// # Errors
    /// As [`predict_one`](Self::predict_one).
    fn predict_one_async(&self, input: Self::Input) -> impl Future<Output = Result<Self::Answer>> {
        async move {
            let prepared = self.prepare(&input);
            let mut pending = [Pending::new(input, prepared)];
            for batch in cut(&pending, self.session().token_budget()) {
                run(self, &batch, &mut pending).await?;
            }
            let [answered] = pending;
            answered.finish(self)
        }
    }
}

/// Answers in the order of their inputs; made by [`Task::stream`].
pub struct Stream<'a, T: Task, I: Iterator<Item = T::Input>> {
    task: &'a T,
    inputs: Fuse<I>,
    ready: VecDeque<Result<T::Answer>>,
    /// How many tokens are read ahead, to be sorted by length. It grows, so that the first answer comes soon.
    window: usize,
    failed: bool,
}

/// The largest window, in batches.
const MAX_WINDOW: usize = 16;
/// How many inputs are tokenised at once.
const CHUNK: usize = 128;

impl<T: Task, I: Iterator<Item = T::Input>> Iterator for Stream<'_, T, I> {
    type Item = Result<T::Answer>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && !self.failed
            && let Err(error) = self.refill()
        {
            self.failed = true;
            self.ready.push_back(Err(error));
        }
        self.ready.pop_front()
    }
}

/// An input between `prepare` and `finish`.
struct Pending<T: Task> {
    input: T::Input,
    prepared: PreparedBy<T>,
    pieces: Vec<Option<Result<T::Piece>>>,
}

impl<T: Task> Pending<T> {
    fn new(input: T::Input, prepared: PreparedBy<T>) -> Self {
        let sequences = prepared.as_ref().map_or(0, |prepared| prepared.sequences.len());
        Self { input, prepared, pieces: (0..sequences).map(|_| None).collect() }
    }

    /// What it adds to a window: at least one, so that inputs which cannot be answered fill it too.
    fn cost(&self) -> usize {
        let sequences = self.prepared.iter().flat_map(|prepared| &prepared.sequences);
        sequences.map(Sequence::cost).sum::<usize>().max(1)
    }

    /// The answer, when all its sequences have been in a batch.
    fn finish(self, task: &T) -> Result<T::Answer> {
        let context = self.prepared?.context;
        let pieces = self.pieces.into_iter().map(|piece| piece.expect("every sequence is in a batch"));
        task.finish(&self.input, context, pieces.collect::<Result<_>>()?)
    }
}

impl<T: Task, I: Iterator<Item = T::Input>> Stream<'_, T, I> {
    /// Reads a window of inputs and answers it.
    fn refill(&mut self) -> Result<()> {
        let budget = self.task.session().token_budget();
        let mut pending: Vec<Pending<T>> = vec![];
        let mut cost = 0;
        while cost < self.window {
            // A first input alone is tokenised at once; later ones by the chunk.
            let count = if self.window == budget && pending.is_empty() { 1 } else { CHUNK };
            let inputs: Vec<T::Input> = self.inputs.by_ref().take(count).collect();
            if inputs.is_empty() {
                break;
            }
            for (input, prepared) in prepare_all(self.task, inputs) {
                let input = Pending::new(input, prepared);
                cost += input.cost();
                pending.push(input);
            }
        }
        self.window = (self.window * 2).min(budget * MAX_WINDOW);

        for batch in cut(&pending, budget) {
            wait(run(self.task, &batch, &mut pending))?;
        }
        self.ready.extend(pending.into_iter().map(|input| input.finish(self.task)));
        Ok(())
    }
}

/// What [`Task::prepare`] makes of an input.
type PreparedBy<T> = Result<Prepared<<T as Task>::Context>>;

/// Tokenises inputs. A browser has one thread.
#[cfg(target_family = "wasm")]
fn prepare_all<T: Task>(task: &T, inputs: Vec<T::Input>) -> Vec<(T::Input, PreparedBy<T>)> {
    let prepare = |input| {
        let prepared = task.prepare(&input);
        (input, prepared)
    };
    inputs.into_iter().map(prepare).collect()
}

/// Tokenises inputs on as many threads as the model computes with.
#[cfg(not(target_family = "wasm"))]
fn prepare_all<T: Task>(task: &T, inputs: Vec<T::Input>) -> Vec<(T::Input, PreparedBy<T>)> {
    let threads = task.session().threads().min(inputs.len());
    let share = inputs.len().div_ceil(threads.max(1)).max(1);
    let prepared: Vec<_> = std::thread::scope(|scope| {
        let prepare =
            |part| move || -> Vec<_> { <[T::Input]>::iter(part).map(|input| task.prepare(input)).collect() };
        let mut parts = inputs.chunks(share);
        let first = parts.next();
        let others: Vec<_> = parts.map(|part| scope.spawn(prepare(part))).collect();
        let first = first.map_or(vec![], |part| prepare(part)());
        let others = others.into_iter().flat_map(|other| match other.join() {
            Ok(prepared) => prepared,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        first.into_iter().chain(others).collect()
    });
    inputs.into_iter().zip(prepared).collect()
}

/// Which sequence of which input: `(input, sequence)`.
type Place = (usize, usize);

/// Sorts all sequences by length, longest first, and cuts them into batches that cost `budget` at most (or
/// hold a single sequence).
fn cut<T: Task>(pending: &[Pending<T>], budget: usize) -> Vec<Vec<Place>> {
    let mut places: Vec<(usize, usize, Place)> = vec![];
    for (index, input) in pending.iter().enumerate() {
        for (number, sequence) in input.prepared.iter().flat_map(|prepared| &prepared.sequences).enumerate() {
            places.push((sequence.ids.len(), sequence.cost(), (index, number)));
        }
    }
    places.sort_by_key(|&(length, _, place)| (std::cmp::Reverse(length), place));
    let mut batches: Vec<Vec<Place>> = vec![];
    let mut spent = usize::MAX;
    for (_, cost, place) in places {
        spent = spent.saturating_add(cost);
        match batches.last_mut() {
            Some(batch) if spent <= budget => batch.push(place),
            _ => {
                batches.push(vec![place]);
                spent = cost;
            }
        }
    }
    batches
}

/// Runs one batch and hands each sequence its rows.
async fn run<T: Task>(task: &T, places: &[Place], pending: &mut [Pending<T>]) -> Result<()> {
    let mut batch = PackedBatch::default();
    let mut masked_rows: Vec<u32> = vec![];
    let mut masked_bounds = vec![0];
    for &(index, number) in places {
        let Ok(prepared) = &pending[index].prepared else { continue };
        let sequence = &prepared.sequences[number];
        let start = batch.tokens() as u32;
        masked_rows.extend(sequence.masked.iter().map(|position| start + position));
        masked_bounds.push(masked_rows.len());
        batch.push(&sequence.ids, &sequence.segments);
    }
    let mut outputs = task.outputs();
    for output in &mut outputs {
        if let Output::MaskedLm(rows) = output {
            rows.clone_from(&masked_rows);
        }
    }
    let results = task.session().run_async(&batch, &outputs).await?;
    for (slot, &(index, number)) in places.iter().enumerate() {
        let rows: Result<Rows> = outputs
            .iter()
            .zip(&results)
            .map(|(output, result)| {
                let range = match output {
                    Output::HiddenState(_) | Output::TokenLabels | Output::AnswerSpans => {
                        batch.sequence(slot)
                    }
                    Output::MaskedLm(_) => masked_bounds[slot]..masked_bounds[slot + 1],
                    _ => slot..slot + 1,
                };
                rows_of(result, range)
            })
            .collect();
        let Pending { prepared, pieces, .. } = &mut pending[index];
        if let Ok(prepared) = prepared {
            pieces[number] = Some(rows.and_then(|rows| task.reduce(&prepared.context, number, rows)));
        }
    }
    Ok(())
}

fn rows_of(result: &HostTensor, range: std::ops::Range<usize>) -> Result<Array2<f32>> {
    let array = result.to_f32()?;
    let array = array.view().into_dimensionality::<Ix2>().expect("outputs are matrices");
    Ok(array.slice(s![range, ..]).to_owned())
}
