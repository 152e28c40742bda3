//! Which model answers, and what can be wrong with one.

use std::fs;

use crate::common::{Tiny, bert};
use bert_conformance::small::Small;
use bert_tasks::Head;
use serde_json::json;

const MASKED: &str = "rome is [MASK]";

/// Runs fill-mask on this model.
fn fill(model: &Tiny) -> crate::common::Run {
    bert(["fill-mask", "--device", "cpu", "-m", model.arg(), "--json", MASKED])
}

#[test]
fn the_model_comes_from_the_option_or_the_environment() {
    let model = Tiny::new("BertForMaskedLM");
    let found = fill(&model).json();
    assert_eq!(found["masks"][0]["candidates"].as_array().unwrap().len(), 5);
    let same = crate::common::bert_with(
        ["fill-mask", "--json", MASKED],
        &[("BERT_MODEL", model.path().as_os_str())],
    );
    assert_eq!(same.json(), found);
}

#[test]
fn a_command_without_a_default_says_what_it_needs() {
    bert(["choose", "a", "b", "c"]).fails(&["multiple choice", "--model FOLDER", "for example"]);
    bert(["embed", "--sparse", "a"]).fails(&["sparse embeddings", "splade"]);
}

#[test]
fn built_in_models_answer_and_say_so() {
    let text = "Angela Merkel visited Siemens in Munich, which was a gorgeous day.";
    for (args, model) in [
        (&["fill-mask", "Paris is [MASK]."][..], "english-mlm (embedded)"),
        (&["next-sentence", "He sat down.", "She ate."], "english-mlm (embedded)"),
        (&["embed", text], "english-mlm (embedded) with english-similarity"),
        (&["similarity", text, "a"], "english-mlm (embedded) with english-similarity"),
        (&["sentiment", text], "english-mlm (embedded) with english-sentiment"),
        (&["entities", text], "english-mlm (embedded) with english-entities"),
    ] {
        let run = bert(args);
        assert!(run.stderr.contains(&format!("model {model}, device")), "{args:?}: {}", run.stderr);
        run.ok();
    }
}

#[test]
fn a_model_for_another_task_is_refused() {
    // Both classes call their tensors `classifier`, so that only the class name tells them apart.
    let model = Tiny::new("BertForTokenClassification");
    let folder = model.path().to_str().unwrap();
    bert(["sentiment", "--model", folder, "good"]).fails(&[
        "BertForTokenClassification",
        "sequence classification",
        "hint",
    ]);
}

#[test]
fn a_folder_that_is_no_model_says_what_is_missing() {
    let model = Tiny::new("BertForMaskedLM");
    fs::remove_file(model.file("config.json")).unwrap();
    fill(&model).fails(&["config.json", "No such file"]);

    let model = Tiny::new("BertForMaskedLM");
    fs::remove_file(model.file("model.safetensors")).unwrap();
    fill(&model).fails(&["no weights", "model.safetensors"]);

    let model = Tiny::new("BertForMaskedLM");
    fs::remove_file(model.file("vocab.txt")).unwrap();
    fill(&model).fails(&["no tokenizer", "vocab.txt"]);

    let nowhere = model.file("no/such/folder");
    bert(["fill-mask", "-m", nowhere.to_str().unwrap(), MASKED]).fails(&["no/such/folder", "no such folder"]);
    let file = model.file("config.json");
    bert(["fill-mask", "-m", file.to_str().unwrap(), MASKED]).fails(&["config.json", "folder"]);
}

#[test]
fn a_broken_configuration_says_where() {
    let model = Tiny::new("BertForMaskedLM");
    model.configure("model_type", json!("gpt2"));
    fill(&model).fails(&["model_type is gpt2", "bert, distilbert"]);
    model.configure("model_type", json!("bert"));
    model.configure("hidden_size", json!(24));
    fill(&model).fails(&["embeddings", "24]", "16]", "hidden_size"]);
    model.write("config.json", b"{\"hidden_size\": 16,");
    fill(&model).fails(&["config.json", "line 1"]);
}

