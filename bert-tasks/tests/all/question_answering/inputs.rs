//! The whole way from texts to answers.

use bert_core::contract::Precision;
use bert_tasks::question_answering::{Question, QuestionAnsweringOptions};
use bert_tasks::{Error, QuestionAnswering, Task};

use super::planted::{VOCAB, task_with};
use crate::common::{Tiny, device};

fn tiny() -> QuestionAnswering {
    QuestionAnswering::load(Tiny::new("BertForQuestionAnswering", &[]).name(), &device()).unwrap()
}

fn questions() -> Vec<Question> {
    let words = "the capital of france is paris . london is in england , and the river is very good ! ";
    (0..60)
        .map(|i| Question {
            question: ["", "where is paris ?", "who is it", "??"][i % 4].repeat(1 + i % 3),
            context: words.chars().cycle().skip(7 * i).take((i * i * 7) % 1500).collect(),
        })
        .collect()
}

#[test]
fn answers_do_not_depend_on_the_batch() {
    let tiny = Tiny::new("BertForQuestionAnswering", &[]);
    let options = QuestionAnsweringOptions { top_k: 3, ..Default::default() };
    let task = |budget| {
        let files = tiny.open().with_token_budget(budget);
        let task = QuestionAnswering::from_pretrained(&files, &device(), Precision::F32).unwrap();
        task.with_options(options.clone()).unwrap()
    };
    let alone = task(2048);
    let expected: Vec<_> =
        questions().iter().map(|asked| alone.predict(&asked.question, &asked.context).unwrap()).collect();
    for budget in [1, 100, 5000] {
        assert_eq!(task(budget).predict_all(questions()).unwrap(), expected);
    }
    for (asked, found) in questions().iter().zip(&expected) {
        assert_eq!(found.answers.is_empty(), asked.context.is_empty());
        for answer in &found.answers {
            assert_eq!(asked.context[answer.range.clone()], answer.text);
        }
    }
}

#[test]
fn a_context_without_words_has_no_answer() {
    let task = tiny();
    for context in ["", " ", "\0", "\n\t\u{200b}\u{feff}"] {
        let found = task.predict("where ?", context).unwrap();
        assert!(found.answers.is_empty() && found.n_best.is_empty(), "{context:?}");
        assert_eq!((found.no_answer_score, found.no_answer_odds), (1.0, None));
    }
    for context in ["🙂", "\0a\0", "a\u{301}\u{323}", &"x".repeat(5000)] {
        let found = task.predict("", context).unwrap();
        assert_eq!(found.answers[0].text, context[found.answers[0].range.clone()]);
        assert_eq!(found.truncated, None);
    }
}

#[test]
fn what_is_cut_off_a_question_is_told() {
    let task = tiny();
    // 64 positions less [CLS] and two [SEP] are 61, of which half are for the question.
    let long = "bank ".repeat(100);
    let found = task.predict(&long, "a river").unwrap();
    assert_eq!(found.truncated, Some(30 * 5..long.len() - 1));
    assert!(!found.answers.is_empty());
    let options = QuestionAnsweringOptions { max_question_tokens: 2, ..Default::default() };
    let found = task.with_options(options).unwrap().predict("it is 🙂 ?", "a river").unwrap();
    assert_eq!(found.truncated, Some(6..12));
}

#[test]
fn a_long_line_is_searched_to_its_end() {
    let mark = 5; // "a"
    let task = task_with(VOCAB, move |id| if id == mark { [9.0; 2] } else { [0.0; 2] });
    let context = "bb ".repeat(15_000) + "a" + &" bb".repeat(15_000);
    let found = task.predict("which letter is it?", &context).unwrap();
    assert_eq!((&*found.answers[0].text, found.answers[0].range.start), ("a", 45_000));
}

#[test]
fn damaged_models_and_other_models_are_refused() {
    let task = task_with(VOCAB, |_| [0.0, f32::NAN]);
    assert!(matches!(task.predict("a", "b"), Err(Error::NotFinite { .. })));
    let task = task_with(VOCAB, |id| if id == 6 { [f32::INFINITY, 0.0] } else { [0.0; 2] });
    let asked = ["a", "b", "a"].map(|text| Question { question: "a".into(), context: text.into() });
    let answers: Vec<bool> = task.stream(asked).map(|answer| answer.is_ok()).collect();
    assert_eq!(answers, [true, false, true]);

    let other = Tiny::new("BertForMaskedLM", &[]);
    let error = QuestionAnswering::load(other.name(), &device()).unwrap_err().to_string();
    assert!(error.contains("BertForMaskedLM") && error.contains("question answering"), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |change: fn(&mut QuestionAnsweringOptions)| {
        let mut options = QuestionAnsweringOptions::default();
        change(&mut options);
        match tiny().with_options(options) {
            Err(Error::Setting { setting, .. }) => setting,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(|options| options.top_k = 0), "top_k");
    assert_eq!(refused(|options| options.max_answer_tokens = 0), "max_answer_tokens");
    assert_eq!(refused(|options| options.doc_stride = 0), "doc_stride");
    assert_eq!(refused(|options| options.max_question_tokens = 0), "max_question_tokens");
    assert_eq!(refused(|options| options.max_length = 3), "max_length");
    assert_eq!(refused(|options| options.no_answer_threshold = Some(f32::NAN)), "no_answer_threshold");

    // Settings beyond all bounds are no different from the greatest that make sense.
    let huge = QuestionAnsweringOptions {
        top_k: usize::MAX,
        n_best: usize::MAX,
        max_answer_tokens: usize::MAX,
        max_length: usize::MAX,
        doc_stride: usize::MAX,
        max_question_tokens: usize::MAX,
        ..Default::default()
    };
    let found = tiny().with_options(huge).unwrap().predict("where", &"in paris ".repeat(40)).unwrap();
    assert!(found.answers.len() > 1);
}

#[test]
fn answers_can_be_written_as_json() {
    let found = tiny().predict("where", "in paris").unwrap();
    let json = serde_json::to_value(&found).unwrap();
    let answer = &json["answers"][0];
    assert_eq!(answer["text"], found.answers[0].text);
    assert_eq!(answer["range"]["start"], found.answers[0].range.start);
    assert!(json["no_answer_score"].is_number() && json["no_answer_odds"].is_number());
    let asked: Question = serde_json::from_str(r#"{"question": "where", "context": "in paris"}"#).unwrap();
    assert_eq!(tiny().predict_one(asked).unwrap(), found);
}
