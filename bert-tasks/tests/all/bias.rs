//! Bias: forms, order and errors on tiny random models.

use crate::common::{Tiny, device};
use bert_tasks::bias::{BiasError, TemplateSet};
use bert_tasks::data::stereotypes::{self, Pair};
use bert_tasks::evaluation::Bootstrap;
use bert_tasks::{Bias, Error, FillMask, Head, Precision};

fn bias() -> (Tiny, Bias) {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let bias = Bias::load(tiny.name(), &device()).unwrap();
    (tiny, bias)
}

fn set() -> TemplateSet {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    TemplateSet {
        name: "set".into(),
        labels: ["a".into(), "b".into()],
        first: words(&["river", "bank"]),
        second: words(&["paris"]),
        templates: words(&["the {} is a [MASK].", "{} [MASK]"]),
        words: words(&["money", "river", "xyz", "🙂"]),
    }
}

#[test]
fn words_of_two_texts_are_those_of_fill_mask() {
    let (tiny, bias) = bias();
    let texts = ["the river [MASK].", "the bank [MASK]."];
    let found = bias.compare(texts, 4).unwrap();
    let fill_mask = FillMask::load(tiny.name(), &device()).unwrap();
    for (text, words) in texts.iter().zip(&found.words) {
        let expected = &fill_mask.predict(text).unwrap().masks[0].candidates;
        assert_eq!(words.len(), 4);
        let ours = words.iter().filter(|word| expected.iter().any(|best| best.token_str == word.word));
        // Special tokens are no words here.
        assert!(ours.count() >= 1);
        for word in words {
            if let Some(best) = expected.iter().find(|best| best.token_str == word.word) {
                assert!((f64::from(best.score) - word.score).abs() < 1e-6);
            }
        }
    }
    let swapped = bias.compare([texts[1], texts[0]], 4).unwrap();
    let of = |found: &bert_tasks::bias::SideBySide, word: &str| {
        found.differences.iter().find(|it| it.word == word).map(|it| it.log_odds)
    };
    let word = &found.differences[0].word;
    assert!((of(&found, word).unwrap() + of(&swapped, word).unwrap()).abs() < 1e-9);
}

#[test]
fn words_of_several_tokens_are_scored_and_others_are_named() {
    let (_tiny, bias) = bias();
    let report = bias.groups(&set(), 5, &Bootstrap::default()).unwrap();
    assert_eq!((report.sentences, report.words, report.several_tokens), (6, 3, 1));
    assert_eq!(report.skipped.len(), 1);
    assert_eq!(report.skipped[0].word, "🙂");
    let [abs, mean] = &report.figures[..] else { panic!("{:?}", report.figures) };
    assert!(abs.value >= mean.value.abs() && abs.interval.is_some());
    // The probability of three pieces is a product.
    let long = report.differences.iter().find(|word| word.word == "xyz").unwrap();
    let short = report.differences.iter().find(|word| word.word == "money").unwrap();
    assert!(long.first < short.first / 100.0, "{long:?} {short:?}");
}

#[test]
fn a_group_does_not_differ_from_itself() {
    let (_tiny, bias) = bias();
    let same = TemplateSet { second: set().first, ..set() };
    let report = bias.groups(&same, 5, &Bootstrap::default()).unwrap();
    assert!(report.figures[0].value.abs() < 1e-12, "{:?}", report.figures);
    assert!(report.differences.is_empty());
}

#[test]
fn what_cannot_be_compared_is_said() {
    let (_tiny, bias) = bias();
    let error = |text: &str| match bias.compare([text, "a [MASK]"], 3).unwrap_err() {
        Error::Bias(error) => error,
        error => panic!("{error}"),
    };
    assert!(matches!(error("no mask"), BiasError::Masks { found: 0, .. }));
    assert!(matches!(error(""), BiasError::Masks { found: 0, .. }));
    assert!(matches!(error("[MASK] [MASK]"), BiasError::Masks { found: 2, .. }));
    assert!(matches!(error(&format!("{}[MASK]", "a ".repeat(80))), BiasError::TooLong { most: 64, .. }));
    assert!(matches!(error(&"é\0".repeat(500_000)), BiasError::TooLong { .. } | BiasError::Masks { .. }));
    let unknown = TemplateSet { words: vec!["🙂".into()], ..set() };
    let error = bias.groups(&unknown, 3, &Bootstrap::default()).unwrap_err();
    assert!(matches!(error, Error::Bias(BiasError::NoWords { words: 1, .. })), "{error}");
    assert!(matches!(bias.pairs(&[], 3, &Bootstrap::default()), Err(Error::Bias(BiasError::NoPairs))));
}

#[test]
fn a_model_without_the_head_is_refused() {
    let tiny = Tiny::new("BertForQuestionAnswering", &[]);
    let error = Bias::load(tiny.name(), &device()).unwrap_err();
    assert!(error.is_wrong_head(), "{error}");
    let session = Tiny::new("BertForMaskedLM", &[]).open().load(Head::MaskedLm, &device(), Precision::F32);
    Bias::new(session.unwrap()).unwrap();
}

#[test]
fn pairs_are_scored_by_what_they_share() {
    let (_tiny, bias) = bias();
    let place = stereotypes_place();
    let pair = |more: &str, less: &str, kind: &str| Pair {
        more: more.into(),
        less: less.into(),
        kind: kind.into(),
        place: place.clone(),
    };
    let pairs = [
        pair("the river is good", "the bank is good", "x"),
        pair("the bank is good", "the river is good", "y"),
    ];
    let report = bias.pairs(&pairs, 5, &Bootstrap::default()).unwrap();
    // One of the two is preferred, and the other order is the other answer.
    assert_eq!((report.pairs, report.figures[0].value, report.strongest.len()), (2, 50.0, 1));
    assert_eq!(report.figures.len(), 3);
    assert_eq!(report.kinds["x"], 1);
    let equal = [pair("the river", "the river", "x")];
    assert_eq!(bias.pairs(&equal, 5, &Bootstrap::default()).unwrap().figures[0].value, 0.0);
    let apart = [pair("river", "bank", "x")];
    let error = bias.pairs(&apart, 5, &Bootstrap::default()).unwrap_err();
    assert!(matches!(error, Error::Bias(BiasError::NothingInCommon { .. })), "{error}");
}

fn stereotypes_place() -> bert_tasks::data::Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.csv");
    std::fs::write(&path, "sent_more,sent_less\na b,a c\n").unwrap();
    stereotypes::read(&path).unwrap().remove(0).place
}
