//! Next sentence, text classification and multiple choice on tiny random models.

use std::fs;

use crate::common::{Tiny, device, trained};
use bert_conformance::small::configure;
use bert_core::config::ProblemType;
use bert_core::contract::Precision;
use bert_tasks::multiple_choice::{Choices, MultipleChoice};
use bert_tasks::next_sentence::{NextSentence, TextPair};
use bert_tasks::text_classification::{Text, TextClassification, TextClassificationOptions};
use bert_tasks::{Error, Head, ModelSource, Task};
use serde_json::json;

#[test]
fn a_pair_and_its_reverse_are_two_questions() {
    let model =
        NextSentence::load(Tiny::new("BertForNextSentencePrediction", &[]).name(), &device()).unwrap();
    let forward = model.predict("the river", "is in france").unwrap();
    let backward = model.predict("is in france", "the river").unwrap();
    assert_ne!(forward, backward);
    assert!((0.0..=1.0).contains(&forward.is_next));
    assert_eq!(forward.truncated, [None, None]);
}

#[test]
fn a_pre_training_checkpoint_serves_next_sentence() {
    let tiny = Tiny::new("BertForPreTraining", &[]);
    assert!(NextSentence::load(tiny.name(), &device()).is_ok());
    // bert-base-uncased calls itself a masked LM, and has the head.
    let modest = Tiny::new("BertForPreTraining", &[]);
    configure(modest.folder.path(), |config| config["architectures"] = json!(["BertForMaskedLM"]));
    assert!(NextSentence::load(modest.name(), &device()).is_ok());
    let other = Tiny::new("BertForMaskedLM", &[]);
    let error = NextSentence::load(other.name(), &device()).unwrap_err().to_string();
    assert!(error.contains("BertForMaskedLM") && error.contains("next sentence"), "{error}");
}

#[test]
fn long_pairs_are_cut_from_the_longer_text_and_it_is_told() {
    let model =
        NextSentence::load(Tiny::new("BertForNextSentencePrediction", &[]).name(), &device()).unwrap();
    let long = "bank ".repeat(100);
    let answer = model.predict(&long, "a river").unwrap();
    // 64 positions less [CLS], two [SEP] and two words leave 59 words of 5 bytes.
    assert_eq!(answer.truncated, [Some(59 * 5..long.len() - 1), None]);
}

#[test]
fn empty_texts_have_answers() {
    let model =
        NextSentence::load(Tiny::new("BertForNextSentencePrediction", &[]).name(), &device()).unwrap();
    assert!(model.predict("", "").unwrap().is_next.is_finite());
    let model =
        TextClassification::load(Tiny::new("BertForSequenceClassification", &["a", "b"]).name(), &device());
    for text in ["", "   ", "\0", "\n\t", "🙂"] {
        assert_eq!(model.as_ref().unwrap().predict(text).unwrap().scores.len(), 2, "{text:?}");
    }
}

#[test]
fn one_label_out_of_several_is_a_distribution_and_the_best_comes_first() {
    let tiny = Tiny::new("BertForSequenceClassification", &["negative", "neutral", "positive"]);
    let model = TextClassification::load(tiny.name(), &device()).unwrap();
    let scores = model.predict("not a very good movie").unwrap().scores;
    assert_eq!(scores.len(), 3);
    assert!((scores.iter().map(|score| score.score).sum::<f32>() - 1.0).abs() < 1e-6);
    assert!(scores.is_sorted_by(|a, b| a.score >= b.score));
    let best = model
        .clone()
        .with_options(TextClassificationOptions { top_k: Some(1), ..Default::default() })
        .unwrap();
    assert_eq!(best.predict("not a very good movie").unwrap().scores, scores[..1]);
    assert!(model.with_options(TextClassificationOptions { top_k: Some(0), ..Default::default() }).is_err());
}

