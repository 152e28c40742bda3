//! The engine between a task and a model: any number of inputs in, answers in their order out.
//!
//! Inputs are read a [window](window) at a time, tokenised, sorted by length and cut into batches. A
//! [worker](worker) runs the batches. On a thread of its own it never waits for the caller: while it computes
//! one window, the caller's thread reads and tokenises the next one and makes use of the answers of the last.

mod window;
mod worker;

use std::collections::VecDeque;
use std::iter::Fuse;

use window::prepare_all;
pub(crate) use window::{Pending, Window};
use worker::{Done, Worker};

use crate::{Result, Task};

/// The largest window, in batches. Larger ones sort better, which a packed batch hardly needs, and hold
/// answers back for longer.
const MAX_WINDOW: usize = 4;
/// How many inputs are tokenised at once.
const CHUNK: usize = 128;

/// Answers in the order of their inputs; made by [`Task::stream`].
pub struct Stream<'a, T: Task, I: Iterator<Item = T::Input>> {
    task: &'a T,
    inputs: Fuse<I>,
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

impl<'a, T: Task, I: Iterator<Item = T::Input>> Stream<'a, T, I> {
    pub(crate) fn new(task: &'a T, inputs: I) -> Self {
        let session = task.session();
        Self {
            task,
            inputs: inputs.fuse(),
            exhausted: false,
            failed: false,
            windows: VecDeque::new(),
            size: session.token_budget(),
            worker: Worker::here(session.clone()),
            ready: VecDeque::new(),
        }
    }

    /// Reads and tokenises a window, and hands its batches to the worker.
    fn read(&mut self) {
        let session = self.task.session();
        let budget = session.token_budget();
        let mut pending: Vec<Pending<T>> = vec![];
        let mut cost = 0;
        // Answers that are there meanwhile are worth more than a full window.
        while cost < self.size && (cost == 0 || !self.take_what_is_done()) {
            // A first input alone is tokenised at once; later ones by the chunk.
            let count = if self.size == budget && pending.is_empty() { 1 } else { CHUNK };
            let inputs: Vec<T::Input> = self.inputs.by_ref().take(count).collect();
            if inputs.is_empty() {
                self.exhausted = true;
                break;
            }
            for (input, prepared) in prepare_all(self.task, inputs) {
                let input = Pending::new(input, prepared);
                // At least one, so that inputs which cannot be answered fill the window too.
                cost += input.cost().max(1);
                pending.push(input);
            }
        }
        if self.failed {
            return;
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

impl<T: Task, I: Iterator<Item = T::Input>> Iterator for Stream<'_, T, I> {
    type Item = Result<T::Answer>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.take_what_is_done();
            if let Some(answer) = self.ready.pop_front() {
                return Some(answer);
            }
            if !self.exhausted && !self.failed && self.windows.len() < self.worker.windows() {
                self.read();
            } else if self.windows.is_empty() {
                return None;
            } else {
                let done = self.worker.next();
                self.take(done);
            }
        }
    }
}
