//! A task on a model that counts: what goes in comes out.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use bert_core::contract::{BackendInfo, Pooling};
use bert_core::graph::{Encoder, Output};
use bert_core::tensor::HostTensor;
use bert_core::{ModelConfig, PackedBatch};
use bert_tasks::tokenizer::Tokenizer;
use bert_tasks::{Error, Prepared, Result, Rows, Session, Task};

/// Its answer is infinite.
pub const DAMAGED: u32 = 77;

/// Gives the first id of each sequence.
pub struct Counting {
    config: ModelConfig,
    threads: Option<usize>,
    /// The batch that fails, counted from 0.
    fails_at: usize,
    panics: bool,
    pub batches: AtomicUsize,
    seen: Mutex<Vec<ThreadId>>,
    /// The first ids of the sequences of each batch.
    pub sizes: Mutex<Vec<Vec<u32>>>,
    /// A batch is computed when something comes through it.
    gate: Option<Mutex<Receiver<()>>>,
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
        let ids = (0..batch.sequences()).map(|index| batch.ids()[batch.sequence(index).start]);
        self.sizes.lock().unwrap().push(ids.collect());
        if let Some(gate) = &self.gate {
            // A gate that is gone stands open.
            let _ = gate.lock().unwrap().recv();
        }
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

/// An input of so much takes another sequence.
pub const MANY: u32 = 1_000_000;

/// Answers a number with that number; an odd multiple of ten is refused.
pub struct Echo(pub Session, pub Arc<Counting>);

impl Echo {
    pub fn new(threads: Option<usize>, fails_at: usize, panics: bool) -> Self {
        Self::with(threads, fails_at, panics, None)
    }

    /// One whose batches are computed when something is sent through the gate.
    pub fn gated() -> (Self, Sender<()>) {
        let (gate, receiver) = mpsc::channel();
        (Self::with(Some(2), NEVER, false, Some(Mutex::new(receiver))), gate)
    }

    fn with(
        threads: Option<usize>,
        fails_at: usize,
        panics: bool,
        gate: Option<Mutex<Receiver<()>>>,
    ) -> Self {
        let config = ModelConfig::from_json("{}").unwrap();
        let (batches, seen, sizes) = Default::default();
        let encoder = Arc::new(Counting { config, threads, fails_at, panics, batches, seen, sizes, gate });
        let tokenizer = Tokenizer::from_parts("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", None).unwrap();
        Self(Session::new(encoder.clone(), tokenizer).with_token_budget(100), encoder)
    }

    pub fn threads_seen(&self) -> Vec<ThreadId> {
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
        Ok(Prepared { sequences: vec![sequence; 1 + *input as usize / MANY as usize], context: () })
    }

    fn reduce(&self, _: &(), _: usize, rows: Rows) -> Result<f32> {
        Ok(rows[0][[0, 0]])
    }

    fn finish(&self, _: &u32, _: (), pieces: Vec<f32>) -> Result<f32> {
        Ok(pieces[0])
    }
}

pub const NEVER: usize = usize::MAX;
