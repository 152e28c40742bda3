//! Random numbers one after the other, from the generator that the rest of the workspace draws from by place.

use std::ops::{RangeBounds, RangeTo};

use bert_core::random::Random;

/// The numbers of a case, in the order in which it draws them.
#[derive(Clone, Debug)]
pub struct Rng {
    random: Random,
    next: u64,
}

impl Rng {
    /// The numbers of a seed.
    pub fn with_seed(seed: u64) -> Self {
        Self { random: Random::new(seed).named("conformance"), next: 0 }
    }

    fn place(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// From 0 up to but without 1, in steps of `2^-32`.
    pub fn f64(&mut self) -> f64 {
        let place = self.place();
        self.random.uniform(place)
    }

    /// One or the other.
    pub fn bool(&mut self) -> bool {
        self.below(2) == 1
    }

    /// A whole number below the end of a range.
    pub fn u32(&mut self, range: RangeTo<u32>) -> u32 {
        self.below(range.end as usize) as u32
    }

    /// A whole number in a range that begins at 0.
    pub fn usize(&mut self, range: impl RangeBounds<usize>) -> usize {
        let end = match range.end_bound() {
            std::ops::Bound::Included(&last) => last + 1,
            std::ops::Bound::Excluded(&end) => end,
            std::ops::Bound::Unbounded => panic!("a range without an end"),
        };
        self.below(end)
    }

    /// One of some things.
    pub fn choice<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }

    fn below(&mut self, end: usize) -> usize {
        let place = self.place();
        self.random.below(place, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeat_and_stay_in_their_range() {
        let draw = |seed| {
            let mut rng = Rng::with_seed(seed);
            let numbers: Vec<_> = (0..1000).map(|_| rng.u32(..7)).collect();
            assert!(
                (0..7).all(|number| numbers.contains(&number)) && numbers.iter().all(|&number| number < 7)
            );
            assert!((0..100).any(|_| rng.usize(..=3) == 3) && (0..100).all(|_| rng.f64() < 1.0));
            assert!((0..100).any(|_| rng.bool()) && (0..100).any(|_| !rng.bool()));
            numbers
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
