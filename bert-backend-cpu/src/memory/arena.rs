//! Memory that is used again.
//!
//! Small blocks are kept as they are, for the next request of about their size. Large ones are ranges of regions that
//! join when they are free: what a backward pass has used up makes room for gradients, which have other sizes, and the
//! next step for activations again, without the system in between.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytemuck::Pod;
use memmap2::MmapRaw;

use super::ranges::Ranges;
use super::{Block, Filling, LARGE, Owner, huge};

/// Free memory that an arena keeps, even if more was never in use at once.
const KEEP: usize = 64 << 20;
/// The least extent of a region. What is not yet written of it is not in memory.
const REGION: usize = 64 << 20;
/// Large blocks begin on pages of their own.
const PAGE: usize = 4 << 10;
const HUGE_PAGE: usize = 2 << 20;

/// Where blocks go when they are no longer used, and come from when they are needed again.
#[derive(Default)]
pub(crate) struct Arena {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    small: Small,
    large: Large,
}

/// Blocks of the heap.
#[derive(Default)]
struct Small {
    free: Vec<Arc<Block>>,
    free_bytes: usize,
    /// In blocks that are not in `free`.
    used_bytes: usize,
    peak_bytes: usize,
}

/// Ranges of regions.
#[derive(Default)]
struct Large {
    regions: Vec<Region>,
    region_bytes: usize,
    used_bytes: usize,
    peak_bytes: usize,
}

struct Region {
    map: Arc<MmapRaw>,
    ranges: Ranges,
}

impl Arena {
    /// Memory for `length` numbers, of any value, to be filled by one owner and then shared.
    pub fn take<T: Pod>(self: &Arc<Self>, length: usize) -> Filling<T> {
        let bytes = Filling::<T>::capacity(length);
        let large = if bytes >= LARGE { self.take_large(bytes) } else { None };
        let block = match large {
            Some(block) => Arc::new(block),
            None => self.take_small(bytes),
        };
        Filling::new(block, length)
    }

    /// A range of a region; `None` where there are no mappings.
    fn take_large(self: &Arc<Self>, bytes: usize) -> Option<Block> {
        let bytes = bytes.next_multiple_of(PAGE);
        let mut state = self.lock();
        let large = &mut state.large;
        let mut free = large.regions.iter_mut();
        let (map, start) =
            match free.find_map(|region| Some((region.map.clone(), region.ranges.take(bytes)?))) {
                Some(found) => found,
                None => {
                    let size = bytes.next_multiple_of(HUGE_PAGE).max(REGION);
                    let (map, mut ranges) = (huge(size)?, Ranges::new(size));
                    let start = ranges.take(bytes).expect("it was made large enough");
                    large.region_bytes += size;
                    large.regions.push(Region { map: map.clone(), ranges });
                    (map, start)
                }
            };
        large.used_bytes += bytes;
        large.peak_bytes = large.peak_bytes.max(large.used_bytes);
        Some(Block::in_region(map, start, bytes, Arc::downgrade(self)))
    }

    fn take_small(self: &Arc<Self>, bytes: usize) -> Arc<Block> {
        let mut state = self.lock();
        let small = &mut state.small;
        // The tightest fit, but none that wastes more than half.
        let fits = |block: &Arc<Block>| (bytes..=2 * bytes).contains(&block.size);
        let best =
            (0..small.free.len()).filter(|&i| fits(&small.free[i])).min_by_key(|&i| small.free[i].size);
        let recycled = best.map(|i| small.free.swap_remove(i));
        small.free_bytes -= recycled.as_ref().map_or(0, |block| block.size);
        small.used_bytes += recycled.as_ref().map_or(bytes, |block| block.size);
        small.peak_bytes = small.peak_bytes.max(small.used_bytes);
        drop(state);
        recycled.unwrap_or_else(|| Arc::new(Block::new(bytes, Arc::downgrade(self))))
    }

    /// Takes back a block that nobody else has.
    pub(super) fn give_back(&self, block: Arc<Block>) {
        if matches!(block.owner, Owner::Region { .. }) {
            return; // its end gives its range back
        }
        let mut state = self.lock();
        let small = &mut state.small;
        let bytes = block.size;
        if small.free_bytes + bytes <= small.peak_bytes.max(KEEP) {
            small.used_bytes -= bytes;
            small.free_bytes += bytes;
            small.free.push(block);
        }
        // Otherwise it is freed, after the lock, which its end takes again.
    }

