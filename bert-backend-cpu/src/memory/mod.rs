//! Blocks of memory for activations and weights: 64-byte aligned, on huge pages where that pays, and
//! recycled, so that a steady stream of batches allocates nothing.
//!
//! [`Arena`] recycles; the system has to clear a page before it gives it to anybody, which takes longer than to compute
//! what is written there.
//!
//! Where debug assertions are on, every block that is taken starts as NaNs between two guard bands, which
//! are checked when its owner has filled it.

mod arena;
mod ranges;

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::Pod;
use memmap2::{MmapMut, MmapRaw};

pub(crate) use self::arena::Arena;

/// A cache line, and the widest vector.
const ALIGN: usize = 64;
/// From this size on, memory comes from the system directly and asks for huge pages.
const LARGE: usize = 1 << 20;
/// Up to this size, a weight is no matter for huge pages.
const SMALL: usize = 16 << 10;
/// Bytes before and after the numbers of a block that nobody may write.
const GUARD: usize = if cfg!(debug_assertions) { ALIGN } else { 0 };
const GUARD_BYTE: u8 = 0xA5;
/// Weights of a model lie side by side in chunks of this size, as a weight of its own mapping seldom covers a whole
/// huge page. What is not yet written of a chunk is not in memory either.
const CHUNK: usize = 32 << 20;

/// Initialised memory.
pub(crate) struct Block {
    start: NonNull<u8>,
    size: usize,
    owner: Owner,
    /// The arena that it came from.
    home: Weak<Arena>,
}

/// Who frees a block's memory.
enum Owner {
    Heap(Layout),
    /// Unmapped with the last block that lies in it.
    Map {
        _map: Arc<MmapRaw>,
    },
    /// The same; the arena that it came from gives the bytes to others.
    Region {
        map: Arc<MmapRaw>,
    },
}

// SAFETY: the block's memory is its own: no other block is given the same bytes.
unsafe impl Send for Block {}
// SAFETY: a shared block is only read.
unsafe impl Sync for Block {}

impl Block {
    /// Zeros.
    fn new(bytes: usize, home: Weak<Arena>) -> Self {
        assert!(bytes > 0, "blocks hold something, see `Filling::capacity`");
        // Where there are no mappings, the heap does.
        if bytes >= LARGE
            && let Some(map) = huge(bytes)
        {
            return Self::part(Owner::Map { _map: map.clone() }, &map, 0, bytes, home);
        }
        let layout = Layout::from_size_align(bytes, ALIGN).expect("a size that fits in memory");
        // SAFETY: the size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        Self { start, size: bytes, owner: Owner::Heap(layout), home }
    }

    /// Zeros, beside other weights.
    fn permanent(bytes: usize) -> Self {
        /// The chunk that has room, for as long as any weight lies in it, and how much of it is taken.
        static CHUNK_NOW: Mutex<(Weak<MmapRaw>, usize)> = Mutex::new((Weak::new(), 0));

        if !(SMALL..CHUNK).contains(&bytes) {
            return Self::new(bytes, Weak::new());
        }
        let mut now = CHUNK_NOW.lock().unwrap_or_else(PoisonError::into_inner);
        let map = match now.0.upgrade().filter(|_| now.1 + bytes <= CHUNK) {
            Some(map) => map,
            None => match huge(CHUNK) {
                Some(map) => {
                    *now = (Arc::downgrade(&map), 0);
                    map
                }
                None => return Self::new(bytes, Weak::new()),
            },
        };
        let offset = now.1;
        now.1 += bytes;
        Self::part(Owner::Map { _map: map.clone() }, &map, offset, bytes, Weak::new())
    }

    /// Bytes of a region of an arena, of any value.
    fn in_region(map: Arc<MmapRaw>, offset: usize, bytes: usize, home: Weak<Arena>) -> Self {
        Self::part(Owner::Region { map: map.clone() }, &map, offset, bytes, home)
    }

    /// The bytes of a mapping from `offset` on, which nobody else is given.
    fn part(owner: Owner, map: &MmapRaw, offset: usize, bytes: usize, home: Weak<Arena>) -> Self {
        assert!(offset + bytes <= map.len() && offset.is_multiple_of(ALIGN));
        let start = NonNull::new(map.as_mut_ptr().wrapping_add(offset)).expect("a mapping's address");
        Self { start, size: bytes, owner, home }
    }

