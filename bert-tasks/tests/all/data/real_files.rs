//! Every real file is read to its end, with the counts that its makers give.

use std::collections::BTreeMap;

use bert_tasks::ProblemType;
use bert_tasks::data::squad::Dataset;
use bert_tasks::data::{DataError, Format, LabelSet, classification, entities, pairs, text};
use bert_tasks::token_classification::Scheme;

use crate::common::shared;

#[test]
fn entities_in_columns() {
    // File, words, entities; None where its makers do not say.
    for (file, words, count) in [
        ("wikigold.conll", Some(39007), Some(1014 + 712 + 898 + 934)),
        ("wnut17/train.conll", Some(62730), None),
        ("wnut17/dev.conll", None, None),
        ("btc/a.conll", None, None),
        ("btc/b.conll", None, None),
        ("btc/e.conll", None, None),
        ("btc/f.conll", None, None),
        ("btc/g.conll", None, None),
        ("btc/h.conll", None, None),
        ("more/worldwide-newswire.conll.gz", None, Some(41671)),
        ("more/redocred-dev.conll.gz", None, Some(10450)),
        ("more/redocred-test.conll.gz", None, Some(10246)),
        ("more/crossner-train.conll.gz", None, None),
        ("more/crossner-dev.conll.gz", None, None),
        ("more/uner-ewt-dev.conll.gz", None, None),
    ] {
        let Some(path) = shared(&format!("data/ner/{file}")) else { continue };
        let (mut total, mut found, mut inexact) = (0, 0, 0);
        let tags = entities::TagSet::new(KINDS, Scheme::Bioes).unwrap();
        for example in entities::read(&path, &entities::Options::default()).unwrap() {
            let example = example.unwrap();
            let units = example.words.clone().unwrap();
            total += units.len();
            found += example.entities.len();
            let encoded = tags.encode(&units, &example.spans()).unwrap();
            inexact += encoded.inexact;
            let names = encoded.labels.iter().map(|&label| tags.labels().names()[label].as_str());
            assert_eq!(Scheme::Bioes.spans(names).len(), example.entities.len(), "{file}");
        }
        println!("{file}: {total} words, {found} entities");
        assert!(words.is_none_or(|words| words == total), "{file}: {total} words");
        assert!(count.is_none_or(|count| count == found), "{file}: {found} entities");
        assert!(total > 1000 && found > 100 && inexact == 0, "{file}: {total}, {found}, {inexact}");
    }
}

/// The types of entities of all these sets.
const KINDS: [&str; 10] =
    ["PER", "LOC", "ORG", "MISC", "person", "location", "corporation", "creative-work", "group", "product"];

#[test]
fn questions_and_answers() {
    for (file, questions, answers, paragraphs, without) in [
        ("xquad.en.json", 1190, 1190, 240, 0),
        ("squad2-half-dev.json", 6078, 10052, 646, 0),
        ("train/squad1-realigned.json.gz", 40178, 40178, 9311, 0),
        ("train/squad1-exact.json.gz", 4285, 4285, 875, 1),
        ("train/squadshifts-new_wiki.json.gz", 7938, 22794, 1581, 0),
        ("train/squadshifts-amazon_reviews.json.gz", 9885, 27318, 2050, 0),
        ("train/qed-train.json.gz", 7064, 7064, 6757, 20),
        ("train/qamr.json.gz", 32360, 32360, 979, 0),
    ] {
        let Some(path) = shared(&format!("data/qa/{file}")) else { continue };
        let dataset = Dataset::open(&path).unwrap();
        let mut examples = vec![];
        let mut empty = 0;
        for example in dataset.examples() {
            match example {
                Ok(example) => examples.push(example),
                Err(DataError::Question { reason, .. }) if reason.contains("empty") => empty += 1,
                Err(error) => panic!("{error}"),
            }
        }
        // Two of the files have questions with an empty answer, which nobody can learn from.
        println!("{file}: {empty} questions with an empty answer");
        assert_eq!(empty, without, "{file}");
        let marked = examples.iter().map(|example| example.answers.len()).sum::<usize>() + empty;
        assert_eq!((examples.len() + empty, marked), (questions, answers), "{file}");
        assert_eq!(dataset.paragraphs().count(), paragraphs, "{file}");
        if file == "squad2-half-dev.json" {
            assert_eq!(examples.iter().filter(|example| example.answers.is_empty()).count(), 3168);
        }
    }
}

#[test]
fn sentiment() {
    let by_number = |label: &str, text: &str, format| classification::Options {
        label: Some(label.into()),
        text: Some(text.into()),
        format,
        ..Default::default()
    };
    let tsv = |text| by_number("1", text, None);
    let first = || classification::Options { format: Some(Format::LabelFirst), ..Default::default() };
    for (file, options, count, positive) in [
        ("sst/stsa.binary.train", first(), 6920, 3610),
        ("sst/stsa.binary.dev", first(), 872, 444),
        ("sentiment/sst2.train.tsv.gz", tsv("2"), 67349, 37569),
        ("sentiment/imdb.train.tsv.zst", tsv("3"), 25000, 12500),
    ] {
        let Some(path) = shared(&format!("data/{file}")) else { continue };
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        let labels = LabelSet::new(["0", "1"]).unwrap();
        for example in classification::read(&path, &options).unwrap() {
            let example = example.unwrap();
            assert!(!example.text.is_empty(), "{}", example.place);
            *counts.entry(example.targets(&labels).unwrap()[0]).or_default() += 1;
        }
        assert_eq!((counts.values().sum::<usize>(), counts[&1]), (count, positive), "{file}");
    }
}

#[test]
fn similar_sentences() {
    for (file, count) in [("stsb-en-train.csv", 5749), ("stsb-en-dev.csv", 1500)] {
        let Some(path) = shared(&format!("data/stsb/{file}")) else { continue };
        let options = pairs::Options { kind: pairs::Kind::Scored, scores: 0.0..=5.0, ..Default::default() };
        let examples = pairs::read(&path, &options).unwrap().map(Result::unwrap);
        assert_eq!(examples.count(), count, "{file}");
        let options = classification::Options {
            text: Some("1".into()),
            second: Some("2".into()),
            label: Some("3".into()),
            problem: Some(ProblemType::Regression),
            ..Default::default()
        };
        let examples = classification::read(&path, &options).unwrap().map(Result::unwrap);
        assert_eq!(examples.filter(|example| example.second.is_some()).count(), count, "{file}");
    }
}

#[test]
fn raw_text() {
    for (file, documents, paragraphs) in [
        ("modern.txt.zst", None, None),
        ("wikinews.txt.zst", Some(18719), None),
        ("books.txt.zst", None, None),
        ("enwiki2015.txt.zst", Some(25529), Some(769_859)),
    ] {
        let Some(path) = shared(&format!("data/corpus/{file}")) else { continue };
        let (mut found, mut last) = (0, None);
        for paragraph in text::paragraphs([&path], &text::Options::default()) {
            let paragraph = paragraph.unwrap();
            found += 1;
            last = Some(paragraph.document);
            // The greatest file takes minutes without optimisation, so its beginning has to do.
            if cfg!(debug_assertions) && found == 200_000 {
                break;
            }
        }
        let last = last.unwrap() as usize + 1;
        println!("{file}: {last} documents, {found} paragraphs");
        if cfg!(debug_assertions) && found == 200_000 {
            continue;
        }
        assert!(documents.is_none_or(|documents| documents == last), "{file}: {last} documents");
        assert!(paragraphs.is_none_or(|paragraphs| paragraphs == found), "{file}: {found} paragraphs");
    }
}
