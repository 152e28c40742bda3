//! What a view of this backend looks at, and where blocks of device memory go when nobody looks any more.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bert_core::contract::Precision;
use bert_core::tensor::View;
use parking_lot::Mutex;

use crate::WgpuError;

/// A tensor in device memory, or a packed weight. Cloning shares it.
#[derive(Clone)]
pub struct WgpuBuffer(pub(crate) Arc<Memory>);

/// Blocks that hold the numbers of one tensor, and the pool that they go back to.
pub(crate) struct Memory {
    parts: Vec<Part>,
    /// Numbers of a row, the unit of parts.
    row_length: usize,
    content: Content,
    pool: Arc<Pool>,
}

/// What a [`Memory`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Numbers of 32 bits, row-major.
    Numbers,
    /// A weight as `prepare_weight` packs it.
    Packed(Precision),
}

/// Some rows of a tensor: all of them, unless the tensor is larger than what a shader can see at once.
pub(crate) struct Part {
    pub rows: Range<usize>,
    pub block: Block,
}

/// A buffer of the device, known by a number of its own.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub buffer: wgpu::Buffer,
    pub id: u64,
    pub bytes: u64,
}

/// A tensor that a kernel is about to write.
pub(crate) struct Output {
    pub view: View<WgpuBuffer>,
    pub block: Block,
}

impl WgpuBuffer {
    pub(crate) fn new(parts: Vec<Part>, row_length: usize, content: Content, pool: &Arc<Pool>) -> Self {
        Self(Arc::new(Memory { parts, row_length, content, pool: pool.clone() }))
    }

    /// A tensor in one part.
    pub(crate) fn whole(block: Block, length: usize, pool: &Arc<Pool>) -> Self {
        Self::new(vec![Part { rows: 0..1, block }], length, Content::Numbers, pool)
    }

    pub(crate) fn row_length(&self) -> usize {
        self.0.row_length
    }

    fn check(&self, op: &'static str, wanted: &'static str, content: Content) -> Result<&[Part], WgpuError> {
        if self.0.content == content {
            return Ok(&self.0.parts);
        }
        let found = match self.0.content {
            Content::Numbers => "plain numbers",
            Content::Packed(_) => "a packed weight",
        };
        Err(WgpuError::Buffer { op, expected: wanted, found })
    }

    /// Whether it is a weight that `prepare_weight` packed.
    pub(crate) fn is_packed(&self) -> bool {
        self.0.content != Content::Numbers
    }

    /// The parts of a table.
    pub(crate) fn parts(&self, op: &'static str) -> Result<&[Part], WgpuError> {
        self.check(op, "plain numbers", Content::Numbers)
    }

    /// The parts of a weight that was packed for this precision.
    pub(crate) fn packed(&self, op: &'static str, precision: Precision) -> Result<&[Part], WgpuError> {
        self.check(op, "a weight packed for the layer's precision", Content::Packed(precision))
    }

    /// The only block, for operations that have to see a tensor at once.
    pub(crate) fn block(&self, op: &'static str) -> Result<&Block, WgpuError> {
        match self.parts(op)? {
            [whole] => Ok(&whole.block),
            _ => Err(WgpuError::Buffer {
                op,
                expected: "a tensor that a shader can see at once",
                found: "a table in parts",
            }),
        }
    }
}

impl fmt::Debug for WgpuBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: u64 = self.0.parts.iter().map(|part| part.block.bytes).sum();
        write!(f, "WgpuBuffer({bytes} bytes, {:?})", self.0.content)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for part in self.parts.drain(..) {
            match self.content {
                Content::Numbers => self.pool.give_back(part.block),
                Content::Packed(_) => self.pool.forget(part.block.bytes),
            }
        }
    }
}

/// Blocks that are free, up to a cap. A steady stream of batches takes and gives back the same ones.
pub(crate) struct Pool {
    state: Mutex<State>,
    /// How many submissions there were.
    epoch: AtomicU64,
    /// Whether a block was freed, so that whoever remembers blocks has to forget them.
    stale: AtomicBool,
    next_id: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Blocks with the epoch in which they were last in use.
    free: Vec<(Block, u64)>,
    free_bytes: u64,
    used_bytes: u64,
}

/// The most free memory that a pool keeps.
const KEEP: u64 = 256 << 20;

impl Pool {
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            epoch: AtomicU64::new(1),
            stale: AtomicBool::new(false),
            next_id: AtomicU64::new(0),
        }
    }

    /// A free block of at least this size and at most twice as large.
    ///
    /// What is written from the host arrives before the commands that are recorded but not submitted. A
    /// block that these may still read is therefore no place `for_upload`.
    pub fn take(&self, bytes: u64, for_upload: bool) -> Option<Block> {
        let epoch = self.epoch.load(Ordering::Acquire);
        let mut state = self.state.lock();
        let fits = |(block, used): &(Block, u64)| {
            (bytes..=2 * bytes).contains(&block.bytes) && !(for_upload && *used >= epoch)
        };
        let best =
            (0..state.free.len()).filter(|&i| fits(&state.free[i])).min_by_key(|&i| state.free[i].0.bytes);
        let found = best.map(|i| state.free.swap_remove(i).0);
        if let Some(block) = &found {
            state.free_bytes -= block.bytes;
            state.used_bytes += block.bytes;
        }
        found
    }

    /// Counts a new block of the device.
    pub fn adopt(&self, buffer: wgpu::Buffer) -> Block {
        let (id, bytes) = (self.next_id.fetch_add(1, Ordering::Relaxed), buffer.size());
        self.state.lock().used_bytes += bytes;
        Block { buffer, id, bytes }
    }

    fn give_back(&self, block: Block) {
        let epoch = self.epoch.load(Ordering::Acquire);
        let mut state = self.state.lock();
        state.used_bytes -= block.bytes;
        if state.free_bytes + block.bytes <= KEEP {
            state.free_bytes += block.bytes;
            state.free.push((block, epoch));
        } else {
            self.stale.store(true, Ordering::Release);
        }
    }

    fn forget(&self, bytes: u64) {
        self.state.lock().used_bytes -= bytes;
        self.stale.store(true, Ordering::Release);
    }

    /// Frees all that is not in use.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        state.free.clear();
        state.free_bytes = 0;
        self.stale.store(true, Ordering::Release);
    }

    /// What was recorded so far is submitted.
    pub fn next_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a block was freed since the last call.
    pub fn take_stale(&self) -> bool {
        self.stale.swap(false, Ordering::AcqRel)
    }

    /// Bytes in use and bytes free.
    pub fn bytes(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.used_bytes, state.free_bytes)
    }
}

/// The size of a block for so many bytes: an eighth of a power of two more at most, so that batches of
/// similar lengths share blocks.
pub(crate) fn size_class(bytes: u64) -> u64 {
    let step = (bytes.next_power_of_two() / 16).max(256);
    bytes.next_multiple_of(step)
}
