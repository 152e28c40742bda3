//! The forms that other services' clients send and read.

use serde_json::{Value, json};

use crate::common::{get, post};

fn close(value: &Value, expected: f64) {
    assert!((value.as_f64().unwrap() - expected).abs() < 1e-5, "{value} is not {expected}");
}

#[tokio::test]
async fn hugging_face_fill_mask() {
    let reply =
        post("/models/words", json!({"inputs": "the [MASK] is good", "parameters": {"top_k": 2}})).await.ok();
    assert_eq!(reply.as_array().unwrap().len(), 2);
    let keys: Vec<_> = reply[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["score", "sequence", "token", "token_str"]);
    // At the address of the server itself, the mask says what is asked.
    assert_eq!(
        post("/", json!({"inputs": "the [MASK] is good", "parameters": {"top_k": 2}})).await.ok(),
        reply
    );
    let several = post("/models/words", json!({"inputs": "[MASK] [MASK]"})).await.ok();
    assert_eq!((several.as_array().unwrap().len(), several[0].as_array().unwrap().len()), (2, 5));
    let targets = json!({"inputs": ["a [MASK]"], "parameters": {"targets": ["good", "bad"]}});
    let targets = post("/models/words/pipeline/fill-mask", targets).await.ok();
    assert_eq!(targets[0].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn hugging_face_classification() {
    let reply = post("/models/reviews", json!({"inputs": "a good movie"})).await.ok();
    let scores = reply[0].as_array().unwrap();
    assert_eq!(scores.len(), 2);
    close(&json!(scores.iter().map(|label| label["score"].as_f64().unwrap()).sum::<f64>()), 1.0);
    let pair = json!({"inputs": {"text": "a", "text_pair": "b"}, "parameters": {"top_k": 1, "function_to_apply": "sigmoid"}});
    assert_eq!(post("/models/reviews", pair).await.ok()[0].as_array().unwrap().len(), 1);
    let list = post("/pipeline/text-classification", json!({"inputs": ["a", "b", "c"]})).await.ok();
    assert_eq!(list.as_array().unwrap().len(), 3);
    let wrong = json!({"inputs": "a", "parameters": {"function_to_apply": "tanh"}});
    post("/models/reviews", wrong).await.refused(400, &["function_to_apply"]);
}

#[tokio::test]
async fn hugging_face_entities_count_code_points() {
    let text = "é😀 london";
    let parameters = json!({"aggregation_strategy": "none", "ignore_labels": ["O"]});
    let reply = post("/models/names", json!({"inputs": text, "parameters": parameters})).await.ok();
    for entity in reply.as_array().unwrap() {
        let (start, end) = (entity["start"].as_u64().unwrap(), entity["end"].as_u64().unwrap());
        let word: String = text.chars().skip(start as usize).take((end - start) as usize).collect();
        assert_eq!((entity["word"].as_str().unwrap(), entity["entity"].is_string()), (word.as_str(), true));
    }
    let grouped = post("/models/names", json!({"inputs": [text, "paris"]})).await.ok();
    assert_eq!(grouped.as_array().unwrap().len(), 2);
    assert!(grouped[0].as_array().unwrap().iter().all(|entity| entity["entity_group"].is_string()));
}

#[tokio::test]
async fn hugging_face_answers() {
    let inputs = json!({"question": "where is it", "context": "é😀 it is in paris"});
    let one = post("/", json!({"inputs": inputs})).await.ok();
    let (start, end) = (one["start"].as_u64().unwrap() as usize, one["end"].as_u64().unwrap() as usize);
    let context: Vec<char> = "é😀 it is in paris".chars().collect();
    assert_eq!(one["answer"], json!(context[start..end].iter().collect::<String>()));
    let several = post("/models/answers", json!({"inputs": inputs, "parameters": {"top_k": 3}})).await.ok();
    assert!(several.is_array() && several[0] == one);
}

#[tokio::test]
async fn hugging_face_vectors() {
    let one = post("/models/words/pipeline/feature-extraction", json!({"inputs": "good", "normalize": true}))
        .await
        .ok();
    assert_eq!(one.as_array().unwrap().len(), 32);
    let list =
        post("/models/words/pipeline/feature-extraction", json!({"inputs": ["good", "bad"]})).await.ok();
    assert_eq!((list.as_array().unwrap().len(), list[1].as_array().unwrap().len()), (2, 32));
    let alike = json!({"inputs": {"source_sentence": "good", "sentences": ["good", "bad"]}});
    let alike = post("/", alike).await.ok();
    close(&alike[0], 1.0);
    assert_eq!(alike.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn hugging_face_zero_shot() {
    let ask = |several: bool| {
        let parameters = json!({"candidate_labels": ["good", "bad", "money"], "multi_label": several});
        post("/models/logic", json!({"inputs": "it is good", "parameters": parameters}))
    };
    let scores = |reply: &Value| -> Vec<f64> {
        reply.as_array().unwrap().iter().map(|label| label["score"].as_f64().unwrap()).collect()
    };
    let compared = scores(&ask(false).await.ok());
    assert!(compared.is_sorted_by(|a, b| a >= b) && compared.len() == 3);
    close(&json!(compared.iter().sum::<f64>()), 1.0);
    assert!(scores(&ask(true).await.ok()).iter().all(|score| (0.0..=1.0).contains(score)));
    let wrong = json!({"inputs": "a", "parameters": {"candidate_labels": ["a"]}});
    post("/models/reviews", wrong).await.refused(400, &["entailment", "positive"]);
}

#[tokio::test]
async fn names_with_a_slash_and_unknown_things() {
    post("/models/org/ranks", json!({"inputs": "a"})).await.ok();
    post("/models/org/ranks/pipeline/text-classification", json!({"inputs": "a"})).await.ok();
    post("/models/nobody", json!({"inputs": "a"})).await.refused(404, &["nobody"]);
    post("/models/words/pipeline/summarization", json!({"inputs": "a"}))
        .await
        .refused(404, &["summarization"]);
    post("/models/names/pipeline/fill-mask", json!({"inputs": "a"})).await.refused(404, &["entities"]);
    post("/models/words", json!({})).await.refused(400, &["inputs"]);
    let noted = post("/models/words", json!({"inputs": "[MASK]", "parameters": {"temperature": 1}})).await;
    noted.ok();
    assert!(noted.headers["warning"].to_str().unwrap().contains("temperature"));
}

#[tokio::test]
async fn text_embeddings_inference() {
    let vectors = post("/embed", json!({"inputs": ["good", "bad"], "truncate": true})).await.ok();
    let length: f64 = vectors[0].as_array().unwrap().iter().map(|x| x.as_f64().unwrap().powi(2)).sum();
    close(&json!(length), 1.0);
    assert_eq!(post("/embed", json!({"inputs": "good"})).await.ok(), json!([vectors[0]]));
    let states = post("/embed_all", json!({"inputs": "good bad"})).await.ok();
    assert_eq!((states[0].as_array().unwrap().len(), states[0][0].as_array().unwrap().len()), (4, 32));
    let sparse = post("/embed_sparse", json!({"inputs": "good"})).await.ok();
    assert!(sparse[0][0]["index"].is_u64() && sparse[0][0]["value"].as_f64().unwrap() > 0.0);
    let flat = post("/predict", json!({"inputs": "good", "model": "reviews"})).await.ok();
    assert!(flat[0]["label"].is_string());
    let nested = post("/predict", json!({"inputs": [["good"], ["good", "bad"]]})).await.ok();
    assert_eq!((nested.as_array().unwrap().len(), &nested[0]), (2, &flat));
    let cosines = json!({"inputs": {"source_sentence": "good", "sentences": ["good"]}});
    close(&post("/similarity", cosines).await.ok()[0], 1.0);
    let tokens = post("/tokenize", json!({"inputs": "é good"})).await.ok();
    assert_eq!(tokens[0].as_array().unwrap().last().unwrap()["special"], json!(true));
    let good = tokens[0].as_array().unwrap().iter().find(|token| token["text"] == "good").unwrap().clone();
    assert_eq!((&good["start"], &good["stop"]), (&json!(2), &json!(6)));
    assert_eq!(post("/decode", json!({"ids": [good["id"]]})).await.ok(), json!(["good"]));
    assert_eq!(get("/info").await.ok()["model_id"], json!("words"));
    assert_eq!(get("/health").await.status, 200);
    assert!(get("/metrics").await.text().contains("te_request_count{method=\"/embed\"}"));
}

#[tokio::test]
async fn texts_that_may_not_be_cut_are_refused() {
    let long = "good ".repeat(100);
    for path in ["/embed", "/predict"] {
        post(path, json!({"inputs": long, "truncate": false})).await.refused(413, &["truncate"]);
        let cut = post(path, json!({"inputs": long})).await;
        cut.ok();
        assert!(cut.headers.contains_key("warning"));
    }
}

#[tokio::test]
async fn rerankers() {
    let texts = ["good", "bad", "money in the bank"];
    let ranks = post("/rerank", json!({"query": "good", "texts": texts, "return_text": true})).await.ok();
    let scores: Vec<f64> =
        ranks.as_array().unwrap().iter().map(|rank| rank["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| (0.0..=1.0).contains(score)));
    assert!(
        ranks.as_array().unwrap().iter().all(|r| r["text"] == texts[r["index"].as_u64().unwrap() as usize])
    );
    let common =
        json!({"query": "good", "documents": ["good", {"text": "bad"}], "top_n": 1, "model": "org/ranks"});
    let common = post("/v1/rerank", common).await.ok();
    assert_eq!(
        (common["model"].as_str(), common["results"].as_array().unwrap().len()),
        (Some("org/ranks"), 1)
    );
    post("/rerank", json!({"query": "a", "texts": ["b"], "model": "reviews"}))
        .await
        .refused(404, &["single label"]);
}

#[tokio::test]
async fn openai() {
    let reply = post("/v1/embeddings", json!({"input": ["good", "bad"], "model": "words"})).await.ok();
    assert_eq!((&reply["object"], &reply["model"]), (&json!("list"), &json!("words")));
    assert_eq!(reply["usage"]["prompt_tokens"], json!(6));
    let floats: Vec<f32> = serde_json::from_value(reply["data"][1]["embedding"].clone()).unwrap();
    let packed = post("/v1/embeddings", json!({"input": "bad", "encoding_format": "base64"})).await.ok();
    use base64::Engine;
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(packed["data"][0]["embedding"].as_str().unwrap());
    let unpacked: Vec<f32> =
        bytes.unwrap().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(unpacked, floats);
    let short = post("/v1/embeddings", json!({"input": "bad", "dimensions": 8})).await.ok();
    let short: Vec<f32> = serde_json::from_value(short["data"][0]["embedding"].clone()).unwrap();
    close(&json!(short.iter().map(|x| x * x).sum::<f32>()), 1.0);
    post("/v1/embeddings", json!({"input": "a", "dimensions": 33})).await.refused(400, &["33", "32"]);
    post("/v1/embeddings", json!({"input": [1, 2]})).await.refused(400, &["texts"]);
    post("/v1/embeddings", json!({"input": "a", "model": "gpt"})).await.refused(404, &["gpt"]);
    assert_eq!(get("/v1/models").await.ok()["data"].as_array().unwrap().len(), 8);
    assert_eq!(get("/v1/models/org/ranks").await.ok()["id"], json!("org/ranks"));
}