    /// Takes note of the end of a block.
    pub(super) fn forget(&self, block: &Block) {
        let mut state = self.lock();
        let Owner::Region { map } = &block.owner else {
            state.small.used_bytes -= block.size;
            return;
        };
        let large = &mut state.large;
        large.used_bytes -= block.size;
        let place = large.regions.iter().position(|region| Arc::ptr_eq(&region.map, map));
        let place = place.expect("a region stays while a block lies in it");
        let region = &mut large.regions[place];
        region.ranges.give(block.start.as_ptr() as usize - map.as_mut_ptr() as usize, block.size);
        // The others are enough for as much as was ever in use.
        let spare = large.region_bytes - region.ranges.size();
        if region.ranges.is_free() && spare >= large.peak_bytes {
            large.region_bytes = spare;
            large.regions.swap_remove(place);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let kept = || {
            let state = arena.lock();
            (state.small.free_bytes, state.large.region_bytes)
        };
        let before = kept();
        for _ in 0..10 {
            let mut again = addresses(5);
            again.retain(|address| !first.contains(address));
            assert!(again.is_empty());
            assert_eq!(kept(), before);
        }
        let state = arena.lock();
        assert_eq!((state.small.used_bytes, state.large.used_bytes), (0, 0));
    }

    #[test]
    fn blocks_of_nothing_are_found_again() {
        let arena = Arc::new(Arena::default());
        for _ in 0..10 {
            drop(arena.take::<f32>(0));
        }
        let state = &arena.lock().small;
        assert_eq!((state.free.len(), state.used_bytes), (1, 0));
        assert_eq!(state.free_bytes, state.free[0].size);
    }

    #[test]
    fn an_arena_does_not_hoard() {
        let arena = Arc::new(Arena::default());
        // Sizes that never fit one another, of the heap and of regions.
        for i in 0..40 {
            drop(arena.take::<u8>((10 << 10) << (i % 6)).share());
            drop(arena.take::<u8>((5 << 20) * (i + 1)).share());
        }
        let state = arena.lock();
        let (small, large) = (&state.small, &state.large);
        assert!(small.free_bytes <= KEEP.max(small.peak_bytes), "{} bytes", small.free_bytes);
        // The last that was too large for the others is 200 MiB.
        assert!(large.region_bytes <= 2 * large.peak_bytes, "{} bytes", large.region_bytes);
    }

    #[test]
    fn free_blocks_join_for_what_is_larger() {
        let arena = Arc::new(Arena::default());
        let blocks = [3, 9, 12, 20].map(|size| arena.take::<u8>(size << 20).share());
        let regions = || arena.lock().large.regions.len();
        assert_eq!(regions(), 1);
        let [a, b, c, d] = blocks;
        drop((b, c));
        let mut joined = arena.take::<u8>(21 << 20);
        joined.as_mut_slice().fill(1);
        assert_eq!(regions(), 1);
        drop(a);
        // It does not fit into what is left, and a region of its own goes when it is not needed.
        let other = arena.take::<u8>(60 << 20);
        assert_eq!(regions(), 2);
        drop((joined, d, other));
        assert_eq!((regions(), arena.lock().large.used_bytes), (2, 0), "so much was in use");
    }

    #[test]
    fn a_block_may_outlive_its_arena() {
        for length in [10, LARGE] {
            let arena = Arc::new(Arena::default());
            let mut memory = arena.take::<u32>(length);
            memory.as_mut_slice().fill(7);
            let shared = memory.share();
            drop(arena);
            assert!(shared.as_slice::<u32>().iter().all(|&x| x == 7));
        }
    }

    #[test]
    fn threads_never_have_the_same_bytes() {
        let arena = Arc::new(Arena::default());
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let arena = &arena;
                scope.spawn(move || {
                    for step in 0..50 {
                        let mut memory =
                            arena.take::<u8>(LARGE + (step * 7919 + usize::from(thread) * 104_729) % LARGE);
                        memory.as_mut_slice().fill(thread);
                        std::thread::yield_now();
                        assert!(memory.share().as_slice::<u8>().iter().all(|&x| x == thread));
                    }
                });
            }
        });
        assert_eq!(arena.lock().large.used_bytes, 0);
    }
}
