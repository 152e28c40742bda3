//! Models by name, from a hub on loopback that the test starts itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use crate::common::{Tiny, bert_with};
use serde_json::json;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub with one model, `owner/tiny`. It answers until the test ends.
fn hub(model: &Tiny) -> String {
    let names = ["config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors"];
    let files: BTreeMap<String, Vec<u8>> =
        names.iter().map(|name| (name.to_string(), fs::read(model.file(name)).unwrap())).collect();
    let siblings: Vec<_> = files
        .iter()
        .map(|(name, content)| json!({"rfilename": name, "size": content.len(), "blobId": format!("blob-{name}")}))
        .collect();
    let listing = json!({"sha": COMMIT, "siblings": siblings}).to_string().into_bytes();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let files = Arc::new(files);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (files, listing) = (files.clone(), listing.clone());
            // A client that hangs up is no matter of the hub.
            std::thread::spawn(move || drop(answer(stream.unwrap(), &files, &listing)));
        }
    });
    address
}

fn answer(mut stream: TcpStream, files: &BTreeMap<String, Vec<u8>>, listing: &[u8]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let body = match path.strip_prefix("/owner/tiny/resolve/").and_then(|rest| rest.split_once('/')) {
        Some((COMMIT, name)) => files.get(name).map(Vec::as_slice),
        _ => path.starts_with("/api/models/owner/tiny/").then_some(listing),
    };
    let (status, body) = body.map_or(("404 Not Found", &b"{}"[..]), |body| ("200 OK", body));
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    stream.write_all(body)
}

#[test]
fn a_model_is_downloaded_once_and_then_used_offline() {
    let model = Tiny::new("BertForMaskedLM");
    let endpoint = hub(&model);
    let home = tempfile::tempdir().unwrap();
    let run = |endpoint: &str, args: &[&str]| {
        bert_with(args, &[("HF_HOME", home.path().as_os_str()), ("HF_ENDPOINT", endpoint.as_ref())])
    };
    let fill = ["fill-mask", "--device", "cpu", "--json", "-m", "owner/tiny", "rome is [MASK]"];
    let first = run(&endpoint, &fill);
    assert!(first.stderr.contains("note: downloading model.safetensors ("), "{}", first.stderr);
    assert!(!first.stderr.contains('\r') && !first.stderr.contains('\x1b'), "{:?}", first.stderr);
    let found = first.json();

    let second = run(&endpoint, &fill);
    assert_eq!(second.stderr, "");
    assert_eq!(second.json(), found);

    // A hub that is gone does not matter to a model that is there.
    let gone = "http://127.0.0.1:9";
    let cached = run(gone, &fill);
    assert!(cached.stderr.contains("warning: the cached copy of owner/tiny is used"), "{}", cached.stderr);
    assert_eq!(cached.json(), found);
    let offline = run(gone, &[&fill[..], &["--offline"]].concat());
    assert_eq!(offline.stderr, "");
    assert_eq!(offline.json(), found);

    let path = run(&endpoint, &["models", "pull", "owner/tiny"]).ok();
    assert!(path.trim_end().ends_with(COMMIT), "{path}");
    assert_eq!(run(gone, &["models", "path", "owner/tiny"]).ok(), path);
    let listed = run(gone, &["models", "list"]).ok();
    assert!(listed.contains("owner/tiny") && listed.contains("main"), "{listed}");
}

#[test]
fn a_hub_without_the_model_or_no_hub_is_an_error() {
    let endpoint = hub(&Tiny::new("BertForMaskedLM"));
    let home = tempfile::tempdir().unwrap();
    let run = |endpoint: &str, args: &[&str]| {
        bert_with(args, &[("HF_HOME", home.path().as_os_str()), ("HF_ENDPOINT", endpoint.as_ref())])
    };
    let unknown = run(&endpoint, &["fill-mask", "-m", "owner/other", "[MASK]"]);
    unknown.fails(&["no folder \"owner/other\"", "no model `owner/other`"]);
    run("http://127.0.0.1:9", &["models", "pull", "owner/tiny"]).fails(&["cannot reach http://127.0.0.1:9"]);
    run("nonsense", &["models", "pull", "owner/tiny"]).fails(&["HF_ENDPOINT", "nonsense"]);
}

#[test]
fn a_model_for_another_task_is_refused_before_its_weights_are_downloaded() {
    let endpoint = hub(&Tiny::new("BertForTokenClassification"));
    let home = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        bert_with(args, &[("HF_HOME", home.path().as_os_str()), ("HF_ENDPOINT", endpoint.as_ref())])
    };
    let fill = ["fill-mask", "--device", "cpu", "-m", "owner/tiny", "rome is [MASK]"];
    let refused = run(&fill);
    refused.fails(&["its weights were not downloaded", "BertForTokenClassification"]);
    assert!(!refused.stderr.contains("downloading model.safetensors"), "{}", refused.stderr);

    // Whoever wants it all the same can have it; then its tensors decide.
    run(&["models", "pull", "owner/tiny"]).ok();
    run(&fill).fails(&["BertForTokenClassification"]);
}
