//! Every task by its word: the same answers as from its own type, and errors that say what to do.

use crate::common::{Tiny, device};
use bert_tasks::any::RequestError;
use bert_tasks::embedding::EmbeddingOptions;
use bert_tasks::records::*;
use bert_tasks::sparse_embedding::SparseEmbeddingOptions;
use bert_tasks::{
    AnyTask, Batcher, Embedding, Error, Features, FillMask, MultipleChoice, NextSentence, Pooling, Precision,
    Pretrained, QuestionAnswering, Similarity, SparseEmbedding, Task, TextClassification,
    TokenClassification,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const PER: &[&str] = &["O", "B-PER", "I-PER"];

fn open(word: &str, files: &Pretrained) -> AnyTask {
    AnyTask::open(word, files, &device(), Precision::F32, &Value::Null).unwrap()
}

/// Checks that a task of a word answers a request with a record, which can be read again.
#[track_caller]
fn answers<R: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    word: &str,
    files: &Pretrained,
    request: Value,
    expected: &R,
) {
    let found = open(word, files).ask(request).unwrap();
    assert_eq!(found.get(), serde_json::to_string(expected).unwrap());
    // What is skipped is not compared.
    let read: R = serde_json::from_str(found.get()).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), found.get());
}

#[test]
fn every_task_answers_as_its_own_type_does() {
    let files = |class, labels: &[&str]| Tiny::new(class, labels);
    macro_rules! task {
        ($task:ident, $tiny:expr) => {
            $task::from_pretrained(&$tiny.open(), &device(), Precision::F32).unwrap()
        };
    }

    let text = "the [MASK] is [MASK]".to_owned();
    let tiny = files("BertForMaskedLM", &[]);
    let answer = task!(FillMask, tiny).predict(&text).unwrap();
    answers("fill-mask", &tiny.open(), json!({"text": text}), &FillMaskRecord { text, answer });

    let text = "the river is in france".to_owned();
    let options = SparseEmbeddingOptions { top_k: Some(3), max_length: Some(5) };
    let answer = task!(SparseEmbedding, tiny).with_options(options).unwrap().predict(&text).unwrap();
    let request = json!({"text": text, "top_k": 3, "max_length": 5});
    answers("sparse-embed", &tiny.open(), request, &SparseEmbeddingRecord { text, answer });

    let pair = bert_tasks::next_sentence::TextPair { first: "the river".into(), second: "is long".into() };
    let tiny = files("BertForNextSentencePrediction", &[]);
    let answer = task!(NextSentence, tiny).predict(&pair.first, &pair.second).unwrap();
    let request = serde_json::to_value(&pair).unwrap();
    answers(
        "next-sentence",
        &tiny.open(),
        request.clone(),
        &NextSentenceRecord { pair: pair.clone(), answer },
    );

    let tiny = files("BertModel", &[]);
    let answer = task!(Similarity, tiny).predict(&pair.first, &pair.second).unwrap();
    answers("similarity", &tiny.open(), request, &SimilarityRecord { pair, answer });

    let text = "the river is in france".to_owned();
    let options = EmbeddingOptions { normalize: Some(true), prompt: Some("a ".into()), ..Default::default() };
    let answer = task!(Embedding, tiny).with_options(options).unwrap().predict(&text).unwrap();
    let request = json!({"text": text, "normalize": true, "prompt": "a "});
    answers("embed", &tiny.open(), request, &EmbeddingRecord { text: text.clone(), answer });

    let answer = task!(Features, tiny).predict(&text).unwrap();
    answers("features", &tiny.open(), json!({"text": text}), &FeaturesRecord { text, answer });

    let text = "the river is in france".to_owned();
    let tiny = files("BertForTokenClassification", PER);
    let entities = task!(TokenClassification, tiny).predict(&text).unwrap();
    answers("entities", &tiny.open(), json!({"text": text}), &TokenClassificationRecord { text, entities });

    let tiny = files("BertForSequenceClassification", &["good", "bad"]);
    let text = bert_tasks::text_classification::Text { text: "the river".into(), pair: Some("is".into()) };
    let answer = task!(TextClassification, tiny).predict_pair("the river", "is").unwrap();
    let request = json!({"text": "the river", "pair": "is"});
    answers("classify", &tiny.open(), request, &TextClassificationRecord { text, answer });
    let answer = task!(TextClassification, tiny).predict("the river").unwrap();
    let record = TextClassificationRecord { text: "the river".into(), answer };
    answers("sentiment", &tiny.open(), json!({"text": "the river"}), &record);

    let tiny = files("BertForMultipleChoice", &[]);
    let choices = bert_tasks::multiple_choice::Choices {
        prompt: "the river".into(),
        choices: vec!["is long".into(), "is in france".into()],
    };
    let answer = task!(MultipleChoice, tiny).predict("the river", &["is long", "is in france"]).unwrap();
    let request = serde_json::to_value(&choices).unwrap();
    answers("choose", &tiny.open(), request, &MultipleChoiceRecord { choices, answer });

    let tiny = files("BertForQuestionAnswering", &[]);
    let question = bert_tasks::question_answering::Question {
        question: "where is it ?".into(),
        context: "the river is in france".into(),
    };
    let answer = task!(QuestionAnswering, tiny).predict(&question.question, &question.context).unwrap();
    let request = serde_json::to_value(&question).unwrap();
    answers("answer", &tiny.open(), request, &QuestionAnsweringRecord::new(question, answer));
}

