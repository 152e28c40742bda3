//! Requests that were damaged: whatever is sent, the server answers or refuses it, and does not fail.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::common::{Reply, post, request, router, send};
use crate::packed::pack;

/// How many; BERT_SERVER_MUTATIONS is for longer runs.
fn count() -> usize {
    std::env::var("BERT_SERVER_MUTATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

fn seeds() -> Vec<(&'static str, Value)> {
    vec![
        (
            "/v1/fill-mask",
            json!({"text": "the [MASK] is good", "top_k": 2, "offsets": "utf16", "model": "words"}),
        ),
        (
            "/v1/entities",
            json!({"text": "é london", "aggregation": "max", "ignore_labels": ["PER"], "max_length": 8, "stride": 2}),
        ),
        (
            "/v1/answer",
            json!({"question": "who", "context": "she lives in paris", "top_k": 2, "doc_stride": 4, "max_length": 20}),
        ),
        (
            "/v1/sentiment",
            json!({"inputs": [{"text": "good", "pair": "bad"}, {"text": "a"}], "scores": "multi"}),
        ),
        ("/v1/choose", json!({"prompt": "she", "choices": ["a", "b"], "offsets": "chars"})),
        ("/v1/similarity", json!({"first": "a", "second": "b", "normalize": true, "max_length": 5})),
        ("/v1/next-sentence", json!({"first": "a", "second": "b"})),
        ("/v1/sparse-embed", json!({"text": "a", "top_k": 3})),
        ("/v1/features", json!({"text": "a"})),
        ("/v1/attention", json!({"text": "a good", "pair": "b", "layer": -1, "head": 1, "offsets": "utf16"})),
        (
            "/v1/polysemy",
            json!({"word": "good", "texts": ["é good", "good"], "layer": 1, "offsets": "chars"}),
        ),
        ("/v1/tokenize", json!({"text": "é a", "pair": "b", "special": true, "offsets": "chars"})),
        ("/", json!({"inputs": "a [MASK]", "parameters": {"top_k": 1, "targets": ["good"]}})),
        (
            "/models/logic",
            json!({"inputs": "a", "parameters": {"candidate_labels": ["x"], "multi_label": true, "hypothesis_template": "{}"}}),
        ),
        (
            "/models/names/pipeline/ner",
            json!({"inputs": ["a", "😀"], "parameters": {"aggregation_strategy": "simple", "stride": 3}}),
        ),
        (
            "/models/answers",
            json!({"inputs": {"question": "a", "context": "b"}, "parameters": {"handle_impossible_answer": true, "top_k": 2}}),
        ),
        (
            "/models/reviews",
            json!({"inputs": {"text": "a", "text_pair": "b"}, "parameters": {"function_to_apply": "none"}}),
        ),
        (
            "/embed",
            json!({"inputs": ["a", "b"], "normalize": false, "truncate": false, "truncation_direction": "Right"}),
        ),
        ("/predict", json!({"inputs": [["a"], ["a", "b"]], "raw_scores": true})),
        ("/rerank", json!({"query": "a", "texts": ["b", "c"], "return_text": true})),
        (
            "/similarity",
            json!({"inputs": {"source_sentence": "a", "sentences": ["a"]}, "parameters": {"truncate": true}}),
        ),
        ("/tokenize", json!({"inputs": ["a"], "add_special_tokens": false})),
        ("/decode", json!({"ids": [[1, 2], [3]], "skip_special_tokens": false})),
        (
            "/v1/embeddings",
            json!({"input": ["a"], "encoding_format": "base64", "dimensions": 4, "user": "x"}),
        ),
        ("/v1/rerank", json!({"query": "a", "documents": ["b", {"text": "c"}], "top_n": 1})),
    ]
}

/// A value that nobody expects.
fn strange(random: &mut Rng) -> Value {
    match random.u8(0..16) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.i64(..)),
        3 => json!(random.u64(..)),
        4 => json!(f64::MAX),
        5 => json!(-0.5),
        6 => json!(""),
        7 => json!("\0\u{202e}😀"),
        8 => json!("good ".repeat(random.usize(0..60))),
        9 => json!([]),
        10 => json!({}),
        11 => json!([[["a"], 1], {"a": []}]),
        12 => json!({"text": "a", "inputs": 1}),
        13 => json!(["[MASK]", "[MASK][MASK]"]),
        14 => json!(u32::MAX),
        _ => json!(0),
    }
}

