//! Entities of a tiny random model (forms, windows, seams, order) and of a trained one (names and places).

use std::sync::LazyLock;

use crate::common::{Tiny, device, shared, trained};
use bert_conformance::small::configure;
use bert_core::contract::Precision;
use bert_tasks::token_classification::{
    Aggregation, Counts, Entity, Evaluation, Scheme, TokenClassification, TokenClassificationOptions,
};
use bert_tasks::tokenizer::Windows;
use bert_tasks::{Error, Pretrained, Sequence, Task, TextClassification};
use ndarray::Array2;
use proptest::prelude::*;

const BIO: [&str; 5] = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"];

fn tagger(labels: &[&str], options: TokenClassificationOptions) -> TokenClassification {
    let tiny = Tiny::new("BertForTokenClassification", labels);
    TokenClassification::load(tiny.name(), &device()).unwrap().with_options(options).unwrap()
}

fn with(aggregation: Aggregation) -> TokenClassificationOptions {
    TokenClassificationOptions { aggregation, ..Default::default() }
}

/// Everything a consumer relies on.
fn check(text: &str, entities: &[Entity]) {
    let mut end = 0;
    for entity in entities {
        assert!(entity.range.start >= end && !entity.range.is_empty(), "{entities:?}");
        assert_eq!(text.get(entity.range.clone()), Some(entity.text.as_str()));
        assert!((0.0..=1.0).contains(&entity.score), "{entity:?}");
        end = entity.range.end;
    }
}

#[test]
fn entities_lie_in_the_text_whatever_it_holds() {
    let texts = [
        "he lives in london",
        "  Ünd he\tworks at\r\nthe 🙂 BANK…",
        "東京 of 中国.",
        "a\0b\u{7f}\u{301}c \u{202e}x",
        "한국어 ﬁ İ",
        "[MASK] [CLS] [SEP]",
    ];
    for aggregation in
        [Aggregation::None, Aggregation::Simple, Aggregation::First, Aggregation::Average, Aggregation::Max]
    {
        // Nothing is ignored, so every text has entities.
        let options = TokenClassificationOptions { ignore_labels: vec![], ..with(aggregation) };
        let tagger = tagger(&BIO, options);
        for text in texts {
            let entities = tagger.predict(text).unwrap();
            assert!(!entities.is_empty(), "{text:?}");
            check(text, &entities);
        }
    }
}

#[test]
fn nothing_has_no_entities() {
    let tagger = tagger(&BIO, TokenClassificationOptions { ignore_labels: vec![], ..Default::default() });
    for text in ["", " ", "\t\r\n", "\0", "\u{200b}", "\u{3000}"] {
        assert!(tagger.predict(text).unwrap().is_empty(), "{text:?}");
    }
    assert!(tagger.predict_all([""; 0]).unwrap().is_empty());
}

#[test]
fn labels_without_meaning_are_given_as_they_are() {
    let tiny = Tiny::new("BertForTokenClassification", &[]);
    configure(tiny.folder.path(), |config| drop(config.remove("id2label").unwrap()));
    let tagger = TokenClassification::load(tiny.name(), &device()).unwrap();
    assert_eq!(tagger.scheme(), Scheme::Plain);
    let text = "he lives in london, the capital of england";
    let entities = tagger.predict(text).unwrap();
    check(text, &entities);
    assert!(entities.iter().all(|entity| ["LABEL_0", "LABEL_1"].contains(&entity.label.as_str())));
    // Every word has one of the two, and neighbours of one label are one entity.
    assert_eq!((entities[0].range.start, entities[entities.len() - 1].range.end), (0, text.len()));
    assert!(entities.windows(2).all(|pair| pair[0].label != pair[1].label));
}

#[test]
fn the_scheme_can_be_overridden() {
    let labels = ["B-52", "I-95"];
    let read = |scheme| {
        let tagger = tagger(&labels, TokenClassificationOptions { scheme, ..Default::default() });
        let entities = tagger.predict("a movie of london and paris and a river").unwrap();
        (tagger.scheme(), entities)
    };
    let (scheme, entities) = read(None);
    assert!(scheme == Scheme::Iob && entities.iter().all(|e| ["52", "95"].contains(&e.label.as_str())));
    let (scheme, entities) = read(Some(Scheme::Plain));
    assert!(scheme == Scheme::Plain && entities.iter().all(|e| labels.contains(&e.label.as_str())));
}

