use proptest::prelude::*;

use super::super::testing::vocabulary;
use super::*;

/// Ids from 5 on are words; odd ones from 27 on continue a word.
fn example(vocabulary: &Vocabulary, length: usize, random: Random) -> Vec<u32> {
    let words = vocabulary.replacements();
    let mut ids: Vec<u32> = (0..length as u64).map(|at| words[random.below(at, words.len())]).collect();
    ids[0] = vocabulary.cls();
    ids[length / 2] = vocabulary.sep();
    ids[length - 1] = vocabulary.sep();
    ids
}

#[test]
fn shares_are_those_of_the_paper() {
    let vocabulary = vocabulary();
    for whole_words in [false, true] {
        let masking = Masking { whole_words, ..Masking::default() };
        let (mut tokens, mut masked, mut as_mask, mut kept) = (0, 0, 0, 0);
        for seed in 0..500 {
            let random = Random::new(seed);
            let original = example(&vocabulary, 128, random.named("text"));
            let mut ids = original.clone();
            let (positions, _) = masking.apply(&mut ids, &vocabulary, random);
            tokens += ids.len() - 3;
            masked += positions.len();
            for position in positions {
                let position = position as usize;
                as_mask += usize::from(ids[position] == vocabulary.mask());
                kept += usize::from(ids[position] == original[position]);
            }
        }
        let part = |count: usize, of: usize| count as f64 / of as f64;
        // A word that does not fit is left out, and 18.75 tokens are rounded up.
        assert!((part(masked, tokens) - 0.15).abs() < 0.005, "{whole_words}: {}", part(masked, tokens));
        assert!((part(as_mask, masked) - 0.8).abs() < 0.02, "{}", part(as_mask, masked));
        // Some random tokens are those that stood there.
        assert!((part(kept, masked) - 0.1).abs() < 0.02, "{}", part(kept, masked));
    }
}

#[test]
fn words_are_masked_whole() {
    let vocabulary = vocabulary();
    let masking = Masking { whole_words: true, mask: 1.0, random: 0.0, ..Masking::default() };
    for seed in 0..200 {
        let original = example(&vocabulary, 64, Random::new(seed).named("text"));
        let mut ids = original.clone();
        masking.apply(&mut ids, &vocabulary, Random::new(seed));
        for at in 1..ids.len() {
            if vocabulary.continues(original[at]) && !vocabulary.is_special(original[at - 1]) {
                let masked = |at: usize| ids[at] == vocabulary.mask();
                assert_eq!(masked(at), masked(at - 1), "{original:?} {ids:?}");
            }
        }
    }
}

#[test]
fn settings_are_checked() {
    let good = Masking::default();
    assert!(good.check().is_ok());
    for bad in [
        Masking { rate: 0.0, ..good.clone() },
        Masking { rate: f64::NAN, ..good.clone() },
        Masking { rate: 1.5, ..good.clone() },
        Masking { mask: -0.1, ..good.clone() },
        Masking { mask: 0.9, random: 0.2, ..good.clone() },
        Masking { max_predictions: Some(0), ..good.clone() },
    ] {
        assert!(matches!(bad.check(), Err(PretrainingError::Setting { .. })), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn labels_are_what_stood_there_and_special_tokens_stay(
        ids in prop::collection::vec(0u32..70, 1..80),
        rate in 0.01f64..1.0,
        whole_words: bool,
        most in prop::option::of(1usize..20),
        seed: u64,
    ) {
        let vocabulary = vocabulary();
        let masking = Masking { rate, whole_words, max_predictions: most, ..Masking::default() };
        let mut masked = ids.clone();
        let (positions, labels) = masking.apply(&mut masked, &vocabulary, Random::new(seed));
        prop_assert!(positions.is_sorted() && positions.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(positions.len() <= most.unwrap_or(usize::MAX));
        prop_assert_eq!(positions.len(), labels.len());
        for (&position, &label) in positions.iter().zip(&labels) {
            prop_assert_eq!(ids[position as usize], label);
            prop_assert!(!vocabulary.is_special(label));
            let now = masked[position as usize];
            prop_assert!(now == vocabulary.mask() || !vocabulary.is_special(now));
        }
        for (at, (before, after)) in ids.iter().zip(&masked).enumerate() {
            prop_assert!(before == after || positions.contains(&(at as u32)));
        }
        let ordinary = ids.iter().any(|&id| !vocabulary.is_special(id));
        prop_assert_eq!(!positions.is_empty(), ordinary);
    }
}
