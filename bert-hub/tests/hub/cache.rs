//! The cache: shared, damaged, listed, read-only, and alone without a network.

use std::fs;
use std::path::{Path, PathBuf};

use bert_hub::{Hub, HubError, Settings};

use super::server::{COMMIT, Model};
use super::{Place, USUAL, WEIGHTS, assert_holds, get, tiny};

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
        matches!(&error, HubError::Incomplete { missing, .. } if missing == "tokenizer.json or vocab.txt or vocab.json"),
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
    for symlinks in [true, false] {
        let (place, model) = (Place::new(), Model::usual());
        let server = model.clone().serve();
        get(&place.hub(&server)).unwrap();
        let blob = place.model().join("blobs").join(model.etag(WEIGHTS));
        fs::File::options().write(true).open(&blob).unwrap().set_len(1000).unwrap();
        let mut settings = place.settings(&server.url());
        settings.symlinks = symlinks;
        assert_holds(&get(&Hub::new(settings).unwrap()).unwrap(), &model, &USUAL);
        // Other snapshots may link to the blob, so it is not moved away from them.
        assert_eq!(fs::read(blob).unwrap(), model.files[WEIGHTS]);
    }
}

#[test]
fn the_list_tells_what_is_whole() {
    let place = Place::new();
    assert_eq!(place.offline().list_cached().unwrap(), []);
    let model = Model::usual();
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
    assert!(list[0].is_supported && !list[1].is_supported);
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
