//! The server itself: whether it lives, what it has counted, what its paths are, and the pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::App;
use crate::server::Shared;
use crate::{Kind, Refusal};

/// The page to try the tasks, with everything that it needs.
const PLAYGROUND: &str = include_str!("../playground.html");

/// The page that shows the description of all paths, and sends what is filled in.
const DESCRIPTION: &str = include_str!("../openapi.html");

/// The description of all paths.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// A page may run its own script, ask this server, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(async || page(PLAYGROUND)).post(super::hugging_face::root))
        .route("/docs", get(async || page(DESCRIPTION)))
        .route("/health", get(live))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
}

fn page(text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text).into_response()
}

/// Models are loaded before the server listens, so that one that answers at all lives.
async fn live() -> &'static str {
    "ok"
}

async fn ready(State(shared): App) -> Result<&'static str, Refusal> {
    match shared.is_draining() {
        true => Err(Refusal::new(Kind::Unavailable, "the server is about to end")),
        false => Ok("ok"),
    }
}

async fn metrics(State(shared): App) -> Response {
    let text = shared.metrics.text(&shared.models(), shared.in_flight());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
