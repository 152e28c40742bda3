//! From text to examples, over small texts made on the spot.

use std::collections::HashMap;
use std::path::Path;

use bert_core::random::Random;
use proptest::prelude::*;

use super::testing::{tokenizer, vocabulary};
use super::*;
use crate::data::{DataError, Place, text::Paragraph};

/// Documents of random sentences, of `sentences` and of `words` that are less than the ends.
fn documents(count: u64, sentences: usize, words: usize, seed: u64) -> Vec<Vec<String>> {
    let random = Random::new(seed);
    let sentence = |random: Random| {
        let count = 1 + random.below(0, words - 1) as u64;
        let word = |at: u64| {
            let letters = 1 + random.numbered(at).below(0, 4) as u64;
            (1..=letters).map(|at2| char::from(b'a' + random.numbered(at).below(at2, 26) as u8)).collect()
        };
        let words: Vec<String> = (1..=count).map(word).collect();
        format!("T{}!", words.join(" "))
    };
    let document = |random: Random| {
        let count = 1 + random.below(0, sentences - 1) as u64;
        (0..count).map(|at| sentence(random.numbered(at))).collect()
    };
    (0..count).map(|at| document(random.numbered(at))).collect()
}

/// The paragraphs of documents: two sentences each.
fn paragraphs(documents: &[Vec<String>]) -> Vec<crate::data::Result<Paragraph>> {
    let place = Place::of("made.txt");
    let of = |(document, sentences): (u64, &Vec<String>)| {
        let place = place.clone();
        let paragraph =
            move |pair: &[String]| Ok(Paragraph { text: pair.join(" "), document, place: place.clone() });
        sentences.chunks(2).map(paragraph).collect::<Vec<_>>()
    };
    (0..).zip(documents).flat_map(of).collect()
}

fn build(documents: &[Vec<String>], folder: &Path, options: &BuildOptions) -> Built {
    build_shards(paragraphs(documents), &tokenizer(), folder, options).unwrap()
}

fn examples(documents: &[Vec<String>], options: ExampleOptions) -> (tempfile::TempDir, Examples) {
    let folder = tempfile::tempdir().unwrap();
    build(documents, folder.path(), &BuildOptions { shard_tokens: 5000, ..BuildOptions::default() });
    let shards = Shards::open_folder(folder.path(), vocabulary()).unwrap();
    (folder, Examples::new(shards, options).unwrap())
}

#[test]
fn shards_do_not_depend_on_threads() {
    let documents = documents(300, 20, 30, 1);
    let of = |threads| {
        let folder = tempfile::tempdir().unwrap();
        let options = BuildOptions { threads, shard_tokens: 40_000, ..BuildOptions::default() };
        let built = build(&documents, folder.path(), &options);
        assert!(built.paths.len() > 2, "{built:?}");
        let bytes: Vec<_> = built.paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
        (built.documents, built.sentences, built.tokens, bytes)
    };
    let one = of(1);
    assert_eq!((one.0, one.1), (300, documents.iter().map(Vec::len).sum::<usize>() as u64));
    assert!(one == of(2) && one == of(3) && one == of(8));
}

#[test]
fn long_sentences_are_cut_before_words() {
    let folder = tempfile::tempdir().unwrap();
    let text = vec![vec!["abc de fghij k".to_owned()], vec!["abcdefgh [SEP] x".to_owned()]];
    build(&text, folder.path(), &BuildOptions { max_sentence: 4, ..BuildOptions::default() });
    let shards = Shards::open_folder(folder.path(), vocabulary()).unwrap();
    let tokenizer = tokenizer();
    let mut found = vec![];
    for document in 0..shards.documents() {
        let (shard, sentences) = shards.document(document);
        for sentence in sentences {
            let mut ids = vec![];
            shard.read_sentence(sentence, &mut ids).unwrap();
            found.push(tokenizer.decode(&ids, false).unwrap());
        }
    }
    // Special tokens that a text spells out are left out; a word that is too long is cut anyhow.
    assert_eq!(
        found,
        ["abc", "de", "##ghi", "##j k", "abcd", "##efgh", "x"].map(|text| match text {
            "##ghi" => "fghi".to_owned(),
            text => text.to_owned(),
        })
    );
}

