//! Folders: what is preferred, what is named in an error, and parts that stay inside.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bert_core::checkpoint::{Advice, Checkpoint, CheckpointError, IndexError, MemoryFiles, Origin};
use tempfile::TempDir;

use super::files::{TorchTensor, counting, f32s, safetensors, state_dict, torch};
use super::{chain, checkpoint_error};

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn error(path: &Path) -> CheckpointError {
    checkpoint_error(Checkpoint::open(path))
}

fn one(name: &str, value: f32) -> Vec<u8> {
    safetensors(&[(name, "F32", &[1], f32s(&[value]))])
}

fn bin(name: &str, value: f32) -> Vec<u8> {
    torch(&state_dict(&[TorchTensor::new(name, "0", &[1], &[1])]), &[("0", &f32s(&[value]))])
}

#[test]
fn the_best_format_is_preferred() {
    let index = |part: &str| format!(r#"{{"metadata":{{"total_size":4}},"weight_map":{{"a":"{part}"}}}}"#);
    let (safe_index, bin_index) = (index("p1.safetensors"), index("p2.bin"));
    let files: [(&str, &[u8]); 6] = [
        ("model.safetensors", &one("a", 1.0)),
        ("model.safetensors.index.json", safe_index.as_bytes()),
        ("pytorch_model.bin", &bin("a", 3.0)),
        ("pytorch_model.bin.index.json", bin_index.as_bytes()),
        ("p1.safetensors", &one("a", 2.0)),
        ("p2.bin", &bin("a", 4.0)),
    ];
    let folder = folder(&files);
    for (expected, (name, _)) in [1.0, 2.0, 3.0, 4.0].into_iter().zip(files) {
        // Each file alone, and then the folder, where it is the best that is left.
        for path in [folder.path().join(name), folder.path().to_owned()] {
            let checkpoint = Checkpoint::open(&path).unwrap();
            assert_eq!(checkpoint.origin(), &Origin::File(path));
            assert_eq!(checkpoint.tensor("a", &[1]).unwrap().to_f32().unwrap()[[0]], expected, "{name}");
        }
        fs::remove_file(folder.path().join(name)).unwrap();
    }
}

#[test]
fn files_in_memory_are_read_as_a_folder_is() {
    let index = |part: &str| format!(r#"{{"weight_map":{{"a":"{part}"}}}}"#).into_bytes();
    let all = [
        ("model.safetensors", one("a", 1.0)),
        ("model.safetensors.index.json", index("p1.safetensors")),
        ("pytorch_model.bin", bin("a", 3.0)),
        ("pytorch_model.bin.index.json", index("p2.bin")),
        ("p1.safetensors", one("a", 2.0)),
        ("p2.bin", bin("a", 4.0)),
    ];
    let mut files = MemoryFiles::new();
    for (name, bytes) in &all {
        files.insert((*name).to_owned(), Arc::new(bytes.clone()));
    }
    for (expected, (name, _)) in [1.0, 2.0, 3.0, 4.0].into_iter().zip(&all) {
        let checkpoint = Checkpoint::from_files("web/model", &files).unwrap();
        assert_eq!(checkpoint.origin(), &Origin::File("web/model".into()));
        assert_eq!(checkpoint.tensor("a", &[1]).unwrap().to_f32().unwrap()[[0]], expected, "{name}");
        files.remove(*name);
    }

    let refused = |files: &MemoryFiles| chain(&checkpoint_error(Checkpoint::from_files("web/model", files)));
    let none = refused(&files);
    assert!(none.starts_with("no weights in web/model:") && none.contains("found p1.safetensors"), "{none}");
    files.insert("model.safetensors.index.json".to_owned(), Arc::new(index("p3.safetensors")));
    let missing = refused(&files);
    assert!(missing.contains("shard \"p3.safetensors\" (1 of 1) is missing"), "{missing}");
    files.insert("model.safetensors".to_owned(), Arc::new(b"<!DOCTYPE html><p>404".to_vec()));
    let page = refused(&files);
    assert!(page.contains("model.safetensors is not a usable safetensors file: the header"), "{page}");
}

#[test]
fn a_mapped_tensor_outlives_its_checkpoint_and_its_release() {
    let folder = folder(&[("model.safetensors", &safetensors(&[("a", "F32", &[5000], counting(5000))]))]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let tensor = checkpoint.tensor("a", &[5000]).unwrap();
    assert_eq!(checkpoint.non_finite(), []);
    drop(checkpoint);
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    tensor.release();
    assert_eq!(tensor.bytes(), counting(5000));
}

#[test]
fn parts_are_joined() {
    let index = br#"{"weight_map":{"a":"x-1.safetensors","b":"x-2.safetensors"}}"#;
    let part = safetensors(&[("b", "F32", &[1], f32s(&[2.0])), ("q_scale", "F32", &[1], f32s(&[0.5]))]);
    let quantised = safetensors(&[
        ("a", "F32", &[1], f32s(&[1.0])),
        ("b", "F32", &[1], f32s(&[9.0])),
        ("q", "I8", &[1, 2], vec![2, 4]),
    ]);
    let folder = folder(&[
        ("model.safetensors.index.json", index),
        ("x-1.safetensors", &quantised),
        ("x-2.safetensors", &part),
        ("x-3.safetensors", &one("c", 3.0)),
    ]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.tensor("b", &[1]).unwrap().to_f32().unwrap()[[0]], 2.0);
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b", "q"]);
    assert_eq!(checkpoint.tensor("q", &[1, 2]).unwrap().as_slice::<f32>(), Some(&[1.0, 2.0][..]));
    match checkpoint_error(checkpoint.tensor("b", &[2])) {
        CheckpointError::Misshapen(error) => {
            assert_eq!(error.file, Origin::File(folder.path().join("x-2.safetensors")));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn parts_cannot_leave_their_folder() {
    let outside = folder(&[("secret.safetensors", &one("a", 1.0))]);
    let absolute = outside.path().join("secret.safetensors").display().to_string();
    for part in [
        "../secret.safetensors",
        "sub/secret.safetensors",
        "..",
        ".",
        "",
        "/",
        "\\\\host\\x",
        "a\\..\\b",
        "C:x",
        "x\u{0}",
        absolute.as_str(),
    ] {
        let index = serde_json::json!({ "weight_map": { "a": part } }).to_string();
        let folder = folder(&[("model.safetensors.index.json", index.as_bytes())]);
        match error(folder.path()) {
            CheckpointError::Index { source: IndexError::Escapes { part: found }, .. } => {
                assert_eq!(found, part)
            }
            other => panic!("{part:?}: {other}"),
        }
    }
}

#[test]
fn an_index_must_be_kept() {
    let index = |text: &str| {
        let folder =
            folder(&[("model.safetensors.index.json", text.as_bytes()), ("x.safetensors", &one("a", 1.0))]);
        match error(folder.path()) {
            CheckpointError::Index { source, .. } => source,
            other => panic!("{text}: {other}"),
        }
    };
    for text in ["", "{", "[]", "{}", r#"{"weight_map":[]}"#, r#"{"weight_map":{"a":1}}"#, "\u{0}"] {
        assert!(matches!(index(text), IndexError::Json(_)), "{text}");
    }
    let missing = index(r#"{"weight_map":{"a":"x.safetensors","b":"y.safetensors"}}"#);
    assert!(missing.to_string().contains("shard \"y.safetensors\" (2 of 2) is missing"), "{missing}");
    let lie = index(r#"{"weight_map":{"a":"x.safetensors","b":"x.safetensors"}}"#);
    assert!(
        matches!(&lie, IndexError::NotInPart { tensor, part } if tensor == "b" && part == "x.safetensors"),
        "{lie}"
    );
}

#[test]
fn a_folder_without_weights_says_what_is_there() {
    let table: [(&[&str], Advice); 9] = [
        (&[], Advice::NotWeights),
        (&["config.json", "vocab.txt"], Advice::NotWeights),
        (&["config.json", "tf_model.h5"], Advice::TensorFlow),
        (
            &["bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001", "bert_config.json"],
            Advice::TensorFlow,
        ),
        (&["flax_model.msgpack"], Advice::Flax),
        (&["model.onnx"], Advice::Onnx),
        (&["model-q8.gguf"], Advice::Gguf),
        (&["checkpoint.pt"], Advice::RenameTorch),
        (&["weights.safetensors", "model.onnx"], Advice::RenameSafetensors),
    ];
    for (names, expected) in table {
        let files: Vec<(&str, &[u8])> = names.iter().map(|&name| (name, &b"x"[..])).collect();
        let folder = folder(&files);
        match error(folder.path()) {
            CheckpointError::NoWeights { found, advice, .. } => {
                let mut sorted = names.to_vec();
                sorted.sort_unstable();
                assert_eq!((found, advice), (sorted.iter().map(|&name| name.to_owned()).collect(), expected));
            }
            other => panic!("{names:?}: {other}"),
        }
    }
    let many: Vec<String> = (0..100).map(|i| format!("file{i:02}")).collect();
    let folder = folder(&many.iter().map(|name| (name.as_str(), &b""[..])).collect::<Vec<_>>());
    let text = chain(&error(folder.path()));
    assert!(text.contains("found file00, ") && text.ends_with("file11 and 88 more"), "{text}");
}

#[test]
fn a_file_of_another_format_says_what_to_do() {
    let folder = folder(&[
        ("model.onnx", b"\x08\x08"),
        ("tf_model.h5", b"\x89HDF\r\n\x1a\n"),
        ("lfs.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        ("old.bin", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."),
        ("text.bin", b"<html>Not found</html>"),
        ("text.safetensors", b"<html>Not found</html>"),
        ("empty.safetensors", b""),
        ("empty.bin", b""),
    ]);
    for (name, part) in [
        ("model.onnx", "ONNX is not supported"),
        ("tf_model.h5", "from_tf=True"),
        ("lfs.safetensors", "git lfs pull"),
        ("old.bin", "before 1.6"),
        ("text.bin", "not a complete zip archive"),
        ("text.safetensors", "not a safetensors file"),
        ("empty.safetensors", "has 0"),
        ("empty.bin", "not a complete zip archive"),
        ("absent", "cannot read"),
        ("nul\u{0}", "cannot read"),
    ] {
        let path = folder.path().join(name);
        let text = chain(&error(&path));
        assert!(text.contains(part), "{name}: {text}");
        assert!(text.contains(&path.display().to_string()), "{name}: {text}");
    }
    assert!(matches!(error(Path::new("")), CheckpointError::Io { .. }));
}

#[test]
fn a_folder_in_place_of_a_file_is_an_error() {
    let folder = folder(&[("pytorch_model.bin", &bin("a", 1.0))]);
    fs::create_dir(folder.path().join("model.safetensors")).unwrap();
    let text = chain(&error(folder.path()));
    assert!(text.contains("not a regular file"), "{text}");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_an_error() {
    let folder = folder(&[("pytorch_model.bin", &bin("a", 1.0))]);
    std::os::unix::fs::symlink("gone", folder.path().join("model.safetensors")).unwrap();
    match error(folder.path()) {
        CheckpointError::Io { path, .. } => assert_eq!(path, folder.path().join("model.safetensors")),
        other => panic!("{other}"),
    }
}
