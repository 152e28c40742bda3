//! Blocks of memory for activations and weights: 64-byte aligned, on huge pages where that pays, and
//! recycled, so that a steady stream of batches allocates nothing.
//!
//! Where debug assertions are on, every block that is taken starts as NaNs between two guard bands, which
//! are checked when its owner has filled it.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytemuck::Pod;
use memmap2::{MmapMut, MmapRaw};

/// A cache line, and the widest vector.
const ALIGN: usize = 64;
/// From this size on, memory comes from the system directly and asks for huge pages.
const LARGE: usize = 1 << 20;
/// Up to this size, a weight is no matter for huge pages.
const SMALL: usize = 16 << 10;
/// Bytes before and after the numbers of a block that nobody may write.
const GUARD: usize = if cfg!(debug_assertions) { ALIGN } else { 0 };
const GUARD_BYTE: u8 = 0xA5;
/// Free memory that an arena keeps, even if more was never in use at once.
const KEEP: usize = 64 << 20;

/// Weights of a model lie side by side in chunks of this size, as a weight of its own mapping seldom covers a whole
/// huge page. What is not yet written of a chunk is not in memory either.
const CHUNK: usize = 32 << 20;

/// Initialised memory.
pub(crate) struct Block {
    start: NonNull<u8>,
    size: usize,
    owner: Owner,
    home: Weak<Arena>,
}

/// Who frees a block's memory.
enum Owner {
    Heap(Layout),
    /// Unmapped with the last block that lies in it.
    Map {
        _map: Arc<MmapRaw>,
    },
}

// SAFETY: the block's memory is its own: no other block is given the same bytes.
unsafe impl Send for Block {}
// SAFETY: a shared block is only read.
unsafe impl Sync for Block {}

impl Block {
    /// Zeros, of an arena.
    fn new(bytes: usize, home: Weak<Arena>) -> Self {
        assert!(bytes > 0, "blocks hold something, see `Filling::capacity`");
        // Where there are no mappings, the heap does.
        if bytes >= LARGE
            && let Some(map) = huge(bytes)
        {
            return Self::within(map, 0, bytes, home);
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
        Self::within(map, offset, bytes, Weak::new())
    }

    /// The bytes of a mapping from `offset` on, which nobody else is given.
    fn within(map: Arc<MmapRaw>, offset: usize, bytes: usize, home: Weak<Arena>) -> Self {
        assert!(offset + bytes <= map.len() && offset.is_multiple_of(ALIGN));
        let start = NonNull::new(map.as_mut_ptr().wrapping_add(offset)).expect("a mapping's address");
        Self { start, size: bytes, owner: Owner::Map { _map: map }, home }
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
            arena.lock().used_bytes -= self.size;
        }
        if let Owner::Heap(layout) = self.owner {
            // SAFETY: allocated with this layout, and nobody borrows it any more.
            unsafe { dealloc(self.start.as_ptr(), layout) };
        }
    }
}

/// Where blocks go when they are no longer used, and come from when they are needed again.
#[derive(Default)]
pub(crate) struct Arena {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    free: Vec<Arc<Block>>,
    free_bytes: usize,
    /// In blocks that are not in `free`.
    used_bytes: usize,
    peak_bytes: usize,
}

impl Arena {
    /// Memory for `length` numbers, of any value, to be filled by one owner and then shared.
    pub fn take<T: Pod>(self: &Arc<Self>, length: usize) -> Filling<T> {
        let bytes = Filling::<T>::capacity(length);
        let mut state = self.lock();
        // The tightest fit, but none that wastes more than half.
        let fits = |block: &Arc<Block>| (bytes..=2 * bytes).contains(&block.size);
        let best =
            (0..state.free.len()).filter(|&i| fits(&state.free[i])).min_by_key(|&i| state.free[i].size);
        let recycled = best.map(|i| state.free.swap_remove(i));
        let capacity = recycled.as_ref().map_or(bytes, |block| block.size);
        state.free_bytes -= recycled.as_ref().map_or(0, |block| block.size);
        state.used_bytes += capacity;
        state.peak_bytes = state.peak_bytes.max(state.used_bytes);
        drop(state);
        let block = recycled.unwrap_or_else(|| Arc::new(Block::new(bytes, Arc::downgrade(self))));
        let mut filling = Filling { block: Some(block), length, kind: std::marker::PhantomData };
        filling.spoil();
        filling
    }

