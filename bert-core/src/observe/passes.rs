//! What whole forward passes cost: how many there were, how long they took, and what they asked of the device.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::contract::{BackendInfo, Counts};
use crate::graph::{Encoder, Output};
use crate::tensor::HostTensor;
use crate::{ModelConfig, PackedBatch, Result};

/// The sum of all passes of a model since it was loaded. It prints as a short table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passes {
    /// Batches that were run.
    pub passes: u64,
    /// Sequences in them.
    pub sequences: u64,
    /// Tokens in them.
    pub tokens: u64,
    /// From the start of each pass to its end, added up.
    pub time: Duration,
    /// Layers of the model.
    pub layers: usize,
    /// What the device was asked to do, if it counts that.
    pub counts: Option<Counts>,
}

impl fmt::Display for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passes, sequences, tokens, time, layers, counts } = self;
        let seconds = time.as_secs_f64();
        write!(f, "{} over ", counted(*passes, "forward pass", "forward passes"))?;
        write!(f, "{} of ", counted(*sequences, "sequence", "sequences"))?;
        write!(f, "{} in {seconds:.3} s", counted(*tokens, "token", "tokens"))?;
        let (Some(counts), 1..) = (counts, *passes) else { return Ok(()) };
        let each = |count: u64| count as f64 / *passes as f64;
        write!(f, "\nsubmissions {:>8}   {:.1} a pass", counts.submissions, each(counts.submissions))?;
        write!(f, "\ndispatches  {:>8}   {:.1} a pass", counts.dispatches, each(counts.dispatches))?;
        if *layers > 0 {
            write!(f, ", {:.2} a layer", each(counts.dispatches) / *layers as f64)?;
        }
        write!(f, "\nuploads     {:>8}   {} bytes", counts.uploads, counts.uploaded_bytes)?;
        write!(f, "\ndownloads   {:>8}   {} bytes", counts.downloads, counts.downloaded_bytes)
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The totals of one model or of several. Clones see the same ones.
#[derive(Clone, Debug, Default)]
pub struct PassLog(Arc<Mutex<Passes>>);

impl PassLog {
    /// The totals so far.
    pub fn totals(&self) -> Passes {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Passes> {
        // Sums of numbers are in order whatever happened to a thread that held them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A model whose passes are written down.
pub struct LoggedEncoder {
    inner: Arc<dyn Encoder>,
    log: PassLog,
    /// What the device had done when the model was loaded.
    before: Option<Counts>,
}

impl LoggedEncoder {
    /// Writes down every pass of `inner` from now on. What the device does for other models at the same time
    /// counts as well.
    pub fn new(inner: Arc<dyn Encoder>, log: PassLog) -> Self {
        log.lock().layers = inner.config().num_hidden_layers;
        Self { before: inner.counts(), inner, log }
    }
}

#[cfg_attr(not(target_family = "wasm"), async_trait::async_trait)]
#[cfg_attr(target_family = "wasm", async_trait::async_trait(?Send))]
impl Encoder for LoggedEncoder {
    fn config(&self) -> &ModelConfig {
        self.inner.config()
    }

    fn backend_info(&self) -> BackendInfo {
        self.inner.backend_info()
    }

    fn counts(&self) -> Option<Counts> {
        self.inner.counts()
    }

    async fn run(&self, batch: &PackedBatch, outputs: &[Output]) -> Result<Vec<HostTensor>> {
        // A browser gives no clock to std.
        let start = (!cfg!(target_family = "wasm")).then(Instant::now);
        let results = self.inner.run(batch, outputs).await?;
        let counts = self.inner.counts().zip(self.before).map(|(now, before)| now.since(before));
        let mut totals = self.log.lock();
        totals.passes += 1;
        totals.sequences += batch.sequences() as u64;
        totals.tokens += batch.tokens() as u64;
        totals.time += start.map_or(Duration::ZERO, |start| start.elapsed());
        totals.counts = counts;
        Ok(results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_print_as_a_table() {
        let counts = Counts {
            submissions: 2,
            dispatches: 172,
            uploads: 8,
            uploaded_bytes: 296,
            downloads: 2,
            downloaded_bytes: 640,
        };
        let time = Duration::from_millis(1500);
        let totals = Passes { passes: 2, sequences: 1, tokens: 9, time, layers: 12, counts: Some(counts) };
        assert_eq!(
            totals.to_string(),
            "2 forward passes over 1 sequence of 9 tokens in 1.500 s\n\
             submissions        2   1.0 a pass\n\
             dispatches       172   86.0 a pass, 7.17 a layer\n\
             uploads            8   296 bytes\n\
             downloads          2   640 bytes"
        );
        let plain = Passes { counts: None, ..totals };
        assert_eq!(plain.to_string(), "2 forward passes over 1 sequence of 9 tokens in 1.500 s");
        assert_eq!(
            Passes { passes: 0, ..totals }.to_string(),
            "0 forward passes over 1 sequence of 9 tokens in 1.500 s"
        );
        assert_eq!(counts.since(Counts { dispatches: 2, ..Counts::default() }).dispatches, 170);
    }
}
