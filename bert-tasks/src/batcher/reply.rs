//! An answer that is yet to come.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::{Error, Result};

/// The answer to one [submitted](super::Client::submit) input: a future, on any runtime or none.
///
/// ```
/// use bert_tasks::{Batcher, Device, Embedding};
/// let model = "path/to/all-MiniLM-L6-v2";
/// # let model = bert_conformance::checkpoint("bert-embedding");
/// # let model = model.to_str().unwrap();
/// let batcher = Batcher::new(Embedding::load(model, &Device::auto()?)?)?;
/// let client = batcher.client();
/// let vector = async { client.submit("a text")?.await };
/// # let vector = pollster::block_on(vector);
/// # assert_eq!(vector?.vector.len(), batcher.task().dimensions());
/// # Ok::<(), bert_tasks::Error>(())
/// ```
///
/// Dropping it before it is there says that nobody waits for it: what has not been computed by then never is.
#[must_use = "an answer that nobody waits for is not computed"]
pub struct Reply<A>(Arc<Slot<A>>);

/// What the two ends share.
pub struct Slot<A> {
    state: Mutex<State<A>>,
    arrived: Condvar,
    /// How many requests wait in the batcher.
    waiting: Arc<AtomicUsize>,
}

struct State<A> {
    progress: Progress<A>,
    /// Whether it counts among those that wait.
    counted: bool,
}

enum Progress<A> {
    Waiting(Option<Waker>),
    Done(Result<A>),
    /// The answer was taken, or nobody waits for it.
    Over,
}

impl<A> Slot<A> {
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody waits for the answer.
    pub fn is_abandoned(&self) -> bool {
        matches!(self.lock().progress, Progress::Over)
    }

    /// Makes room for another request: this one has gone to the device, or never will.
    pub fn leave_queue(&self) {
        self.lock().leave_queue(&self.waiting);
    }

    /// Brings the answer.
    pub fn bring(&self, answer: Result<A>) {
        let mut state = self.lock();
        state.leave_queue(&self.waiting);
        if let Progress::Waiting(waker) = &mut state.progress {
            let waker = waker.take();
            state.progress = Progress::Done(answer);
            drop(state);
            self.arrived.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<A> State<A> {
    fn leave_queue(&mut self, waiting: &AtomicUsize) {
        if std::mem::take(&mut self.counted) {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<A> Reply<A> {
    /// A reply and what brings it. The caller has counted it among those `waiting`.
    pub(super) fn new(waiting: Arc<AtomicUsize>) -> (Self, Arrival<A>) {
        let state = Mutex::new(State { progress: Progress::Waiting(None), counted: true });
        let slot = Arc::new(Slot { state, arrived: Condvar::new(), waiting });
        (Self(slot.clone()), Arrival(slot))
    }

    /// Waits for the answer, and blocks the thread meanwhile. Inside an asynchronous runtime, `.await` the reply
    /// instead: blocking there keeps other tasks from running.
    ///
    /// # Errors
    /// An input that the task cannot take; a device that failed; a batcher that ended.
    pub fn wait(self) -> Result<A> {
        let mut state = self.0.lock();
        loop {
            match std::mem::replace(&mut state.progress, Progress::Over) {
                Progress::Done(answer) => return answer,
                waiting => state.progress = waiting,
            }
            state = self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<A> Future for Reply<A> {
    type Output = Result<A>;

    /// # Panics
    /// If it is polled after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<A>> {
        let mut state = self.0.lock();
        match &mut state.progress {
            Progress::Waiting(Some(waker)) => waker.clone_from(context.waker()),
            Progress::Waiting(waker) => *waker = Some(context.waker().clone()),
            Progress::Done(_) => {
                let done = std::mem::replace(&mut state.progress, Progress::Over);
                if let Progress::Done(answer) = done {
                    return Poll::Ready(answer);
                }
            }
            Progress::Over => panic!("a reply was polled after it was ready"),
        }
        Poll::Pending
    }
}

impl<A> Drop for Reply<A> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.leave_queue(&self.0.waiting);
        // An answer, too, is dropped outside of the lock.
        let _progress = std::mem::replace(&mut state.progress, Progress::Over);
        drop(state);
    }
}

impl<A> std::fmt::Debug for Reply<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}

/// The end that brings the answer. If it is dropped without one, the reply is an error and never hangs.
pub struct Arrival<A>(Arc<Slot<A>>);

impl<A> std::ops::Deref for Arrival<A> {
    type Target = Slot<A>;

    fn deref(&self) -> &Slot<A> {
        &self.0
    }
}

impl<A> Drop for Arrival<A> {
    fn drop(&mut self) {
        self.bring(Err(Error::BatcherEnded));
    }
}
