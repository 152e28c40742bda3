//! Runs batches one after the other, on the caller's thread or on one of its own.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::mpsc::{self, Receiver, Sender};
#[cfg(not(target_family = "wasm"))]
use std::thread;
use std::thread::JoinHandle;

use bert_core::PackedBatch;
use bert_core::graph::Output;
use bert_core::tensor::HostTensor;

use crate::{Result, Session};

/// A batch to be computed.
pub struct Job {
    pub batch: PackedBatch,
    pub outputs: Vec<Output>,
}

/// A batch and what came of it.
pub struct Done {
    pub job: Job,
    pub result: Result<Vec<HostTensor>>,
}

/// Where batches are computed. Results come in the order of the jobs.
pub struct Worker {
    session: Session,
    place: Place,
}

enum Place {
    /// On the caller's thread, when a result is asked for.
    Here(VecDeque<Job>),
    /// On a thread of its own, ahead of the caller.
    Thread(Thread),
}

/// How many results lie ready at most. They are large, and one is enough to go on computing.
#[cfg(not(target_family = "wasm"))]
const READY: usize = 1;

impl Worker {
    /// A worker on the caller's thread.
    pub fn here(session: Session) -> Self {
        Self { session, place: Place::Here(VecDeque::new()) }
    }

    /// Goes on on a thread of its own, unless the system has none.
    pub fn move_to_thread(&mut self) {
        if let Place::Here(jobs) = &mut self.place
            && let Some(thread) = Thread::start(&self.session)
        {
            jobs.drain(..).for_each(|job| thread.push(job));
            self.place = Place::Thread(thread);
        }
    }

    /// How many windows to hold: one to compute and, if meanwhile there is time for it, one to come.
    pub fn windows(&self) -> usize {
        match self.place {
            Place::Here(_) => 1,
            Place::Thread(_) => 2,
        }
    }

    /// One more batch to compute.
    pub fn push(&mut self, job: Job) {
        match &mut self.place {
            Place::Here(jobs) => jobs.push_back(job),
            Place::Thread(thread) => thread.push(job),
        }
    }

    /// The next result, if it is there.
    pub fn try_next(&mut self) -> Option<Done> {
        match &mut self.place {
            Place::Here(_) => None,
            Place::Thread(thread) => thread.results.try_recv().ok(),
        }
    }

    /// Waits for the next result; there must be a job without one.
    pub fn next(&mut self) -> Done {
        match &mut self.place {
            Place::Here(jobs) => run(&self.session, jobs.pop_front().expect("a job to wait for")),
            Place::Thread(thread) => match thread.results.recv() {
                Ok(done) => done,
                Err(_) => thread.fail(),
            },
        }
    }
}

/// Computes a batch, and waits for it.
pub fn run(session: &Session, job: Job) -> Done {
    let result = session.run(&job.batch, &job.outputs);
    Done { job, result }
}

struct Thread {
    jobs: Option<Sender<Job>>,
    results: Receiver<Done>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// A browser has one thread.
    #[cfg(target_family = "wasm")]
    fn start(_: &Session) -> Option<Self> {
        None
    }

    #[cfg(not(target_family = "wasm"))]
    fn start(session: &Session) -> Option<Self> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (done, results) = mpsc::sync_channel(READY);
        let session = session.clone();
        let work = move || {
            while let Ok(job) = todo.recv() {
                if done.send(run(&session, job)).is_err() {
                    break;
                }
            }
        };
        let handle = thread::Builder::new().name("bert-stream".into()).spawn(work).ok()?;
        Some(Self { jobs: Some(jobs), results, handle: Some(handle) })
    }

    fn push(&self, job: Job) {
        // A thread that has ended is noticed where its result is missing.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
    }

    /// The thread ended with a job undone, which only a panic does.
    fn fail(&mut self) -> ! {
        match self.handle.take().map(JoinHandle::join) {
            Some(Err(panic)) => resume_unwind(panic),
            _ => unreachable!("the worker ends when its jobs do"),
        }
    }
}

impl Drop for Thread {
    /// Waits for the batch that is being computed; those behind it are given up.
    fn drop(&mut self) {
        self.jobs = None;
        self.results = mpsc::sync_channel(0).1;
        if let Some(handle) = self.handle.take() {
            // A panic has nobody left to tell.
            let _ = handle.join();
        }
    }
}
