//! Logits to answers.

use bert_core::random::Random;
use bert_tasks::question_answering::{Answer, Question, QuestionAnsweringOptions};
use proptest::prelude::*;

use super::planted::{Asked, VOCAB, task_with};

fn question(question: &str, context: &str) -> Question {
    Question { question: question.into(), context: context.into() }
}

/// A random number between -6 and 6.
fn noise(seed: u64, [window, token, column]: [usize; 3]) -> f32 {
    let random = Random::new(seed).numbered(window as u64).numbered(token as u64);
    (random.uniform(column as u64) * 12.0 - 6.0) as f32
}

fn overlap(a: &Answer, b: &Answer) -> bool {
    a.range.start < b.range.end && b.range.start < a.range.end
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The same answers as a search through every span of every window, whatever the text, the windows and
    /// the options.
    #[test]
    fn answers_are_those_of_an_exhaustive_search(
        context in "([ab]{1,6}|[.,]|é|中|🙂|\\[MASK\\]|\u{0}| |\n){0,40}",
        asked in "[ab ]{0,10}",
        seed: u64,
        max_length in 5usize..40,
        doc_stride in 1usize..20,
        max_answer_tokens in 1usize..9,
        align_to_words: bool,
        top_k in 1usize..6,
        n_best in 0usize..6,
    ) {
        let options = QuestionAnsweringOptions {
            top_k, n_best, max_answer_tokens, max_length, doc_stride, align_to_words, ..Default::default()
        };
        let asked = Asked::new(&task_with(VOCAB, |_| [0.0; 2]), &options, question(&asked, &context));
        let logits = asked.logits(|window, token| {
            [0, 1].map(|column| noise(seed, [window, token.map_or(0, |token| token + 1), column]))
        });
        let found = asked.answers(&logits);

        let (spans, null) = asked.every_span(&logits);
        let mut free: Vec<Answer> = vec![];
        let mut all = vec![];
        for (range, score) in spans {
            let text = context[range.clone()].to_owned();
            let answer = Answer { text, range, score: score as f32 };
            if !free.iter().any(|other| overlap(other, &answer)) {
                free.push(answer.clone());
            }
            all.push(answer);
        }
        let best = all.first().cloned();
        free.truncate(top_k);
        all.truncate(n_best);
        for (found, expected) in [(&found.answers, free), (&found.n_best, all)] {
            let ranges = |answers: &[Answer]| answers.iter().map(|a| a.range.clone()).collect::<Vec<_>>();
            prop_assert_eq!(ranges(found), ranges(&expected));
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert_eq!(&found.text, &expected.text);
                prop_assert!(!found.text.is_empty());
                prop_assert!((found.score - expected.score).abs() < 1e-5, "{:?} {:?}", found, expected);
            }
        }
        if let (Some(odds), Some(best)) = (found.no_answer_odds, best) {
            prop_assert!((found.no_answer_score - null as f32).abs() < 1e-5);
            prop_assert!((odds - (null / f64::from(best.score)).ln() as f32).abs() < 1e-3);
        } else {
            prop_assert!(asked.tokens.is_empty() || asked.widened(0, 0).is_none());
        }
    }

    /// All answers, and there are as many as possible of them: none overlaps, none is left out.
    #[test]
    fn all_answers_together_cover_every_token_once(seed: u64, words in 1usize..60, align_to_words: bool) {
        let options = QuestionAnsweringOptions {
            top_k: usize::MAX, max_length: 24, max_answer_tokens: 4, align_to_words, ..Default::default()
        };
        let context = "ab a abba b.a ".repeat(words);
        let task = task_with(VOCAB, |_| [0.0; 2]);
        let asked = Asked::new(&task, &options, question("a", &context[..context.len() / 2]));
        let found = asked.answers(&asked.logits(|window, token| {
            [0, 1].map(|column| noise(seed, [window, token.map_or(0, |token| token + 1), column]))
        }));
        let mut answers = found.answers;
        prop_assert!(answers.is_sorted_by(|a, b| a.score >= b.score));
        answers.sort_by_key(|answer| answer.range.start);
        prop_assert!(answers.is_sorted_by(|a, b| a.range.end <= b.range.start));
        for token in &asked.tokens {
            let covers = |answer: &&Answer| answer.range.start <= token.start && token.end <= answer.range.end;
            prop_assert_eq!(answers.iter().filter(covers).count(), 1);
        }
    }
}

/// An answer anywhere in a long text is found, whichever windows it is in, also across their borders.
#[test]
fn a_peak_is_found_wherever_it_is() {
    let task = task_with(VOCAB, |_| [0.0; 2]);
    for (max_length, words, step) in [(64, 160, 1), (384, 900, 53)] {
        let options = QuestionAnsweringOptions { max_length, ..Default::default() };
        let context = "a ".repeat(words);
        let asked = Asked::new(&task, &options, question("b b b", &context));
        assert_eq!(asked.windows.len(), if max_length == 64 { 5 } else { 6 });
        let longest = if max_length == 64 { 29 } else { 30 }; // half of a window of 58
        for length in [1, 2, longest] {
            for first in (0..words - length).step_by(step) {
                let last = first + length - 1;
                let found = asked.answers(&asked.logits(|_, token| {
                    let peak = |at: usize| if token == Some(at) { 9.0 } else { 0.0 };
                    [peak(first), peak(last)]
                }));
                assert_eq!(found.answers[0].range, 2 * first..2 * last + 1, "{max_length} {first} {length}");
            }
        }
    }
}

