//! The data sets and their scores.

use std::collections::HashMap;
use std::fs;

use bert_tasks::data::DataError;
use bert_tasks::question_answering::squad::{
    Dataset, Evaluation, Scores, best_thresholds, evaluate, with_threshold,
};

use crate::common::shared;

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

/// The predictions of a trained model, and what `evaluate-v2.0.py` says about them.
#[test]
fn figures_are_those_of_the_official_script() {
    let Some(folder) = shared("data/qa/squad2-half-dev.json") else { return };
    let folder = folder.parent().unwrap();
    let dataset = Dataset::open(folder.join("squad2-half-dev.json")).unwrap();
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let predictions: HashMap<String, String> =
        serde_json::from_str(&read("squad2-half-dev.predictions.json")).unwrap();
    let odds: HashMap<String, f64> = serde_json::from_str(&read("squad2-half-dev.null-odds.json")).unwrap();

    let check = |found: Scores, exact: f64, f1: f64, total: usize| {
        close(found.exact, exact);
        close(found.f1, f1);
        assert_eq!(found.total, total);
    };
    let Evaluation { all, has_answer, no_answer, missing } = evaluate(&dataset, &predictions);
    check(all, 72.77064823955249, 76.12153164119033, 6078);
    check(has_answer.unwrap(), 73.53951890034364, 80.53837433510499, 2910);
    check(no_answer.unwrap(), 72.06439393939394, 72.06439393939394, 3168);
    assert_eq!(missing, 0);

    let best = best_thresholds(&dataset, &predictions, &odds);
    close(best.exact.score, 73.95524843698585);
    close(best.exact.threshold.unwrap(), -3.599580764770508);
    close(best.f1.score, 76.82820058120708);
    close(best.f1.threshold.unwrap(), -3.448373794555664);

    // A threshold leads to what it promises.
    let kept = with_threshold(&predictions, &odds, best.exact.threshold.unwrap());
    close(evaluate(&dataset, &kept).all.exact, best.exact.score);
    let kept = with_threshold(&predictions, &odds, best.f1.threshold.unwrap());
    close(evaluate(&dataset, &kept).all.f1, best.f1.score);
}

/// The paragraphs say what the answers quote, where they quote it from.
#[test]
fn every_marked_answer_is_where_it_says() {
    for (file, questions, answers) in [("xquad.en.json", 1190, 1190), ("squad2-half-dev.json", 6078, 10052)] {
        let Some(path) = shared(&format!("data/qa/{file}")) else { continue };
        let dataset = Dataset::open(&path).unwrap();
        let mut marked = 0;
        for (qa, question) in dataset.questions() {
            assert_eq!(qa.is_impossible, qa.answers.is_empty());
            for gold in &qa.answers {
                let range = gold.range(&question.context).unwrap_or_else(|| panic!("{}", qa.id));
                assert_eq!(question.context[range], gold.text);
                marked += 1;
            }
        }
        assert_eq!((dataset.questions().count(), marked), (questions, answers));
    }
}

const SMALL: &str = r#"{"version": "v2.0", "data": [{"title": "T", "paragraphs": [{"context": "é a bank", "qas": [
    {"id": "1", "question": "?", "answers": [{"text": "bank", "answer_start": 4}, {"text": "a", "answer_start": 2}]},
    {"id": "2", "question": "?", "answers": [], "is_impossible": true, "plausible_answers": []},
    {"id": "3", "question": "?", "answers": [{"text": "é", "answer_start": 0}]},
    {"id": "4", "question": "?", "answers": [{"text": "bank", "answer_start": 9}]}
]}]}]}"#;

fn map<T: Clone>(entries: &[(&str, T)]) -> HashMap<String, T> {
    entries.iter().map(|(id, value)| ((*id).to_owned(), value.clone())).collect()
}

#[test]
fn small_cases_by_hand() {
    let dataset = Dataset::from_json(SMALL).unwrap();
    let ranges: Vec<_> = dataset
        .questions()
        .flat_map(|(qa, question)| qa.answers.iter().map(move |gold| gold.range(&question.context)))
        .collect();
    assert_eq!(ranges, [Some(5..9), Some(3..4), Some(0..2), None]);

    let predictions = map(&[("1", "the bank".to_owned()), ("2", "bank".into()), ("3", "x é".into())]);
    let found = evaluate(&dataset, &predictions);
    assert_eq!(found.missing, 1);
    assert_eq!(found.all.exact, 25.0);
    close(found.has_answer.unwrap().f1, 100.0 * (1.0 + 2.0 / 3.0) / 3.0);
    assert_eq!(found.no_answer.unwrap(), Scores { exact: 0.0, f1: 0.0, total: 1 });

    // Question 2 has no answer and is the surest to be given one.
    let odds = map(&[("2", -9.0), ("1", -5.0), ("3", -5.0), ("4", 1.0), ("unknown", -99.0)]);
    let best = best_thresholds(&dataset, &predictions, &odds);
    // All are left unanswered: question 2 is right. To answer 2, 1 and 3 gives no more in exact matches, but
    // in F1 it does.
    assert_eq!((best.exact.score, best.exact.threshold), (25.0, None));
    assert_eq!(best.f1.threshold, Some(-5.0));
    close(best.f1.score, 100.0 * (1.0 + 2.0 / 3.0) / 4.0);
    assert_eq!(with_threshold(&predictions, &odds, -5.0), predictions);
    assert_eq!(with_threshold(&predictions, &odds, -6.0)["1"], "");
}

#[test]
fn nothing_at_all_scores_nothing() {
    let dataset = Dataset::from_json(r#"{"data": []}"#).unwrap();
    let found = evaluate(&dataset, &HashMap::new());
    assert_eq!(found, Evaluation { all: Scores::default(), has_answer: None, no_answer: None, missing: 0 });
    assert_eq!(best_thresholds(&dataset, &HashMap::new(), &HashMap::new()).exact.score, 0.0);
}

#[test]
fn files_that_are_no_data_sets_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.json");
    for text in ["", "{", "[]", r#"{"data": [{"paragraphs": [{"qas": []}]}]}"#] {
        fs::write(&path, text).unwrap();
        let error = Dataset::open(&path).unwrap_err();
        assert!(
            matches!(&error, DataError::Json { .. }) && error.to_string().contains("broken.json"),
            "{error}"
        );
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(Dataset::open(&path), Err(DataError::NotText { .. })));
    assert!(matches!(Dataset::open("/no/such/file.json"), Err(DataError::Open { .. })));
}