#[test]
fn settings_without_sense_are_errors() {
    let try_options = |options| {
        let tiny = Tiny::new("BertForTokenClassification", &BIO);
        TokenClassification::load(tiny.name(), &device()).unwrap().with_options(options)
    };
    for (stride, right) in [(0, false), (1, true), (62, true), (63, false), (usize::MAX, false)] {
        let options = TokenClassificationOptions { stride: Some(stride), ..Default::default() };
        assert_eq!(try_options(options).is_ok(), right, "{stride}");
    }
    for (max_length, right) in [(0, false), (2, false), (3, true), (64, true), (65, false)] {
        let options = TokenClassificationOptions { max_length: Some(max_length), ..Default::default() };
        assert_eq!(try_options(options).is_ok(), right, "{max_length}");
    }
    let options = TokenClassificationOptions { max_length: Some(12), stride: Some(11), ..Default::default() };
    assert!(matches!(try_options(options), Err(Error::Setting { setting: "stride", .. })));
    for (name, right) in [("PER", true), ("B-LOC", true), ("O", true), ("PERSON", false), ("", false)] {
        let options =
            TokenClassificationOptions { ignore_labels: vec![name.to_owned()], ..Default::default() };
        match try_options(options) {
            Ok(_) => assert!(right, "{name}"),
            Err(Error::UnknownLabel { found, known }) => assert!(!right && found == name && known == BIO),
            Err(other) => panic!("{other}"),
        }
    }
    let classifier = Tiny::new("BertForSequenceClassification", &["a", "b"]);
    assert!(TokenClassification::load(classifier.name(), &device()).is_err());
    let narrow = Tiny::new("BertForTokenClassification", &BIO);
    std::fs::write(
        narrow.folder.path().join("tokenizer_config.json"),
        r#"{"do_lower_case": true, "model_max_length": 2}"#,
    )
    .unwrap();
    let narrow = TokenClassification::load(narrow.name(), &device()).unwrap();
    let error = narrow.predict("london").unwrap_err().to_string();
    assert!(error.contains("windows of 0 tokens"), "{error}");
}

/// The logits of one window, made by hand: the tokens whose id is in `names` begin or continue an entity,
/// but a token with less than `context` others to either side, where the text goes on, is mistaken for the
/// opposite of what it is.
fn logits(sequence: &Sequence, names: &[u32], context: usize, first: bool, last: bool) -> Array2<f32> {
    let tokens = sequence.ids.len() - 2;
    let mut logits = Array2::zeros((sequence.ids.len(), BIO.len()));
    let named = |at: usize| names.contains(&sequence.ids[at]);
    for at in 1..=tokens {
        let unsure = !first && at - 1 < context || !last && tokens - at < context;
        let label = match named(at) != unsure {
            true if at > 1 && !named(at - 1) => 1,
            true => 2,
            false => 0,
        };
        logits[[at, label]] = 10.0;
    }
    // What stands above the special tokens must never be read.
    logits[[0, 3]] = 99.0;
    logits[[tokens + 1, 3]] = 99.0;
    logits
}

/// Decodes a text from logits made by hand, window by window.
fn by_hand(tagger: &TokenClassification, text: &str, names: &[&str], context: usize) -> Vec<Entity> {
    let tokenizer = tagger.session().tokenizer();
    let names: Vec<u32> = names.iter().map(|name| tokenizer.token_to_id(name).unwrap()).collect();
    let request = text.into();
    let prepared = tagger.prepare(&request).unwrap();
    let count = prepared.sequences.len();
    let pieces = prepared.sequences.iter().enumerate().map(|(index, sequence)| {
        assert!(sequence.ids.len() <= tagger.session().max_length());
        let rows = logits(sequence, &names, context, index == 0, index + 1 == count);
        tagger.reduce(&prepared.context, index, vec![rows]).unwrap()
    });
    let pieces = pieces.collect();
    tagger.finish(&request, prepared.context, pieces).unwrap()
}

