//! Answers for many callers at once: each submits an input when it has one, and what waits is computed together.
//!
//! ```
//! use bert_tasks::{Batcher, Device, TextClassification};
//! let model = "path/to/a-sentiment-model";
//! # let model = bert_conformance::checkpoint("bert-sequence-classification");
//! # let model = model.to_str().unwrap();
//! let batcher = Batcher::new(TextClassification::load(model, &Device::auto()?)?)?;
//! let client = batcher.client();
//! let reply = client.submit("A gorgeous, witty, seductive movie.")?;
//! println!("{:?}", reply.wait()?); // or, in asynchronous code: reply.await?
//! # Ok::<(), bert_tasks::Error>(())
//! ```
//!
//! A [`Stream`](crate::stream::Stream) pulls its inputs in an order; a [`Batcher`] is pushed. Both cut batches by the
//! token budget of the [`Session`](crate::Session), and both give the bits that [`Task::predict_one`] gives.
//!
//! * Whenever the device is free, a thread of the batcher computes what waits, up to one batch.
//! * Clients take turns, sequence by sequence: one with ten thousand texts, or with one long text, does not hold up
//!   another with a single short one.
//! * What nobody waits for any more is dropped and not computed.
//! * The queue is bounded: a request that finds it full is refused with [`Error::QueueFull`], so that whoever serves
//!   many can say so at once.

mod lanes;
mod reply;

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use self::lanes::{Batch, Lanes, Request};
pub use self::reply::Reply;
use crate::stream::Pending;
use crate::stream::worker::run;
use crate::{Error, Result, Task};

/// How a batcher works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatcherOptions {
    /// How many requests may wait, those that are being computed not counted. 1024 by default.
    pub capacity: usize,
}

impl Default for BatcherOptions {
    fn default() -> Self {
        Self { capacity: 1024 }
    }
}

/// A task that answers many clients; see the [module](self). Dropping it is [`shutdown`](Self::shutdown).
///
/// ```
/// use std::thread;
/// use bert_tasks::{Batcher, Device, Embedding};
/// let model = "path/to/all-MiniLM-L6-v2";
/// # let model = bert_conformance::checkpoint("bert-embedding");
/// # let model = model.to_str().unwrap();
/// let batcher = Batcher::new(Embedding::load(model, &Device::auto()?)?)?;
/// let clients = ["a text", "another text"].map(|text| {
///     let client = batcher.client();
///     thread::spawn(move || client.submit(text)?.wait())
/// });
/// for client in clients {
///     println!("{:?}", client.join().expect("it does not panic")?.vector);
/// }
/// # Ok::<(), bert_tasks::Error>(())
/// ```
pub struct Batcher<T: Task + 'static> {
    shared: Arc<Shared<T>>,
    thread: Option<JoinHandle<()>>,
}

/// One of those that submit to a [`Batcher`], and take turns. Clones count as the same client.
pub struct Client<T: Task + 'static> {
    shared: Arc<Shared<T>>,
    id: u64,
}

struct Shared<T: Task> {
    task: T,
    capacity: usize,
    /// How many requests wait: neither sent to the device nor abandoned.
    waiting: Arc<AtomicUsize>,
    clients: AtomicU64,
    inbox: Mutex<Inbox<T>>,
    submitted: Condvar,
}

/// What was submitted since the thread looked last.
struct Inbox<T: Task> {
    requests: Vec<Request<T>>,
    /// Nothing more is accepted.
    closed: bool,
}

impl<T: Task> Shared<T> {
    fn inbox(&self) -> MutexGuard<'_, Inbox<T>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.inbox().closed = true;
        self.submitted.notify_all();
    }
}

impl<T: Task + 'static> Batcher<T> {
    /// A batcher for a task.
    ///
    /// # Errors
    /// [`Error::Thread`] if the system has no thread left.
    pub fn new(task: T) -> Result<Self> {
        Self::with_options(task, BatcherOptions::default())
    }

    /// A batcher with these options.
    ///
    /// # Errors
    /// [`Error::Setting`] for a capacity of 0; [`Error::Thread`] if the system has no thread left.
    pub fn with_options(task: T, options: BatcherOptions) -> Result<Self> {
        let BatcherOptions { capacity } = options;
        if capacity == 0 {
            return Err(Error::Setting { setting: "capacity", found: "0".into(), expected: "at least 1" });
        }
        let shared = Arc::new(Shared {
            task,
            capacity,
            waiting: Arc::default(),
            clients: AtomicU64::new(0),
            inbox: Mutex::new(Inbox { requests: vec![], closed: false }),
            submitted: Condvar::new(),
        });
        let end = End(shared.clone());
        let thread = thread::Builder::new()
            .name("bert-batcher".into())
            .spawn(move || work(&end.0))
            .map_err(|source| Error::Thread { source })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A new client, whose requests take turns with those of all others.
    pub fn client(&self) -> Client<T> {
        let id = self.shared.clients.fetch_add(1, Ordering::Relaxed);
        Client { shared: self.shared.clone(), id }
    }

    /// The task.
    pub fn task(&self) -> &T {
        &self.shared.task
    }

    /// How many requests wait, those that are being computed not counted.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Accepts no more requests, answers those that were accepted, and ends. Blocks meanwhile: in asynchronous code,
    /// call it where blocking is allowed.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl<T: Task + 'static> Drop for Batcher<T> {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(thread) = self.thread.take() {
            // A panic has been told to those who waited.
            let _ = thread.join();
        }
    }
}

