//! Who may ask, how much, and in which form.

use axum::body::Body;
use axum::http::Request;
use bert_conformance::small::{self, Small};
use bert_server::{Model, ModelOptions, Options, Server, ServerError};
use bert_tasks::{ModelSource, Pretrained};
use serde_json::json;

use crate::common::{self, device, files, request, router, send, server};

#[tokio::test]
async fn a_key_is_needed_where_one_is_set() {
    let options = Options { api_keys: vec!["secret".into(), "other".into()], ..Options::default() };
    let router = server(options, 16).router();
    let ask = |key: Option<&str>| {
        let mut request = request("/v1/embed", json!({"text": "a"}).to_string());
        if let Some(key) = key {
            request.headers_mut().insert("authorization", key.parse().unwrap());
        }
        send(router.clone(), request)
    };
    for wrong in [None, Some("Bearer secre"), Some("Bearer "), Some("secret"), Some("Basic secret")] {
        let reply = ask(wrong).await;
        reply.refused(401, &["Bearer"]);
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
    }
    for right in ["Bearer secret", "bearer other"] {
        ask(Some(right)).await.ok();
    }
    let get = |path: &str| {
        send(router.clone(), Request::get(path).header("host", "localhost").body(Body::empty()).unwrap())
    };
    for open in ["/health", "/health/live", "/health/ready", "/", "/docs", "/openapi.json"] {
        assert_eq!(get(open).await.status, 200, "{open}");
    }
    for closed in ["/metrics", "/info", "/v1/models"] {
        get(closed).await.refused(401, &[]);
    }
    // The page is open, what is posted to its path is not.
    send(router.clone(), request("/", json!({"inputs": "a"}).to_string())).await.refused(401, &[]);
}

#[tokio::test]
async fn other_host_names_are_refused_on_loopback() {
    let ask = |host: &str| {
        send(router(), Request::get("/health").header("host", host).body(Body::empty()).unwrap())
    };
    for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80", "LOCALHOST"] {
        assert_eq!(ask(host).await.status, 200, "{host}");
    }
    for host in ["example.org", "localhost.example.org", "127.0.0.1.nip.io:80", "10.0.0.1", ""] {
        ask(host).await.refused(403, &["host name"]);
    }
    let options = Options { allowed_hosts: vec!["bert.example.org".into()], ..Options::default() };
    let router = server(options, 16).router();
    let request = Request::get("/health").header("host", "bert.example.org:80").body(Body::empty()).unwrap();
    assert_eq!(send(router, request).await.status, 200);
}

#[tokio::test]
async fn other_origins_get_no_leave_unless_they_are_named() {
    let preflight = |router| {
        let builder =
            Request::options("/v1/embed").header("host", "localhost").header("origin", "https://a.org");
        send(router, builder.header("access-control-request-method", "POST").body(Body::empty()).unwrap())
    };
    assert!(!preflight(router()).await.headers.contains_key("access-control-allow-origin"));
    let options = Options { cors: vec!["https://a.org".into()], ..Options::default() };
    let named = preflight(server(options, 16).router()).await;
    assert_eq!(named.headers["access-control-allow-origin"], "https://a.org");
}

#[tokio::test]
async fn only_plain_json_is_taken() {
    for (name, value) in [("content-type", "text/plain"), ("content-encoding", "br")] {
        let mut request = request("/v1/embed", json!({"text": "a"}).to_string());
        request.headers_mut().insert(name, value.parse().unwrap());
        send(router(), request).await.refused(415, &["send"]);
    }
    for body in ["", "{", "{\"text\":", "nul", "\u{feff}{}", "{\"text\": NaN}", "{\"text\": \"\\ud800\"}"] {
        for path in ["/v1/embed", "/embed", "/", "/v1/embeddings", "/v1/tokenize", "/rerank"] {
            send(router(), request(path, body)).await.refused(400, &[]);
        }
    }
    let deep = "[".repeat(200_000);
    send(router(), request("/v1/embed", deep)).await.refused(400, &["recursion"]);
    let deep = format!("{{\"inputs\":{}{}}}", "[".repeat(120), "]".repeat(120));
    send(router(), request("/", deep)).await.refused(400, &[]);
}

