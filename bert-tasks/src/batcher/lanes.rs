//! Which sequences the next batch holds: those of all clients in turn, up to the token budget.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::message_of;
use super::reply::Arrival;
use crate::stream::Pending;
use crate::stream::window::job;
use crate::stream::worker::{Done, Job};
use crate::{Error, Result, Task};

/// An accepted request.
pub struct Request<T: Task> {
    client: u64,
    pending: Pending<T>,
    arrival: Arrival<T::Answer>,
    /// How many of its sequences have gone to the device.
    sent: usize,
}

impl<T: Task> Request<T> {
    pub fn new(client: u64, pending: Pending<T>, arrival: Arrival<T::Answer>) -> Self {
        Self { client, pending, arrival, sent: 0 }
    }

    pub fn is_abandoned(&self) -> bool {
        self.arrival.is_abandoned()
    }

    fn is_sent(&self) -> bool {
        self.sent == self.pending.sequences().len()
    }

    /// Brings its answer.
    pub fn answer(self, task: &T) {
        let Self { pending, arrival, .. } = self;
        let answer = catch_unwind(AssertUnwindSafe(|| pending.answer(task)));
        arrival.bring(answer.unwrap_or_else(|panic| Err(Error::Panicked { message: message_of(&*panic) })));
    }
}

/// What one client waits for, oldest first.
struct Lane<T: Task> {
    client: u64,
    requests: VecDeque<Request<T>>,
    /// The request of the batch that is being put together whose sequences are not all in it.
    open: Option<usize>,
}

/// A lane for each client that waits for something. The one whose turn it is comes first.
pub struct Lanes<T: Task>(VecDeque<Lane<T>>);

/// Sequences that are computed together.
pub struct Batch<T: Task> {
    requests: Vec<Request<T>>,
    /// Which sequence of which request: `(request, sequence)`.
    places: Vec<(usize, usize)>,
}

impl<T: Task> Default for Lanes<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Task> Lanes<T> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what was submitted.
    pub fn extend(&mut self, requests: impl Iterator<Item = Request<T>>) {
        for request in requests {
            self.lane(request.client).push_back(request);
        }
    }

    /// Takes back what has more sequences than a batch held.
    fn put_back(&mut self, request: Request<T>) {
        self.lane(request.client).push_front(request);
    }

    fn lane(&mut self, client: u64) -> &mut VecDeque<Request<T>> {
        let place = self.0.iter().position(|lane| lane.client == client).unwrap_or_else(|| {
            self.0.push_back(Lane { client, requests: VecDeque::new(), open: None });
            self.0.len() - 1
        });
        &mut self.0[place].requests
    }

    /// Drops what nobody waits for.
    pub fn drop_abandoned(&mut self) {
        for lane in &mut self.0 {
            lane.requests.retain(|request| !request.is_abandoned());
        }
        self.0.retain(|lane| !lane.requests.is_empty());
    }

    /// The sequences to compute next: one of each client in turn, until they cost `budget`, and one at least.
    pub fn next_batch(&mut self, budget: usize) -> Batch<T> {
        let mut batch = Batch { requests: vec![], places: vec![] };
        let mut spent = 0;
        while let Some(mut lane) = self.0.pop_front() {
            let next = match lane.open {
                Some(open) => Some(&batch.requests[open]),
                None => lane.requests.front(),
            };
            let Some(next) = next else { continue };
            let cost = next.pending.sequences()[next.sent].cost();
            if !batch.places.is_empty() && spent + cost > budget {
                self.0.push_front(lane);
                break;
            }
            spent += cost;
            let index = lane.open.take().unwrap_or_else(|| {
                batch.requests.extend(lane.requests.pop_front());
                batch.requests.len() - 1
            });
            let request = &mut batch.requests[index];
            batch.places.push((index, request.sent));
            request.sent += 1;
            match request.is_sent() {
                true => request.arrival.leave_queue(),
                false => lane.open = Some(index),
            }
            self.0.push_back(lane);
        }
        for lane in &mut self.0 {
            lane.open = None;
        }
        self.0.retain(|lane| !lane.requests.is_empty());
        batch.places.sort_by_key(|&(request, sequence)| {
            (Reverse(batch.requests[request].pending.sequences()[sequence].ids.len()), request, sequence)
        });
        batch
    }
}

impl<T: Task> Batch<T> {
    /// What the model has to compute.
    pub fn job(&self, task: &T) -> Job {
        let sequence = |&(request, sequence): &(usize, usize)| {
            let request: &Request<T> = &self.requests[request];
            &request.pending.sequences()[sequence]
        };
        job(task, self.places.iter().map(sequence))
    }

    /// Hands each sequence its rows.
    ///
    /// # Errors
    /// That of the device.
    pub fn take(&mut self, task: &T, done: Done) -> Result<()> {
        let results = done.result?;
        for (slot, &(request, sequence)) in self.places.iter().enumerate() {
            self.requests[request].pending.take(task, sequence, &done.job, slot, &results);
        }
        Ok(())
    }

    /// Brings the answers that are complete; the other requests go on.
    pub fn finish(&mut self, task: &T, lanes: &mut Lanes<T>) {
        // From the end, so that a request of a client comes to stand before its later ones.
        while let Some(request) = self.requests.pop() {
            match request.is_sent() {
                true => request.answer(task),
                false => lanes.put_back(request),
            }
        }
    }

    /// Brings an error in place of every answer.
    pub fn fail(self, error: impl Fn() -> Error) {
        for request in self.requests {
            request.arrival.bring(Err(error()));
        }
    }
}