#[test]
fn bad_text_and_full_folders_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let options = BuildOptions { threads: 2, ..BuildOptions::default() };
    let bad = DataError::NotText { place: Place::of("made.txt").at(9), found: "a NUL byte" };
    let mut text = paragraphs(&documents(50, 9, 9, 1));
    text.push(Err(bad));
    let error = build_shards(text, &tokenizer(), folder.path(), &options).unwrap_err();
    assert!(
        matches!(&error, PretrainingError::Data(_)) && error.to_string().contains("made.txt:9"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(matches!(
        Shards::open_folder(folder.path(), vocabulary()),
        Err(PretrainingError::NoShards { .. })
    ));

    let built = build_shards([], &tokenizer(), folder.path(), &options).unwrap();
    assert_eq!(built, Built::default());
    build(&documents(2, 3, 3, 1), folder.path(), &options);
    let again = build_shards([], &tokenizer(), folder.path(), &options);
    assert!(matches!(again, Err(PretrainingError::NotEmpty { .. })));
    let other = crate::tokenizer::Tokenizer::from_parts("[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n", None).unwrap();
    let opened = Shards::open_folder(folder.path(), Vocabulary::new(&other).unwrap());
    assert!(matches!(opened, Err(PretrainingError::OtherTokenizer { .. })));
    let zero = BuildOptions { max_sentence: 0, ..options };
    assert!(matches!(
        build_shards([], &tokenizer(), folder.path(), &zero),
        Err(PretrainingError::Setting { setting: "max_sentence", .. })
    ));
}

#[test]
fn tokenizers_that_cut_otherwise_are_others() {
    let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nA\ncafe\ncafé\n中\n国\n";
    let hash = |config: &str| {
        let tokenizer = crate::tokenizer::Tokenizer::from_parts(vocab, Some(config)).unwrap();
        Vocabulary::new(&tokenizer).unwrap().hash()
    };
    assert_eq!(hash("{}"), hash(r#"{"do_lower_case": true}"#));
    assert_ne!(hash("{}"), hash(r#"{"do_lower_case": false}"#));
    assert_ne!(hash("{}"), hash(r#"{"strip_accents": false}"#));
    assert_ne!(hash("{}"), hash(r#"{"tokenize_chinese_chars": false}"#));
}

#[test]
fn half_of_the_second_parts_are_next() {
    // Sentences are short, so that nearly every example has two of them or more.
    let (_folder, examples) = examples(&documents(200, 200, 8, 2), ExampleOptions::default());
    let epoch = examples.epoch(0);
    let (mut next, mut short) = (0, 0);
    for example in epoch.examples_from(0) {
        let example = example.unwrap();
        next += usize::from(example.is_next == Some(true));
        short += usize::from(example.ids.len() < 100);
    }
    let part = |count: usize| count as f64 / epoch.len() as f64;
    assert!(epoch.len() > 2000 && (part(next) - 0.5).abs() < 0.04, "{} {}", epoch.len(), part(next));
    assert!((0.02..0.4).contains(&part(short)), "{}", part(short));
}

/// Where in the documents the tokens of a part of an example stand.
fn places(documents: &[Vec<u32>], part: &[u32]) -> Vec<(usize, usize)> {
    let at = |(number, document): (usize, &Vec<u32>)| {
        let starts = document.windows(part.len()).enumerate().filter(|(_, window)| *window == part);
        starts.map(|(start, _)| (number, start)).collect::<Vec<_>>()
    };
    documents.iter().enumerate().flat_map(at).collect()
}

#[test]
fn parts_stay_in_their_documents() {
    let documents = documents(40, 30, 12, 3);
    let tokenizer = tokenizer();
    let ids = |sentences: &Vec<String>| tokenizer.encode_without_special(&sentences.join(" ")).unwrap().ids;
    let ids: Vec<_> = documents.iter().map(ids).collect();
    for next_sentence in [true, false] {
        let options = ExampleOptions { next_sentence, max_length: 64, ..ExampleOptions::default() };
        let (_folder, examples) = examples(&documents, options);
        for example in examples.epoch(7).examples_from(0) {
            let Example { ids: mut tokens, segments, is_next, masked, labels } = example.unwrap();
            for (position, label) in masked.into_iter().zip(labels) {
                tokens[position as usize] = label;
            }
            let vocabulary = examples.shards().vocabulary();
            let special: Vec<_> = (0..tokens.len()).filter(|&at| vocabulary.is_special(tokens[at])).collect();
            assert_eq!((special[0], *special.last().unwrap()), (0, tokens.len() - 1));
            let first = places(&ids, &tokens[1..special[1]]);
            assert!(!first.is_empty(), "the first part is in no document");
            assert_eq!(special.len(), if next_sentence { 3 } else { 2 });
            assert!(segments.iter().enumerate().all(|(at, &segment)| segment == u32::from(at > special[1])));
            assert_eq!(is_next.is_some(), next_sentence);
            let Some(is_next) = is_next else { continue };
            let second = places(&ids, &tokens[special[1] + 1..special[2]]);
            let length = special[1] - 1;
            // Where the first ends, the second begins; unless tokens were cut off there.
            let follows = |&(document, start): &(usize, usize)| {
                second.iter().any(|&(other, at)| {
                    other == document && at >= start + length && (at == start + length || tokens.len() == 64)
                })
            };
            let other = |&(document, _): &(usize, usize)| second.iter().any(|&(other, _)| other != document);
            assert!(if is_next { first.iter().any(follows) } else { first.iter().any(other) });
        }
    }
}

#[test]
fn an_epoch_is_the_text_once_and_each_is_another() {
    let documents = documents(100, 30, 10, 4);
    let options = ExampleOptions {
        next_sentence: false,
        short_sequence_probability: 0.0,
        max_length: 512,
        ..ExampleOptions::default()
    };
    let (_folder, examples) = examples(&documents, options);
    // Without pairs every sentence is in one example.
    let restored = |epoch: u64| {
        let mut counts: HashMap<Vec<u32>, usize> = HashMap::new();
        let examples: Vec<_> = examples.epoch(epoch).examples_from(0).map(Result::unwrap).collect();
        for example in &examples {
            let mut ids = example.ids.clone();
            for (&position, &label) in example.masked.iter().zip(&example.labels) {
                ids[position as usize] = label;
            }
            *counts.entry(ids).or_default() += 1;
        }
        (examples, counts)
    };
    let ((first, texts), (second, same)) = (restored(0), restored(1));
    assert_eq!(texts, same);
    assert_ne!(
        first.iter().map(|e| &e.labels).collect::<Vec<_>>(),
        second.iter().map(|e| &e.labels).collect::<Vec<_>>()
    );
    let tokens: usize = first.iter().map(|example| example.ids.len() - 2).sum();
    assert_eq!(tokens as u64, examples.shards().tokens());
}

#[test]
fn examples_do_not_depend_on_threads_or_on_where_one_begins() {
    let (_folder, examples) = examples(&documents(60, 30, 10, 5), ExampleOptions::default());
    let epoch = examples.epoch(3);
    let all: Vec<_> = epoch.examples_from(0).map(Result::unwrap).collect();
    let resumed: Vec<_> = examples.epoch(3).examples_from(17).map(Result::unwrap).collect();
    assert_eq!(all[17..], resumed);
    for threads in [2, 3] {
        let parts: Vec<Vec<Example>> = std::thread::scope(|scope| {
            let epoch = &epoch;
            let part = |thread| {
                scope.spawn(move || {
                    (thread..epoch.len()).step_by(threads).map(|at| epoch.example(at).unwrap()).collect()
                })
            };
            let threads: Vec<_> = (0..threads as u64).map(part).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for (at, example) in all.iter().enumerate() {
            assert_eq!(example, &parts[at % threads][at / threads]);
        }
    }
    let error = epoch.example(epoch.len()).unwrap_err();
    assert!(matches!(error, PretrainingError::NoExample { .. }));
    let other = ExampleOptions { seed: 1, ..ExampleOptions::default() };
    let shards = std::sync::Arc::clone(examples.shards());
    assert_ne!(Examples::new(shards, other).unwrap().epoch(3).example(0).unwrap(), all[0]);
}

#[test]
fn settings_are_checked() {
    let of = |documents: &[Vec<String>], options: ExampleOptions| {
        let folder = tempfile::tempdir().unwrap();
        build(documents, folder.path(), &BuildOptions::default());
        let shards = Shards::open_folder(folder.path(), vocabulary()).unwrap();
        Examples::new(shards, options).err()
    };
    let good = ExampleOptions::default();
    let one = documents(1, 9, 9, 1);
    assert!(matches!(of(&one, good.clone()), Some(PretrainingError::TooFewDocuments { found: 1 })));
    assert!(of(&one, ExampleOptions { next_sentence: false, ..good.clone() }).is_none());
    let two = documents(2, 9, 9, 1);
    assert!(of(&two, good.clone()).is_none());
    for bad in [
        ExampleOptions { max_length: 4, ..good.clone() },
        ExampleOptions { short_sequence_probability: f64::NAN, ..good.clone() },
        ExampleOptions { masking: Masking { rate: 2.0, ..Masking::default() }, ..good },
    ] {
        assert!(matches!(of(&two, bad), Some(PretrainingError::Setting { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn examples_fit(
        max_length in 5usize..80,
        short in 0.0f64..=1.0,
        next_sentence: bool,
        count in 2u64..6,
        seed: u64,
    ) {
        let options = ExampleOptions {
            max_length,
            short_sequence_probability: short,
            next_sentence,
            seed,
            ..ExampleOptions::default()
        };
        let (_folder, examples) = examples(&documents(count, 12, 12, seed), options);
        for example in examples.epoch(seed).examples_from(0) {
            let Example { ids, segments, is_next, masked, labels } = example.unwrap();
            prop_assert!(ids.len() <= max_length && ids.len() == segments.len());
            prop_assert!(!masked.is_empty() && masked.len() == labels.len());
            let least = if next_sentence { 5 } else { 3 };
            prop_assert!(ids.len() >= least);
            prop_assert_eq!(is_next.is_some(), next_sentence);
        }
    }
}
