//! RoBERTa, XLM-RoBERTa and ELECTRA through the tasks, against what the pipelines of transformers answer
//! (`families/make.py` says what is recorded, and how).

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::common::device;
use bert_conformance::small::Small;
use bert_core::contract::Precision;
use bert_tasks::fill_mask::{FillMask, FillMaskOptions};
use bert_tasks::question_answering::{Answer, QuestionAnswering, QuestionAnsweringOptions};
use bert_tasks::token_classification::{TokenClassification, TokenClassificationOptions};
use bert_tasks::{
    Embedding, Error, Features, ModelSource, MultipleChoice, NextSentence, Pretrained, TextClassification,
};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Golden {
    entities: Vec<Tagged>,
    answers: Vec<Asked>,
    #[serde(default)]
    masks: Vec<Masked>,
}

#[derive(Deserialize)]
struct Tagged {
    aggregation: String,
    text: String,
    entities: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    label: String,
    score: f32,
    range: (usize, usize),
}

#[derive(Deserialize)]
struct Asked {
    question: String,
    context: String,
    tokens: Vec<Found>,
    words: Vec<Found>,
    no_answer: f32,
}

#[derive(Deserialize)]
struct Masked {
    text: String,
    candidates: Vec<Candidate>,
}

#[derive(Deserialize)]
struct Candidate {
    score: f32,
    token: u32,
    token_str: String,
    sequence: String,
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all")
}

