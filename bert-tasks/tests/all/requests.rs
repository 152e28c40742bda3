//! Options that come with an input: they are for it alone, in a stream and in a batcher, and wrong ones are its error.

use crate::common::{Tiny, device};
use bert_tasks::fill_mask::FillMaskOptions;
use bert_tasks::question_answering::{Question, QuestionAnsweringOptions};
use bert_tasks::text_classification::{Text, TextClassificationOptions};
use bert_tasks::token_classification::{Aggregation, TokenClassificationOptions};
use bert_tasks::{
    Batcher, Error, FillMask, Precision, QuestionAnswering, Request, Task, TextClassification,
    TokenClassification,
};

/// What a request with options answers is what the task with these options answers, and its neighbours are answered as
/// ever.
fn check<T, I, O>(task: T, with_options: impl Fn(T, O) -> Result<T, Error>, input: I, options: O)
where
    T: Task<Input = Request<I, O>> + Clone + 'static,
    T::Answer: PartialEq + std::fmt::Debug,
    I: Clone + Send + Sync,
    O: Clone + Send + Sync,
{
    let usual = task.predict_one(input.clone()).unwrap();
    let other = with_options(task.clone(), options.clone()).unwrap().predict_one(input.clone()).unwrap();
    assert_ne!(usual, other, "the options make a difference");
    let requests = [
        Request::from(input.clone()),
        Request::from(input.clone()).with_options(options.clone()),
        Request::from(input.clone()),
    ];
    let expected = [usual, other];
    let answers = task.predict_all(requests.clone()).unwrap();
    assert_eq!([&answers[0], &answers[1], &answers[2]], [&expected[0], &expected[1], &expected[0]]);
    let batcher = Batcher::new(task).unwrap();
    let client = batcher.client();
    let replies: Vec<_> = requests.into_iter().map(|request| client.submit(request).unwrap()).collect();
    for (reply, answer) in replies.into_iter().zip(answers) {
        assert_eq!(reply.wait().unwrap(), answer);
    }
}

#[test]
fn fill_mask() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let task = FillMask::from_pretrained(&tiny.open(), &device(), Precision::F32).unwrap();
    let options = FillMaskOptions { top_k: 2, targets: vec![] };
    let wrong = FillMaskOptions { top_k: 0, ..options.clone() };
    let input = "the [MASK] of the river".to_owned();
    let refused = task.predict_one(Request::from(input.as_str()).with_options(wrong));
    assert!(matches!(refused, Err(Error::Setting { setting: "top_k", .. })));
    check(task, FillMask::with_options, input, options);
}

#[test]
fn text_classification() {
    let tiny = Tiny::new("BertForSequenceClassification", &["bad", "good", "middling"]);
    let task = TextClassification::from_pretrained(&tiny.open(), &device(), Precision::F32).unwrap();
    let options = TextClassificationOptions { top_k: Some(1), problem_type: None };
    let wrong = TextClassificationOptions { top_k: Some(0), problem_type: None };
    let refused = task.predict_one(Request::from(Text::from("a river")).with_options(wrong));
    assert!(matches!(refused, Err(Error::Setting { setting: "top_k", .. })));
    check(task, TextClassification::with_options, Text::from("the bank of the river"), options);
}

#[test]
fn question_answering() {
    let tiny = Tiny::new("BertForQuestionAnswering", &[]);
    let task = QuestionAnswering::from_pretrained(&tiny.open(), &device(), Precision::F32).unwrap();
    let input =
        Question { question: "what bank".into(), context: "the bank of the river is the bank".into() };
    let options = QuestionAnsweringOptions { top_k: 3, max_answer_tokens: 2, ..Default::default() };
    let wrong = QuestionAnsweringOptions { doc_stride: 0, ..Default::default() };
    let refused = task.predict_one(Request::from(input.clone()).with_options(wrong));
    assert!(matches!(refused, Err(Error::Setting { setting: "doc_stride", .. })));
    check(task, QuestionAnswering::with_options, input, options);
}

#[test]
fn token_classification() {
    let tiny = Tiny::new("BertForTokenClassification", &["O", "B-PER", "I-PER"]);
    let task = TokenClassification::from_pretrained(&tiny.open(), &device(), Precision::F32).unwrap();
    let options = TokenClassificationOptions {
        aggregation: Aggregation::None,
        ignore_labels: vec![],
        ..Default::default()
    };
    let wrong = TokenClassificationOptions { stride: Some(0), ..Default::default() };
    let refused = task.predict_one(Request::from("a river").with_options(wrong));
    assert!(matches!(refused, Err(Error::Setting { setting: "stride", .. })));
    check(task, TokenClassification::with_options, "the bank of the river".to_owned(), options);
}
