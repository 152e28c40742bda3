//! Every figure against what its reference implementation says about random and hard cases, which
//! `reference.py` recorded.

use bert_tasks::evaluation::Measure;
use bert_tasks::evaluation::metrics::classification::{Confusion, LabelSets};
use bert_tasks::evaluation::metrics::correlation::{pearson, spearman};
use bert_tasks::evaluation::metrics::entities::{EntityFigures, TextCounts, strict_iob2};
use bert_tasks::evaluation::metrics::ranking::Ranking;
use bert_tasks::evaluation::metrics::rouge::{rouge_l, rouge_n};
use bert_tasks::evaluation::metrics::squad::{SquadFigures, judge};
use bert_tasks::question_answering::squad::{GoldAnswer, Qa};
use bert_tasks::token_classification::Scheme;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The recorded cases of one kind.
fn cases(kind: &str) -> Vec<Value> {
    let golden: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    let cases = golden[kind].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn get<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// As far as two orders of adding up `f64` agree.
#[track_caller]
fn same(found: f64, expected: &Value, what: &str) {
    match expected.as_f64() {
        Some(expected) => {
            let bound = 1e-12 * expected.abs().max(1.0);
            assert!((found - expected).abs() <= bound, "{what}: {found} is not {expected}");
        }
        None => assert!(found.is_nan(), "{what}: {found} is not undefined"),
    }
}

#[test]
fn labels_are_those_of_scikit_learn() {
    for case in cases("classification") {
        let mut confusion = Confusion::new(get(&case["labels"]));
        let (gold, answers): (Vec<usize>, Vec<usize>) = (get(&case["gold"]), get(&case["answers"]));
        gold.iter().zip(&answers).for_each(|(&gold, &answer)| confusion.add(gold, answer));
        same(confusion.accuracy(), &case["accuracy"], "accuracy");
        same(confusion.matthews(), &case["matthews"], "matthews");
        same(confusion.macro_f1(), &case["macro_f1"], "macro_f1");
        for label in 0..get(&case["labels"]) {
            let counts = confusion.label(label);
            same(counts.precision(), &case["precision"][label], "precision");
            same(counts.recall(), &case["recall"][label], "recall");
            same(counts.f1(), &case["f1"][label], "f1");
        }
    }
    for case in cases("label_sets") {
        let (gold, answers): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (get(&case["gold"]), get(&case["answers"]));
        let set =
            |row: &[u8]| (0..).zip(row).filter(|(_, bit)| **bit == 1).map(|(at, _)| at).collect::<Vec<u32>>();
        let mut sets = LabelSets::new(gold[0].len());
        gold.iter().zip(&answers).for_each(|(gold, answer)| sets.add(&set(gold), &set(answer)));
        same(sets.exact(), &case["exact"], "exact");
        same(sets.micro_f1(), &case["micro_f1"], "micro_f1");
        same(sets.macro_f1(), &case["macro_f1"], "macro_f1");
    }
}

#[test]
fn correlations_are_those_of_scipy() {
    for case in cases("correlation") {
        let (gold, answers): (Vec<f64>, Vec<f64>) = (get(&case["gold"]), get(&case["answers"]));
        same(pearson(&gold, &answers).unwrap_or(f64::NAN), &case["pearson"], "pearson");
        same(spearman(&gold, &answers).unwrap_or(f64::NAN), &case["spearman"], "spearman");
    }
}

#[test]
fn entities_are_those_of_seqeval() {
    for case in cases("entities") {
        let (gold, answers): (Vec<Vec<String>>, Vec<Vec<String>>) =
            (get(&case["gold"]), get(&case["answers"]));
        let mut measure = EntityFigures { strict: true, ..EntityFigures::default() };
        let mut texts = vec![];
        for (gold, answers) in gold.iter().zip(&answers) {
            let words = |labels: &[String]| labels.iter().map(String::clone).collect::<Vec<_>>();
            let (gold, answers) = (words(gold), words(answers));
            let lenient = |labels| Scheme::Iob.spans(<[String]>::iter(labels).map(String::as_str));
            let strict = |labels| strict_iob2(<[String]>::iter(labels).map(String::as_str));
            texts.push(TextCounts {
                lenient: measure.count(&lenient(&gold), &lenient(&answers)),
                strict: measure.count(&strict(&gold), &strict(&answers)),
            });
        }
        let values = measure.values(&texts.iter().collect::<Vec<_>>());
        let names = measure.names();
        for mode in ["lenient", "strict"] {
            for (kind, expected) in case[mode].as_object().unwrap() {
                let of = if kind == "overall" { String::new() } else { format!("[{kind}]") };
                for (figure, expected) in
                    ["precision", "recall", "f1"].iter().zip(expected.as_array().unwrap())
                {
                    let name = format!("{mode}_{figure}{of}");
                    let at =
                        names.iter().position(|found| *found == name).unwrap_or_else(|| panic!("{name}"));
                    same(values[at], expected, &name);
                }
            }
        }
    }
}

#[test]
fn rankings_are_those_of_scikit_learn() {
    for case in cases("ranking") {
        let ranking = Ranking { found: get(&case["found"]), relevant: get(&case["relevant"]) };
        for (k, expected) in case["at"].as_object().unwrap() {
            let k = k.parse().unwrap();
            same(ranking.accuracy(k), &expected[0], "accuracy");
            same(ranking.reciprocal_rank(k), &expected[1], "reciprocal rank");
            same(ranking.ndcg(k), &expected[2], "ndcg");
            same(ranking.average_precision(k), &expected[3], "average precision");
        }
    }
}

#[test]
fn shared_words_are_those_of_rouge_score() {
    for case in cases("rouge") {
        let (gold, answer): (String, String) = (get(&case["gold"]), get(&case["answer"]));
        for (name, rouge) in [
            ("rouge1", rouge_n(&gold, &answer, 1)),
            ("rouge2", rouge_n(&gold, &answer, 2)),
            ("rougeL", rouge_l(&gold, &answer)),
        ] {
            let what = format!("{name} of {gold:?} and {answer:?}");
            same(rouge.precision, &case[name][0], &what);
            same(rouge.recall, &case[name][1], &what);
            same(rouge.f1(), &case[name][2], &what);
        }
    }
}

#[test]
fn answers_are_judged_as_the_official_script_does() {
    for case in cases("squad") {
        let mut judged = vec![];
        for question in case["questions"].as_array().unwrap() {
            let golds: Vec<String> = get(&question["golds"]);
            let answers = golds.into_iter().map(|text| GoldAnswer { text, answer_start: 0 }).collect();
            let id = get(&question["id"]);
            let qa = Qa { id, question: String::new(), answers, is_impossible: false };
            judged.push(judge(&qa, question["prediction"].as_str(), question["odds"].as_f64()));
        }
        let measure = SquadFigures { version_2: true, sweep: true, threshold: Some(1.0) };
        let values = measure.values(&judged.iter().collect::<Vec<_>>());
        for (name, value) in measure.names().iter().zip(values) {
            same(value, &case["figures"][name], name);
        }
    }
}
