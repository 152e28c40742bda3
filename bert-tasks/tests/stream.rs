//! The engine between a task and its model, on a model that counts: the order of answers, how far inputs are
//! read ahead, what becomes of numbers that are none, and of a device that fails.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{self, ThreadId};

use bert_core::contract::{BackendInfo, Pooling};
use bert_core::graph::{Encoder, Output};
use bert_core::tensor::HostTensor;
use bert_core::{ModelConfig, PackedBatch};
use bert_tasks::tokenizer::Tokenizer;
use bert_tasks::{Error, Prepared, Result, Rows, Session, Task};

/// Its answer is infinite.
const DAMAGED: u32 = 77;

/// Gives the first id of each sequence.
struct Counting {
    config: ModelConfig,
    threads: Option<usize>,
    /// The batch that fails, counted from 0.
    fails_at: usize,
    panics: bool,
    batches: AtomicUsize,
    seen: std::sync::Mutex<Vec<ThreadId>>,
}

#[async_trait::async_trait]
impl Encoder for Counting {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn backend_info(&self) -> BackendInfo {
        let device = "counting".to_owned();
        BackendInfo {
            name: "test",
            device,
            features: vec![],
            threads: self.threads,
            software: false,
            precisions: vec![],
            emulated: vec![],
        }
    }

    async fn run(&self, batch: &PackedBatch, outputs: &[Output]) -> bert_core::Result<Vec<HostTensor>> {
        self.seen.lock().unwrap().push(thread::current().id());
        if self.batches.fetch_add(1, Relaxed) == self.fails_at {
            assert!(!self.panics, "the model is out of order");
            return Err(bert_core::Error::Empty { what: "device" });
        }
        assert_eq!(outputs, [Output::Pooled(Pooling::Cls)]);
        let answer = |id: u32| if id == DAMAGED { f32::INFINITY } else { id as f32 };
        let first = (0..batch.sequences()).map(|index| answer(batch.ids()[batch.sequence(index).start]));
        Ok(vec![HostTensor::from_vec(first.collect(), [batch.sequences(), 1])])
    }
}

/// Answers a number with that number; an odd multiple of ten is refused.
struct Echo(Session, Arc<Counting>);

impl Echo {
    fn new(threads: Option<usize>, fails_at: usize, panics: bool) -> Self {
        let config = ModelConfig::from_json("{}").unwrap();
        let (batches, seen) = Default::default();
        let encoder = Arc::new(Counting { config, threads, fails_at, panics, batches, seen });
        let tokenizer = Tokenizer::from_parts("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", None).unwrap();
        Self(Session::new(encoder.clone(), tokenizer).with_token_budget(100), encoder)
    }

    fn threads_seen(&self) -> Vec<ThreadId> {
        let mut seen = self.1.seen.lock().unwrap().clone();
        seen.dedup();
        seen
    }
}

impl Task for Echo {
    type Input = u32;
    type Context = ();
    type Piece = f32;
    type Answer = f32;

    fn session(&self) -> &Session {
        &self.0
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Pooled(Pooling::Cls)]
    }

    fn prepare(&self, input: &u32) -> Result<Prepared<()>> {
        if input % 20 == 10 {
            return Err(Error::NoMaskToken);
        }
        let length = 1 + *input as usize % 17;
        let sequence =
            bert_tasks::Sequence { ids: vec![*input; length], segments: vec![0; length], masked: vec![] };
        Ok(Prepared { sequences: vec![sequence], context: () })
    }

    fn reduce(&self, _: &(), _: usize, rows: Rows) -> Result<f32> {
        Ok(rows[0][[0, 0]])
    }

    fn finish(&self, _: &u32, _: (), pieces: Vec<f32>) -> Result<f32> {
        Ok(pieces[0])
    }
}

const NEVER: usize = usize::MAX;