    /// Whether nobody wrote around the first so many bytes of numbers, where debug assertions are on.
    fn check_guards(&self, bytes: usize) {
        if cfg!(debug_assertions) && !std::thread::panicking() {
            let (before, rest) = self.bytes().split_at(GUARD);
            let mut bands = before.iter().chain(&rest[bytes..][..GUARD]);
            assert!(bands.all(|&byte| byte == GUARD_BYTE), "written beyond {bytes} bytes");
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: these bytes are the block's own, were zeroed and thus initialised, and live as long as it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.size) }
    }
}

/// A mapping of zeros, on huge pages if the system has some. `None` where there are no mappings.
fn huge(bytes: usize) -> Option<Arc<MmapRaw>> {
    let map = MmapMut::map_anon(bytes).ok()?;
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage); // advice, not needed to be right
    Some(Arc::new(map.into()))
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(arena) = self.home.upgrade() {
            arena.forget(self);
        }
        if let Owner::Heap(layout) = self.owner {
            // SAFETY: allocated with this layout, and nobody borrows it any more.
            unsafe { dealloc(self.start.as_ptr(), layout) };
        }
    }
}

/// Calls `f` with memory for `length` numbers, of any value. It is the calling thread's own and stays with it for the
/// next time: tasks, of which there are many, have no lock to wait for.
pub(crate) fn with_scratch<T: Pod, R>(length: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    thread_local! {
        static SCRATCH: Cell<Option<Arc<Block>>> = const { Cell::new(None) };
    }
    let bytes = Filling::<T>::capacity(length);
    // Not there for a call inside a call, which then has memory of its own.
    let block = SCRATCH.take().filter(|block| block.size >= bytes);
    let block = block.unwrap_or_else(|| Arc::new(Block::new(bytes.next_power_of_two(), Weak::new())));
    let mut filling = Filling::new(block, length);
    let result = f(filling.as_mut_slice());
    let block = filling.block.take().expect("it is there until the end");
    block.check_guards(length * size_of::<T>());
    SCRATCH.set(Some(block));
    result
}

/// Memory that one owner writes.
pub(crate) struct Filling<T> {
    block: Option<Arc<Block>>,
    length: usize,
    kind: std::marker::PhantomData<T>,
}

impl<T: Pod> Filling<T> {
    /// The numbers of a block that nobody else has.
    fn new(block: Arc<Block>, length: usize) -> Self {
        let mut filling = Self { block: Some(block), length, kind: std::marker::PhantomData };
        filling.spoil();
        filling
    }

    /// Memory of its own, all zeros, for what lives as long as a model.
    pub fn permanent(length: usize) -> Self {
        let block = Arc::new(Block::permanent(Self::capacity(length)));
        Self { block: Some(block), length, kind: std::marker::PhantomData }
    }

    /// Bytes of the block for so many numbers; some even for none, as it is by their capacity that blocks are found
    /// again.
    fn capacity(length: usize) -> usize {
        (length * size_of::<T>() + 2 * GUARD).next_multiple_of(ALIGN).max(ALIGN)
    }

    /// The numbers, between the guard bands.
    fn parts(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        let block = self.block.as_mut().and_then(Arc::get_mut).expect("one owner");
        let (before, rest) = block.bytes_mut().split_at_mut(GUARD);
        let (numbers, after) = rest.split_at_mut(self.length * size_of::<T>());
        (before, numbers, &mut after[..GUARD])
    }

    /// Puts guard bands around the numbers and NaNs in their place, where debug assertions are on.
    fn spoil(&mut self) {
        if cfg!(debug_assertions) {
            let (before, numbers, after) = self.parts();
            before.fill(GUARD_BYTE);
            numbers.fill(0xFF);
            after.fill(GUARD_BYTE);
        }
    }

    /// The numbers, for writing.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(self.parts().1)
    }

    /// The end of writing.
    pub fn share(mut self) -> Shared {
        Shared { block: self.block.take(), bytes: self.length * size_of::<T>() }
    }
}

impl<T> Drop for Filling<T> {
    fn drop(&mut self) {
        drop(Shared { block: self.block.take(), bytes: self.length * size_of::<T>() });
    }
}

/// Memory that many read. The last owner gives the block back to its arena.
#[derive(Clone)]
pub(crate) struct Shared {
    /// `None` only while it is dropped.
    block: Option<Arc<Block>>,
    bytes: usize,
}

