//! What whoever runs the server asks of it.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use serde_json::json;

use super::App;
use crate::reader::json as respond;
use crate::server::Shared;
use crate::{Kind, Refusal};

/// The path that loads the models again. It takes no body.
pub const RELOAD: &str = "/admin/reload";

pub fn routes() -> Router<Arc<Shared>> {
    Router::new().route(RELOAD, post(reload))
}

/// Loads the models again, and answers when the new ones are served.
async fn reload(State(shared): App) -> Result<Response, Refusal> {
    if shared.options.api_keys.is_empty() {
        let message =
            "only a server with an API key takes this from clients; send it the signal SIGHUP instead";
        return Err(Refusal::new(Kind::Forbidden, message));
    }
    let models = shared.reload().await?;
    let models: Vec<_> =
        models.iter().map(|model| json!({"name": model.name, "tasks": model.tasks()})).collect();
    Ok(respond(&json!({"models": models})))
}
