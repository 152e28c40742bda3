//! The pages, and the description of all paths.

use serde_json::Value;

use crate::common::{get, post};

#[tokio::test]
async fn the_pages_need_nothing_from_elsewhere() {
    for path in ["/", "/docs"] {
        let page = get(path).await;
        assert_eq!(page.status, 200);
        assert!(page.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
        let text = page.text();
        assert!(
            text.starts_with("<!doctype html>") && text.contains("lang=\"en\"") && text.contains("viewport")
        );
        for outside in ["src=\"http", "href=\"http", "@import", "url(http", "//cdn", "innerHTML"] {
            assert!(!text.contains(outside), "{path}: {outside}");
        }
    }
}

#[tokio::test]
async fn every_path_is_described() {
    let description: Value = get("/openapi.json").await.ok();
    assert!(description["openapi"].as_str().unwrap().starts_with("3."));
    let described: Vec<&str> = description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let sources = [
        include_str!("../../src/api/own.rs"),
        include_str!("../../src/api/hugging_face/mod.rs"),
        include_str!("../../src/api/tei/mod.rs"),
        include_str!("../../src/api/openai.rs"),
        include_str!("../../src/api/service.rs"),
    ];
    let mut count = 0;
    for part in sources.iter().flat_map(|source| source.split(".route(\"").skip(1)) {
        let path = part.split('"').next().unwrap().replace("{*", "{");
        // What `/models/{path}` stands for is described as two paths.
        let path = path.replace("/models/{path}", "/models/{name}");
        assert!(path == "/favicon.ico" || described.contains(&path.as_str()), "{path} is not described");
        count += 1;
    }
    assert!(count > 20, "{count}");
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(
                // That takes no body.
                method != "post"
                    || path == "/admin/reload"
                    || operation["requestBody"]["content"]["application/json"]["example"].is_object(),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn the_examples_of_the_description_are_answered() {
    let description: Value = get("/openapi.json").await.ok();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let Some(body) = methods
            .get("post")
            .and_then(|post| post.get("requestBody"))
            .map(|body| &body["content"]["application/json"]["example"])
        else {
            continue;
        };
        let path = path
            .replace("/v1/{task}", "/v1/fill-mask")
            .replace("{name}/pipeline/{task}", "reviews/pipeline/{task}");
        let path = path.replace("{name}", "words").replace("{task}", "text-classification");
        let reply = post(&path, body.clone()).await;
        assert_eq!(reply.status, 200, "{path} {body}: {}", reply.text());
    }
}
