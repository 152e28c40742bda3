//! Generation on tiny random models: rules and errors, not sense.

use crate::common::{Tiny, device};
use bert_tasks::generation::{CompletionOptions, GenerationOptions, Method};
use bert_tasks::{Device, DeviceOptions, Error, Generation};

fn short(method: Method) -> GenerationOptions {
    GenerationOptions { method, length: 6, candidates: 3, ..GenerationOptions::default() }
}

#[test]
fn every_method_fills_every_place_behind_the_prompt() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let generation = Generation::load(tiny.name(), &device()).unwrap();
    for (word, method) in Method::WORDS {
        for prompt in ["the river", "", "the \0 é 🙂 \"river\" ", "the river."] {
            let options = GenerationOptions { keep_steps: true, ..short(method) };
            let found = generation.generate(prompt, &options).unwrap();
            assert!(found.texts.is_sorted_by(|a, b| a.score >= b.score) && !found.texts.is_empty());
            for text in &found.texts {
                assert!(text.text.starts_with(prompt) && text.text.len() > prompt.len(), "{word}: {text:?}");
                assert!(!text.text.contains(['[', '_']) && text.score < 0.0, "{word}: {text:?}");
                assert_eq!(text.steps.last(), Some(&text.text));
                let passes = match method {
                    Method::Blocks => 6,
                    Method::MaskPredict => 10.min(text.steps.len()),
                    Method::Gibbs => 36,
                };
                assert_eq!(text.steps.len(), passes, "{word}");
            }
            assert_eq!(found.truncated, None);
        }
    }
}

#[test]
fn a_seed_gives_one_text_for_any_threads_and_another_seed_others() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    for (word, method) in Method::WORDS {
        let options = GenerationOptions { temperature: 1.0, top_k: 0, top_p: 1.0, ..short(method) };
        let texts = |threads, options: &GenerationOptions| {
            let device = Device::open("cpu", DeviceOptions { threads: Some(threads) }).unwrap();
            Generation::load(tiny.name(), &device).unwrap().generate("the bank", options).unwrap()
        };
        let one = texts(1, &options);
        assert_eq!(one, texts(3, &options), "{word}");
        assert_ne!(one, texts(1, &GenerationOptions { seed: 1, ..options.clone() }), "{word}");
        // A candidate does not depend on those beside it.
        let alone = texts(1, &GenerationOptions { candidates: 1, ..options.clone() });
        assert!(one.texts.contains(&alone.texts[0]), "{word}");
    }
}

#[test]
fn nothing_is_said_twice() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let generation = Generation::load(tiny.name(), &device()).unwrap();
    let options = GenerationOptions { length: 30, no_repeat_ngram: 1, ..short(Method::Blocks) };
    for text in generation.generate("", &options).unwrap().texts {
        let mut words: Vec<_> = text.text.split_whitespace().collect();
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        // Words that are joined of pieces may be equal by chance; single tokens may not.
        assert!(words.len() + 2 >= count, "{}", text.text);
    }
}

#[test]
fn a_prompt_that_is_too_long_keeps_its_end() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let generation = Generation::load(tiny.name(), &device()).unwrap();
    let long = "the river is good ".repeat(10_000);
    let found = generation.generate(&long, &short(Method::Blocks)).unwrap();
    let cut = found.truncated.unwrap();
    assert!(cut.start == 0 && cut.end > long.len() - 400 && cut.end < long.len(), "{cut:?}");
    let near = generation.generate(&long[cut.end..], &short(Method::Blocks)).unwrap();
    assert_eq!(found.texts[0].text[cut.end..], near.texts[0].text);
    let found = generation.complete(&long, &CompletionOptions::default()).unwrap();
    assert!(found.truncated.is_some());
    for length in [0, 62, 1000] {
        let options = GenerationOptions { length, ..short(Method::Gibbs) };
        let error = generation.generate("the river", &options).unwrap_err();
        assert!(matches!(error, Error::Setting { setting: "length", .. }), "{error}");
    }
}

#[test]
fn suggestions_begin_with_other_words_and_are_sorted() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let generation = Generation::load(tiny.name(), &device()).unwrap();
    for text in ["the river", "the river ", ""] {
        let options = CompletionOptions { suggestions: 4, words: 3 };
        let found = generation.complete(text, &options).unwrap().suggestions;
        assert_eq!(found.len(), 4, "{text:?}");
        assert!(found.is_sorted_by(|a, b| a.score >= b.score));
        let mut texts: Vec<_> = found.iter().map(|found| &found.text).collect();
        assert!(texts.iter().all(|found| !found.trim().is_empty()), "{texts:?}");
        assert_eq!(generation.complete(text, &options).unwrap().suggestions, found);
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), 4);
    }
}

#[test]
fn settings_that_make_no_sense_are_errors() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let generation = Generation::load(tiny.name(), &device()).unwrap();
    let setting = |error: Error| match error {
        Error::Setting { setting, .. } => setting,
        error => panic!("{error}"),
    };
    let options = GenerationOptions::default;
    for (options, expected) in [
        (GenerationOptions { temperature: -1.0, ..options() }, "temperature"),
        (GenerationOptions { temperature: f64::NAN, ..options() }, "temperature"),
        (GenerationOptions { top_p: 0.0, ..options() }, "top_p"),
        (GenerationOptions { top_p: 1.5, ..options() }, "top_p"),
        (GenerationOptions { steps: Some(0), ..options() }, "steps"),
        (GenerationOptions { candidates: 0, ..options() }, "candidates"),
    ] {
        assert_eq!(setting(generation.generate("a", &options).unwrap_err()), expected);
    }
    let complete = |suggestions, words| {
        setting(generation.complete("a", &CompletionOptions { suggestions, words }).unwrap_err())
    };
    assert_eq!((complete(0, 1), complete(1, 0), complete(1, 33)), ("suggestions", "words", "words"));
    assert!(
        Generation::load(Tiny::new("BertForQuestionAnswering", &[]).name(), &device())
            .unwrap_err()
            .is_wrong_head()
    );
}
