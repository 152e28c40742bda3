//! Every task by its word: the same answers as from its own type, and errors that say what to do.

use crate::common::{Tiny, device};
use bert_tasks::any::RequestError;
use bert_tasks::embedding::EmbeddingOptions;
use bert_tasks::explain::{Attention, AttentionOptions, ExplainError, Polysemy, WordInTexts};
use bert_tasks::records::*;
use bert_tasks::sparse_embedding::SparseEmbeddingOptions;
use bert_tasks::{
    AnyTask, Batcher, Embedding, Error, Features, FillMask, Head, MultipleChoice, NextSentence, Pooling,
    Precision, Pretrained, QuestionAnswering, Similarity, SparseEmbedding, Task, TextClassification,
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

    let text = "the river is in france";
    let layers = AttentionOptions { layers: vec![1], heads: vec![2], vectors: false };
    let attention = task!(Attention, tiny).with_options(layers).unwrap().predict_one(text).unwrap();
    answers("attention", &tiny.open(), json!({"text": text, "layer": 1, "head": 2}), &attention);
    let attention =
        task!(Attention, tiny).with_options(AttentionOptions { layers: vec![-1], ..Default::default() });
    answers("attention", &tiny.open(), json!({"text": text}), &attention.unwrap().predict_one(text).unwrap());

    let texts = ["the river", "a text without it", "River, river"];
    let polysemy = Polysemy::new(tiny.open().load(Head::None, &device(), Precision::F32).unwrap());
    let answer = polysemy.predict("river", &texts).unwrap();
    let input = WordInTexts { word: "river".into(), texts: texts.map(str::to_owned).to_vec() };
    let request = serde_json::to_value(&input).unwrap();
    answers("polysemy", &tiny.open(), request, &PolysemyRecord { input, answer });

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

#[test]
fn tasks_share_a_model_that_is_loaded() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let files = tiny.open();
    let session = files.load(Head::MaskedLm, &device(), Precision::F32).unwrap();
    for (word, request) in [
        ("fill-mask", json!({"text": "the [MASK] is long"})),
        ("embed", json!({"text": "the river", "normalize": true})),
        ("similarity", json!({"first": "the river", "second": "is long"})),
        ("features", json!({"text": "the river"})),
        ("attention", json!({"text": "the river", "pair": "is long", "layer": 1})),
        ("polysemy", json!({"word": "river", "texts": ["the river", "a river is long"], "layer": 0})),
    ] {
        let shared = AnyTask::with_session(word, &session, &files, &Value::Null).unwrap();
        // To the last bit.
        let alone = open(word, &files).ask(request.clone()).unwrap();
        assert_eq!(shared.ask(request).unwrap().get(), alone.get(), "{word}");
    }
    // A head that is not there is missed when it is asked.
    let without = AnyTask::with_session("answer", &session, &files, &Value::Null).unwrap();
    assert!(without.ask(json!({"question": "where", "context": "in france"})).is_err());
}

#[test]
fn explanations_with_layers_of_their_own_share_batches() {
    let tiny = Tiny::new("BertModel", &[]);
    let (attention, polysemy) = (open("attention", &tiny.open()), open("polysemy", &tiny.open()));
    let requests: Vec<_> =
        [1, -1, 2, 99].iter().map(|layer| json!({"text": "the river is long", "layer": layer})).collect();
    for (found, request) in attention.stream(requests.clone()).zip(requests) {
        match (found, attention.ask(request)) {
            (Ok(found), Ok(alone)) => assert_eq!(found.get(), alone.get()),
            (found, alone) => assert_eq!(found.unwrap_err().to_string(), alone.unwrap_err().to_string()),
        }
    }
    let long = attention.ask(json!({"text": "river ".repeat(1000)})).unwrap_err();
    assert!(matches!(long, Error::Explain(ExplainError::TooLong { .. })), "{long}");
    for (request, part) in [
        (json!({"text": "the river", "head": 99}), "head 99"),
        (json!({"text": "the river", "layer": 0}), "layer 0"),
        (json!({"text": "the river", "layer": "last"}), "whole number"),
        (json!({"text": ""}), "no words"),
    ] {
        let error = attention.ask(request).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    for (request, part) in [
        (json!({"word": "sea", "texts": ["the river"]}), "\"sea\""),
        (json!({"word": "", "texts": ["the river"]}), "a letter"),
        (json!({"word": "river", "texts": []}), "none of the texts"),
        (json!({"word": "river", "texts": ["the river"], "layer": 99}), "no layer 99"),
    ] {
        let error = polysemy.ask(request).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn uses_of_a_word_are_compared() {
    let tiny = Tiny::new("BertModel", &[]);
    let polysemy = Polysemy::new(tiny.open().load(Head::None, &device(), Precision::F32).unwrap());
    let (long, many) = ("the ".repeat(2000) + "river", "river ".repeat(70));
    let found = polysemy.predict("river", &["é the River", "none", "the river", &long]).unwrap();
    let places: Vec<_> =
        found.uses.iter().map(|own| (own.text, own.range.clone(), own.word.as_str())).collect();
    assert_eq!(places, [(0, 7..12, "River"), (2, 4..9, "river"), (3, 8000..8005, "river")]);
    for (row, cosines) in found.cosines.iter().enumerate() {
        assert!((cosines[row] - 1.0).abs() < 1e-5 && cosines.len() == 3);
        assert!(cosines.iter().enumerate().all(|(column, cosine)| *cosine == found.cosines[column][row]));
    }
    let limited = polysemy.predict("river", &[&many, "the river"]).unwrap();
    assert!(limited.limited && limited.uses.len() == 64 && !found.limited);
}
