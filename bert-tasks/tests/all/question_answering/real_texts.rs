//! Real questions with the logits of a model that is always right.

use std::fs;

use bert_tasks::question_answering::QuestionAnsweringOptions;
use bert_tasks::question_answering::squad::Dataset;

use super::planted::{Asked, task_with};
use crate::common::shared;

/// Wherever an answer begins and ends with a token, it comes out to the letter.
#[test]
fn planted_answers_come_out_as_they_were_marked() {
    let (Some(path), Some(vocab)) =
        (shared("data/qa/xquad.en.json"), shared("data/vocab/bert-base-uncased.vocab.txt"))
    else {
        return;
    };
    let dataset = Dataset::open(&path).unwrap();
    let task = task_with(&fs::read_to_string(vocab).unwrap(), |_| [0.0; 2]);
    let whole_words = QuestionAnsweringOptions::default();
    let tokens = QuestionAnsweringOptions { align_to_words: false, ..Default::default() };
    let mut counts = [0; 5];
    let [total, too_long, by_tokens, by_words, several_windows] = &mut counts;
    for (qa, question) in dataset.questions() {
        let asked = [&whole_words, &tokens].map(|options| Asked::new(&task, options, question.clone()));
        *several_windows += usize::from(asked[0].windows.len() > 1);
        for gold in &qa.answers {
            *total += 1;
            let range = gold.range(&question.context).expect("the paragraph says it there");
            let first = asked[0].tokens.iter().position(|token| token.start == range.start);
            let last = asked[0].tokens.iter().position(|token| token.end == range.end);
            let (Some(first), Some(last)) = (first, last) else { continue };
            if last - first >= 30 {
                *too_long += 1;
                continue;
            }
            let [of_words, of_tokens] = asked.each_ref().map(|asked| {
                let peak = |token: Option<usize>, at| if token == Some(at) { 9.0 } else { 0.0 };
                let logits = asked.logits(|_, token| [peak(token, first), peak(token, last)]);
                asked.answers(&logits).answers.swap_remove(0)
            });
            assert_eq!((&of_tokens.text, &of_tokens.range), (&gold.text, &range), "{}", qa.id);
            *by_tokens += 1;
            *by_words += usize::from(of_words.range == range);
            assert!(of_words.range.start <= range.start && range.end <= of_words.range.end);
        }
    }
    eprintln!(
        "XQuAD: {total} answers, {by_tokens} to the letter by tokens, {by_words} by words, {too_long} too \
         long; {several_windows} paragraphs in several windows"
    );
    // The one that is left was marked from the middle of a number: "(2,70" of "(2,700,000 sq mi)".
    assert_eq!(counts, [1190, 0, 1189, 1189, 21]);
}