#[test]
fn the_configuration_says_what_scores_mean() {
    let fields = |kind: &str| json!({ "problem_type": kind });
    let logit = |kind: &str| {
        let tiny = Tiny::with_config("BertForSequenceClassification", &["a", "b"], fields(kind));
        let model = TextClassification::load(tiny.name(), &device()).unwrap();
        let mut scores = model.predict_pair("a river", "a bank").unwrap().scores;
        scores.sort_by(|a, b| a.label.cmp(&b.label));
        scores.into_iter().map(|score| f64::from(score.score)).collect::<Vec<_>>()
    };
    let raw = logit("regression");
    let many = logit("multi_label_classification");
    let one = logit("single_label_classification");
    for (index, raw) in raw.iter().enumerate() {
        assert!((many[index] - 1.0 / (1.0 + (-raw).exp())).abs() < 1e-6);
    }
    assert!((one[0] - 1.0 / (1.0 + (raw[1] - raw[0]).exp())).abs() < 1e-6);

    let single = Tiny::new("BertForSequenceClassification", &["score"]);
    let model = TextClassification::load(single.name(), &device()).unwrap();
    assert_eq!(model.problem_type(), ProblemType::MultiLabelClassification);
}

#[test]
fn a_text_and_a_pair_differ_by_more_than_their_words() {
    let tiny = Tiny::new("BertForSequenceClassification", &["a", "b"]);
    let model = TextClassification::load(tiny.name(), &device()).unwrap();
    assert_ne!(model.predict("a river bank").unwrap(), model.predict_pair("a river", "bank").unwrap());
    let texts = vec![Text::from("a river"), Text { text: "a".into(), pair: Some("b".into()) }];
    let together = model.predict_all(texts.clone()).unwrap();
    let alone: Vec<_> = texts.into_iter().map(|text| model.predict_one(text).unwrap()).collect();
    assert_eq!(together, alone);
}

#[test]
fn the_order_of_choices_does_not_change_their_probabilities() {
    let model = MultipleChoice::load(Tiny::new("BertForMultipleChoice", &[]).name(), &device()).unwrap();
    let choices = ["in london", "a movie", "money"];
    let answer = model.predict("he lives", &choices).unwrap();
    assert_eq!(answer.probabilities.len(), 3);
    assert!((answer.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    let best = answer.probabilities.iter().copied().fold(0.0, f32::max);
    assert_eq!(answer.probabilities[answer.best], best);
    let reversed = model.predict("he lives", &[choices[2], choices[1], choices[0]]).unwrap();
    assert_eq!(reversed.best, 2 - answer.best);
    assert!(matches!(model.predict("he lives", &[]), Err(Error::Setting { .. })));
    let stream = model.stream((0..40).map(|i| Choices {
        prompt: "he works".into(),
        choices: (0..=i % 4).map(|j| format!("at {j}")).collect(),
    }));
    for (i, answer) in stream.enumerate() {
        assert_eq!(answer.unwrap().probabilities.len(), i % 4 + 1);
    }
}

#[test]
fn a_trained_two_way_head_runs_on_pairs() {
    let Some(folder) = trained("antiberty-pretraining") else { return };
    let files = bert_tasks::Pretrained::open(folder.to_str().unwrap()).unwrap();
    let model = NextSentence::from_pretrained(&files, &device(), Precision::F32).unwrap();
    let pair = TextPair { first: "E V Q L V E S G G".into(), second: String::new() };
    assert!((0.0..=1.0).contains(&model.predict_one(pair).unwrap().is_next));
}

#[test]
fn what_cannot_be_run_is_known_without_its_weights() {
    let tiny = Tiny::new("BertForTokenClassification", &["O", "B-PER"]);
    let file = |name: &str| tiny.folder.path().join(name);
    fs::remove_file(file("model.safetensors")).unwrap();
    let check = |head| ModelSource::Folder(tiny.folder.path().to_owned()).check(head);
    check(Head::TokenClassification).unwrap();
    check(Head::None).unwrap();
    for head in [Head::MaskedLm, Head::QuestionAnswering, Head::SequenceClassification] {
        let error = check(head).unwrap_err();
        assert!(matches!(error, Error::Core(bert_core::Error::WrongHead { .. })), "{error}");
    }
    // More tokens than rows in the table.
    let vocab = fs::read_to_string(file("vocab.txt")).unwrap();
    let more: String = (0..1000).map(|i| format!("word{i}\n")).collect();
    fs::write(file("vocab.txt"), vocab + &more).unwrap();
    assert!(matches!(check(Head::None), Err(Error::Tokenizer(_))));
    fs::remove_file(file("vocab.txt")).unwrap();
    assert!(matches!(check(Head::None), Err(Error::Tokenizer(_))));
    fs::write(file("config.json"), r#"{"model_type": "gpt2"}"#).unwrap();
    let error = check(Head::None).unwrap_err();
    assert!(matches!(error, Error::Core(bert_core::Error::Config { .. })), "{error}");
}
