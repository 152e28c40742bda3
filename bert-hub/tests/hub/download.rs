//! What a hub that keeps its promises leads to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use bert_hub::{Hub, HubError, Token};

use super::server::{COMMIT, Model, Reply, Server};
use super::{Place, USUAL, WEIGHTS, assert_holds, get, sharded, tiny};

#[test]
fn a_model_arrives_in_the_layout_of_the_standard_cache() {
    let (place, model) = (Place::new(), Model::usual());
    let server = model.clone().serve();
    let mut progress: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    let snapshot = place
        .hub(&server)
        .snapshot(&tiny(), "main", |at| {
            progress.entry(at.file.to_owned()).or_default().push((at.done_bytes, at.total_bytes));
        })
        .unwrap();

    assert_holds(&snapshot, &model, &USUAL);
    assert!(snapshot.fallback.is_none());
    assert_eq!(snapshot.commit, COMMIT);
    assert_eq!(snapshot.path, place.model().join("snapshots").join(COMMIT));
    assert_eq!(fs::read_to_string(place.model().join("refs/main")).unwrap(), COMMIT);
    #[cfg(unix)]
    for name in USUAL {
        let link = fs::read_link(snapshot.path.join(name)).unwrap();
        assert_eq!(link, Path::new("../../blobs").join(model.etag(name)));
    }
    for unneeded in ["pytorch_model.bin", "model.onnx", "README.md", "flax_model.msgpack", ".gitattributes"] {
        assert_eq!(server.count(unneeded), 0, "{unneeded} was fetched");
    }
    assert_eq!(progress.keys().collect::<Vec<_>>(), USUAL.iter().collect::<Vec<_>>());
    for (name, steps) in progress {
        let size = model.files[&name].len() as u64;
        assert_eq!((steps[0], *steps.last().unwrap()), ((0, size), (size, size)), "{name}");
        assert!(steps.is_sorted(), "{name}");
    }

    // The second time, one question is enough.
    let before = server.requests().len();
    assert_eq!(get(&place.hub(&server)).unwrap().path, snapshot.path);
    assert_eq!(server.requests().len(), before + 1);
    assert!(place.unfinished().is_empty());
}

#[test]
fn the_pooling_of_a_sentence_model_comes_along() {
    let names = [
        "config.json",
        WEIGHTS,
        "vocab.txt",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
    ];
    let (place, mut model) = (Place::new(), Model::new(&names));
    let modules = br#"[{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;
    model.files.insert("modules.json".to_owned(), modules.to_vec());
    let snapshot = get(&place.hub(&model.clone().serve())).unwrap();
    assert_holds(&snapshot, &model, &names);
    assert!(place.offline().cached_path(&tiny(), "main").unwrap().is_some());
    #[cfg(unix)]
    assert!(
        fs::read_link(snapshot.path.join("1_Pooling/config.json")).unwrap().starts_with("../../../blobs")
    );
}

#[test]
fn a_pickle_is_taken_where_there_are_no_safetensors() {
    let names = ["config.json", "pytorch_model.bin", "vocab.txt"];
    let (place, model) = (Place::new(), Model::new(&names));
    assert_holds(&get(&place.hub(&model.clone().serve())).unwrap(), &model, &names);
}

#[test]
fn shards_are_found_through_their_index() {
    let (place, model) = (Place::new(), sharded("model-1-of-2.safetensors", "model-2-of-2.safetensors"));
    let snapshot = get(&place.hub(&model.clone().serve())).unwrap();
    let names = [
        "config.json",
        "model-1-of-2.safetensors",
        "model-2-of-2.safetensors",
        "model.safetensors.index.json",
        "vocab.txt",
    ];
    assert_holds(&snapshot, &model, &names);
    assert!(place.offline().cached_path(&tiny(), "main").unwrap().is_some());
}

#[test]
fn shards_of_a_pickle_are_taken_where_there_is_nothing_better() {
    let names = [
        "config.json",
        "pytorch_model-1-of-2.bin",
        "pytorch_model-2-of-2.bin",
        "pytorch_model.bin.index.json",
        "vocab.txt",
    ];
    let (place, mut model) = (Place::new(), Model::new(&names));
    let index = br#"{"weight_map": {"a": "pytorch_model-1-of-2.bin", "b": "pytorch_model-2-of-2.bin"}}"#;
    model.files.insert("pytorch_model.bin.index.json".to_owned(), index.to_vec());
    assert_holds(&get(&place.hub(&model.clone().serve())).unwrap(), &model, &names);
    assert!(place.offline().cached_path(&tiny(), "main").unwrap().is_some());
}

