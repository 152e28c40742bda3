//! The hub against a server on loopback that keeps, bends or breaks its promises.
#![cfg(feature = "hub")]

mod hub_server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bert_tasks::hub::{Hub, HubError, ModelId, Settings, Snapshot, Token};
use hub_server::{COMMIT, Model, Reply, Server};
use tempfile::TempDir;

const WEIGHTS: &str = "model.safetensors";

/// A cache folder inside an empty one, so that whatever escapes from the cache is seen.
struct Place {
    outside: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { outside: tempfile::tempdir().unwrap() }
    }

    fn cache(&self) -> PathBuf {
        self.outside.path().join("hub")
    }

    fn model(&self) -> PathBuf {
        self.cache().join("models--owner--tiny")
    }

    fn settings(&self, endpoint: &str) -> Settings {
        let mut settings = Settings::new(self.cache());
        settings.endpoint = endpoint.to_owned();
        settings.retries = 2;
        settings.backoff = Duration::ZERO;
        settings
    }

    fn hub(&self, server: &Server) -> Hub {
        Hub::new(self.settings(&server.url())).unwrap()
    }

    fn offline(&self) -> Hub {
        let mut settings = self.settings("http://127.0.0.1:1");
        settings.offline = true;
        Hub::new(settings).unwrap()
    }

    /// The names in `blobs`, without hashes: only what an interrupted download leaves.
    fn unfinished(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.model().join("blobs")).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "incomplete"))
            .collect()
    }

    /// Nothing in the cache may look like a whole model, and nothing may lie outside of it.
    #[track_caller]
    fn assert_nothing_whole(&self) {
        assert_eq!(self.offline().cached_path(&tiny(), "main").unwrap(), None);
        assert_eq!(self.offline().cached_path(&tiny(), COMMIT).unwrap(), None);
        assert!(!self.model().join("refs/main").exists());
        self.assert_nothing_escaped();
    }

    #[track_caller]
    fn assert_nothing_escaped(&self) {
        let names: Vec<_> =
            fs::read_dir(self.outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| name == "hub"), "{names:?}");
    }
}

fn tiny() -> ModelId {
    "owner/tiny".parse().unwrap()
}

fn get(hub: &Hub) -> Result<Snapshot, HubError> {
    hub.snapshot(&tiny(), "main", |_| ())
}

/// All files below a folder with their content, links followed.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found
                .extend(tree(&path).into_iter().map(|(inner, content)| (format!("{name}/{inner}"), content)));
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

#[track_caller]
fn assert_holds(snapshot: &Snapshot, model: &Model, names: &[&str]) {
    let expected: BTreeMap<_, _> =
        names.iter().map(|name| ((*name).to_owned(), model.files[*name].clone())).collect();
    let found = tree(&snapshot.path);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(found == expected, "a file has another content than the server's");
}