#[test]
fn an_entity_across_a_seam_is_found_once() {
    // 62 tokens a window: the second begins at token 47, and from token 54 on it shows more.
    let tagger = tagger(&BIO, TokenClassificationOptions::default());
    for at in 0..120 {
        let text = "the ".repeat(at) + "london paris england " + &"of ".repeat(130 - at);
        let entities = by_hand(&tagger, &text, &["london", "paris", "england"], 7);
        check(&text, &entities);
        let found: Vec<_> =
            entities.iter().map(|entity| (entity.range.start, entity.text.as_str())).collect();
        assert_eq!(found, [(4 * at, "london paris england")], "at word {at}");
    }
    // A word in pieces across the seam, and one that is longer than any window.
    for length in 2..100 {
        let text = "the ".repeat(40) + &"z".repeat(length) + &" of".repeat(90);
        let found = by_hand(&tagger, &text, &["z", "##z"], 7);
        assert_eq!(found.len(), 1, "{length} pieces: {found:?}");
        assert_eq!(found[0].range, 160..160 + length);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Windows of any stride and texts of any length: the entities are those of one pass over the whole.
    #[test]
    fn windows_change_nothing(
        words in prop::collection::vec(prop::sample::select(vec!["the", "london", "paris", "zé", "."]), 0..300),
        stride in 1usize..=62,
    ) {
        let text = words.join(" ");
        let names = ["london", "paris", "z"];
        static TAGGER: LazyLock<TokenClassification> = LazyLock::new(|| tagger(&BIO, with(Aggregation::Simple)));
        let options = TokenClassificationOptions { stride: Some(stride), ..with(Aggregation::Simple) };
        let windowed = TAGGER.clone().with_options(options).unwrap();
        // Half of what neighbours share is what the best window shows at least.
        let context = (62 - stride) / 2;
        let entities = by_hand(&windowed, &text, &names, context);
        check(&text, &entities);

        let mut expected: Vec<std::ops::Range<usize>> = vec![];
        let (mut at, mut open) = (0, false);
        for word in &words {
            let named = names.iter().any(|name| word.starts_with(name));
            // The second piece of "zé" is no name.
            let end = at + if *word == "zé" { 1 } else { word.len() };
            match expected.last_mut() {
                Some(last) if named && open => last.end = end,
                _ if named => expected.push(at..end),
                _ => {}
            }
            open = named && *word != "zé";
            at += word.len() + 1;
        }
        prop_assert_eq!(entities.into_iter().map(|entity| entity.range).collect::<Vec<_>>(), expected);
    }

    /// Each token is best seen by one window that holds it, and windows follow one another.
    #[test]
    fn every_token_is_kept_once_and_in_order(len in 0usize..2000, room in 1usize..200, part in 0.0..1.0) {
        let stride = 1 + ((room - 1) as f64 * part) as usize;
        let windows = Windows::new(len, room, stride).unwrap();
        let best: Vec<usize> = (0..len).map(|token| windows.best(token).unwrap()).collect();
        prop_assert!(best.is_sorted());
        for (token, &window) in best.iter().enumerate() {
            prop_assert!(windows.get(window).unwrap().contains(&token));
        }
        prop_assert_eq!(windows.best(len), None);
    }
}

#[test]
fn long_texts_stream_beside_short_ones_in_order() {
    let tagger = tagger(&BIO, TokenClassificationOptions { ignore_labels: vec![], ..Default::default() });
    let texts: Vec<String> =
        (0..60).map(|i| ["the bank of london ", "zebra, ", ""][i % 3].repeat(i * 7 % 90)).collect();
    for (text, entities) in texts.iter().zip(tagger.stream(texts.clone())) {
        let entities = entities.unwrap();
        check(text, &entities);
        assert_eq!(entities, tagger.predict(text).unwrap(), "alone and in a batch: {text}");
        // With nothing left out, the last word is in the last entity, however long the text is.
        assert_eq!(entities.last().map_or(0, |last| last.range.end), text.trim_end().len());
    }
}

#[test]
fn a_trained_model_finds_names_and_places() {
    let Some(folder) = trained("rampart-ner") else { return };
    let files = Pretrained::open(folder.to_str().unwrap()).unwrap();
    let tagger = TokenClassification::from_pretrained(&files, &device(), Precision::F32).unwrap();
    assert_eq!(tagger.scheme(), Scheme::Iob);
    for (text, expected) in [
        // A city alone is no address: this model looks for what identifies a person.
        (
            "My name is Sarah Connor and I live in Los Angeles.",
            &[("GIVEN_NAME", "Sarah"), ("SURNAME", "Connor")][..],
        ),
        (
            "Ship it to José Müller, 12 Baker Street, Apt 4B, Springfield, IL 62704.",
            &[
                ("GIVEN_NAME", "José"),
                ("SURNAME", "Müller"),
                ("BUILDING_NUMBER", "12"),
                ("STREET_NAME", "Baker Street"),
                ("SECONDARY_ADDRESS", "Apt 4B"),
                ("CITY", "Springfield"),
                ("STATE", "IL"),
                ("ZIP_CODE", "62704"),
            ],
        ),
    ] {
        let entities = tagger.predict(text).unwrap();
        check(text, &entities);
        let found: Vec<_> = entities.iter().map(|e| (e.label.as_str(), e.text.as_str())).collect();
        assert_eq!(found, expected);
        assert!(entities.iter().all(|entity| entity.score > 0.5), "{entities:?}");
    }

    let mut texts: Vec<String> = (0..12)
        .map(|i| format!("{} He wrote to sarah.connor@example.com in {i}.", "Well, ".repeat(3 * i)))
        .collect();
    texts.push("My name is Sarah Connor and I live in Los Angeles. ".repeat(50));
    for (text, entities) in texts.iter().zip(tagger.stream(texts.clone())) {
        assert_eq!(entities.unwrap(), tagger.predict(text).unwrap(), "alone and in a batch: {text}");
    }
}

#[test]
fn shorter_windows_change_nothing_that_fits_in_one() {
    let wide = tagger(&BIO, TokenClassificationOptions { ignore_labels: vec![], ..Default::default() });
    let options =
        TokenClassificationOptions { max_length: Some(12), ignore_labels: vec![], ..Default::default() };
    let narrow = wide.clone().with_options(options).unwrap();
    let ten = "the bank of london is in the capital of england";
    assert_eq!(narrow.predict(ten).unwrap(), wide.predict(ten).unwrap());
    let prepared = narrow.prepare(&format!("{ten} .").into()).unwrap();
    assert_eq!(prepared.sequences.iter().map(|s| s.ids.len()).collect::<Vec<_>>(), [12, 5]);
    let entities = narrow.predict(&ten.repeat(9)).unwrap();
    check(&ten.repeat(9), &entities);
    assert_eq!(entities.last().unwrap().range.end, 9 * ten.len());
}

#[test]
fn a_published_corpus_is_counted_as_conlleval_does() {
    use bert_tasks::data::entities::conll;

    let Some(path) = shared("data/ner/wikigold.conll") else { return };
    let mut evaluation = Evaluation::default();
    let mut words = 0;
    // Of all words, each seventh is missed, and each eleventh is taken for a place.
    let mut mistake = |label: &String| {
        words += 1;
        match (words % 7, words % 11) {
            (0, _) => "O".to_owned(),
            (_, 0) => "B-LOC".to_owned(),
            _ => label.clone(),
        }
    };
    for sentence in conll::open(path, conll::Options::default()).unwrap() {
        let sentence = sentence.unwrap();
        let predicted = conll::Sentence {
            labels: sentence.labels.iter().map(&mut mistake).collect(),
            words: sentence.words.clone(),
        };
        evaluation.add(&sentence.entities(Scheme::Iob), &predicted.entities(Scheme::Iob));
    }
    assert_eq!(words, 39007);
    // What conlleval says to the same labels.
    for (label, expected, predicted, correct) in
        [("LOC", 1014, 3842, 735), ("MISC", 712, 686, 441), ("ORG", 898, 921, 518), ("PER", 934, 864, 582)]
    {
        assert_eq!(evaluation.by_label[label], Counts { expected, predicted, correct }, "{label}");
    }
    let total = evaluation.total();
    let percent = [total.precision(), total.recall(), total.f1()].map(|part| format!("{:.2}", 100.0 * part));
    assert_eq!(percent, ["36.05", "63.97", "46.11"]);
    assert_eq!(Counts::default().f1(), 0.0);
}

#[test]
fn a_classifier_without_labels_is_refused() {
    for class in ["BertForTokenClassification", "BertForSequenceClassification"] {
        let tiny = Tiny::new(class, &[]);
        configure(tiny.folder.path(), |config| {
            config.remove("id2label").unwrap();
            config.insert("num_labels".to_owned(), 0.into());
        });
        let error = match class {
            "BertForTokenClassification" => TokenClassification::load(tiny.name(), &device()).err(),
            _ => TextClassification::load(tiny.name(), &device()).err(),
        };
        let error = error.expect("it has no labels").to_string();
        assert!(error.contains("num_labels") && error.contains("at least one"), "{error}");
    }
}

#[test]
fn a_line_of_a_megabyte_is_read_to_its_end() {
    let tagger = tagger(&BIO, TokenClassificationOptions { ignore_labels: vec![], ..Default::default() });
    let text = "the river 🙂\0 bank of london ".repeat((1 << 20) / 29);
    let entities = tagger.predict(&text).unwrap();
    check(&text, &entities);
    assert_eq!(entities.last().unwrap().range.end, text.len() - 1);
}