#[test]
fn damaged_weights_are_errors() {
    let model = Tiny::new("BertForMaskedLM");
    let whole = fs::read(model.file("model.safetensors")).unwrap();
    let run = |bytes: &[u8]| {
        model.write("model.safetensors", bytes);
        fill(&model)
    };
    run(&whole[..whole.len() / 2]).fails(&["model.safetensors"]);
    run(&whole[..5]).fails(&["model.safetensors"]);
    run(b"").fails(&["model.safetensors"]);
    let mut lying = whole.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    run(&lying).fails(&["model.safetensors"]);
    let header = String::from_utf8_lossy(&whole[8..]).into_owned();
    let at = header.find("\"data_offsets\":[0,").unwrap() + 8;
    let mut lying = whole.clone();
    lying[at + 16] = b'9';
    run(&lying).fails(&["model.safetensors"]);
}

#[test]
fn a_pickle_is_read_and_not_run() {
    let model = Tiny::new("BertForMaskedLM");
    fs::remove_file(model.file("model.safetensors")).unwrap();
    // A pickle by itself, as PyTorch wrote before 1.6: it would run `os.system`.
    model.write("pytorch_model.bin", b"\x80\x02cos\nsystem\nX\x0a\x00\x00\x00touch hack\x85R.");
    fill(&model).fails(&["pytorch_model.bin"]);
    assert!(!model.file("hack").exists());
    model.write("pytorch_model.bin", b"PK\x03\x04 and no more");
    fill(&model).fails(&["pytorch_model.bin"]);
}

#[test]
fn tensors_that_are_missing_or_misshapen_are_named() {
    let model = Tiny::new("BertForMaskedLM");
    model.edit(|tensors| {
        let tensor = tensors.remove("bert.encoder.layer.1.output.dense.weight").unwrap();
        tensors.insert("bert.encoder.layer.1.output.dens.weight".into(), tensor);
    });
    fill(&model).fails(&["encoder.layer.1.output.dense.weight", "output.dens.weight"]);

    let model = Tiny::new("BertForMaskedLM");
    model.edit(|tensors| {
        let (shape, _) = tensors.get_mut("bert.encoder.layer.0.output.dense.weight").unwrap();
        shape.reverse();
    });
    fill(&model).fails(&["encoder.layer.0.output.dense.weight", "[16, 32]", "[32, 16]"]);
}

#[test]
fn a_vocabulary_of_another_model_is_an_error() {
    let model = Tiny::new("BertForMaskedLM");
    let vocab = fs::read_to_string(model.file("vocab.txt")).unwrap();
    model.write("vocab.txt", format!("{vocab}one\nmore\n").as_bytes());
    fill(&model).fails(&["vocab_size", "another checkpoint"]);
}

#[test]
fn weights_that_are_no_numbers_are_reported() {
    let model = Tiny::with_more("BertForMaskedLM", &[Head::NextSentence]);
    model.edit(|tensors| tensors.get_mut("bert.pooler.dense.bias").unwrap().1[3] = f32::NAN);
    let warned = fill(&model);
    assert!(
        warned
            .stderr
            .contains("warning: the model is damaged: NaN or infinite values in pooler.dense.bias (1)"),
        "{}",
        warned.stderr
    );
    warned.json();
    let info = bert(["info", "-m", model.arg(), "--json"]).json();
    assert_eq!(info["non_finite"], json!({"pooler.dense.bias": 1}));
}

#[test]
fn info_tells_what_a_model_is() {
    let model = Tiny::with_more("BertForMaskedLM", &[Head::QuestionAnswering]);
    let info = bert(["info", "-m", model.arg(), "--json", "--threads", "1"]).json();
    assert_eq!((&info["model_type"], &info["family"]), (&json!("bert"), &json!("BERT")));
    assert_eq!(info["shape"]["layers"], 2);
    assert_eq!(info["shape"]["hidden_size"], 16);
    assert!(info["heads"].as_array().unwrap().contains(&json!("masked language modelling")), "{info}");
    assert!(info["unused_tensors"].as_array().unwrap().contains(&json!("qa_outputs.weight")), "{info}");
    // The unused head is no part of the model, and yet in the file.
    let unused = 2 * 16 + 2;
    assert_eq!((info["parameters"].as_u64().unwrap() + unused) * 4, info["size"].as_u64().unwrap());
    assert_eq!(info["tokenizer"]["special"]["mask"], "[MASK]");
    assert_eq!(info["tokenizer"]["kind"], "WordPiece");
    assert!(info["device"].as_str().unwrap().contains("1 thread"), "{info}");
    assert_eq!(info["precision"], "f32");
    let text = bert(["info", "-m", model.arg()]).ok();
    assert!(text.contains("BertForMaskedLM") && text.contains("masked language modelling"), "{text}");
}

