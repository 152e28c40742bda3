//! | `own`, `lines`, `tokens` | `/v1/{task}`, `/v1/tokenize` |The paths of the server, one file for each family of clients.
//!
//! | file | paths | whose clients |
//! | --- | --- | --- |
//! | `own` | `/v1/{task}`, `/v1/tokenize` | this server's: everything that the library knows |
//! | `hugging_face` | `/`, `/models/{name}`, `/models/{name}/pipeline/{task}` | `huggingface_hub`, `@huggingface/inference` |
//! | `tei` | `/embed`, `/predict`, `/rerank`, … | text-embeddings-inference |
//! | `openai` | `/v1/embeddings`, `/v1/models`, `/v1/rerank` | OpenAI, and rerankers in the common form |
//! | `admin` | `/admin/reload` | whoever runs the server |
//! | `service` | `/health`, `/metrics`, `/openapi.json`, `/` | probes, Prometheus, people |

mod admin;
mod answers;
mod hugging_face;
mod lines;
mod openai;
mod own;
mod service;
mod tei;
mod tokens;
mod vectors;

use std::sync::Arc;

use axum::Router;

pub use admin::RELOAD;

use crate::reader::Body;
use crate::server::Shared;
use crate::{Kind, Refusal};

/// What a handler is given.
type App = axum::extract::State<Arc<Shared>>;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let unknown = || async {
        Refusal::new(Kind::NotFound, "no such path; GET /openapi.json describes those that there are")
    };
    let other_method = || async {
        Refusal::new(Kind::Method, "this path takes another method; GET /openapi.json says which")
    };
    Router::new()
        .merge(service::routes())
        .merge(admin::routes())
        .merge(own::routes())
        .merge(hugging_face::routes())
        .merge(tei::routes())
        .merge(openai::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
}

/// Runs what may take long where that holds up nobody.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> bert_tasks::Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(|_| Refusal::new(Kind::Internal, "the tokenizer failed on this request: a bug"))??)
}
