//! Whoever else is served, the answer has the bits that the library gives.

use std::sync::Arc;

use bert_tasks::{AnyTask, Precision};
use serde_json::{Value, json};

use crate::common::{device, files, request, router, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_are_those_of_the_library_to_the_last_bit() {
    let mut asked = vec![];
    for (model, word) in [
        ("words", "embed"),
        ("words", "fill-mask"),
        ("reviews", "sentiment"),
        ("names", "entities"),
        ("words", "features"),
        ("words", "attention"),
    ] {
        let task = AnyTask::open(word, &files(model), &device(), Precision::F32, &Value::Null).unwrap();
        for index in 0..40 {
            let text = format!("{}[MASK] number {index}", "the bank of the river ".repeat(index % 5));
            let record = task.ask(json!({"text": text})).unwrap();
            asked.push((
                format!("/v1/{word}"),
                json!({"text": text, "model": model}),
                record.get().to_owned(),
            ));
        }
    }
    let asked = Arc::new(asked);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..8 {
        let asked = asked.clone();
        clients.spawn(async move {
            for index in 0..asked.len() {
                let (path, body, record) = &asked[(index * 7 + client * 31) % asked.len()];
                let reply = send(router(), request(path, body.to_string())).await;
                assert_eq!(reply.status, 200);
                let expected = format!("{{\"answer\":{record},\"timing\"");
                assert!(reply.text().starts_with(&expected), "{} is not {expected}", reply.text());
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
}