const USUAL: [&str; 5] = ["config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "vocab.txt"];

// ---- The way it should go ----

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

fn sharded(first: &str, second: &str) -> Model {
    let index = format!(r#"{{"weight_map": {{"a": "{first}", "b": "{second}", "c": "{first}"}}}}"#);
    let mut model =
        Model::new(&["config.json", "vocab.txt", "pytorch_model.bin", "model-2-of-2.safetensors"]);
    model.files.insert("model-1-of-2.safetensors".to_owned(), b"first".to_vec());
    model.files.insert("model.safetensors.index.json".to_owned(), index.into_bytes());
    model
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
    new.files.insert("config.json".to_owned(), b"a newer config".to_vec());
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

// ---- The cache ----

/// The cache as Python's `huggingface_hub` leaves it.
#[cfg(unix)]
fn python_cache(place: &Place, names: &[&str]) -> PathBuf {
    let snapshot = place.model().join("snapshots").join(COMMIT);
    for folder in ["blobs", "refs"] {
        fs::create_dir_all(place.model().join(folder)).unwrap();
    }
    fs::create_dir_all(&snapshot).unwrap();
    let model = Model::usual();
    for name in names {
        fs::write(place.model().join("blobs").join(model.etag(name)), &model.files[*name]).unwrap();
        std::os::unix::fs::symlink(Path::new("../../blobs").join(model.etag(name)), snapshot.join(name))
            .unwrap();
    }
    fs::write(place.model().join("refs/main"), COMMIT).unwrap();
    snapshot
}

#[cfg(unix)]
#[test]
fn what_python_cached_is_used_and_completed() {
    let (place, model) = (Place::new(), Model::usual());
    let folder = python_cache(&place, &["config.json", WEIGHTS]);
    let error = get(&place.offline()).unwrap_err();
    assert!(
        matches!(&error, HubError::Incomplete { missing, .. } if missing == "tokenizer.json or vocab.txt"),
        "{error}"
    );
    let server = model.clone().serve();
    let snapshot = get(&place.hub(&server)).unwrap();
    assert_eq!(snapshot.path, folder);
    assert_holds(&snapshot, &model, &USUAL);
    assert_eq!(server.count(WEIGHTS), 0);
    assert_eq!(get(&place.offline()).unwrap().path, folder);
}

#[test]
fn a_file_of_the_wrong_size_in_the_cache_is_fetched_again() {
    let (place, model) = (Place::new(), Model::usual());
    let server = model.clone().serve();
    get(&place.hub(&server)).unwrap();
    let blob = place.model().join("blobs").join(model.etag(WEIGHTS));
    fs::File::options().write(true).open(blob).unwrap().set_len(1000).unwrap();
    assert_holds(&get(&place.hub(&server)).unwrap(), &model, &USUAL);
}

#[test]
fn the_list_tells_what_is_whole() {
    let place = Place::new();
    assert_eq!(place.offline().list_cached().unwrap(), []);
    let mut model = Model::usual();
    model.files.insert("config.json".to_owned(), br#"{"model_type": "bert"}"#.to_vec());
    let server = model.clone().serve();
    let snapshot = get(&place.hub(&server)).unwrap();
    let other = place.cache().join("models--x").join("snapshots").join("e".repeat(40));
    fs::create_dir_all(&other).unwrap();
    for noise in ["datasets--a--b/snapshots", "models--..", ".locks", "models--y/snapshots/not-a-commit"] {
        fs::create_dir_all(place.cache().join(noise)).unwrap();
    }

    let list = place.offline().list_cached().unwrap();
    assert_eq!(list.len(), 2, "{list:?}");
    assert_eq!((list[0].id.as_str(), list[0].commit.as_str()), ("owner/tiny", COMMIT));
    assert_eq!(
        (&list[0].path, list[0].revisions.as_slice()),
        (&snapshot.path, ["main".to_owned()].as_slice())
    );
    assert_eq!((list[0].model_type.as_deref(), &list[0].missing), (Some("bert"), &None));
    assert_eq!(list[0].size, USUAL.iter().map(|name| model.files[*name].len() as u64).sum::<u64>());
    assert_eq!((list[1].id.as_str(), list[1].missing.as_deref()), ("x", Some("config.json")));
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let server = Model::usual().serve();
    let file = tempfile::NamedTempFile::new().unwrap();
    for cache in [file.path().to_owned(), file.path().join("hub"), PathBuf::from("/dev/null/x")] {
        let mut settings = Settings::new(&cache);
        settings.endpoint = server.url();
        let error = get(&Hub::new(settings).unwrap()).unwrap_err();
        assert!(matches!(&error, HubError::Write { path, .. } if path.starts_with(&cache)), "{error}");
        assert!(error.to_string().contains("HF_HOME"), "{error}");
    }
    let list = Hub::new(Settings::new(file.path())).unwrap().list_cached();
    assert!(matches!(list, Err(HubError::Read { .. })), "{list:?}");
}

#[test]
fn a_cached_copy_is_used_when_a_newer_one_cannot_be_written() {
    let (place, old) = (Place::new(), Model::usual());
    let server = old.clone().serve();
    let mut settings = place.settings(&server.url());
    settings.symlinks = false;
    get(&Hub::new(settings).unwrap()).unwrap();
    // Where the blobs should go there is a file: root could write into a folder without permission.
    fs::remove_dir_all(place.model().join("blobs")).unwrap();
    fs::write(place.model().join("blobs"), "").unwrap();

    let mut new = old.clone();
    new.commit = "f".repeat(40);
    let server = new.serve();
    let snapshot = get(&place.hub(&server)).unwrap();
    assert_holds(&snapshot, &old, &USUAL);
    assert!(matches!(snapshot.fallback, Some(HubError::Write { .. })), "{:?}", snapshot.fallback);
    assert!(matches!(place.hub(&server).pull(&tiny(), "main", |_| ()), Err(HubError::Write { .. })));
}

// ---- No network ----

#[test]
fn offline_uses_the_cache_or_says_what_to_do() {
    let (place, model) = (Place::new(), Model::usual());
    let error = get(&place.offline()).unwrap_err();
    assert!(matches!(error, HubError::NotCached { .. }));
    for hint in ["owner/tiny", "main", "HF_HUB_OFFLINE=0", "bert models pull", "folder"] {
        assert!(error.to_string().contains(hint), "`{error}` lacks `{hint}`");
    }
    let server = model.clone().serve();
    get(&place.hub(&server)).unwrap();
    let before = server.requests().len();
    let mut settings = place.settings(&server.url());
    settings.offline = true;
    let snapshot = get(&Hub::new(settings).unwrap()).unwrap();
    assert_holds(&snapshot, &model, &USUAL);
    assert!(snapshot.fallback.is_none());
    assert_eq!(server.requests().len(), before);
}

#[test]
fn a_hub_that_is_down_is_an_error_only_without_a_copy() {
    let (place, model) = (Place::new(), Model::usual());
    let server = model.clone().serve();
    let hub = place.hub(&server);
    let down = Place::new().hub(&server);
    get(&hub).unwrap();
    drop(server);
    let snapshot = get(&hub).unwrap();
    assert_holds(&snapshot, &model, &USUAL);
    assert!(matches!(snapshot.fallback, Some(HubError::Unreachable { .. })), "{:?}", snapshot.fallback);
    assert!(matches!(hub.pull(&tiny(), "main", |_| ()), Err(HubError::Unreachable { .. })));
    let error = get(&down).unwrap_err();
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("HF_ENDPOINT"), "{error}");
}

#[test]
fn a_silent_server_is_given_up() {
    let place = Place::new();
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let server = Server::start(move |_| {
        let _ = held.lock().unwrap().recv();
        Reply::new(500, "")
    });
    let mut settings = place.settings(&server.url());
    settings.silence_timeout = Duration::from_millis(50);
    let error = get(&Hub::new(settings).unwrap()).unwrap_err();
    assert!(matches!(error, HubError::Interrupted { tries: 3, .. }), "{error:?}");
    drop(release);
}

// ---- Transfers that break ----

#[test]
fn a_cut_transfer_goes_on_where_it_ended() {
    let (place, model) = (Place::new(), Model::usual());
    let (answering, hits) = (model.clone(), AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let reply = answering.answer(request);
        if answering.file_of(request) != Some(WEIGHTS) || hits.fetch_add(1, Ordering::SeqCst) == 2 {
            return reply;
        }
        reply.cut(100_000)
    });
    assert_holds(&get(&place.hub(&server)).unwrap(), &model, &USUAL);
    let starts: Vec<_> =
        server.requests().iter().filter(|r| r.path.ends_with(WEIGHTS)).map(|r| r.start()).collect();
    assert_eq!(starts, [0, 100_000, 200_000]);
    assert!(place.unfinished().is_empty());
}

#[test]
fn a_server_that_cannot_go_on_starts_over() {
    // With 200 and everything, with 416, and with a range that was not asked for.
    for status in [200, 416, 206] {
        let (place, model) = (Place::new(), Model::usual());
        let (answering, hits) = (model.clone(), AtomicUsize::new(0));
        let server = Server::start(move |request| {
            if answering.file_of(request) != Some(WEIGHTS) {
                return answering.answer(request);
            }
            let whole = answering.files[WEIGHTS].clone();
            match hits.fetch_add(1, Ordering::SeqCst) {
                0 => Reply::new(200, whole).cut(100_000),
                1 if status == 416 => Reply::new(416, ""),
                1 if status == 206 => {
                    Reply::new(206, &whole[7..]).with("content-range", "bytes 7-299999/300000")
                }
                _ => Reply::new(200, whole),
            }
        });
        assert_holds(&get(&place.hub(&server)).unwrap(), &model, &USUAL);
    }
}

#[test]
fn what_an_interrupted_run_left_is_continued_by_the_next() {
    let (place, model) = (Place::new(), Model::usual());
    let cutting = model.clone();
    let server = Server::start(move |request| {
        let reply = cutting.answer(request);
        if cutting.file_of(request) == Some(WEIGHTS) { reply.cut(20_000) } else { reply }
    });
    let error = get(&place.hub(&server)).unwrap_err();
    assert!(matches!(error, HubError::Interrupted { tries: 3, .. }), "{error}");
    place.assert_nothing_whole();
    assert!(!place.model().join("blobs").join(model.etag(WEIGHTS)).exists());
    assert_eq!(place.unfinished().len(), 1);

    let server = model.clone().serve();
    assert_holds(&get(&place.hub(&server)).unwrap(), &model, &USUAL);
    let asked = server.requests().into_iter().find(|request| request.path.ends_with(WEIGHTS)).unwrap();
    assert_eq!(asked.start(), 60_000);
    assert!(place.unfinished().is_empty());
}

#[test]
fn a_spoilt_rest_of_an_interrupted_run_is_thrown_away() {
    for rest in [b"spoilt".repeat(1000), vec![0; 300_000], vec![0; 400_000]] {
        let (place, model) = (Place::new(), Model::usual());
        let blobs = place.model().join("blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join(format!("{}.bert-1-1-1.incomplete", model.etag(WEIGHTS))), rest).unwrap();
        assert_holds(&get(&place.hub(&model.clone().serve())).unwrap(), &model, &USUAL);
        assert!(place.unfinished().is_empty());
    }
}

#[test]
fn a_hub_in_trouble_is_asked_again_but_not_for_ever() {
    let (place, model) = (Place::new(), Model::usual());
    let (answering, hits) = (model.clone(), AtomicUsize::new(0));
    let server = Server::start(move |request| {
        // Each address works at its second try.
        if hits.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            Reply::new(503, "")
        } else {
            answering.answer(request)
        }
    });
    assert_holds(&get(&place.hub(&server)).unwrap(), &model, &USUAL);

    let place = Place::new();
    let server = Server::start(|_| Reply::new(502, "Bad Gateway"));
    let error = get(&place.hub(&server)).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 502, tries: 3, .. }), "{error}");
    assert_eq!(server.requests().len(), 3);
}

