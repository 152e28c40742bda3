//! Connections that break, hubs that refuse, and servers that lie.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use bert_hub::{Hub, HubError, Token};

use super::server::{Model, Reply, Server};
use super::{Place, USUAL, WEIGHTS, assert_holds, get, sharded};

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
fn without_a_lock_nobody_takes_what_another_process_may_still_write() {
    let (place, model) = (Place::new(), Model::usual());
    let blobs = place.model().join("blobs");
    fs::create_dir_all(&blobs).unwrap();
    let other = blobs.join(format!("{}.bert-1-1-1.incomplete", model.etag(WEIGHTS)));
    fs::write(&other, &model.files[WEIGHTS][..1000]).unwrap();
    fs::write(place.cache().join(".locks"), "a file where the locks should be").unwrap();
    let server = model.clone().serve();
    assert_holds(&get(&place.hub(&server)).unwrap(), &model, &USUAL);
    assert_eq!(place.unfinished(), [other]);
    assert!(server.requests().iter().all(|request| request.start() == 0));
}

#[test]
fn a_hub_that_fails_is_asked_again_but_not_for_ever() {
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

#[test]
fn a_silent_server_is_given_up() {
    let place = Place::new();
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
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

/// The error of a server that answers everything alike.
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
        (&["config.json", "vocab.txt", "tf_model.h5"], "model.safetensors or "),
        (&[], "config.json"),
    ] {
        let place = Place::new();
        let server = Model::new(names).serve();
        let error = get(&place.hub(&server)).unwrap_err();
        assert!(
            matches!(&error, HubError::Unusable { missing: found, .. } if found.starts_with(missing)),
            "{error}"
        );
        assert_eq!(server.requests().len(), 1);
        assert!(!place.cache().exists());
    }
}

#[test]
fn a_model_of_another_kind_is_refused_before_its_weights() {
    for config in [r#"{"model_type": "gpt2"}"#, "{", r#"{"model_type": "bert", "hidden_size": "wide"}"#] {
        for mut model in [Model::usual(), sharded("model-1-of-2.safetensors", "model-2-of-2.safetensors")] {
            model.files.insert("config.json".to_owned(), config.as_bytes().to_vec());
            let (place, server) = (Place::new(), model.serve());
            let error = get(&place.hub(&server)).unwrap_err();
            assert!(matches!(&error, HubError::Refused { .. }), "{error}");
            assert_no_weights_asked(&server);
            place.assert_nothing_whole();
        }
    }
}

#[test]
fn a_check_of_the_caller_sees_all_files_but_the_weights() {
    let (place, model) = (Place::new(), Model::usual());
    let server = model.clone().serve();
    let hub = place.hub(&server).with_check(|folder| {
        let names: Vec<_> = USUAL.iter().filter(|name| folder.join(name).is_file()).collect();
        Err(format!("{names:?}").into())
    });
    let error = get(&hub).unwrap_err();
    let HubError::Refused { source, .. } = &error else { panic!("{error}") };
    assert_eq!(
        source.to_string(),
        r#"["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"]"#
    );
    assert_no_weights_asked(&server);
    place.assert_nothing_whole();

    // A copy that is there is no longer the hub's to judge.
    get(&place.hub(&server)).unwrap();
    let snapshot = get(&hub).unwrap();
    assert!(snapshot.fallback.is_none(), "{:?}", snapshot.fallback);
    assert_holds(&snapshot, &model, &USUAL);
}

/// Not even the list of the weights' parts.
#[track_caller]
fn assert_no_weights_asked(server: &Server) {
    let asked: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    let is_weights = |path: &String| path.contains(".safetensors") || path.contains(".bin");
    assert!(asked.len() > 1 && !asked.iter().any(is_weights), "{asked:?}");
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
    for target in ["/again", "", "file:///etc/passwd", "http://"] {
        let error = error_of(Reply::redirect(target), None);
        assert!(matches!(error, HubError::BadRedirect { .. }), "{target:?}: {error}");
    }
}

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
