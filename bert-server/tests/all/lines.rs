//! Answers as lines, and bodies of lines.

use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use axum::Router;
use bert_server::Options;
use serde_json::{Value, json};

use crate::common::{Reply, post, request, router, send, server};
use crate::wire::Running;

fn read(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.headers["content-type"], "application/x-ndjson");
    let text = reply.text();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asks with one JSON value for lines.
async fn wanted(path: &str, body: Value) -> Reply {
    let mut request = request(path, body.to_string());
    request.headers_mut().insert("accept", "text/html, application/x-ndjson;q=0.9".parse().unwrap());
    send(router(), request).await
}

/// Asks with lines.
async fn sent(router: Router, path: &str, lines: &str) -> Reply {
    let mut request = request(path, lines.to_owned());
    request.headers_mut().insert("content-type", "application/x-ndjson; charset=utf-8".parse().unwrap());
    send(router, request).await
}

#[tokio::test]
async fn lines_are_the_answers_of_the_whole_reply() {
    for (path, body) in [
        (
            "/v1/fill-mask",
            json!({"inputs": [{"text": "é [MASK]"}, {"text": "no mask"}, {"text": "[MASK] a", "top_k": 1}], "top_k": 2, "offsets": "chars"}),
        ),
        (
            "/v1/similarity",
            json!({"inputs": [{"first": "a", "second": "good"}, {"first": "a"}], "offsets": "utf16"}),
        ),
        ("/v1/entities", json!({"inputs": [], "aggregation": "max"})),
        ("/v1/embed", json!({"inputs": [{"text": "good ".repeat(100)}]})),
    ] {
        let whole = post(path, body.clone()).await.ok();
        assert_eq!(json!(read(&wanted(path, body).await)), whole["answers"], "{path}");
    }
    let one = read(&wanted("/v1/embed", json!({"text": "good"})).await);
    assert_eq!(json!(one), json!([post("/v1/embed", json!({"text": "good"})).await.ok()["answer"]]));
}

#[tokio::test]
async fn each_line_of_a_body_is_an_input() {
    let lines = "{\"text\": \"good\"}\n\r\n \n{\"text\": 3}\n{\"text\": \n{\"text\": \"bad\", \"model\": \"nobody\"}\n[]\n\
                 {\"text\": \"bad\", \"model\": \"org/ranks\"}\n{\"text\": \"bad\", \"top_k\": 1, \"model\": null}";
    let found = read(&sent(router(), "/v1/sentiment", lines).await);
    assert_eq!(found.len(), 7);
    for (index, body) in [
        (0, json!({"text": "good"})),
        (5, json!({"text": "bad", "model": "org/ranks"})),
        (6, json!({"text": "bad", "top_k": 1})),
    ] {
        assert_eq!(found[index], post("/v1/sentiment", body).await.ok()["answer"], "{index}");
    }
    for (index, code, part) in
        [(1, 400, "a string"), (2, 400, "line 5"), (3, 404, "nobody"), (4, 400, "line 7")]
    {
        let error = &found[index]["error"];
        assert_eq!(error["code"], json!(code), "{error}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
    let texts = "{\"first\": \"a\", \"second\": \"a\"}\n{\"first\": \"é😀 a\", \"second\": \"b\", \"offsets\": \"chars\"}\n";
    let found = read(&sent(router(), "/v1/similarity", texts).await);
    assert!((found[0]["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-5 && found[1]["cosine"].is_f64());
    assert!(read(&sent(router(), "/v1/embed", "\n\n").await).is_empty());
    sent(router(), "/v1/translate", "{}").await.refused(404, &["translate"]);
    sent(router(), "/embed", "{\"inputs\": \"a\"}").await.refused(415, &["/v1/{task}"]);
}

#[tokio::test]
async fn many_lines_are_answered_in_their_order() {
    // More than a request may hold as a list or in one value, through a short queue.
    let options = Options { max_client_batch: 10, max_body: 1000, max_concurrent: 1, ..Options::default() };
    let router = server(options, 64).router();
    let texts = ["good", "bad", "the river"];
    let lines: String = (0..5000).map(|index| format!("{{\"text\": \"{}\"}}\n", texts[index % 3])).collect();
    // The place of the first is free again for the second.
    for _ in 0..2 {
        let found = read(&sent(router.clone(), "/v1/embed", &lines).await);
        assert_eq!(found.len(), 5000);
        assert!(found.iter().enumerate().all(|(index, line)| line["text"] == texts[index % 3]));
        assert!(found.chunks_exact(3).all(|chunk| chunk == &found[..3]));
    }
    let long =
        format!("{{\"text\": \"good\"}}\n{{\"text\": \"{}\"}}\n{{\"text\": \"bad\"}}\n", "a".repeat(70_000));
    let parts =
        long.as_bytes().chunks(500).map(|part| Ok::<_, std::io::Error>(part.to_vec())).collect::<Vec<_>>();
    let mut request = request("/v1/embed", axum::body::Body::from_stream(futures_util::stream::iter(parts)));
    request.headers_mut().insert("content-type", "application/x-ndjson".parse().unwrap());
    let found = read(&send(router, request).await);
    assert_eq!(
        (found.len(), &found[0]["text"], &found[1]["error"]["code"]),
        (2, &json!("good"), &json!(413))
    );
}

/// Sends a part of a body in chunks.
fn chunk(stream: &mut impl Write, text: &str) {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).unwrap();
}

const HEAD: &str = "POST /v1/sentiment HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";

/// The next line of a reply in chunks that begins a JSON object.
fn line(reader: &mut impl BufRead) -> Value {
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "it ended");
        if line.starts_with('{') {
            return serde_json::from_str(&line).unwrap();
        }
    }
}

#[test]
fn a_line_is_answered_before_the_next_is_sent() {
    let server = Running::new(Options { timeout: Duration::from_secs(2), ..Options::default() });
    let mut stream = server.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    stream.write_all(HEAD.as_bytes()).unwrap();
    for text in ["good", "bad", "a river"] {
        chunk(&mut stream, &format!("{}\n", json!({"text": text})));
        assert_eq!(line(&mut reader)["text"], json!(text));
    }
    assert_eq!(server.metric("bert_in_flight"), 1.0);
    // Nobody sends anything any more.
    let started = Instant::now();
    assert_eq!(line(&mut reader)["error"]["code"], json!(504));
    assert!(started.elapsed() < Duration::from_secs(20));
    while server.metric("bert_in_flight") > 0.0 {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    server.end();
}

#[test]
fn lines_of_a_client_that_went_away_are_not_computed() {
    let server = Running::new(Options::default());
    let mut stream = server.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    stream.write_all(HEAD.as_bytes()).unwrap();
    let many = format!("{}\n", json!({"text": "the bank of the river ".repeat(5)})).repeat(500);
    for _ in 0..3 {
        chunk(&mut stream, &many);
    }
    line(&mut reader);
    drop((stream, reader));
    let started = Instant::now();
    while server.metric("bert_in_flight") > 0.0 || server.metric("te_queue_size") > 0.0 {
        assert!(started.elapsed() < Duration::from_secs(30), "it is still being worked on");
        std::thread::sleep(Duration::from_millis(10));
    }
    server.end();
}
