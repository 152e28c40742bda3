//! The server's own form: every task, one input and several, places in three units.

use serde_json::{Value, json};

use crate::common::{get, post};

#[tokio::test]
async fn every_task_answers() {
    for (task, request, field) in [
        ("fill-mask", json!({"text": "the [MASK] is good", "top_k": 2}), "masks"),
        ("sentiment", json!({"text": "a good movie"}), "scores"),
        ("classify", json!({"text": "a good movie", "pair": "not bad", "model": "reviews"}), "scores"),
        ("entities", json!({"text": "she lives in london"}), "entities"),
        ("answer", json!({"question": "where is it", "context": "it is in paris"}), "answers"),
        ("next-sentence", json!({"first": "it is good", "second": "not bad"}), "follows"),
        ("choose", json!({"prompt": "she is", "choices": ["good", "bad"]}), "best"),
        ("embed", json!({"text": "a good movie", "normalize": true}), "vector"),
        ("sparse-embed", json!({"text": "a good movie"}), "words"),
        ("similarity", json!({"first": "a", "second": "a"}), "cosine"),
        ("features", json!({"text": "a good movie"}), "tokens"),
        ("attention", json!({"text": "a good movie", "layer": 1, "head": 1}), "layers"),
        ("polysemy", json!({"word": "bank", "texts": ["the bank", "a bank of it"]}), "cosines"),
    ] {
        let reply = post(&format!("/v1/{task}"), request).await.ok();
        assert!(!reply["answer"][field].is_null(), "{task}: {reply}");
        assert!(reply["timing"]["seconds"].as_f64().unwrap() > 0.0);
    }
}

#[tokio::test]
async fn several_inputs_share_fields_and_fail_by_themselves() {
    let inputs = json!({"inputs": [
        {"text": "the [MASK] is good"}, {"text": "no mask"}, {"text": "[MASK]", "top_k": 3}], "top_k": 1});
    let reply = post("/v1/fill-mask", inputs).await.ok();
    let count = |index: usize| reply["answers"][index]["masks"][0]["candidates"].as_array().unwrap().len();
    assert_eq!((count(0), count(2)), (1, 3));
    assert!(reply["answers"][1]["error"]["message"].as_str().unwrap().contains("[MASK]"));
    let none = post("/v1/embed", json!({"inputs": []})).await.ok();
    assert_eq!(none["answers"], json!([]));
}

#[tokio::test]
async fn places_are_counted_as_asked() {
    let text = "é😀 london is good";
    for (unit, start, end) in [("bytes", 7, 13), ("chars", 3, 9), ("utf16", 4, 10)] {
        let request = json!({"text": text, "aggregation": "none", "offsets": unit});
        let reply = post("/v1/entities", request).await.ok();
        let entities = reply["answer"]["entities"].as_array().unwrap().clone();
        let london = entities.iter().find(|entity| entity["text"] == "london");
        if let Some(london) = london {
            assert_eq!(london["range"], json!({"start": start, "end": end}), "{unit}");
        }
        let tokens = post("/v1/tokenize", json!({"text": text, "offsets": unit})).await.ok();
        let token =
            tokens["tokens"].as_array().unwrap().iter().find(|token| token["token"] == "london").unwrap();
        assert_eq!(token["range"], json!({"start": start, "end": end}), "{unit}");
        let uses = json!({"word": "london", "texts": ["none", text], "offsets": unit});
        let uses = post("/v1/polysemy", uses).await.ok();
        assert_eq!(uses["answer"]["uses"][0]["range"], json!({"start": start, "end": end}), "{unit}");
        let filled = post("/v1/fill-mask", json!({"text": "é😀 [MASK]", "offsets": unit})).await.ok();
        assert_eq!(filled["answer"]["masks"][0]["range"], json!({"start": start, "end": end}), "{unit}");
    }
    post("/v1/embed", json!({"text": "a", "offsets": "words"})).await.refused(400, &["offsets"]);
}

#[tokio::test]
async fn what_was_not_seen_is_told() {
    let long = "good ".repeat(100);
    for (task, request) in [
        ("embed", json!({"text": long})),
        ("similarity", json!({"first": "a", "second": long})),
        ("sentiment", json!({"text": long})),
    ] {
        let reply = post(&format!("/v1/{task}"), request).await;
        assert!(reply.ok()["answer"]["truncated"].to_string().contains("\"end\":"), "{}", reply.text());
        assert!(reply.headers["warning"].to_str().unwrap().contains("too long"), "{:?}", reply.headers);
    }
    let whole = post("/v1/embed", json!({"text": "the \"truncated\":{\"start\" of it"})).await;
    assert!(whole.ok()["answer"]["truncated"].is_null() && !whole.headers.contains_key("warning"));
    let metrics = get("/metrics").await.text();
    for name in ["bert_truncated_total", "bert_energy_joules_total{part=\"cpu\",known=\""] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    for (path, body, status, parts) in [
        ("/v1/translate", json!({}), 404, &["translate", "fill-mask"][..]),
        ("/v1/embed", json!({"txt": "a"}), 400, &["txt", "text"]),
        ("/v1/embed", json!({"text": 3}), 400, &["text", "a string"]),
        ("/v1/embed", json!([]), 400, &["object"]),
        ("/v1/embed", json!({"text": "a", "model": "nobody"}), 404, &["nobody", "words"]),
        ("/v1/embed", json!({"text": "a", "model": "reviews"}), 404, &["reviews", "sentiment"]),
        ("/v1/fill-mask", json!({"text": "[MASK]", "top_k": 0}), 400, &["top_k"]),
        ("/v1/fill-mask", json!({"text": "[MASK]", "top_k": -1}), 400, &["top_k"]),
        ("/v1/embed", json!({"inputs": [1]}), 400, &["inputs"]),
        ("/v1/tokenize", json!({"text": "a", "x": 1}), 400, &["x", "pair"]),
        ("/v1/similarity", json!({"first": "a"}), 400, &["second"]),
        ("/v1/attention", json!({"text": "a", "layer": 9}), 400, &["layer 9"]),
        ("/v1/attention", json!({"text": "good ".repeat(500)}), 400, &["tokens"]),
        ("/v1/polysemy", json!({"word": "good", "texts": ["bad"]}), 400, &["none of the texts"]),
    ] {
        post(path, body).await.refused(status, parts);
    }
}

#[tokio::test]
async fn unusual_texts_have_answers() {
    for text in ["", "\0", "😀", "\u{fffd}\u{200d}", "\r\n\t", "[PAD][CLS]"] {
        let reply = post("/v1/embed", json!({"text": text})).await.ok();
        assert_eq!(reply["answer"]["text"], json!(text));
        post("/v1/entities", json!({"text": text})).await.ok();
        post("/v1/answer", json!({"question": text, "context": text})).await.ok();
    }
    let long: Value =
        post("/v1/answer", json!({"question": "a", "context": "good ".repeat(20_000)})).await.ok();
    assert!(long["answer"]["answers"].is_array());
}