impl Shared {
    pub fn as_slice<T: Pod>(&self) -> &[T] {
        let block = self.block.as_ref().expect("alive");
        bytemuck::cast_slice(&block.bytes()[GUARD..][..self.bytes])
    }

    /// The numbers, for writing, if nobody else reads them.
    pub fn as_mut_slice<T: Pod>(&mut self) -> Option<&mut [T]> {
        let block = Arc::get_mut(self.block.as_mut().expect("alive"))?;
        Some(bytemuck::cast_slice_mut(&mut block.bytes_mut()[GUARD..][..self.bytes]))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Of two last owners that go at once, perhaps neither sees itself alone: then the block is freed.
        if let Some(block) = &self.block
            && block.home.strong_count() > 0
        {
            block.check_guards(self.bytes);
        }
        if let Some(mut block) = self.block.take()
            && Arc::get_mut(&mut block).is_some()
            && let Some(arena) = block.home.upgrade()
        {
            arena.give_back(block);
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_zero_when_new() {
        for length in [1, 3, 1000, LARGE] {
            let mut memory = Filling::<f32>::permanent(length);
            let slice = memory.as_mut_slice();
            assert_eq!(slice.len(), length);
            assert_eq!(slice.as_ptr() as usize % ALIGN, 0);
            assert!(slice.iter().all(|&x| x == 0.0));
        }
    }

    #[test]
    fn weights_are_their_own_and_outlive_each_other() {
        // More than a chunk, of sizes on the heap, in a chunk and of their own mapping.
        let sizes = [100, SMALL, 1 << 20, CHUNK / 3 + 4, CHUNK / 3, CHUNK / 3, CHUNK - 4, CHUNK, CHUNK + 4];
        let mut weights: Vec<_> = sizes.iter().map(|&bytes| Filling::<u32>::permanent(bytes / 4)).collect();
        for (i, weight) in weights.iter_mut().enumerate() {
            let slice = weight.as_mut_slice();
            assert!(slice.len() == sizes[i] / 4 && slice.iter().all(|&x| x == 0));
            slice.fill(i as u32);
        }
        let mut weights: Vec<_> = weights.into_iter().map(Filling::share).enumerate().collect();
        while !weights.is_empty() {
            for (i, weight) in &weights {
                assert!(weight.as_slice::<u32>().iter().all(|&x| x == *i as u32));
            }
            weights.swap_remove(weights.len() / 2);
        }
    }

    #[test]
    fn scratch_stays_with_its_thread_and_grows() {
        let address = |length| {
            with_scratch(length, |scratch: &mut [f32]| {
                assert_eq!(scratch.len(), length);
                scratch.fill(1.0);
                scratch.as_ptr() as usize
            })
        };
        let first = address(1000);
        assert_eq!(address(10), first);
        assert_eq!(address(0), first);
        let larger = address(100_000);
        assert_eq!(address(1000), larger);
        with_scratch(1000, |outer: &mut [f32]| {
            outer.fill(2.0);
            assert_ne!(address(1000), outer.as_ptr() as usize);
            assert!(outer.iter().all(|&x| x == 2.0));
        });
        std::thread::spawn(move || assert_ne!(address(1000), larger)).join().unwrap();
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "written beyond 12 bytes")]
    fn a_write_beyond_scratch_is_seen() {
        with_scratch(3, |scratch: &mut [f32]| {
            // SAFETY: the guard band lies there.
            unsafe { scratch.as_mut_ptr().add(3).write(0.0) };
        });
    }

    #[test]
    #[cfg(debug_assertions)]
    fn a_write_beyond_the_numbers_is_seen() {
        for byte in [0, 3, ALIGN + 12, ALIGN + 12 + ALIGN - 1] {
            let result = std::panic::catch_unwind(|| {
                let arena = Arc::new(Arena::default());
                let mut memory = arena.take::<f32>(3);
                assert!(memory.as_mut_slice().iter().all(|x| x.is_nan()));
                let block = memory.block.as_mut().and_then(Arc::get_mut).unwrap();
                block.bytes_mut()[byte] = 0;
                drop(memory);
            });
            assert!(result.is_err() != (ALIGN..ALIGN + 12).contains(&byte), "byte {byte}");
        }
    }
}