/// A token at the border of a window is judged by the window that shows what is around it.
#[test]
fn a_token_is_scored_where_it_has_most_context() {
    let options = QuestionAnsweringOptions { max_length: 23, doc_stride: 10, ..Default::default() };
    let task = task_with(VOCAB, |_| [0.0; 2]);
    let asked = Asked::new(&task, &options, question("", &"a ".repeat(60)));
    assert_eq!(asked.windows[..3], [0..20, 10..30, 20..40]);
    // Windows 0 and 1 hold token 19, as their last and their tenth.
    let peak = |window| {
        asked.answers(&asked.logits(|index, token| {
            if token == Some(19) && index == window { [9.0, 9.0] } else { [0.0, 0.0] }
        }))
    };
    assert_eq!(peak(1).answers[0].range, 38..39);
    assert!(peak(1).answers[0].score > 0.99);
    assert_ne!(peak(0).answers[0].range, 38..39);
}

/// Of equals, the first and shortest.
#[test]
fn equals_have_an_order() {
    let options = QuestionAnsweringOptions { top_k: 3, ..Default::default() };
    let asked = Asked::new(&task_with(VOCAB, |_| [0.0; 2]), &options, question("a", "a b a b"));
    let found = asked.answers(&asked.logits(|_, _| [0.0, 0.0]));
    let ranges: Vec<_> = found.answers.iter().map(|answer| answer.range.clone()).collect();
    assert_eq!(ranges, [0..1, 2..3, 4..5]);
    // Ten spans and no answer.
    assert!(found.answers.iter().all(|answer| (answer.score - 1.0 / 11.0).abs() < 1e-6));
    assert_eq!(found.no_answer_odds, Some(0.0));
    assert_eq!(found.n_best.len(), 10);
    assert_eq!((&*found.n_best[1].text, &*found.n_best[4].text), ("a b", "b"));
}

#[test]
fn answers_are_whole_words_unless_told_otherwise() {
    let context = "a, abba ba.";
    // abba is ab ##b ##a
    let answer = |align_to_words, peak: usize| {
        let options = QuestionAnsweringOptions { align_to_words, ..Default::default() };
        let asked = Asked::new(&task_with(VOCAB, |_| [0.0; 2]), &options, question("a", context));
        let planted = |token| if token == Some(peak) { [9.0; 2] } else { [0.0; 2] };
        asked.answers(&asked.logits(|_, token| planted(token))).answers[0].text.clone()
    };
    assert_eq!((answer(true, 3), answer(false, 3)), ("abba".into(), "b".into()));
    assert_eq!((answer(true, 0), answer(true, 1), answer(true, 7)), ("a".into(), ",".into(), ".".into()));
}

#[test]
fn a_threshold_decides_whether_there_is_an_answer() {
    let answers = |null: f32, no_answer_threshold| {
        let options = QuestionAnsweringOptions { no_answer_threshold, ..Default::default() };
        let asked = Asked::new(&task_with(VOCAB, |_| [0.0; 2]), &options, question("a", "a b"));
        let logits = |token| match token {
            None => [null / 2.0; 2],
            Some(0) => [1.0, 1.5],
            Some(_) => [-9.0; 2],
        };
        asked.answers(&asked.logits(|_, token| logits(token)))
    };
    // The best answer has 2.5.
    for (null, threshold, answered) in [
        (3.0, None, true),
        (3.0, Some(0.0), false),
        (3.0, Some(0.5), true),
        (2.0, Some(0.0), true),
        (2.0, Some(-1.0), false),
    ] {
        let found = answers(null, threshold);
        assert_eq!(!found.answers.is_empty(), answered, "{null} {threshold:?}");
        assert_eq!(found.no_answer_odds, Some(null - 2.5));
        assert_eq!(found.n_best[0].text, "a");
        let sum = found.no_answer_score + found.n_best.iter().map(|answer| answer.score).sum::<f32>();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
}

/// One window that finds an answer is enough.
#[test]
fn there_is_no_answer_only_if_every_window_says_so() {
    let options =
        QuestionAnsweringOptions { max_length: 10, no_answer_threshold: Some(0.0), ..Default::default() };
    let asked = Asked::new(&task_with(VOCAB, |_| [0.0; 2]), &options, question("a", &"b ".repeat(50)));
    let logits = |sure: usize| {
        asked.logits(move |window, token| match token {
            None if window == sure => [-9.0; 2],
            None => [9.0; 2],
            Some(_) => [0.0; 2],
        })
    };
    assert!(!asked.answers(&logits(7)).answers.is_empty());
    assert!(asked.answers(&logits(usize::MAX)).answers.is_empty());
}