#[test]
fn a_revision_is_one_url_segment_and_a_nested_ref() {
    let (place, model) = (Place::new(), Model::usual());
    let server = model.serve();
    let hub = place.hub(&server);
    let pulled = hub.snapshot(&tiny(), "refs/pr/1", |_| ()).unwrap();
    assert_eq!(server.count("/revision/refs%2Fpr%2F1?blobs=true"), 1);
    assert_eq!(fs::read_to_string(place.model().join("refs/refs/pr/1")).unwrap(), COMMIT);
    assert_eq!(hub.cached_path(&tiny(), "refs/pr/1").unwrap(), Some(pulled.path));
    assert_eq!(hub.cached_path(&tiny(), "main").unwrap(), None);
    // A commit never moves, so the hub is not asked again.
    let before = server.requests().len();
    hub.snapshot(&tiny(), COMMIT, |_| ()).unwrap();
    assert_eq!(server.requests().len(), before);
    assert!(matches!(hub.snapshot(&tiny(), "../main", |_| ()), Err(HubError::InvalidRevision { .. })));
}

#[test]
fn a_branch_that_moved_brings_the_new_files_and_keeps_the_old_ones() {
    let (place, old) = (Place::new(), Model::usual());
    let first = get(&place.hub(&old.clone().serve())).unwrap();
    let mut new = old.clone();
    new.commit = "f".repeat(40);
    new.files.insert("config.json".to_owned(), br#"{"model_type": "bert", "vocab_size": 9}"#.to_vec());
    let server = new.clone().serve();
    let second = get(&place.hub(&server)).unwrap();
    assert_holds(&first, &old, &USUAL);
    assert_holds(&second, &new, &USUAL);
    assert_eq!(server.count(WEIGHTS), 0, "the same weights were fetched again");
}

#[test]
fn the_token_goes_to_the_hub_and_not_to_where_it_redirects() {
    let (place, model) = (Place::new(), Model::usual());
    let storage_model = model.clone();
    let storage = Server::start(move |request| {
        // The storage's own ETag says nothing about the content.
        Reply { headers: vec![], ..storage_model.send(&request.path[1..], request) }.with("etag", "\"0123\"")
    });
    let (storage_url, hub_model) = (storage.url(), model.clone());
    let server = Server::start(move |request| match hub_model.file_of(request) {
        Some(WEIGHTS) => Reply::redirect(format!("{storage_url}/{WEIGHTS}"))
            .with("x-linked-etag", format!("\"{}\"", hub_model.etag(WEIGHTS)))
            .with("x-linked-size", hub_model.files[WEIGHTS].len().to_string()),
        Some("vocab.txt") => Reply::redirect("/elsewhere/vocab.txt"),
        None if request.path == "/elsewhere/vocab.txt" => hub_model.send("vocab.txt", request),
        _ => hub_model.answer(request),
    });
    let mut settings = place.settings(&server.url());
    settings.token = Token::new("hf_secret");
    assert_holds(&get(&Hub::new(settings).unwrap()).unwrap(), &model, &USUAL);

    assert_eq!(server.count("/elsewhere/vocab.txt"), 1);
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer hf_secret"), "{}", request.path);
    }
    assert_eq!(storage.requests().len(), 1);
    assert_eq!(storage.requests()[0].header("authorization"), None);
}

#[test]
fn a_list_without_sizes_and_hashes_is_completed_by_the_headers() {
    let (place, model) = (Place::new(), Model::usual());
    let answering = model.clone();
    let server = Server::start(move |request| {
        if request.path.starts_with("/api") {
            let names: Vec<_> =
                answering.files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
            return Reply::new(200, serde_json::json!({"sha": COMMIT, "siblings": names}).to_string());
        }
        answering.answer(request)
    });
    assert_holds(&get(&place.hub(&server)).unwrap(), &model, &USUAL);
    assert!(place.model().join("blobs").join(model.etag(WEIGHTS)).is_file());
}

#[test]
fn without_links_the_snapshot_holds_the_files() {
    let (place, model) = (Place::new(), Model::usual());
    let server = model.clone().serve();
    let mut settings = place.settings(&server.url());
    settings.symlinks = false;
    let hub = Hub::new(settings).unwrap();
    let snapshot = get(&hub).unwrap();
    assert_holds(&snapshot, &model, &USUAL);
    for name in USUAL {
        assert!(!snapshot.path.join(name).is_symlink());
    }
    let before = server.requests().len();
    get(&hub).unwrap();
    assert_eq!(server.requests().len(), before + 1);
}

#[test]
fn many_at_once_download_once() {
    let (place, model) = (Place::new(), Model::usual());
    let server = model.clone().serve();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_holds(&get(&place.hub(&server)).unwrap(), &model, &USUAL));
        }
    });
    assert_eq!(server.count(&format!("/{WEIGHTS}")), 1);
    assert!(place.unfinished().is_empty());
}