#[test]
fn info_counts_parameters_that_layers_share_once() {
    let folder = tempfile::tempdir().unwrap();
    Small::new("BertModel").save(folder.path()); // for its vocabulary
    let fields = json!({"model_type": "albert", "embedding_size": 8, "num_hidden_layers": 3});
    Small::new("AlbertModel").fields(&fields).save(folder.path());
    let path = folder.path().to_str().unwrap();
    let info = bert(["info", "-m", path, "--json"]).json();
    let shape = &info["shape"];
    assert_eq!((&shape["layers"], &shape["distinct_layers"]), (&json!(3), &json!(1)));
    assert_eq!(info["parameters"].as_u64().unwrap() * 4, info["size"].as_u64().unwrap());
    let text = bert(["info", "-m", path]).ok();
    assert!(text.contains("3 (parameters of 1) of 32"), "{text}");
}

#[test]
fn info_shows_what_is_known_of_a_model_that_cannot_be_loaded() {
    let model = Tiny::new("BertForMaskedLM");
    model.edit(|tensors| drop(tensors.remove("cls.predictions.bias")));
    let run = bert(["info", "-m", model.arg(), "--json"]);
    run.reports(&["cls.predictions.bias"]);
    let info: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(info["error"].as_str().unwrap().contains("cls.predictions.bias"), "{info}");
    assert_eq!(info["shape"]["layers"], 2);
}

#[test]
fn devices_and_precisions_that_are_not_there_are_errors() {
    let model = Tiny::new("BertForMaskedLM");
    let run = |option: &str, value: &str| bert(["fill-mask", "-m", model.arg(), option, value, MASKED]);
    run("--device", "toaster").fails(&["unknown device \"toaster\"", "cpu"]);
    run("--device", "cuda").fails(&["cuda"]);
    run("--precision", "f12").fails(&["f12", "bf16"]);
    let reference = ["fill-mask", "-m", model.arg(), "--device", "reference", "--precision", "int8", MASKED];
    bert(reference).fails(&["reference cannot compute in int8", "it has f32"]);
    run("--threads", "0").fails(&["--threads", "at least 1"]);
    run("--threads", "many").fails(&["--threads", "whole number"]);
    let devices = bert(["devices", "--json"]).json();
    let cpu = devices.as_array().unwrap().iter().find(|device| device["device"] == "cpu").unwrap();
    assert_eq!(cpu["available"], true);
    let chosen = devices.as_array().unwrap().iter().filter(|device| device["auto"] == true);
    assert_eq!(chosen.count(), 1, "{devices}");
}

#[cfg(feature = "hub")]
#[test]
fn a_name_that_is_no_folder_is_looked_up_in_the_cache() {
    let home = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| crate::common::bert_with(args, &[("HF_HOME", home.path().as_os_str())]);
    let missing = run(&["fill-mask", "--offline", "-m", "owner/name", MASKED]);
    missing.fails(&["no folder \"owner/name\"", "cache"]);
    run(&["models", "path", "owner/name"]).fails(&["owner/name", "bert models pull owner/name"]);
    run(&["models", "path", "../name"]).fails(&["not a model id"]);
    assert_eq!(run(&["models", "list", "--json"]).json(), json!([]));

    // A cached copy, as a download leaves it.
    let model = Tiny::new("BertForMaskedLM");
    let cached = home.path().join("hub/models--owner--name");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let snapshot = cached.join("snapshots").join(commit);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(cached.join("refs")).unwrap();
    fs::write(cached.join("refs/main"), commit).unwrap();
    for file in ["config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors"] {
        fs::copy(model.file(file), snapshot.join(file)).unwrap();
    }
    let listed = run(&["models", "list", "--json"]).json();
    assert_eq!((&listed[0]["id"], &listed[0]["model_type"]), (&json!("owner/name"), &json!("bert")));
    let path = run(&["models", "path", "owner/name"]).ok();
    assert_eq!(fs::canonicalize(path.trim_end()).unwrap(), fs::canonicalize(&snapshot).unwrap());
    let found =
        run(&["fill-mask", "--offline", "--device", "cpu", "-m", "owner/name", "--json", MASKED]).json();
    assert_eq!(found, fill(&model).json());
}

