//! Windows over long texts.

use bert_tasks::tokenizer::{TokenizerError, Windows};
use proptest::prelude::*;

#[test]
fn a_text_that_fits_is_one_window() {
    for len in 1..=5 {
        let windows = Windows::new(len, 5, 1).unwrap();
        assert_eq!((windows.count(), windows.get(0)), (1, Some(0..len)));
    }
    assert_eq!(Windows::new(6, 5, 5).unwrap().iter().collect::<Vec<_>>(), [0..5, 5..6]);
    let none = Windows::new(0, 5, 5).unwrap();
    assert_eq!((none.count(), none.get(0), none.best(0)), (0, None, None));
}

#[test]
fn windows_that_would_leave_tokens_out_are_refused() {
    for (max_len, stride) in [(0, 0), (0, 1), (5, 0), (5, 6)] {
        let error = Windows::new(10, max_len, stride).unwrap_err();
        assert!(matches!(error, TokenizerError::Windows { .. }), "{error}");
    }
}

#[test]
fn sizes_do_not_overflow() {
    let windows = Windows::new(usize::MAX, usize::MAX, usize::MAX).unwrap();
    assert_eq!((windows.count(), windows.get(0)), (1, Some(0..usize::MAX)));
    let windows = Windows::new(usize::MAX, usize::MAX - 1, 3).unwrap();
    assert_eq!((windows.count(), windows.get(1)), (2, Some(3..usize::MAX)));
    assert_eq!(windows.best(usize::MAX - 1), Some(1));
}

/// The rule as the SQuAD code writes it.
fn best_by_the_book(windows: &[std::ops::Range<usize>], token: usize) -> Option<usize> {
    let mut best: Option<(f64, usize)> = None;
    for (index, window) in windows.iter().enumerate().filter(|(_, window)| window.contains(&token)) {
        let context = (token - window.start).min(window.end - 1 - token);
        let score = context as f64 + 0.01 * window.len() as f64;
        if best.is_none_or(|(best, _)| score > best) {
            best = Some((score, index));
        }
    }
    best.map(|(_, index)| index)
}

proptest! {
    #[test]
    fn every_token_is_in_a_window_and_in_one_best(
        len in 0usize..300,
        (max_len, stride) in (1usize..60).prop_flat_map(|max_len| (Just(max_len), 1..=max_len)),
    ) {
        let windows = Windows::new(len, max_len, stride).unwrap();
        let ranges: Vec<_> = windows.iter().collect();
        prop_assert_eq!(ranges.len(), windows.count());
        prop_assert_eq!(windows.get(ranges.len()), None);
        for (index, range) in ranges.iter().enumerate() {
            prop_assert_eq!(windows.get(index), Some(range.clone()));
            prop_assert_eq!(range.start, index * stride);
            prop_assert!(!range.is_empty() && range.len() <= max_len && range.end <= len);
            // Only the last may be short.
            prop_assert!(range.len() == max_len || index + 1 == ranges.len());
        }
        for token in 0..len {
            prop_assert!(ranges.iter().any(|range| range.contains(&token)));
            prop_assert_eq!(windows.best(token), best_by_the_book(&ranges, token));
        }
        prop_assert_eq!(windows.best(len), None);
    }
}