    /// Memory of just this size, for what lives until the end of a step, such as a gradient. It is none of the blocks
    /// that results pass round: those are of other sizes, and as many of them as it takes are freed in return, so that
    /// what a backward pass makes takes the place of what it has used up.
    pub fn take_lasting<T: Pod>(&self, length: usize) -> Filling<T> {
        let bytes = Filling::<T>::capacity(length);
        let (mut freed, mut room) = (vec![], 0);
        let mut state = self.lock();
        while room < bytes && !state.free.is_empty() {
            let size = |i: &usize| state.free[*i].size;
            let all = 0..state.free.len();
            let enough = all.clone().filter(|i| room + size(i) >= bytes).min_by_key(size);
            let place = enough.or_else(|| all.max_by_key(size)).expect("some are free");
            let block = state.free.swap_remove(place);
            room += block.size;
            state.free_bytes -= block.size;
            state.used_bytes += block.size; // until it is freed, after the lock, which its end takes again
            freed.push(block);
        }
        drop(state);
        drop(freed);
        let block = Arc::new(Block::new(bytes, Weak::new()));
        let mut filling = Filling { block: Some(block), length, kind: std::marker::PhantomData };
        filling.spoil();
        filling
    }

    fn give_back(&self, block: Arc<Block>) {
        let mut state = self.lock();
        let bytes = block.size;
        if state.free_bytes + bytes <= state.peak_bytes.max(KEEP) {
            state.used_bytes -= bytes;
            state.free_bytes += bytes;
            state.free.push(block);
        }
        // Otherwise it is freed, after the lock, which its end takes again.
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    let mut filling = Filling { block: Some(block), length, kind: std::marker::PhantomData };
    filling.spoil();
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
    fn a_steady_stream_allocates_nothing() {
        let arena = Arc::new(Arena::default());
        let addresses = |n: usize| -> Vec<usize> {
            let mut blocks: Vec<_> = (1..=n).map(|i| arena.take::<f32>(i * 100_000)).collect();
            let addresses = blocks.iter_mut().map(|b| b.as_mut_slice().as_ptr() as usize).collect();
            let shared: Vec<_> = blocks.into_iter().map(Filling::share).collect();
            drop(shared.clone());
            addresses
        };
        let first = addresses(5);
        let free = arena.lock().free_bytes;
        for _ in 0..10 {
            let mut again = addresses(5);
            again.retain(|address| !first.contains(address));
            assert!(again.is_empty());
            assert_eq!(arena.lock().free_bytes, free);
        }
        assert_eq!(arena.lock().used_bytes, 0);
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
    fn blocks_of_nothing_are_found_again() {
        let arena = Arc::new(Arena::default());
        for _ in 0..10 {
            drop(arena.take::<f32>(0));
        }
        let state = arena.lock();
        assert_eq!((state.free.len(), state.used_bytes), (1, 0));
        assert_eq!(state.free_bytes, state.free[0].size);
    }

    #[test]
    fn an_arena_does_not_hoard() {
        let arena = Arc::new(Arena::default());
        // Sizes that never fit one another.
        for i in 0..40 {
            drop(arena.take::<u8>((1 << 20) * (i + 1)).share());
        }
        let state = arena.lock();
        assert!(state.free_bytes <= KEEP.max(state.peak_bytes), "{} bytes", state.free_bytes);
    }

    #[test]
    fn what_lasts_takes_the_place_of_free_blocks() {
        let arena = Arc::new(Arena::default());
        let sizes = [3, 9, 12, 20].map(|size| size << 20);
        drop(sizes.map(|size| arena.take::<u8>(size)));
        let free = || arena.lock().free.iter().map(|block| block.size >> 20).collect::<Vec<_>>();
        let sorted = || {
            let mut sizes = free();
            sizes.sort_unstable();
            sizes
        };
        // The smallest that is large enough; then the largest, and what is still missing.
        let mut lasting = arena.take_lasting::<u8>(10 << 20);
        assert_eq!(sorted(), [3, 9, 20]);
        lasting.as_mut_slice().fill(1);
        let more = arena.take_lasting::<u8>(22 << 20);
        assert_eq!(sorted(), [9]);
        drop((lasting.share(), more));
        assert_eq!(sorted(), [9], "it goes back to the system");
        let state = arena.lock();
        assert_eq!((state.used_bytes, state.free_bytes >> 20), (0, 9));
        drop(state);
        drop(arena.take_lasting::<u8>(100 << 20));
        assert!(free().is_empty());
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

    #[test]
    fn a_block_may_outlive_its_arena() {
        let arena = Arc::new(Arena::default());
        let mut memory = arena.take::<u32>(10);
        memory.as_mut_slice().fill(7);
        let shared = memory.share();
        drop(arena);
        assert_eq!(shared.as_slice::<u32>(), [7; 10]);
    }
}
