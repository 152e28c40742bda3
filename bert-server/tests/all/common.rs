//! A server over small models of every class, and requests to it.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bert_conformance::small::Small;
use bert_server::{Model, ModelOptions, Options, Server};
use bert_tasks::{Device, ModelSource, Pretrained};
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

/// Each class, the name that it is served under, its labels, and tasks beside those of its head.
const MODELS: [(&str, &str, &[&str], &[&str]); 8] = [
    (
        "BertForMaskedLM",
        "words",
        &[],
        &["fill-mask", "sparse-embed", "embed", "features", "attention", "polysemy"],
    ),
    ("BertForSequenceClassification", "reviews", &["negative", "positive"], &[]),
    ("BertForSequenceClassification", "org/ranks", &["relevance"], &[]),
    ("BertForSequenceClassification", "logic", &["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], &[]),
    ("BertForTokenClassification", "names", &["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], &[]),
    ("BertForQuestionAnswering", "answers", &[], &[]),
    ("BertForNextSentencePrediction", "next", &[], &[]),
    ("BertForMultipleChoice", "choice", &[], &[]),
];

/// The folders of all models, kept until the tests end.
static FOLDERS: LazyLock<Vec<TempDir>> = LazyLock::new(|| {
    let save = |(class, _, labels, _): &(&str, &str, &[&str], &[&str])| {
        let folder = TempDir::new().unwrap();
        let small = Small::new(class);
        let small = if labels.is_empty() { small } else { small.labels(labels) };
        small.save(folder.path());
        folder
    };
    MODELS.iter().map(save).collect()
});

static ROUTER: LazyLock<Router> = LazyLock::new(|| server(Options::default(), 1024).router());

/// The files of a model.
pub fn files(name: &str) -> Pretrained {
    let index = MODELS.iter().position(|(_, own, ..)| *own == name).unwrap();
    Pretrained::from_source(ModelSource::Folder(FOLDERS[index].path().to_owned())).unwrap()
}

pub fn device() -> Device {
    Device::auto().unwrap()
}

/// One of the models.
#[cfg(feature = "tls")]
pub fn load(name: &str) -> Model {
    load_model(MODELS.iter().find(|(_, own, ..)| *own == name).unwrap(), 1024)
}

fn load_model((_, name, _, tasks): &(&str, &str, &[&str], &[&str]), queue: usize) -> Model {
    let tasks = tasks.iter().map(|&task| task.to_owned()).collect();
    let options = ModelOptions { tasks, queue, ..ModelOptions::default() };
    Model::load(name, &files(name), &device(), &options).unwrap()
}

/// A server over all models.
pub fn server(options: Options, queue: usize) -> Server {
    Server::new(MODELS.iter().map(|model| load_model(model, queue)).collect(), options).unwrap()
}

/// The router that tests share.
pub fn router() -> Router {
    ROUTER.clone()
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The answer of a request that must have been answered.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The request must have been refused with this status, and a message with these parts.
    #[track_caller]
    pub fn refused(&self, status: u16, parts: &[&str]) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        let body = self.json();
        let message =
            body["error"].as_str().or_else(|| body["error"]["message"].as_str()).unwrap().to_owned();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(message.len() < 2000 && !message.contains("/tmp"), "{message}");
    }
}

pub async fn send(router: Router, request: Request<Body>) -> Reply {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Reply { status: parts.status, headers: parts.headers, body }
}

pub fn request(path: &str, body: impl Into<Body>) -> Request<Body> {
    let builder = Request::post(path).header("content-type", "application/json").header("host", "localhost");
    builder.body(body.into()).unwrap()
}

/// Posts JSON to the shared server.
pub async fn post(path: &str, body: Value) -> Reply {
    send(router(), request(path, body.to_string())).await
}

pub async fn get(path: &str) -> Reply {
    get_from(router(), path).await
}

pub async fn get_from(router: Router, path: &str) -> Reply {
    send(router, Request::get(path).header("host", "localhost").body(Body::empty()).unwrap()).await
}