fn goldens() -> HashMap<String, Golden> {
    let text = fs::read_to_string(tests().join("families/golden.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Puts the tokenizer of a family into the folder of a model.
fn add_tokenizer(folder: &Path, family: &str) {
    let name = if family == "roberta" { "byte-level-bpe" } else { "unigram" };
    let file = tests().join("tokenizer/families").join(name).join("tokenizer.json");
    fs::copy(file, folder.join("tokenizer.json")).unwrap();
}

/// The checkpoint of the golden outputs, with its tokenizer.
fn checkpoint(family: &str, head: &str) -> (TempDir, Pretrained) {
    let name = format!("{family}-{head}");
    let from = match family {
        "electra" => tests().join("../../../bert-conformance/checkpoints").join(name),
        _ => tests().join("families").join(name),
    };
    let folder = TempDir::new().unwrap();
    for file in ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"] {
        if from.join(file).exists() {
            fs::copy(from.join(file), folder.path().join(file)).unwrap();
        }
    }
    if family != "electra" {
        add_tokenizer(folder.path(), family);
    }
    let files = Pretrained::from_source(ModelSource::Folder(folder.path().to_owned())).unwrap();
    (folder, files)
}

/// A random model of RoBERTa's family, with its tokenizer.
fn random(class: &str, labels: &[&str]) -> (TempDir, Pretrained) {
    let folder = TempDir::new().unwrap();
    let fields = json!({
        "model_type": "roberta", "vocab_size": 600, "pad_token_id": 1, "type_vocab_size": 1,
        "max_position_embeddings": 66,
    });
    let small = Small::new(class).fields(&fields);
    let small = if labels.is_empty() { small } else { small.labels(labels) };
    small.save(folder.path());
    add_tokenizer(folder.path(), "roberta");
    let files = Pretrained::from_source(ModelSource::Folder(folder.path().to_owned())).unwrap();
    (folder, files)
}

#[test]
fn entities_are_those_of_the_pipeline() {
    for (family, golden) in goldens() {
        let (_folder, files) = checkpoint(&family, "token-classification");
        let tagger = TokenClassification::from_pretrained(&files, &device(), Precision::F32).unwrap();
        assert_eq!(golden.entities.len(), 20);
        for Tagged { aggregation, text, entities } in &golden.entities {
            let options = TokenClassificationOptions {
                aggregation: aggregation.parse().unwrap(),
                ..Default::default()
            };
            let found = tagger.clone().with_options(options).unwrap().predict(text).unwrap();
            let places = |range: &Range<usize>| (range.start, range.end);
            let found_spans: Vec<_> = found.iter().map(|e| (e.label.as_str(), places(&e.range))).collect();
            // The pipeline gives entities of nothing, where a token is but the blank before a word.
            let entities = entities.iter().filter(|e| e.range.0 < e.range.1);
            // Each with its score, if it is one entity of the pipeline: of two of a type that touch, `simple` makes one
            // here.
            let mut expected: Vec<(&str, (usize, usize), Option<f32>)> = vec![];
            for Found { label, score, range, .. } in entities {
                match expected.last_mut() {
                    Some((last, places, score))
                        if aggregation == "simple" && last == label && places.1 == range.0 =>
                    {
                        (places.1, *score) = (range.1, None);
                    }
                    _ => expected.push((label, *range, Some(*score))),
                }
            }
            let spans: Vec<_> = expected.iter().map(|&(label, range, _)| (label, range)).collect();
            assert_eq!(found_spans, spans, "{family}, {aggregation}: {text:?}");
            for (found, (_, _, score)) in found.iter().zip(expected) {
                assert!(
                    score.is_none_or(|score| (found.score - score).abs() < TOLERANCE),
                    "{family}, {aggregation}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn answers_are_the_best_of_all_spans() {
    for (family, golden) in goldens() {
        let (_folder, files) = checkpoint(&family, "question-answering");
        let reader = QuestionAnswering::from_pretrained(&files, &device(), Precision::F32).unwrap();
        for Asked { question, context, tokens, words, no_answer } in &golden.answers {
            for (align_to_words, expected) in [(false, tokens), (true, words)] {
                let options = QuestionAnsweringOptions {
                    align_to_words,
                    max_answer_tokens: 1000,
                    n_best: 5,
                    ..Default::default()
                };
                let found = reader.clone().with_options(options).unwrap().predict(question, context).unwrap();
                assert!((found.no_answer_score - no_answer).abs() < TOLERANCE, "{family}: {found:?}");
                let places = |answer: &Answer| (answer.range.start, answer.range.end);
                let found_spans: Vec<_> = found.n_best.iter().map(places).collect();
                let spans: Vec<_> = expected.iter().map(|answer| answer.range).collect();
                assert_eq!(found_spans, spans, "{family}, {question:?}, words: {align_to_words}");
                for (found, expected) in found.n_best.iter().zip(expected) {
                    assert!((found.score - expected.score).abs() < TOLERANCE, "{family}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn masks_are_filled_as_by_the_pipeline() {
    for family in ["roberta", "xlm-roberta"] {
        let golden = &goldens()[family];
        let (_folder, files) = checkpoint(family, "masked-lm");
        let fill_mask = FillMask::from_pretrained(&files, &device(), Precision::F32).unwrap();
        assert!(!golden.masks.is_empty());
        for Masked { text, candidates } in &golden.masks {
            let filled = fill_mask.predict(text).unwrap();
            assert_eq!(&text[filled.masks[0].range.clone()], "<mask>");
            let found = &filled.masks[0].candidates;
            assert_eq!(found.len(), candidates.len());
            for (found, expected) in found.iter().zip(candidates) {
                assert_eq!(found.token, expected.token, "{family}: {text:?}");
                assert!((found.score - expected.score).abs() < TOLERANCE, "{family}: {found:?}");
                if family == "roberta" {
                    assert_eq!(found.token_str, expected.token_str);
                    assert_eq!(found.sequence, expected.sequence.trim_start());
                } else {
                    // The pipeline leaves out the blank, and its decoder loses those of the text.
                    assert_eq!(found.token_str.trim_start(), expected.token_str);
                }
                assert!(!found.token_str.contains(['Ġ', '▁']), "{found:?}");
            }
        }
    }
}

#[test]
fn a_mask_of_another_family_is_told_by_the_right_one() {
    let (_folder, files) = checkpoint("roberta", "masked-lm");
    let fill_mask = FillMask::from_pretrained(&files, &device(), Precision::F32).unwrap();
    let error = fill_mask.predict("Paris is the [MASK] of France").unwrap_err();
    assert!(matches!(&error, Error::NoMask { mask } if mask == "<mask>"), "{error}");
    assert!(error.to_string().contains("<mask>"), "{error}");
}

#[test]
fn targets_are_words_after_a_blank() {
    for family in ["roberta", "xlm-roberta"] {
        let (_folder, files) = checkpoint(family, "masked-lm");
        let fill_mask = FillMask::from_pretrained(&files, &device(), Precision::F32).unwrap();
        let with = |targets: &[&str]| {
            let targets = targets.iter().map(|&word| word.to_owned()).collect();
            fill_mask.clone().with_options(FillMaskOptions { targets, ..Default::default() })
        };
        let filled = with(&["the", " in"]).unwrap().predict("Paris is <mask>.").unwrap();
        let mut words: Vec<_> = filled.masks[0].candidates.iter().map(|c| c.sequence.as_str()).collect();
        words.sort_unstable();
        assert_eq!(words, ["Paris is in.", "Paris is the."], "{family}");
        let error = with(&["zebras"]).unwrap_err().to_string();
        assert!(error.contains("\"zebras\"") && !error.contains(['Ġ', '▁']), "{error}");
    }
}

#[test]
fn the_other_tasks_run_or_are_refused_as_the_head_allows() {
    let (_folder, files) = random("RobertaForSequenceClassification", &["bad", "good"]);
    let classifier = TextClassification::from_pretrained(&files, &device(), Precision::F32).unwrap();
    assert_eq!(classifier.predict("The movie was not very good").unwrap().scores.len(), 2);
    let error = NextSentence::from_pretrained(&files, &device(), Precision::F32).unwrap_err().to_string();
    assert!(error.contains("next sentence"), "{error}");

    let (_folder, files) = random("RobertaForMultipleChoice", &[]);
    let chooser = MultipleChoice::from_pretrained(&files, &device(), Precision::F32).unwrap();
    assert_eq!(chooser.predict("Where is it?", &["in Paris", "at sea"]).unwrap().probabilities.len(), 2);

    let (_folder, files) = random("RobertaModel", &[]);
    let embedding = Embedding::from_pretrained(&files, &device(), Precision::F32).unwrap();
    assert!(embedding.predict("Paris").is_ok());
    let features = Features::from_pretrained(&files, &device(), Precision::F32).unwrap();
    let text = "She lives in Los Angeles";
    let tokens = features.predict(text).unwrap().tokens;
    let read: String =
        tokens.iter().filter(|token| token.range.is_some()).map(|t| t.token.as_str()).collect();
    assert_eq!(read, text);
}

/// 64 positions can be used; of pairs four tokens are special.
#[test]
fn long_texts_are_cut_to_the_positions_and_it_is_told() {
    let (_folder, files) = random("RobertaForSequenceClassification", &["bad", "good"]);
    let classifier = TextClassification::from_pretrained(&files, &device(), Precision::F32).unwrap();
    let long = " the".repeat(100);
    let answer = classifier.predict(&long).unwrap();
    assert_eq!(answer.truncated[0], Some(62 * 4 + 1..400));
    assert_eq!(classifier.predict_pair(&long, " the").unwrap().truncated, [Some(59 * 4 + 1..400), None]);
}
