//! Bodies and answers that are packed by gzip.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};

use bert_server::Options;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::{GzDecoder, GzEncoder};
use serde_json::json;

use crate::common::{Reply, get, post, request, router, send, server};
use crate::wire::Running;

pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut found = vec![];
    MultiGzDecoder::new(bytes).read_to_end(&mut found).unwrap();
    found
}

async fn sent(router: axum::Router, path: &str, body: Vec<u8>) -> Reply {
    let mut request = request(path, body);
    request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    send(router, request).await
}

#[tokio::test]
async fn packed_bodies_are_bodies() {
    let body = json!({"inputs": ["good", "a river"]});
    let expected = post("/embed", body.clone()).await.ok();
    assert_eq!(sent(router(), "/embed", pack(body.to_string().as_bytes())).await.ok(), expected);
    let whole = pack(body.to_string().as_bytes());
    for broken in [&whole[..whole.len() / 2], b"", b"{\"inputs\": \"a\"}", &[0x1f, 0x8b, 8, 0, 1, 2, 3]] {
        sent(router(), "/embed", broken.to_vec()).await.refused(400, &["body"]);
    }
    let mut request = request("/embed", whole);
    request.headers_mut().insert("content-encoding", "br".parse().unwrap());
    send(router(), request).await.refused(415, &["gzip"]);
}

#[tokio::test]
async fn a_bomb_is_as_large_as_what_is_in_it() {
    let router = server(Options { max_body: 100_000, ..Options::default() }, 16).router();
    let bomb = pack(&vec![b' '; 200 << 20]);
    assert!(bomb.len() < 1 << 20);
    let started = Instant::now();
    for path in ["/embed", "/v1/embed", "/", "/v1/embeddings", "/v1/tokenize"] {
        sent(router.clone(), path, bomb.clone()).await.refused(413, &["body"]);
    }
    // As lines it is one that is too long.
    let mut request = request("/v1/embed", bomb);
    request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    request.headers_mut().insert("content-type", "application/x-ndjson".parse().unwrap());
    let reply = send(router, request).await;
    assert!(reply.text().contains("413") && reply.text().lines().count() == 1, "{}", reply.text());
    assert!(started.elapsed() < Duration::from_secs(10), "it was unpacked");
}

#[tokio::test]
async fn answers_are_packed_for_those_who_can_unpack_them() {
    let ask = |accepted: &'static str| {
        let mut request = request("/embed", json!({"inputs": vec!["good"; 20]}).to_string());
        request.headers_mut().insert("accept-encoding", accepted.parse().unwrap());
        send(router(), request)
    };
    let plain = ask("br").await;
    assert!(!plain.headers.contains_key("content-encoding"));
    let packed = ask("br, gzip;q=0.5").await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.body.len() < plain.body.len() && unpack(&packed.body) == plain.body);
    assert_eq!(packed.headers["vary"], "accept-encoding");
    // Too little to be worth it.
    assert!(!get("/health").await.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn packed_lines_come_to_their_end() {
    let list = json!({"inputs": vec![json!({"text": "good"}); 6]}).to_string();
    for (kind, body) in
        [("application/x-ndjson", "{\"text\": \"good\"}\n".repeat(6)), ("application/json", list)]
    {
        let mut request = request("/v1/sentiment", body);
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        request.headers_mut().insert("accept", "application/x-ndjson".parse().unwrap());
        request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        let reply = send(router(), request).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["content-encoding"], "gzip");
        assert_eq!(unpack(&reply.body).iter().filter(|&&byte| byte == b'\n').count(), 6, "{kind}");
    }
}

#[test]
fn packed_lines_come_one_by_one() {
    let server = Running::new(Options::default());
    let mut stream = server.connect();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let head = "POST /v1/sentiment HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n\
                Accept-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut unpacked = GzDecoder::new(vec![]);
    for (number, text) in ["good", "bad", "a river"].iter().enumerate() {
        let sent = format!("{}\n", json!({"text": text}));
        stream.write_all(format!("{:x}\r\n{sent}\r\n", sent.len()).as_bytes()).unwrap();
        // The head before the first, then chunks until the line is there.
        while unpacked.get_ref().iter().filter(|&&byte| byte == b'\n').count() <= number {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0, "it ended");
            if let Ok(length) = usize::from_str_radix(line.trim_end(), 16) {
                let mut chunk = vec![0; length];
                reader.read_exact(&mut chunk).unwrap();
                unpacked.write_all(&chunk).unwrap();
                unpacked.flush().unwrap();
            }
        }
    }
    drop((stream, reader));
    server.end();
}
