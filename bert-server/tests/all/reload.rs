//! Other models in the place of those that are served.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use bert_server::{Model, ModelOptions, Options, Server};
use serde_json::{Value, json};

use crate::common::{Reply, device, files, get_from, request, send};

type Loader = fn() -> Result<Vec<Model>, Box<dyn Error + Send + Sync>>;

fn load(name: &str, of: &str) -> Model {
    Model::load(name, &files(of), &device(), &ModelOptions::default()).unwrap()
}

fn options() -> Options {
    Options { api_keys: vec!["secret".into()], ..Options::default() }
}

async fn ask(router: &Router, path: &str, body: Value) -> Reply {
    let mut request = request(path, body.to_string());
    request.headers_mut().insert("authorization", "Bearer secret".parse().unwrap());
    if path == "/admin/reload" {
        request.headers_mut().remove("content-type");
    }
    send(router.clone(), request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_are_swapped_and_no_request_is_lost() {
    let times = Arc::new(AtomicUsize::new(0));
    let counted = times.clone();
    // Each time another model under the same name.
    let server = Server::new(vec![load("model", "reviews")], options()).unwrap().with_loader(move || {
        let odd = counted.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        Ok(vec![load("model", if odd { "org/ranks" } else { "reviews" }), load("names", "names")])
    });
    let router = server.router();
    let ended = Arc::new(AtomicBool::new(false));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (router, ended) = (router.clone(), ended.clone());
        clients.spawn(async move {
            let mut seen = [0, 0];
            while !ended.load(Ordering::Relaxed) {
                let inputs: Vec<_> = (0..50).map(|_| json!({"text": "good"})).collect();
                let reply =
                    ask(&router, "/v1/sentiment", json!({"inputs": inputs, "model": "model"})).await.ok();
                let answers = reply["answers"].as_array().unwrap();
                // All by one model.
                assert!(answers.iter().all(|answer| answer == &answers[0]), "{reply}");
                let count = answers[0]["scores"].as_array().unwrap().len();
                seen[usize::from(count == 1)] += 1;
            }
            seen
        });
    }
    for _ in 0..6 {
        let reply = ask(&router, "/admin/reload", json!({})).await.ok();
        assert_eq!(reply["models"][1], json!({"name": "names", "tasks": ["entities"]}));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ended.store(true, Ordering::Relaxed);
    let mut seen = [0, 0];
    while let Some(counts) = clients.join_next().await {
        let counts = counts.unwrap();
        seen = [seen[0] + counts[0], seen[1] + counts[1]];
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    assert_eq!(times.load(Ordering::Relaxed), 6);
    assert_eq!(server.models().len(), 2);
}

#[tokio::test]
async fn a_reload_that_fails_changes_nothing() {
    let loads: Vec<Loader> = vec![
        || Err("cannot read /tmp/secret".into()),
        || Ok(vec![]),
        || Ok(vec![load("a", "names"), load("a", "names")]),
        || panic!("out of order"),
    ];
    for loader in loads {
        let server = Server::new(vec![load("model", "reviews")], options()).unwrap().with_loader(loader);
        let router = server.router();
        let reply = ask(&router, "/admin/reload", json!({})).await;
        reply.refused(500, &["load"]);
        ask(&router, "/v1/sentiment", json!({"text": "good", "model": "model"})).await.ok();
        // The next one is not held up by it.
        ask(&router, "/admin/reload", json!({})).await.refused(500, &["load"]);
    }
}

#[tokio::test]
async fn only_who_has_a_key_may_reload() {
    let loader = || Ok(vec![load("model", "names")]);
    let open = Server::new(vec![load("model", "reviews")], Options::default()).unwrap().with_loader(loader);
    ask(&open.router(), "/admin/reload", json!({})).await.refused(403, &["SIGHUP", "key"]);
    let closed = Server::new(vec![load("model", "reviews")], options()).unwrap().with_loader(loader);
    send(closed.router(), request("/admin/reload", "{}")).await.refused(401, &[]);
    assert_eq!(get_from(closed.router(), "/admin/reload").await.status, 401);
    let fixed = Server::new(vec![load("model", "reviews")], options()).unwrap();
    ask(&fixed.router(), "/admin/reload", json!({})).await.refused(404, &["restart"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_reload_at_a_time() {
    let server = Server::new(vec![load("model", "reviews")], options()).unwrap().with_loader(|| {
        std::thread::sleep(Duration::from_millis(500));
        Ok(vec![load("model", "names")])
    });
    let router = server.router();
    let reload = || ask(&router, "/admin/reload", json!({}));
    // Both are asked before the first one can have ended.
    let (first, second) = tokio::join!(reload(), reload());
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429]);
    ask(&router, "/v1/entities", json!({"text": "london"})).await.ok();
}

#[test]
fn a_switch_reloads_a_server_that_runs() {
    use crate::wire::Running;
    let server =
        crate::common::server(Options::default(), 64).with_loader(|| Ok(vec![load("other", "names")]));
    let switch = server.reload_switch();
    let running = Running::of(server);
    assert!(running.ask("/v1/sentiment", "{\"text\": \"good\"}").starts_with("HTTP/1.1 200"));
    switch.store(true, Ordering::Release);
    let started = Instant::now();
    while !running.ask("/v1/entities", "{\"text\": \"a\", \"model\": \"other\"}").starts_with("HTTP/1.1 200")
    {
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(running.ask("/v1/sentiment", "{\"text\": \"good\"}").starts_with("HTTP/1.1 404"));
    running.end();
}