/// Replaces, removes, renames or adds something, somewhere.
fn mutate(value: &mut Value, random: &mut Rng) {
    match value {
        Value::Object(object) if !object.is_empty() && random.u8(0..5) > 0 => {
            let key = object.keys().nth(random.usize(0..object.len())).cloned().unwrap();
            match random.u8(0..8) {
                0 => drop(object.remove(&key)),
                1 => drop(object.insert(format!("{key}\u{1}x"), strange(random))),
                2 => {
                    let moved = object.remove(&key).unwrap();
                    object.insert(
                        ["inputs", "text", "parameters", "model"][random.usize(0..4)].to_owned(),
                        moved,
                    );
                }
                _ => mutate(&mut object[&key], random),
            }
        }
        Value::Array(list) if !list.is_empty() && random.u8(0..4) > 0 => {
            let index = random.usize(0..list.len());
            match random.u8(0..4) {
                0 => list.push(strange(random)),
                1 => drop(list.remove(index)),
                _ => mutate(&mut list[index], random),
            }
        }
        Value::String(text) if random.bool() => {
            let at = text.char_indices().nth(random.usize(0..4)).map_or(text.len(), |(at, _)| at);
            text.insert_str(
                at,
                ["[MASK]", "\0", "😀", "[SEP]", "{}", "\u{301}", "##", " "][random.usize(0..8)],
            );
        }
        other => *other = strange(random),
    }
}

/// A request with a damaged body, which may be sent as lines, ask for lines, or be packed.
fn damaged(random: &mut Rng, seeds: &[(&str, Value)]) -> (String, Request<Body>) {
    let (path, mut body) = damaged_body(random, seeds);
    let shown = format!("{path} {}", String::from_utf8_lossy(&body));
    let header = match random.u8(0..6) {
        0 => Some(("accept", "application/x-ndjson")),
        1 => {
            body.extend_from_slice(b"\n\n{\"text\": \"a [MASK]\"}\n");
            body.extend_from_slice(&damaged_body(random, seeds).1);
            Some(("content-type", "application/x-ndjson"))
        }
        2 => {
            body = pack(&body);
            if random.u8(0..3) == 0 {
                let at = random.usize(0..body.len());
                body[at] = random.u8(..);
            }
            Some(("content-encoding", "gzip"))
        }
        _ => None,
    };
    let mut request = request(&path, body);
    if let Some((name, value)) = header {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    (format!("{header:?} {shown}"), request)
}

/// Every line of a reply is a record, or says why there is none.
fn check_lines(reply: &Reply, shown: &str) {
    for line in reply.text().lines() {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line} to {shown}"));
        let code = line.get("error").and_then(|error| error["code"].as_u64()).unwrap_or(200);
        assert!([200, 400, 404, 413, 429].contains(&code), "{line} to {shown}");
    }
}

fn damaged_body(random: &mut Rng, seeds: &[(&str, Value)]) -> (String, Vec<u8>) {
    let (path, mut value) = seeds[random.usize(0..seeds.len())].clone();
    let mut path = path.to_owned();
    for _ in 0..random.usize(1..4) {
        mutate(&mut value, random);
    }
    if random.u8(0..20) == 0 {
        path.push_str(["/", "/x", "%00", "?a=b", "/pipeline/", "%F0%9F%98%80"][random.usize(0..6)]);
    }
    let mut body = value.to_string().into_bytes();
    // Some are no JSON any more, or no UTF-8.
    if random.u8(0..4) == 0 && !body.is_empty() {
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..body.len());
            match random.u8(0..3) {
                0 => body[at] = random.u8(..),
                1 => body.truncate(at.max(1)),
                _ => body.insert(at, random.u8(..)),
            }
        }
    }
    (path, body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_makes_the_server_fail_or_hang() {
    let (seeds, count) = (seeds(), count());
    for (path, body) in &seeds {
        assert_eq!(post(path, body.clone()).await.status, 200, "{path} {body}");
    }
    let mut random = Rng::with_seed(17);
    let mut answered = 0;
    let mut running = JoinSet::new();
    let mut sent = 0;
    while sent < count || !running.is_empty() {
        if sent < count && running.len() < 32 {
            let (shown, request) = damaged(&mut random, &seeds);
            sent += 1;
            running.spawn(async move {
                let reply = timeout(Duration::from_secs(60), send(router(), request)).await;
                let reply = reply.unwrap_or_else(|_| panic!("no answer to {shown}"));
                let status = reply.status.as_u16();
                assert!(
                    [200, 400, 404, 405, 413, 415, 429].contains(&status),
                    "{status} {} to {shown}",
                    reply.text()
                );
                match reply.headers.get("content-type").is_some_and(|value| value == "application/x-ndjson") {
                    true => check_lines(&reply, &shown),
                    false => drop(reply.json()),
                }
                status
            });
            continue;
        }
        if let Some(status) = running.join_next().await {
            answered += usize::from(status.unwrap() == 200);
        }
    }
    println!("{answered} of {count} were answered, the others refused");
    assert!(answered > count / 10 && answered < count, "{answered}");
    for (path, body) in &seeds {
        assert_eq!(post(path, body.clone()).await.status, 200, "{path} {body}");
    }
}
