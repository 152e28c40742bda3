//! Devices by their words, and backends that a program brings along.

use std::error::Error as _;

use crate::common::Tiny;
use bert_backend_cpu::{CpuBackend, CpuError, CpuOptions};
use bert_core::reference::Reference;
use bert_tasks::{Device, DeviceOptions, Embedding, Error, PackedCache, Precision};

fn open(word: &str) -> Result<Device, Error> {
    Device::open(word, DeviceOptions::default())
}

#[test]
fn a_word_that_is_unknown_is_told_the_words_of_this_build() {
    for word in ["toaster", "cuda", "cpu:0", "reference:1", "auto:1", "wgpu:x", ""] {
        let Err(Error::UnknownDevice { found, known }) = open(word) else { panic!("{word} was opened") };
        assert_eq!(found, word);
        let several = if cfg!(feature = "wgpu") { ", wgpu, wgpu:N" } else { "" };
        assert_eq!(known, format!("auto, cpu{several}, reference"));
    }
}

#[cfg(not(feature = "wgpu"))]
#[test]
fn a_device_of_another_build_says_which() {
    for word in ["wgpu", "WGPU:1"] {
        let message = open(word).unwrap_err().to_string();
        assert_eq!(
            message,
            format!("no device {word:?}: this build has no wgpu backend; build with --features wgpu")
        );
    }
    assert!(Device::words().contains(&"wgpu".to_owned()));
}

#[test]
fn the_error_of_a_backend_is_the_source() {
    let error = Device::open("cpu", DeviceOptions { threads: Some(0) }).unwrap_err();
    assert!(matches!(error, Error::Backend { name: "cpu", .. }), "{error:?}");
    let source = error.source().and_then(|source| source.downcast_ref::<CpuError>());
    assert!(matches!(source, Some(CpuError::Threads { .. })), "{error:?}");
}

#[test]
fn every_word_of_this_build_opens_or_says_why() {
    let words = Device::words();
    assert_eq!(
        (words.first().map(String::as_str), words.last().map(String::as_str)),
        (Some("cpu"), Some("reference"))
    );
    for word in words {
        match open(&word) {
            Ok(device) => assert_eq!(device.info().name, word.split(':').next().unwrap()),
            Err(error) => {
                assert!(matches!(error, Error::NoDevice { .. } | Error::Backend { .. }), "{error:?}")
            }
        }
    }
}

#[test]
fn a_backend_brought_along_can_do_what_one_by_its_word_can() {
    let tiny = Tiny::new("BertModel", &[]);
    let cpu = CpuBackend::new(CpuOptions { threads: Some(2), simd: None }).unwrap();
    let by_word = Device::open("cpu", DeviceOptions { threads: Some(2) }).unwrap();
    let brought = Device::with_backend(cpu);
    assert_eq!(brought.info(), by_word.info());
    let vector = |device: &Device| {
        let embedding = Embedding::from_pretrained(&tiny.open(), device, Precision::Int8).unwrap();
        embedding.predict("the bank of the river").unwrap().vector
    };
    let cache = PackedCache::new(tiny.folder.path().join("packed"));
    assert_eq!(vector(&brought.with_packed_cache(&cache).unwrap()), vector(&by_word));
    assert!(cache.written() > 0);
}

#[test]
fn a_backend_that_keeps_no_weights_says_so() {
    for device in [Device::with_backend(Reference), open("reference").unwrap()] {
        assert!(!device.keeps_packed_weights());
        let error = device.with_packed_cache(&PackedCache::new("nowhere")).unwrap_err();
        assert!(error.to_string().contains("the device reference keeps no packed weights"), "{error}");
    }
}