#[test]
fn answers_and_refusals_come_in_order() {
    for threads in [Some(1), Some(2), None] {
        for count in [0, 1, 2, 9, 130, 5000] {
            let task = Echo::new(threads, NEVER, false);
            let answers: Vec<_> = task.stream(0..count).collect();
            assert_eq!(answers.len(), count as usize);
            for (input, answer) in answers.iter().enumerate() {
                match answer {
                    Ok(answer) => assert_eq!(*answer, input as f32),
                    Err(Error::NoMaskToken) => assert_eq!(input % 20, 10),
                    Err(Error::NotFinite { output }) => {
                        assert_eq!((input as u32, *output), (DAMAGED, "pooled hidden state"));
                    }
                    Err(error) => panic!("{input}: {error}"),
                }
            }
        }
    }
}

#[test]
fn inputs_that_are_all_refused_end_too() {
    let task = Echo::new(None, NEVER, false);
    let refused = (0..1000).map(|i| 10 + 20 * i);
    assert!(task.stream(refused).all(|answer| matches!(answer, Err(Error::NoMaskToken))));
    assert_eq!(task.1.batches.load(Relaxed), 0);
}

/// No matter how many inputs there are, and how soon the caller stops.
#[test]
fn only_some_inputs_are_read_ahead() {
    for threads in [Some(1), None] {
        let task = Echo::new(threads, NEVER, false);
        let read = Cell::new(0);
        let inputs = (0u32..).inspect(|_| read.set(read.get() + 1));
        let mut furthest = 0;
        for (answered, answer) in task.stream(inputs).enumerate().take(20_000) {
            assert!(answer.is_ok() || answered % 20 == 10 || answered as u32 == DAMAGED);
            furthest = furthest.max(read.get() - answered);
        }
        // Two windows of four batches of 100 tokens, in sequences of one token at least, to the next chunk.
        assert!(furthest <= 2 * (4 * 100 + 128), "{furthest} inputs were held at {threads:?} threads");
    }
}

#[test]
fn a_single_batch_is_computed_by_the_caller() {
    let task = Echo::new(None, NEVER, false);
    assert_eq!(task.predict_one(7).unwrap(), 7.0);
    assert_eq!(task.threads_seen(), [thread::current().id()]);
}

#[test]
fn one_thread_stays_one() {
    let task = Echo::new(Some(1), NEVER, false);
    assert_eq!(task.stream(0..9).count() + task.stream(20..3000).count(), 2989);
    assert_eq!(task.threads_seen(), [thread::current().id()]);
}

#[test]
fn many_batches_are_computed_beside_the_caller() {
    let task = Echo::new(Some(2), NEVER, false);
    assert_eq!(task.stream(0..3000).count(), 3000);
    let seen = task.threads_seen();
    assert_eq!(seen.len(), 1);
    assert_ne!(seen, [thread::current().id()]);
}

#[test]
fn a_device_that_fails_ends_the_stream_behind_the_answers_before() {
    for threads in [Some(1), None] {
        for fails_at in [0, 1, 2, 5, 30] {
            let task = Echo::new(threads, fails_at, false);
            let answers: Vec<_> = task.stream((0..10_000).map(|i| 20 * i)).collect();
            let (last, answers) = answers.split_last().unwrap();
            assert!(matches!(last, Err(Error::Core(bert_core::Error::Empty { what: "device" }))));
            for (input, answer) in answers.iter().enumerate() {
                assert_eq!(*answer.as_ref().unwrap(), (20 * input) as f32);
            }
            // What comes after the failure is not even tried, but for what was under way.
            assert!(task.1.batches.load(Relaxed) <= fails_at + 3);
        }
    }
}

#[test]
fn a_panic_of_the_model_is_the_callers() {
    let task = Echo::new(None, 3, true);
    let run = std::panic::AssertUnwindSafe(|| task.stream((0..10_000).map(|i| 20 * i)).count());
    let panic = std::panic::catch_unwind(run).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the model is out of order"));
}