// ---- Answers that are no ----

/// A server that answers everything alike.
fn error_of(reply: Reply, token: Option<&str>) -> HubError {
    let place = Place::new();
    let server = Server::start(move |_| reply.clone());
    let mut settings = place.settings(&server.url());
    settings.token = token.and_then(Token::new);
    let error = get(&Hub::new(settings).unwrap()).unwrap_err();
    place.assert_nothing_whole();
    error
}

#[test]
fn a_model_or_a_revision_that_does_not_exist() {
    let error = error_of(Reply::new(404, "").with("x-error-code", "RepoNotFound"), None);
    assert!(matches!(&error, HubError::ModelNotFound { id, .. } if id == "owner/tiny"), "{error}");
    let error = error_of(Reply::new(404, "").with("x-error-code", "RevisionNotFound"), None);
    assert!(matches!(&error, HubError::RevisionNotFound { revision, .. } if revision == "main"), "{error}");
}

#[test]
fn a_private_model_asks_for_a_token() {
    let error = error_of(Reply::new(401, ""), None);
    assert!(matches!(error, HubError::AccessDenied { status: 401, token_sent: false, .. }));
    assert!(error.to_string().contains("HF_TOKEN"), "{error}");
    let error = error_of(Reply::new(403, ""), Some("hf_secret"));
    assert!(matches!(error, HubError::AccessDenied { status: 403, token_sent: true, .. }));
    assert!(error.to_string().contains("terms") && !error.to_string().contains("hf_secret"), "{error}");
}

