//! Fill-mask on a tiny random model (forms, order, errors) and on a trained one (words).

use std::sync::Arc;

use crate::common::{Tiny, device, shared};
use bert_core::checkpoint::MemoryFiles;
use bert_core::contract::Precision;
use bert_tasks::fill_mask::{FillMask, FillMaskOptions};
use bert_tasks::{Device, DeviceOptions, Error, MemoryModel, ModelSource, Pretrained, Task};

fn tiny() -> FillMask {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    FillMask::load(tiny.name(), &device()).unwrap()
}

#[test]
fn every_mask_is_filled_and_named_by_its_bytes() {
    let fill_mask = tiny();
    let text = "  Ünd the [MASK] is [MASK]. 🙂";
    let filled = fill_mask.predict(text).unwrap();
    assert_eq!(filled.masks.len(), 2);
    for mask in &filled.masks {
        assert_eq!(&text[mask.range.clone()], "[MASK]");
        assert_eq!(mask.candidates.len(), 5);
        assert!(mask.candidates.is_sorted_by(|a, b| a.score >= b.score));
        for candidate in &mask.candidates {
            assert_eq!(candidate.sequence.matches("[MASK]").count(), 1, "{}", candidate.sequence);
        }
    }
    assert_eq!(filled.truncated, None);
}

/// The files of a folder in memory.
fn in_memory(tiny: &Tiny) -> MemoryModel {
    let mut files = MemoryFiles::new();
    for entry in std::fs::read_dir(tiny.name()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        files.insert(name, Arc::new(std::fs::read(entry.path()).unwrap()));
    }
    MemoryModel { name: "https://example.org/tiny".into(), files }
}

#[test]
fn a_model_in_memory_answers_as_its_folder_does_waited_for_or_not() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    let files = Pretrained::from_source(ModelSource::Memory(in_memory(&tiny))).unwrap();
    assert_eq!(files.read("config.json").unwrap(), tiny.open().read("config.json").unwrap());
    assert_eq!(files.read("absent.json").unwrap(), None);
    pollster::block_on(async {
        let device = Device::open_async("cpu", DeviceOptions::default()).await.unwrap();
        let fill_mask = FillMask::from_pretrained(&files, &device, Precision::F32).unwrap();
        let text = "the [MASK] of the [MASK] bank";
        let folder = FillMask::load(tiny.name(), &device).unwrap();
        assert_eq!(
            fill_mask.predict_one_async(text).await.unwrap(),
            folder.predict_all([text.to_owned()]).unwrap()[0],
        );
        let error = fill_mask.predict_one_async("the bank").await.unwrap_err();
        assert!(matches!(error, Error::NoMask { .. }), "{error}");
    });
}

#[test]
fn a_model_in_memory_that_lacks_a_file_names_it_and_its_place() {
    let tiny = Tiny::new("BertForMaskedLM", &[]);
    for (file, start) in [
        ("config.json", "cannot read https://example.org/tiny/config.json"),
        ("model.safetensors", "no weights in https://example.org/tiny: "),
        ("vocab.txt", "https://example.org/tiny holds no tokenizer"),
    ] {
        let mut model = in_memory(&tiny);
        model.files.remove(file).unwrap();
        let error = Pretrained::from_source(ModelSource::Memory(model)).err().unwrap().to_string();
        assert!(error.starts_with(start), "{file}: {error}");
    }
    for (file, start) in [
        ("config.json", "cannot read https://example.org/tiny/config.json"),
        ("vocab.txt", "https://example.org/tiny/vocab.txt, line 1: not valid UTF-8"),
    ] {
        let mut model = in_memory(&tiny);
        model.files.insert(file.to_owned(), Arc::new(vec![0xff_u8]));
        let error = Pretrained::from_source(ModelSource::Memory(model)).err().unwrap().to_string();
        assert!(error.starts_with(start), "{file}: {error}");
    }
}

#[test]
fn scores_are_probabilities_of_the_whole_vocabulary() {
    let fill_mask = tiny().with_options(FillMaskOptions { top_k: usize::MAX, ..Default::default() }).unwrap();
    let filled = fill_mask.predict("[MASK]").unwrap();
    let candidates = &filled.masks[0].candidates;
    assert_eq!(candidates.len(), fill_mask.session().config().vocab_size);
    let sum: f32 = candidates.iter().map(|candidate| candidate.score).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
}

