//! A random order of any number of items, in constant memory.

use bert_core::random::Random;

/// A permutation of `0..count` in which any place can be looked up by itself.
///
/// It is a Feistel network over the smallest power of four that holds the count, followed until the result is in
/// range. Source: "Ciphers with Arbitrary Finite Domains" (Black and Rogaway, 2002).
#[derive(Clone, Copy, Debug)]
pub struct Order {
    count: u64,
    /// Bits of a half of a number.
    half: u32,
    random: Random,
}

const ROUNDS: u64 = 4;

impl Order {
    pub fn new(count: u64, random: Random) -> Self {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        Self { count, half: bits.div_ceil(2), random }
    }

    /// How many items there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What stands at a place below the count.
    pub fn get(&self, place: u64) -> u64 {
        debug_assert!(place < self.count);
        let mut number = place;
        loop {
            number = self.step(number);
            if number < self.count {
                return number;
            }
        }
    }

    /// A permutation of all numbers of twice the bits of a half.
    fn step(&self, number: u64) -> u64 {
        let mask = (1u64 << self.half) - 1;
        let (mut left, mut right) = (number >> self.half, number & mask);
        for round in 0..ROUNDS {
            // Each round has streams of its own; a half has at most 32 bits.
            let bits = u64::from(self.random.bits(round << 32 | right));
            (left, right) = (right, left ^ (bits & mask));
        }
        left << self.half | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once() {
        for count in [1, 2, 3, 4, 5, 16, 17, 1000, 4097] {
            let order = Order::new(count, Random::new(count));
            let mut all: Vec<_> = (0..count).map(|place| order.get(place)).collect();
            assert!(count < 10 || all.windows(2).filter(|pair| pair[1] == pair[0] + 1).count() < 9);
            all.sort_unstable();
            assert!(all.into_iter().eq(0..count));
        }
        let order = Order::new(u64::MAX, Random::new(1));
        assert_ne!(order.get(0), order.get(1));
    }

    #[test]
    fn orders_are_random() {
        // Where the first of 10 goes, over many keys: each place is as likely.
        let mut counts = [0; 10];
        for seed in 0..10_000 {
            counts[Order::new(10, Random::new(seed)).get(0) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        // Neighbours are no neighbours any more.
        let order = Order::new(100_000, Random::new(3));
        let far = (1..10_000).filter(|&at| order.get(at).abs_diff(order.get(at - 1)) > 5_000).count();
        assert!(far > 8_500, "{far}");
    }
}
