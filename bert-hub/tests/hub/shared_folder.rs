//! A cache in a folder where somebody else may plant what they like.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// Where a part of the weights would be found that an earlier run left.
fn part(place: &Place, model: &Model) -> PathBuf {
    let blobs = place.model().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    blobs.join(format!("{}.bert-1-1-1.incomplete", model.etag(WEIGHTS)))
}

fn lock(place: &Place, model: &Model) -> PathBuf {
    let locks = place.cache().join(".locks/models--owner--tiny");
    fs::create_dir_all(&locks).unwrap();
    locks.join(format!("{}.lock", model.etag(WEIGHTS)))
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Whatever lies there, the model comes whole, and nothing is written but the cache.
fn downloads(place: &Place, model: &Model) {
    assert_holds(&get(&place.hub(&model.clone().serve())).unwrap(), model, &USUAL);
}

#[test]
fn a_part_is_not_written_through_a_link() {
    let (place, model, elsewhere) = (Place::new(), Model::usual(), tempfile::tempdir().unwrap());
    let victim = elsewhere.path().join("victim");
    for content in [&b""[..], &model.files[WEIGHTS][..1000], b"something else"] {
        fs::write(&victim, content).unwrap();
        let part = part(&place, &model);
        symlink(&victim, &part).unwrap();
        downloads(&place, &model);
        assert_eq!(fs::read(&victim).unwrap(), content);
        fs::remove_dir_all(place.cache()).unwrap();

        // The same file by a second name.
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::hard_link(&victim, &part).unwrap();
        downloads(&place, &model);
        assert_eq!(fs::read(&victim).unwrap(), content);
        fs::remove_dir_all(place.cache()).unwrap();
    }
}

#[test]
fn a_part_that_is_a_pipe_keeps_nobody_waiting() {
    let (place, model) = (Place::new(), Model::usual());
    pipe(&part(&place, &model));
    downloads(&place, &model);
}

#[test]
fn a_good_part_beside_a_planted_one_is_taken() {
    let (place, model) = (Place::new(), Model::usual());
    let planted = part(&place, &model);
    symlink("/nowhere", &planted).unwrap();
    let good = planted.with_file_name(format!("{}.bert-2-2-2.incomplete", model.etag(WEIGHTS)));
    fs::write(good, &model.files[WEIGHTS][..1000]).unwrap();
    let server = model.clone().serve();
    assert_holds(&get(&place.hub(&server)).unwrap(), &model, &USUAL);
    assert!(server.requests().iter().any(|request| request.start() == 1000));
}

#[test]
fn a_lock_that_is_no_file_is_left_alone() {
    let (place, model, elsewhere) = (Place::new(), Model::usual(), tempfile::tempdir().unwrap());
    let victim = elsewhere.path().join("made");
    symlink(&victim, lock(&place, &model)).unwrap();
    downloads(&place, &model);
    assert!(!victim.exists());
    fs::remove_dir_all(place.cache()).unwrap();
    pipe(&lock(&place, &model));
    downloads(&place, &model);
}