#[test]
fn a_gated_model_lists_its_files_and_refuses_them() {
    let (place, model) = (Place::new(), Model::usual());
    let server = Server::start(move |request| {
        if model.file_of(request).is_some() { Reply::new(401, "") } else { model.answer(request) }
    });
    assert!(matches!(get(&place.hub(&server)), Err(HubError::AccessDenied { status: 401, .. })));
    place.assert_nothing_whole();
}

#[test]
fn a_model_without_a_needed_file_is_refused_before_anything_is_fetched() {
    for (names, missing) in [
        (&[WEIGHTS, "vocab.txt"][..], "config.json"),
        (&[WEIGHTS, "config.json", "sentencepiece.bpe.model"], "tokenizer.json or vocab.txt"),
        (&["config.json", "vocab.txt", "tf_model.h5"], "model.safetensors or pytorch_model.bin"),
        (&[], "config.json"),
    ] {
        let place = Place::new();
        let server = Model::new(names).serve();
        let error = get(&place.hub(&server)).unwrap_err();
        assert!(matches!(&error, HubError::Unusable { missing: found, .. } if found == missing), "{error}");
        assert_eq!(server.requests().len(), 1);
        assert!(!place.cache().exists());
    }
}

#[test]
fn answers_that_are_no_list() {
    for body in [
        "<html>Please log in</html>",
        "",
        "[1]",
        r#"{"sha": 1}"#,
        r#"{"siblings": [{"rfilename": "x", "size": -1}]}"#,
    ] {
        let error = error_of(Reply::new(200, body), None);
        assert!(matches!(error, HubError::BadListing { .. }), "{body}: {error}");
    }
    for sha in ["", "main", "../../../../evil", "0123456789ABCDEF0123456789ABCDEF01234567"] {
        let error = error_of(Reply::new(200, format!(r#"{{"sha": "{sha}", "siblings": []}}"#)), None);
        assert!(matches!(error, HubError::MissingMetadata { .. }), "{sha}: {error}");
    }
}

#[test]
fn redirects_end() {
    for target in ["/again", "", "file:///etc/passwd", "http://", "\u{1}"] {
        let error = error_of(Reply::redirect(target), None);
        let refused = matches!(error, HubError::BadRedirect { .. } | HubError::Interrupted { .. });
        assert!(refused, "{target:?}: {error}");
    }
}

// ---- Servers that lie ----

/// The error of a hub that serves the weights in its own way.
fn lying(weights: impl Fn(&Model) -> Reply + Send + Sync + 'static) -> HubError {
    let (place, model) = (Place::new(), Model::usual());
    let etag = model.etag(WEIGHTS);
    let server = Server::start(move |request| match model.file_of(request) {
        Some(WEIGHTS) => weights(&model),
        _ => model.answer(request),
    });
    let error = get(&place.hub(&server)).unwrap_err();
    place.assert_nothing_whole();
    assert!(!place.model().join("blobs").join(etag).exists());
    error
}

/// The body as one chunk, which does not declare a length up front.
fn chunked(body: &[u8]) -> Reply {
    let mut framed = format!("{:x}\r\n", body.len()).into_bytes();
    framed.extend_from_slice(body);
    framed.extend_from_slice(b"\r\n0\r\n\r\n");
    Reply::new(200, framed).with("transfer-encoding", "chunked")
}

#[test]
fn a_file_of_another_size_than_promised() {
    let short = lying(|model| Reply::new(200, &model.files[WEIGHTS][1..]));
    assert!(matches!(short, HubError::SizeMismatch { expected: 300_000, found: 299_999, .. }), "{short}");
    let empty = lying(|_| Reply::new(200, ""));
    assert!(matches!(empty, HubError::SizeMismatch { found: 0, .. }), "{empty}");
    let long = lying(|model| chunked(&[&model.files[WEIGHTS][..], b"more"].concat()));
    assert!(matches!(long, HubError::SizeMismatch { expected: 300_000, .. }), "{long}");
    let short = lying(|model| chunked(&model.files[WEIGHTS][1..]));
    assert!(matches!(short, HubError::Interrupted { .. }), "{short}");
}

#[test]
fn a_file_of_another_content_than_promised() {
    let error = lying(|model| Reply::new(200, vec![7; model.files[WEIGHTS].len()]));
    assert!(matches!(&error, HubError::HashMismatch { expected, found, .. } if expected != found), "{error}");
}

#[test]
fn a_listed_file_that_is_gone() {
    let error = lying(|_| Reply::new(404, ""));
    assert!(matches!(error, HubError::Status { status: 404, tries: 1, .. }), "{error}");
}

#[test]
fn names_from_a_server_never_lead_out_of_the_cache() {
    // An ETag becomes a file name.
    for etag in ["../../../evil", "/tmp/evil", "..", "", "a/b", ".hidden", "a\\b"] {
        let (place, model) = (Place::new(), Model::usual());
        let server = Server::start(move |request| {
            let mut listing = model.listing();
            listing["siblings"][2]["blobId"] = etag.into();
            if request.path.starts_with("/api") {
                Reply::new(200, listing.to_string())
            } else {
                model.answer(request)
            }
        });
        let error = get(&place.hub(&server)).unwrap_err();
        assert!(matches!(&error, HubError::UnsafeName { name, .. } if name == etag), "{error}");
        place.assert_nothing_whole();
    }
    // So does the name of a shard.
    for shard in ["../../../../evil.safetensors", "/tmp/evil.safetensors", "sub/evil.safetensors"] {
        let place = Place::new();
        let server = sharded("model-2-of-2.safetensors", shard).serve();
        let error = get(&place.hub(&server)).unwrap_err();
        assert!(matches!(&error, HubError::UnsafeName { name, .. } if name == shard), "{error}");
        place.assert_nothing_whole();
    }
    // Any other name is not on the list of what a model needs.
    let (place, mut model) = (Place::new(), Model::usual());
    for name in ["../../evil", "/tmp/evil", "../config.json", "x/../../1_Pooling/config.json"] {
        model.files.insert(name.to_owned(), b"evil".to_vec());
    }
    let server = model.clone().serve();
    assert_holds(&get(&place.hub(&server)).unwrap(), &model, &USUAL);
    place.assert_nothing_escaped();
    assert_eq!(server.requests().len(), 1 + USUAL.len());
}