#[test]
fn targets_are_scored_like_the_rest() {
    let everything =
        tiny().with_options(FillMaskOptions { top_k: usize::MAX, ..Default::default() }).unwrap();
    let all = everything.predict("a [MASK] bank").unwrap();
    let targets = vec!["river".to_owned(), "Money".to_owned()];
    let chosen = tiny().with_options(FillMaskOptions { targets, ..Default::default() }).unwrap();
    let some = chosen.predict("a [MASK] bank").unwrap();
    assert_eq!(some.masks[0].candidates.len(), 2);
    for candidate in &some.masks[0].candidates {
        assert!(["river", "money"].contains(&candidate.token_str.as_str()));
        assert!(all.masks[0].candidates.contains(candidate));
    }
}

#[test]
fn a_target_of_several_pieces_is_reported_with_its_pieces() {
    let targets = vec!["river".to_owned(), "zebra".to_owned(), "日本".to_owned()];
    let error = tiny().with_options(FillMaskOptions { targets, ..Default::default() }).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("\"zebra\" (z ##e ##b ##r ##a)"), "{message}");
    assert!(message.contains("日本") && !message.contains("river"), "{message}");
}

#[test]
fn what_cannot_be_filled_is_an_error() {
    let fill_mask = tiny();
    for text in ["", " ", "no mask here", "[mask", "\0"] {
        assert!(matches!(fill_mask.predict(text), Err(Error::NoMask { .. })), "{text:?}");
    }
    let late = "the ".repeat(100) + "[MASK]";
    assert!(matches!(fill_mask.predict(&late), Err(Error::MaskCutOff { at: 400, max_length: 64, .. })));
    assert!(tiny().with_options(FillMaskOptions { top_k: 0, ..Default::default() }).is_err());
    let classifier = Tiny::new("BertForSequenceClassification", &["a", "b"]);
    assert!(FillMask::load(classifier.name(), &device()).is_err());
}

#[test]
fn what_the_model_does_not_see_is_told() {
    let text = "[MASK] ".to_owned() + &"the ".repeat(100);
    let filled = tiny().predict(&text).unwrap();
    // 64 positions less [CLS], [SEP] and the mask leave 61 words of 4 bytes.
    assert_eq!(filled.truncated, Some(7 + 61 * 4..text.len() - 1));
}

#[test]
fn many_texts_come_back_in_order_and_a_bad_one_spoils_none() {
    let fill_mask = tiny();
    let texts: Vec<String> = (0..300)
        .map(|i| if i % 50 == 7 { format!("{i}") } else { format!("{} [MASK] {i}", "the ".repeat(i % 40)) })
        .collect();
    let answers: Vec<_> = fill_mask.stream(texts.clone()).collect();
    assert_eq!(answers.len(), texts.len());
    for (i, (text, answer)) in texts.iter().zip(answers).enumerate() {
        match answer {
            Ok(filled) => assert_eq!(filled, fill_mask.predict(text).unwrap(), "{text}"),
            Err(error) => assert!(i % 50 == 7 && matches!(error, Error::NoMask { .. }), "{text}: {error}"),
        }
    }
    assert!(fill_mask.predict_all([""; 0]).unwrap().is_empty());
}

#[test]
fn a_trained_model_knows_english() {
    let Some(folder) = shared("models/english-mlm") else { return };
    let files = Pretrained::open(folder.to_str().unwrap()).unwrap();
    let fill_mask = FillMask::from_pretrained(&files, &device(), Precision::F32).unwrap();
    let filled = fill_mask.predict("Artificial Intelligence [MASK] take over the world.").unwrap();
    let words: Vec<_> = filled.masks[0].candidates.iter().map(|c| (c.token_str.as_str(), c.score)).collect();
    let expected = [("will", 0.218), ("to", 0.170), ("can", 0.101), ("must", 0.080), ("may", 0.068)];
    for ((word, score), (expected_word, expected_score)) in words.iter().zip(expected) {
        assert_eq!(*word, expected_word);
        assert!((score - expected_score).abs() < 1e-3, "{words:?}");
    }
}
