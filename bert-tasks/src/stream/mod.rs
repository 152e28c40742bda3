//! The engine between a task and a model: any number of inputs in, answers in their order out.
//!
//! A window takes what has arrived, and fills up while the model is busy: a [source](Source) of inputs that come one by
//! one gets each answer at once. Inputs are read a window at a time, tokenised, sorted by length and cut into batches. A
//! worker runs the batches. On a thread of its own it never waits for the caller: while it computes
//! one window, the caller's thread reads and tokenises the next one and makes use of the answers of the last.

mod source;
pub(crate) mod window;
pub(crate) mod worker;

use std::collections::VecDeque;
use std::task::Poll;

#[cfg(not(target_family = "wasm"))]
pub use source::read_ahead;
pub use source::{Inputs, Received, Source};
use window::prepare_all;
pub(crate) use window::{Pending, Window};
use worker::{Done, Worker};

use crate::{Result, Task};

/// The largest window, in batches. Larger ones sort better, which a packed batch hardly needs, and hold
/// answers back for longer.
const MAX_WINDOW: usize = 4;
/// How many inputs are tokenised at once.
const CHUNK: usize = 128;

/// Answers in the order of their inputs; made by [`Task::stream`] and [`Task::stream_from`].
///
/// ```
/// use bert_tasks::{Device, Embedding, Task};
/// let model = "path/to/all-MiniLM-L6-v2";
/// # let model = bert_conformance::checkpoint("bert-embedding");
/// # let model = model.to_str().unwrap();
/// let embedding = Embedding::load(model, &Device::auto()?)?;
/// // Any number of texts, of which a few are in memory at a time.
/// let texts = (0..1000).map(|number| format!("text {number}"));
/// for answer in embedding.stream(texts).take(3) {
///     println!("{:?}", answer?.vector);
/// }
/// # Ok::<(), bert_tasks::Error>(())
/// ```
pub struct Stream<'a, T: Task, S: Source<Item: Into<T::Input>>> {
    task: &'a T,
    inputs: S,
    /// Whether all inputs are read.
    exhausted: bool,
    /// Whether the device failed, which ends the stream.
    failed: bool,
    /// Not yet answered, oldest first.
    windows: VecDeque<Window<T>>,
    /// How many tokens the next window takes. It grows, so that the first answer comes soon.
    size: usize,
    worker: Worker,
    ready: VecDeque<Result<T::Answer>>,
}

impl<'a, T: Task, S: Source<Item: Into<T::Input>>> Stream<'a, T, S> {
    pub(crate) fn new(task: &'a T, inputs: S) -> Self {
        let session = task.session();
        Self {
            task,
            inputs,
            exhausted: false,
            failed: false,
            windows: VecDeque::new(),
            size: session.token_budget(),
            worker: Worker::here(session.clone()),
            ready: VecDeque::new(),
        }
    }

    /// The next inputs that are there, `count` at most; waits for the first one if it may. Whether more may come at once.
    fn arrived(&mut self, count: usize, wait: bool) -> (Vec<T::Input>, bool) {
        let mut inputs = vec![];
        let mut wait = wait;
        while inputs.len() < count {
            let next = if wait { Poll::Ready(self.inputs.next()) } else { self.inputs.try_next() };
            wait = false;
            match next {
                Poll::Ready(Some(input)) => inputs.push(input.into()),
                Poll::Ready(None) => {
                    self.exhausted = true;
                    return (inputs, false);
                }
                Poll::Pending => return (inputs, false),
            }
        }
        (inputs, true)
    }

    /// Reads and tokenises a window of what has arrived, and hands its batches to the worker. Waits for an input only
    /// if no answer is owed. Whether there was an input, or the end.
    fn read(&mut self) -> bool {
        let session = self.task.session();
        let budget = session.token_budget();
        let mut pending: Vec<Pending<T>> = vec![];
        let mut cost = 0;
        let mut more = true;
        // Answers that are there meanwhile are worth more than a full window.
        while more && cost < self.size && (cost == 0 || !self.take_what_is_done()) {
            // A first input alone is tokenised at once; later ones by the chunk.
            let count = if self.size == budget && pending.is_empty() { 1 } else { CHUNK };
            let inputs;
            (inputs, more) = self.arrived(count, pending.is_empty() && self.windows.is_empty());
            for (input, prepared) in prepare_all(self.task, inputs) {
                let input = Pending::new(input, prepared);
                // At least one, so that inputs which cannot be answered fill the window too.
                cost += input.cost().max(1);
                pending.push(input);
            }
        }
        if self.failed || pending.is_empty() {
            return self.failed || self.exhausted;
        }
        self.size = (self.size * 2).min(budget * MAX_WINDOW);

        let window = Window::new(pending, budget);
        // A thread is not worth its start for a single batch.
        if !session.is_single_threaded() && (!self.exhausted || window.batches.len() > 1) {
            self.worker.move_to_thread();
        }
        for batch in &window.batches {
            self.worker.push(window.job(self.task, batch));
        }
        self.windows.push_back(window);
        self.finish();
        true
    }

    /// Takes the results that are there; whether there are answers now.
    fn take_what_is_done(&mut self) -> bool {
        while let Some(done) = self.worker.try_next() {
            self.take(done);
        }
        !self.ready.is_empty()
    }

    /// Takes the result of the oldest batch.
    fn take(&mut self, done: Done) {
        let window = self.windows.front_mut().expect("a batch belongs to a window");
        match done.result {
            Ok(results) => window.take(self.task, &done.job, &results),
            Err(error) => {
                self.windows.clear();
                self.worker = Worker::here(self.task.session().clone());
                self.failed = true;
                self.ready.push_back(Err(error));
            }
        }
        self.finish();
    }

    /// Turns windows without open batches into answers.
    fn finish(&mut self) {
        while self.windows.front().is_some_and(|window| window.batches.is_empty()) {
            let window = self.windows.pop_front();
            self.ready.extend(window.into_iter().flat_map(|window| window.answers(self.task)));
        }
    }
}

impl<T: Task, S: Source<Item: Into<T::Input>>> Iterator for Stream<'_, T, S> {
    type Item = Result<T::Answer>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.take_what_is_done();
            if let Some(answer) = self.ready.pop_front() {
                return Some(answer);
            }
            let room = !self.exhausted && !self.failed && self.windows.len() < self.worker.windows();
            if room && self.read() {
                continue;
            }
            if self.windows.is_empty() {
                return self.ready.pop_front();
            }
            if self.ready.is_empty() {
                let done = self.worker.next();
                self.take(done);
            }
        }
    }
}
