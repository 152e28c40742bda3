//! Which parts of a region of memory are free.

use std::collections::BTreeMap;

/// The free ranges of a region, of which no two touch: what is given back joins its neighbours.
#[derive(Debug)]
pub(super) struct Ranges {
    /// Where each begins, and its size.
    free: BTreeMap<usize, usize>,
    size: usize,
}

impl Ranges {
    /// A region of which everything is free.
    pub fn new(size: usize) -> Self {
        Self { free: BTreeMap::from([(0, size)]), size }
    }

    /// The extent of the region.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether nothing is taken.
    pub fn is_free(&self) -> bool {
        self.free.get(&0) == Some(&self.size)
    }

    /// Takes a range of so many bytes: the lowest that is large enough, so that what was never used stays so. Gives
    /// where it begins.
    pub fn take(&mut self, bytes: usize) -> Option<usize> {
        let (start, size) =
            self.free.iter().find(|&(_, &size)| size >= bytes).map(|(&start, &size)| (start, size))?;
        self.free.remove(&start);
        if size > bytes {
            self.free.insert(start + bytes, size - bytes);
        }
        Some(start)
    }

    /// Gives a range back that was taken.
    pub fn give(&mut self, start: usize, bytes: usize) {
        let (mut start, mut end) = (start, start + bytes);
        let before = self.free.range(..start).next_back().map(|(&at, &size)| (at, at + size));
        debug_assert!(end <= self.size && before.is_none_or(|(_, until)| until <= start), "it was free");
        if let Some((at, until)) = before
            && until == start
        {
            start = at;
        }
        if let Some(size) = self.free.remove(&end) {
            end += size;
        }
        self.free.insert(start, end - start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_lowest_range_that_fits_is_taken_and_neighbours_join() {
        let mut ranges = Ranges::new(100);
        assert_eq!([30, 30, 30].map(|bytes| ranges.take(bytes)), [Some(0), Some(30), Some(60)]);
        assert_eq!(ranges.take(11), None);
        ranges.give(0, 30);
        ranges.give(60, 30);
        assert_eq!((ranges.take(31), ranges.take(20)), (Some(60), Some(0)));
        ranges.give(30, 30);
        assert_eq!(ranges.take(40), Some(20));
        for (start, bytes) in [(0, 20), (60, 31), (20, 40)] {
            assert!(!ranges.is_free());
            ranges.give(start, bytes);
        }
        assert!(ranges.is_free() && ranges.take(100) == Some(0));
    }

    proptest! {
        #[test]
        fn no_byte_is_taken_twice_and_all_come_back(steps in prop::collection::vec((any::<bool>(), 1usize..40, any::<usize>()), 1..200)) {
            let mut ranges = Ranges::new(256);
            let mut taken: Vec<(usize, usize)> = vec![];
            for (takes, bytes, which) in steps {
                if takes {
                    if let Some(start) = ranges.take(bytes) {
                        prop_assert!(start + bytes <= 256);
                        prop_assert!(taken.iter().all(|&(at, size)| start + bytes <= at || at + size <= start));
                        taken.push((start, bytes));
                    }
                } else if !taken.is_empty() {
                    let (start, bytes) = taken.swap_remove(which % taken.len());
                    ranges.give(start, bytes);
                }
                let free: usize = ranges.free.values().sum();
                let used: usize = taken.iter().map(|&(_, size)| size).sum();
                prop_assert_eq!(free + used, 256);
                let mut ends = ranges.free.iter().map(|(&start, &size)| (start, start + size));
                let first = ends.next();
                prop_assert!(first.is_none() || ends.try_fold(first.unwrap().1, |end, (start, next)| (end < start).then_some(next)).is_some());
            }
            for (start, bytes) in taken {
                ranges.give(start, bytes);
            }
            prop_assert!(ranges.is_free());
        }
    }
}
