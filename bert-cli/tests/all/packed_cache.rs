//! Packed weights that are kept from one run to the next.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::common::{Run, Tiny, bert, bert_with, command, count_files};

/// The arguments of a run on the CPU in int8, and some more.
fn args<'a>(model: &'a Tiny, more: &[&'a str]) -> Vec<&'a str> {
    let run = [
        "fill-mask",
        "--device",
        "cpu",
        "-m",
        model.arg(),
        "--precision",
        "int8",
        "--json",
        "rome is [MASK]",
    ];
    [&run, more].concat()
}

/// Such a run.
fn fill(model: &Tiny, more: &[&str]) -> Run {
    bert(args(model, more))
}

/// What the run must say about the cache: nothing, or these words.
#[track_caller]
fn answer(run: Run, said: &[&str]) -> String {
    let about_cache: Vec<&str> = run.stderr.lines().filter(|line| line.contains("packed")).collect();
    assert_eq!(about_cache.is_empty(), said.is_empty(), "stderr: {}", run.stderr);
    for words in said {
        assert!(run.stderr.contains(words), "{words:?} is not in: {}", run.stderr);
    }
    run.ok()
}

fn modified(folder: &Path) -> Vec<(String, SystemTime)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| {
            (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().modified().unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_second_run_reads_what_the_first_wrote() {
    let model = Tiny::new("BertForMaskedLM");
    let plain = answer(fill(&model, &[]), &[]);
    assert!(!model.file("packed").exists(), "nothing is kept that nobody asked for");
    assert_eq!(answer(fill(&model, &["--packed-cache"]), &[]), plain);
    let written = modified(&model.file("packed"));
    // Two layers of four, the transform and the decoder.
    assert_eq!(written.len(), 10);
    assert_eq!(answer(fill(&model, &["--packed-cache"]), &[]), plain);
    assert_eq!(modified(&model.file("packed")), written);
}

#[test]
fn the_folder_can_be_named_by_option_or_environment() {
    let model = Tiny::new("BertForMaskedLM");
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("some where");
    let plain = answer(fill(&model, &[]), &[]);
    assert_eq!(answer(fill(&model, &[&format!("--packed-cache={}", named.display())]), &[]), plain);
    let count = count_files(&named);
    assert_eq!(count, 10);

    let with = |folder: &OsStr| bert_with(args(&model, &[]), &[("BERT_PACKED_CACHE", folder)]);
    assert_eq!(answer(with(named.as_os_str()), &[]), plain);
    assert_eq!(count_files(&named), count);
    assert_eq!(answer(with(OsStr::new("")), &[]), plain);
    assert!(!model.file("packed").exists());
    assert_eq!(answer(with(OsStr::new("beside")), &[]), plain);
    assert_eq!(count_files(&model.file("packed")), count);
}

#[test]
fn what_a_cache_cannot_do_is_said() {
    let model = Tiny::new("BertForMaskedLM");
    let run = |device: &str, precision: &str| {
        let on = ["--device", device, "--precision", precision, "--packed-cache"];
        bert([&["fill-mask", "-m", model.arg(), "rome is [MASK]"], &on[..]].concat())
    };
    answer(run("cpu", "f32"), &["note:", "--precision int8"]);
    answer(run("cpu", "bf16"), &["note:", "--precision int8"]);
    answer(run("reference", "f32"), &["note:", "this device keeps no packed weights"]);
    assert!(!model.file("packed").exists());
    // The model that is part of the command.
    let embedded = ["fill-mask", "--device", "cpu", "--precision", "int8", "[MASK]"];
    answer(
        bert([&embedded[..], &["--packed-cache"]].concat()),
        &["note:", "no folder", "--packed-cache=DIR"],
    );
    let folder = tempfile::tempdir().unwrap();
    let named = format!("--packed-cache={}", folder.path().display());
    answer(bert([&embedded[..], &[&named]].concat()), &[]);
    assert!(count_files(folder.path()) > 0);
}

#[test]
fn a_broken_cache_costs_time_and_no_answer() {
    let model = Tiny::new("BertForMaskedLM");
    let plain = answer(fill(&model, &["--packed-cache"]), &[]);
    for (file, _) in modified(&model.file("packed")) {
        fs::write(model.file("packed").join(file), "no").unwrap();
    }
    let said = ["warning:", "2 bytes", "9 other files"];
    assert_eq!(answer(fill(&model, &["--packed-cache"]), &said), plain);
    assert_eq!(answer(fill(&model, &["--packed-cache"]), &[]), plain, "the files were made anew");

    fs::remove_dir_all(model.file("packed")).unwrap();
    model.write("packed", b"a file of somebody else");
    let run = fill(&model, &["--packed-cache"]);
    assert_eq!(run.stderr.matches("warning:").count(), 1, "{}", run.stderr);
    assert_eq!(answer(run, &["not kept", "cannot write"]), plain);
    assert_eq!(fs::read(model.file("packed")).unwrap(), b"a file of somebody else");
    assert_eq!(answer(fill(&model, &["--packed-cache", "--quiet"]), &[]), plain);
}

#[test]
fn a_changed_checkpoint_is_another_one() {
    let model = Tiny::new("BertForMaskedLM");
    let before = answer(fill(&model, &["--packed-cache"]), &[]);
    let weights = model.file("model.safetensors");
    let about = fs::metadata(&weights).unwrap();
    model.edit(|tensors| {
        let (_, numbers) = tensors.get_mut("bert.encoder.layer.0.output.dense.weight").unwrap();
        numbers.iter_mut().for_each(|x| *x = -*x);
    });
    // The same name, the same length, the same date.
    fs::File::options().write(true).open(&weights).unwrap().set_modified(about.modified().unwrap()).unwrap();
    assert_eq!(fs::metadata(&weights).unwrap().len(), about.len());
    let after = answer(fill(&model, &["--packed-cache"]), &[]);
    assert_ne!(after, before);
    assert_eq!(after, answer(fill(&model, &[]), &[]));
    assert_eq!(count_files(&model.file("packed")), 11, "one weight has changed");
}

#[test]
fn processes_share_a_folder() {
    let model = Tiny::new("BertForMaskedLM");
    let plain = answer(fill(&model, &[]), &[]);
    let start = || {
        let mut command = command(args(&model, &["--packed-cache"]));
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let running: Vec<_> = (0..4).map(|_| start()).collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!stderr.contains("warning:"), "{stderr}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), plain);
    }
    assert_eq!(count_files(&model.file("packed")), 10, "and no drafts");
}