impl<T: Task + 'static> Client<T> {
    /// Asks for the answer to an input. The input is tokenised here, on the caller's thread; the rest happens on that of
    /// the batcher. What is wrong with the input itself is told by the reply.
    ///
    /// # Errors
    /// [`Error::QueueFull`] if as many requests wait as may; [`Error::BatcherEnded`] after the batcher was shut down.
    pub fn submit(&self, input: impl Into<T::Input>) -> Result<Reply<T::Answer>> {
        let Shared { task, capacity, waiting, .. } = &*self.shared;
        let room = |waiting: usize| (waiting < *capacity).then_some(waiting + 1);
        if waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            return Err(Error::QueueFull { capacity: *capacity });
        }
        // From here on the reply gives the room back, whatever happens.
        let (reply, arrival) = Reply::new(waiting.clone());
        let input = input.into();
        let prepared = task.prepare(&input);
        let pending = Pending::new(input, prepared);
        let at_once = pending.sequences().is_empty();
        let request = Request::new(self.id, pending, arrival);
        if at_once {
            request.answer(task);
            return Ok(reply);
        }
        let mut inbox = self.shared.inbox();
        if inbox.closed {
            return Err(Error::BatcherEnded);
        }
        // Abandoned requests leave room to others, but not memory, until the thread sees them.
        if inbox.requests.len() >= *capacity {
            inbox.requests.retain(|request| !request.is_abandoned());
        }
        inbox.requests.push(request);
        drop(inbox);
        self.shared.submitted.notify_one();
        Ok(reply)
    }

    /// The task.
    pub fn task(&self) -> &T {
        &self.shared.task
    }
}

impl<T: Task + 'static> Clone for Client<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), id: self.id }
    }
}

/// Held by the thread: however it ends, nobody waits for it afterwards.
struct End<T: Task>(Arc<Shared<T>>);

impl<T: Task> Drop for End<T> {
    fn drop(&mut self) {
        self.0.close();
        let left = std::mem::take(&mut self.0.inbox().requests);
        drop(left);
    }
}

/// Computes what waits, until the batcher is shut down and everything is answered.
fn work<T: Task>(shared: &Shared<T>) {
    let mut lanes = Lanes::default();
    loop {
        let mut inbox = shared.inbox();
        while inbox.requests.is_empty() && lanes.is_empty() {
            if inbox.closed {
                return;
            }
            inbox = shared.submitted.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
        let arrived = std::mem::take(&mut inbox.requests);
        drop(inbox);
        lanes.extend(arrived.into_iter());
        lanes.drop_abandoned();
        if !lanes.is_empty() {
            compute(&shared.task, &mut lanes);
        }
    }
}

/// Computes one batch. What goes wrong with it is told to those who wait for it, and the others go on.
fn compute<T: Task>(task: &T, lanes: &mut Lanes<T>) {
    let session = task.session();
    let mut batch: Batch<T> = lanes.next_batch(session.token_budget());
    let result = catch_unwind(AssertUnwindSafe(|| -> Result<()> {
        batch.take(task, run(session, batch.job(task)))?;
        batch.finish(task, lanes);
        Ok(())
    }));
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error = Arc::new(error);
            batch.fail(|| Error::BatchFailed { source: error.clone() });
        }
        Err(panic) => {
            let message = message_of(&*panic);
            batch.fail(|| Error::Panicked { message: message.clone() });
        }
    }
}

/// What a panic said.
fn message_of(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(message), _) => (*message).to_owned(),
        (None, Some(message)) => message.clone(),
        (None, None) => "it gave no message".to_owned(),
    }
}

impl<T: Task + 'static> fmt::Debug for Batcher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl<T: Task + 'static> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}