#[test]
fn requests_with_options_of_their_own_share_batches() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let task = open("fill-mask", &tiny.open());
    let requests = [
        json!({"text": "the [MASK] is long", "top_k": 1}),
        json!({"text": "no mask"}),
        json!({"text": "the [MASK]"}),
        json!({"txt": "the [MASK]"}),
        json!({"text": "the [MASK] is in france", "targets": ["river", "in"]}),
        json!([]),
        json!({"text": "the [MASK] is long", "top_k": 7}),
    ];
    let found: Vec<_> = task.stream(requests.clone()).collect();
    assert_eq!(found.len(), requests.len());
    let mut counts = vec![];
    for (found, request) in found.into_iter().zip(requests.clone()) {
        let alone = task.ask(request);
        match (found, alone) {
            (Ok(found), Ok(alone)) => {
                assert_eq!(found.get(), alone.get());
                let record: FillMaskRecord = serde_json::from_str(found.get()).unwrap();
                counts.push(Some(record.answer.masks[0].candidates.len()));
            }
            (Err(found), Err(alone)) => {
                assert_eq!(found.to_string(), alone.to_string());
                counts.push(None);
            }
            (found, alone) => panic!("{found:?} {alone:?}"),
        }
    }
    assert_eq!(counts, [Some(1), None, Some(5), None, Some(2), None, Some(7)]);

    // So they do in a batcher.
    let batcher = Batcher::new(open("fill-mask", &tiny.open())).unwrap();
    let client = batcher.client();
    let replies: Vec<_> = requests.iter().map(|request| client.submit(request.clone()).unwrap()).collect();
    for (reply, request) in replies.into_iter().zip(requests) {
        match (reply.wait(), task.ask(request)) {
            (Ok(found), Ok(alone)) => assert_eq!(found.get(), alone.get()),
            (Err(found), Err(alone)) => assert_eq!(found.to_string(), alone.to_string()),
            (found, alone) => panic!("{found:?} {alone:?}"),
        }
    }
}

