//! Random numbers that depend on nothing but their place.
//!
//! [`Random`] is a counter-based generator: the number at a place is a function of the seed and of that place,
//! so any number can be computed without those before it. Threads, devices and a run that is taken up again draw the
//! same numbers, in any order. Source: "Parallel Random Numbers: As Easy as 1, 2, 3" (Salmon et al., 2011),
//! Philox4x32 with 10 rounds; GPUs compute it with 32-bit integers alone.
//!
//! ```
//! use bert_core::random::Random;
//! let weights = Random::new(7).named("encoder.layer.0.output.dense.weight");
//! assert_eq!(weights.uniform(3), weights.uniform(3));
//! assert_ne!(weights.uniform(3), weights.uniform(4));
//! let mean = (0..10_000).map(|i| weights.normal(i)).sum::<f64>() / 10_000.0;
//! assert!(mean.abs() < 0.05);
//! ```

/// A stream of random numbers, each of them at an index from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    key: [u32; 2],
    /// The upper half of the counter: which stream. The lower half is the index.
    stream: [u32; 2],
}

impl Random {
    /// The main stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self { key: halves(seed), stream: [0; 2] }
    }

    /// A stream of its own for each name. (The FNV-1a hash of the name, whose values are the same everywhere.)
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.numbered(hash)
    }

    /// A stream of its own for each number: an epoch, a step, a row. Streams nest: `numbered(a).numbered(b)` is
    /// another one than `numbered(b).numbered(a)`.
    #[must_use]
    pub fn numbered(self, number: u64) -> Self {
        let [low, high] = halves(number);
        let [a, b, ..] = philox([low, high, self.stream[0], self.stream[1]], self.key);
        Self { stream: [a, b], ..self }
    }

    /// 32 random bits.
    pub fn bits(&self, index: u64) -> u32 {
        // Each block of the generator gives four numbers.
        self.block(index / 4)[(index % 4) as usize]
    }

    /// The four numbers at `4 * index .. 4 * index + 4`.
    pub fn block(&self, index: u64) -> [u32; 4] {
        let [low, high] = halves(index);
        philox([low, high, self.stream[0], self.stream[1]], self.key)
    }

    /// A whole number below `end`, each as likely as any other to within `end / 2^32`.
    ///
    /// # Panics
    /// If `end` is 0 or above `2^32`: there is no such number.
    pub fn below(&self, index: u64, end: usize) -> usize {
        assert!((1..=1 << 32).contains(&(end as u64)), "no number lies below {end}");
        ((u64::from(self.bits(index)) * end as u64) >> 32) as usize
    }

    /// A number from 0 up to but without 1, in steps of `2^-32`.
    pub fn uniform(&self, index: u64) -> f64 {
        f64::from(self.bits(index)) / 4_294_967_296.0
    }

    /// A number of the standard normal distribution. Source: Box and Muller, 1958.
    pub fn normal(&self, index: u64) -> f64 {
        // Two uniform numbers of 53 bits, the first of them above 0.
        let [a, b, c, d] = self.block(index);
        let unit = |high: u32, low: u32| {
            ((u64::from(high) << 21 | u64::from(low) >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
        };
        (-2.0 * libm::log(unit(a, b))).sqrt() * libm::cos(std::f64::consts::TAU * unit(c, d))
    }

    /// Puts the items into a random order. Source: Fisher and Yates.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for end in (2..=items.len()).rev() {
            items.swap(end - 1, self.below(end as u64, end));
        }
    }
}

fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

/// Philox4x32-10: a bijection of the counter for each key.
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let product = |a: u32, b: u32| halves(u64::from(a) * u64::from(b));
    for _ in 0..10 {
        let [low_0, high_0] = product(0xd251_1f53, counter[0]);
        let [low_1, high_1] = product(0xcd9e_8d57, counter[2]);
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that come with the generator's publication.
    #[test]
    fn known_answers() {
        let ones = u32::MAX;
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let table = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ones; 4], [ones; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ];
        for (counter, key, expected) in table {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn streams_differ_and_places_do_not_depend_on_order() {
        let random = Random::new(1);
        let streams = [
            random,
            Random::new(2),
            random.named("a"),
            random.named("b"),
            random.numbered(1),
            random.numbered(1).numbered(2),
            random.numbered(2).numbered(1),
        ];
        for (i, a) in streams.iter().enumerate() {
            for b in &streams[i + 1..] {
                assert_ne!(a.block(0), b.block(0), "{a:?} {b:?}");
            }
        }
        let forwards: Vec<_> = (0..9).map(|i| random.bits(i)).collect();
        let backwards: Vec<_> = (0..9).rev().map(|i| random.bits(i)).collect();
        assert!(forwards.iter().eq(backwards.iter().rev()));
    }

    #[test]
    fn distributions() {
        let random = Random::new(3);
        let count = 40_000u64;
        let mean = |f: &dyn Fn(u64) -> f64| (0..count).map(f).sum::<f64>() / count as f64;
        assert!((mean(&|i| random.uniform(i)) - 0.5).abs() < 0.01);
        assert!(mean(&|i| random.normal(i)).abs() < 0.02);
        assert!((mean(&|i| random.normal(i).powi(2)) - 1.0).abs() < 0.03);
        assert!((0..count).all(|i| random.normal(i).is_finite() && random.below(i, 7) < 7));
        let sevenths = (0..count).filter(|&i| random.below(i, 7) == 6).count() as f64;
        assert!((sevenths / count as f64 - 1.0 / 7.0).abs() < 0.01);
        assert_eq!(random.below(0, 1), 0);

        let mut items: Vec<_> = (0..100).collect();
        random.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
        random.shuffle(&mut [0; 0]);
    }
}