/// A constant that is used in three places would be three copies.
#[test]
fn the_command_holds_each_built_in_model_once() {
    let command = fs::read(env!("CARGO_BIN_EXE_bert")).unwrap();
    for name in ["english-mlm/model", "english-sentiment/adapter_model", "english-entities/adapter_model"] {
        let file = format!("{}/models/{name}.safetensors", env!("CARGO_MANIFEST_DIR"));
        let weights = fs::read(file).unwrap();
        let part = &weights[weights.len() / 2..][..64];
        let copies = command.windows(64).filter(|bytes| bytes[0] == part[0] && *bytes == part).count();
        assert_eq!(copies, 1, "{name}");
    }
}

#[test]
fn info_takes_a_folder_and_says_what_each_command_could_do() {
    let model = Tiny::with_more("BertForMaskedLM", &[Head::NextSentence]);
    let info = bert(["info", model.arg(), "--json"]).json();
    let tasks = info["tasks"].as_array().unwrap();
    let can = |task: &str| tasks.iter().find(|fit| fit["task"] == task).unwrap()["can"].as_bool().unwrap();
    for task in ["fill-mask", "next-sentence", "embed", "embed --sparse", "features", "complete"] {
        assert!(can(task), "{task}: {info}");
    }
    for task in ["answer", "entities", "sentiment", "choose"] {
        assert!(!can(task), "{task}: {info}");
    }
    let text = bert(["info", model.arg()]).ok();
    assert!(text.contains("tasks       fill-mask, next-sentence, embed"), "{text}");
    assert!(text.contains("not         answer: no head for question answering"), "{text}");
    bert(["info", model.arg(), "--model", model.arg()]).fails(&["--model", "named without it"]);
    bert(["info", "/no/such/folder"]).fails(&["no such folder"]);
    // A tensor of the wrong shape rules out its commands and no others.
    model.edit(|tensors| {
        let (shape, numbers) = tensors.get_mut("cls.seq_relationship.bias").unwrap();
        shape[0] = 1;
        numbers.truncate(1);
    });
    let run = bert(["info", model.arg()]);
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.contains("not         next-sentence: ") && text.contains("tasks       fill-mask"), "{text}");
}

#[test]
fn info_shows_what_is_known_of_a_model_that_cannot_be_opened() {
    let model = Tiny::new("BertForMaskedLM");
    let weights = std::fs::read(model.file("model.safetensors")).unwrap();
    model.write("model.safetensors", &weights[..weights.len() / 2]);
    let run = bert(["info", model.arg(), "--json"]);
    run.reports(&["model.safetensors", "truncated"]);
    let info: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&info["model_type"], &info["shape"]["layers"]), (&json!("bert"), &json!(2)));
    assert_eq!(info["tokenizer"]["kind"], "WordPiece");
    let files = info["files"].as_array().unwrap();
    let size = weights.len() / 2;
    assert!(files.contains(&json!({"name": "model.safetensors", "size": size})), "{info}");
    assert!(info["error"].as_str().unwrap().contains("truncated"), "{info}");
    // What else is broken takes nothing from the rest.
    model.write("config.json", b"{");
    let run = bert(["info", model.arg()]);
    run.reports(&["config.json"]);
    let text = String::from_utf8(run.stdout).unwrap();
    assert!(text.contains("type        cannot be told") && text.contains("tokenizer   WordPiece"), "{text}");
}