#[test]
fn options_hold_from_the_opening_on() {
    let tiny = Tiny::new("BertModel", &[]);
    let device = device();
    let open = |word, options| AnyTask::open(word, &tiny.open(), &device, Precision::F32, &options);
    let both = open("embed", json!({"pooling": ["cls", "max"], "normalize": true})).unwrap();
    let record: EmbeddingRecord =
        serde_json::from_str(both.ask(json!({"text": "the river"})).unwrap().get()).unwrap();
    let typed = Embedding::from_pretrained(&tiny.open(), &device, Precision::F32).unwrap();
    let options = EmbeddingOptions {
        pooling: Some(vec![Pooling::Cls, Pooling::Max]),
        normalize: Some(true),
        ..Default::default()
    };
    assert_eq!(record.answer, typed.with_options(options).unwrap().predict("the river").unwrap());
    // A request may say otherwise for itself, but not for what is computed.
    assert!(
        both.ask(json!({"text": "the river", "normalize": false})).unwrap().get() != record_text(&record)
    );
    let error = both.ask(json!({"text": "the river", "pooling": "mean"})).unwrap_err();
    assert!(matches!(&error, Error::Request(RequestError::UnknownField { .. })), "{error}");

    let layers = open("features", json!({"layers": [0, -1]})).unwrap();
    let record: FeaturesRecord =
        serde_json::from_str(layers.ask(json!({"text": "the river"})).unwrap().get()).unwrap();
    assert_eq!(record.answer.tokens[0].layers.len(), 2);

    for (options, part) in [
        (json!({"pooling": "sum"}), "\"mean\""),
        (json!({"pooling": []}), "at least one"),
        (json!({"text": "a"}), "pooling"),
        (json!(["mean"]), "an array"),
        (json!({"max_length": 0}), "max_length"),
    ] {
        let error = open("embed", options).unwrap_err().to_string();
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(open("translate", Value::Null).unwrap_err().to_string().contains("next-sentence"));
    // The wrong head is told of as it is elsewhere.
    assert!(open("answer", Value::Null).is_err());
}

fn record_text(record: &EmbeddingRecord) -> String {
    serde_json::to_string(record).unwrap()
}

#[test]
fn hostile_requests_are_errors() {
    let tiny = Tiny::new("BertForQuestionAnswering", &[]);
    let task = open("answer", &tiny.open());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for text in [
        "",
        " ",
        "nul",
        "NaN",
        "[NaN]",
        "{",
        "{}",
        "[]",
        "null",
        "3",
        "\"text\"",
        "\u{feff}{}",
        "{\"question\": 1e999}",
        r#"{"question": "a"}"#,
        r#"{"question": "a", "context": null}"#,
        r#"{"question": "a", "context": {"text": "b"}}"#,
        r#"{"question": "a", "context": "b", "top_k": NaN}"#,
        r#"{"question": "a", "context": "b", "top_k": 0}"#,
        r#"{"question": "a", "context": "b", "top_k": -1}"#,
        r#"{"question": "a", "context": "b", "top_k": 1.5}"#,
        r#"{"question": "a", "context": "b", "top_k": 99999999999999999999999}"#,
        r#"{"question": "a", "context": "b", "no_answer_threshold": 1e300}"#,
        r#"{"question": "a", "context": "b", "max_length": 1}"#,
        r#"{"question": "a", "context": "b", "align_to_words": "yes"}"#,
        r#"{"question": "a", "context": "b", "": 1}"#,
        r#"{"question": "\ud800", "context": "b"}"#,
        &deep,
        &format!(r#"{{"question": "a", "context": {deep}}}"#),
        &format!(r#"{{"question": "a", "context": "b", "{}": 1}}"#, "x".repeat(1 << 20)),
    ] {
        let error = task.ask_text(text).unwrap_err();
        let message = error.to_string();
        assert!(matches!(&error, Error::Request(_) | Error::Setting { .. }), "{message}");
        assert!(message.len() < 300, "{message}");
    }
    // What is large but makes sense is answered.
    for request in [
        json!({"question": "a", "context": "b", "top_k": usize::MAX, "max_answer_tokens": usize::MAX}),
        json!({"question": "a", "context": "b", "max_length": usize::MAX, "doc_stride": usize::MAX}),
        json!({"question": "", "context": ""}),
        json!({"question": "\0", "context": "\u{202e}"}),
        json!({"question": "a", "context": "b", "top_k": null}),
    ] {
        assert!(task.ask(request.clone()).is_ok(), "{request} {:?}", task.ask(request.clone()));
    }

    let tiny = Tiny::new("BertForMultipleChoice", &[]);
    let task = open("choose", &tiny.open());
    for (request, part) in [
        (json!({"prompt": "a", "choices": []}), "choices"),
        (json!({"prompt": "a", "choices": "b"}), "an array of strings"),
        (json!({"prompt": "a", "choices": ["b", 1]}), "an array of strings"),
        (json!({"prompt": "a"}), "choices"),
    ] {
        let error = task.ask(request).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let huge = open("fill-mask", &Tiny::new("BertForMaskedLM", &[]).open());
    assert!(huge.ask(json!({"text": "[MASK]", "top_k": u64::MAX})).is_ok());
    let error = huge.ask(json!({"text": "[MASK]", "targets": ["river lake"]})).unwrap_err();
    assert!(matches!(error, Error::Targets { .. }), "{error}");
}
