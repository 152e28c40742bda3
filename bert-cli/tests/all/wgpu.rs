//! The same answers on the GPU as on the CPU.

use std::path::Path;

use crate::common::{Tiny, bert, bert_with, count_files};
use serde_json::Value;

/// Whether there is an adapter; if not, that is said loudly, and asking for one has to be an error.
fn has_adapter(model: &Tiny) -> bool {
    let devices = bert(["devices", "--json"]).json();
    let is_there = |device: &Value| device["device"] == "wgpu:0" && device["available"] == true;
    let found = devices.as_array().unwrap().iter().any(is_there);
    if !found {
        bert(["fill-mask", "-m", model.arg(), "--device", "wgpu", "[MASK]"]).fails(&["no graphics adapter"]);
        eprintln!("SKIPPED the comparison of wgpu with cpu: there is no graphics adapter");
    }
    found
}

/// Words equal, numbers close.
fn assert_same(cpu: &Value, wgpu: &Value) {
    match (cpu, wgpu) {
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{cpu} {wgpu}");
            a.iter().zip(b).for_each(|(a, b)| assert_same(a, b));
        }
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "{cpu} {wgpu}");
            a.iter().for_each(|(key, a)| assert_same(a, &b[key]));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= 2e-5 * a.abs().max(1.0), "{a} {b}");
        }
        _ => assert_eq!(cpu, wgpu),
    }
}

#[track_caller]
fn compare(class: &str, command: &str, texts: &[&str]) {
    let model = Tiny::new(class);
    if !has_adapter(&model) {
        return;
    }
    let run = |device: &str| {
        let options = [command, "-m", model.arg(), "--device", device, "--json"];
        bert(options.iter().chain(texts)).json()
    };
    let (cpu, wgpu) = (run("cpu"), run("wgpu"));
    assert_same(&cpu, &wgpu);
}

#[test]
fn masks_are_filled_alike() {
    compare("BertForMaskedLM", "fill-mask", &["The capital of France is [MASK].", "a [MASK] is [MASK]"]);
}

#[test]
fn entities_are_found_alike() {
    let texts = ["My name is Sarah Connor and I live in Los Angeles.", "Rome is the capital of Italy"];
    compare("BertForTokenClassification", "entities", &texts);
}

#[test]
fn texts_are_embedded_alike() {
    compare("BertModel", "embed", &["the bank of a river", "money is in the bank", "a"]);
}

#[test]
fn an_adapter_that_is_not_there_is_an_error() {
    let model = Tiny::new("BertForMaskedLM");
    let run = bert(["fill-mask", "-m", model.arg(), "--device", "wgpu:99", "[MASK]"]);
    run.fails(&["graphics adapter"]);
}

#[test]
fn a_software_adapter_is_named_as_one() {
    let model = Tiny::new("BertForMaskedLM");
    if !has_adapter(&model) {
        return;
    }
    let run = bert(["fill-mask", "-m", model.arg(), "--device", "wgpu", "[MASK]"]);
    let devices = bert(["devices", "--json"]).json();
    let best = devices.as_array().unwrap().iter().find(|device| device["device"] == "wgpu:0").unwrap();
    let software = best["features"].as_array().unwrap().iter().any(|f| f == "software adapter");
    assert_eq!(run.stderr.contains("software that runs on the CPU"), software, "{}", run.stderr);
    assert_eq!(best["auto"], !software);
}

#[test]
fn a_profile_counts_what_a_forward_pass_asks_of_the_device() {
    let model = Tiny::new("BertForMaskedLM");
    if !has_adapter(&model) {
        return;
    }
    let run = bert(["fill-mask", "-m", model.arg(), "--device", "wgpu", "--profile", "--quiet", "a [MASK]"]);
    let told = run.stderr.clone();
    run.ok();
    assert!(told.contains("profile: 1 forward pass over 1 sequence of"), "{told}");
    let number = |name: &str| -> u64 {
        let line = told
            .lines()
            .find(|line| line.trim().starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {told}"));
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    assert_eq!((number("submissions"), number("downloads")), (1, 1));
    // Ids, segments, positions, bounds, and the places of masks together.
    assert_eq!(number("uploads"), 1);
}

#[test]
fn compiled_kernels_are_kept_and_whatever_is_wrong_with_them_is_no_error() {
    let model = Tiny::new("BertForMaskedLM");
    if !has_adapter(&model) {
        return;
    }
    let run = |cache: &Path| {
        let options = ["fill-mask", "-m", model.arg(), "--device", "wgpu", "--json", "a [MASK]"];
        bert_with(options, &[("BERT_WGPU_CACHE", cache.as_os_str())]).json()
    };
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("a").join("b");
    let expected = run(&cache);
    let Some(file) = std::fs::read_dir(&cache).ok().and_then(|mut files| files.next()) else {
        eprintln!("SKIPPED a second run with compiled kernels: the driver does not give them out");
        return;
    };
    let file = file.unwrap().path();
    assert_eq!(run(&cache), expected);
    let good = std::fs::read(&file).unwrap();
    let mut broken = good.clone();
    *broken.last_mut().unwrap() ^= 1;
    for bytes in [&b""[..], b"BERTWGP1", &good[..good.len() / 2], &broken] {
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(run(&cache), expected);
    }
    // A file where a folder should be cannot be written to, whoever tries.
    assert_eq!(run(&file), expected);
    assert_eq!(count_files(&cache), 1, "drafts are not left behind");
}

#[test]
#[cfg(target_os = "linux")]
fn a_machine_without_drivers_says_so() {
    let model = Tiny::new("BertForMaskedLM");
    let none = [
        ("VK_ICD_FILENAMES", "/nonexistent.json".as_ref()),
        ("VK_DRIVER_FILES", "/nonexistent.json".as_ref()),
    ];
    let run = bert_with(["fill-mask", "-m", model.arg(), "--device", "wgpu", "[MASK]"], &none);
    run.fails(&["no graphics adapter was found", "--device cpu"]);
}

#[test]
fn a_machine_without_a_desktop_hears_nothing_of_it() {
    for folder in ["", "/no/such/folder"] {
        let run = bert_with(["devices"], &[("XDG_RUNTIME_DIR", folder.as_ref())]);
        assert_eq!(run.stderr, "");
    }
}