#[tokio::test]
async fn bodies_and_batches_have_a_limit() {
    let options = Options { max_body: 1000, max_client_batch: 3, ..Options::default() };
    let router = server(options, 16).router();
    let large = json!({"text": "a".repeat(2000)}).to_string();
    send(router.clone(), request("/v1/embed", large)).await.refused(413, &["body"]);
    for (path, body) in [
        ("/v1/embed", json!({"inputs": [{"text": "a"}, {"text": "a"}, {"text": "a"}, {"text": "a"}]})),
        ("/embed", json!({"inputs": ["a", "b", "c", "d"]})),
        ("/v1/embeddings", json!({"input": ["a", "b", "c", "d"]})),
        ("/predict", json!({"inputs": [["a"], ["b"], ["c"], ["d"]]})),
        ("/rerank", json!({"query": "a", "texts": ["a", "b", "c", "d"]})),
        ("/models/reviews", json!({"inputs": ["a", "b", "c", "d"]})),
        ("/models/reviews", json!({"inputs": [{"text": "a"}, {"text": "a"}, {"text": "a"}, {"text": "a"}]})),
        ("/tokenize", json!({"inputs": ["a", "b", "c", "d"]})),
        ("/decode", json!({"ids": [[1], [1], [1], [1]]})),
        ("/similarity", json!({"inputs": {"source_sentence": "a", "sentences": ["a", "b", "c", "d"]}})),
    ] {
        send(router.clone(), request(path, body.to_string())).await.refused(413, &["4 inputs", "3"]);
    }
}

#[tokio::test]
async fn ten_thousand_inputs_are_answered_in_order() {
    let options = Options { max_client_batch: 10_000, ..Options::default() };
    // A queue that is much shorter than the request.
    let router = server(options, 64).router();
    let texts: Vec<_> = (0..10_000).map(|index| ["good", "bad", "the river"][index % 3]).collect();
    let reply = send(router, request("/embed", json!({"inputs": texts}).to_string())).await.ok();
    let vectors = reply.as_array().unwrap();
    assert_eq!(vectors.len(), 10_000);
    assert!(vectors.chunks_exact(3).all(|chunk| chunk == &vectors[..3]) && vectors[0] != vectors[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_loses_nothing() {
    let router = server(Options::default(), 2).router();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let router = router.clone();
        let body = json!({"inputs": ["good", "bad", "a river", "money"]}).to_string();
        tasks.spawn(async move { send(router, request("/embed", body)).await });
    }
    let expected =
        send(common::router(), request("/embed", r#"{"inputs": ["good", "bad", "a river", "money"]}"#))
            .await
            .ok();
    let mut answered = 0;
    while let Some(reply) = tasks.join_next().await {
        let reply = reply.unwrap();
        if reply.status == 429 {
            reply.refused(429, &["later"]);
            assert_eq!(reply.headers["retry-after"], "1");
        } else {
            assert_eq!(reply.ok(), expected);
            answered += 1;
        }
    }
    assert!(answered > 0);
}

#[tokio::test]
async fn a_model_that_fails_is_an_error_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    Small::new("BertModel").save(folder.path());
    small::edit(folder.path(), |tensors| {
        let (_, (_, numbers)) =
            tensors.iter_mut().find(|(name, _)| name.contains("word_embeddings")).unwrap();
        numbers.fill(f32::NAN);
    });
    let broken = Pretrained::from_source(ModelSource::Folder(folder.path().to_owned())).unwrap();
    let load =
        |name, files: &Pretrained| Model::load(name, files, &device(), &ModelOptions::default()).unwrap();
    let models = vec![load("broken", &broken), load("reviews", &files("reviews"))];
    let router = Server::new(models, Options::default()).unwrap().router();
    let embed = send(router.clone(), request("/embed", json!({"inputs": "good"}).to_string())).await;
    embed.refused(500, &["finite"]);
    send(router, request("/predict", json!({"inputs": "good"}).to_string())).await.ok();
}

#[tokio::test]
async fn requests_have_names() {
    let ask = |id: &str| {
        let builder = Request::get("/health").header("host", "localhost").header("x-request-id", id);
        send(router(), builder.body(Body::empty()).unwrap())
    };
    assert_eq!(ask("my-id.1").await.headers["x-request-id"], "my-id.1");
    let long = "a".repeat(65);
    for strange in ["a b", "a\"b", long.as_str(), ""] {
        let reply = ask(strange).await;
        let id = reply.headers["x-request-id"].to_str().unwrap();
        assert!(id != strange && id.len() < 40 && !id.is_empty(), "{id}");
    }
}

#[test]
fn servers_that_make_no_sense_are_refused() {
    assert!(matches!(Server::new(vec![], Options::default()), Err(ServerError::NoModel)));
    let load = |name: &str| Model::load(name, &files("reviews"), &device(), &ModelOptions::default());
    let twice = vec![load("a").unwrap(), load("a").unwrap()];
    assert!(matches!(Server::new(twice, Options::default()), Err(ServerError::SameName { .. })));
    for name in ["", "a b", "a//b", "é", "a/pipeline/b"] {
        assert!(matches!(load(name), Err(ServerError::BadName { .. })), "{name}");
    }
    let none = ModelOptions { tasks: vec!["answer".into()], ..ModelOptions::default() };
    let refused = Model::load("a", &files("reviews"), &device(), &none);
    assert!(matches!(refused, Err(ServerError::NoTask { .. })));
    let options = Options { api_keys: vec!["a b".into()], ..Options::default() };
    assert!(matches!(Server::new(vec![load("a").unwrap()], options), Err(ServerError::Option { .. })));
}
