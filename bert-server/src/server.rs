//! A server: models, options, and the router over both.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use tokio::sync::Semaphore;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;

use crate::guard::{Ids, guard};
use crate::metrics::Metrics;
use crate::models::{self, Served};
use crate::reload::Reloads;
use crate::{Kind, Model, Options, Refusal, ServerError, api};

/// What all requests share.
pub struct Shared {
    /// Those that are served now.
    models: RwLock<Arc<[Model]>>,
    pub options: Options,
    pub metrics: Metrics,
    pub permits: Arc<Semaphore>,
    pub ids: Ids,
    pub reloads: Reloads,
    #[cfg(feature = "otel")]
    pub traces: std::sync::OnceLock<crate::otel::Traces>,
    #[cfg(feature = "tls")]
    pub tls: std::sync::OnceLock<crate::tls::Tls>,
    /// Whether only this machine can reach the server.
    loopback: AtomicBool,
    /// Whether the server is about to end.
    draining: AtomicBool,
}

impl Shared {
    /// The models that are served now. Whoever has them may use them to the end of a request.
    pub fn models(&self) -> Arc<[Model]> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets other models take the place of those that are served, and gives these.
    pub fn replace_models(&self, models: Arc<[Model]>) -> Arc<[Model]> {
        std::mem::replace(&mut *self.models.write().unwrap_or_else(PoisonError::into_inner), models)
    }

    /// Who answers: the model of this name, or else the first that does the task.
    pub fn find(&self, name: Option<&str>, word: &str) -> Result<Arc<Served>, Refusal> {
        models::find(&self.models(), name, word).cloned()
    }

    pub fn is_loopback(&self) -> bool {
        self.loopback.load(Ordering::Relaxed)
    }

    pub fn set_loopback(&self, loopback: bool) {
        self.loopback.store(loopback, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn in_flight(&self) -> usize {
        self.options.max_concurrent.saturating_sub(self.permits.available_permits())
    }
}

/// Models that are served. [`run`](Self::run) listens; [`router`](Self::router) is for programs with a listener of
/// their own, and for tests.
///
/// ```
/// use bert_server::{Model, ModelOptions, Options, Server};
/// use bert_tasks::{Device, Pretrained};
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-masked-lm");
/// # let model = model.to_str().unwrap();
/// let files = Pretrained::open(model)?;
/// let model = Model::load("english", &files, &Device::auto()?, &ModelOptions::default())?;
/// let router = Server::new(vec![model], Options::default())?.router();
/// # drop(router);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    pub(crate) shared: Arc<Shared>,
}

impl Server {
    /// A server for these models. Where a request names none, the first that does the task answers.
    ///
    /// # Errors
    /// No model; two of one name; options that make no sense.
    pub fn new(models: Vec<Model>, options: Options) -> Result<Self, ServerError> {
        options.check()?;
        models::check(&models)?;
        let permits = Arc::new(Semaphore::new(options.max_concurrent.min(Semaphore::MAX_PERMITS)));
        Ok(Self {
            shared: Arc::new(Shared {
                models: RwLock::new(models.into()),
                options,
                metrics: Metrics::default(),
                permits,
                ids: Ids::default(),
                reloads: Reloads::default(),
                #[cfg(feature = "otel")]
                traces: std::sync::OnceLock::new(),
                #[cfg(feature = "tls")]
                tls: std::sync::OnceLock::new(),
                loopback: AtomicBool::new(true),
                draining: AtomicBool::new(false),
            }),
        })
    }

    /// The models that are served now.
    pub fn models(&self) -> Arc<[Model]> {
        self.shared.models()
    }

    /// The same server, which can load its models again while it runs: by [`reload_switch`](Self::reload_switch), or where
    /// there is an API key by `POST /admin/reload`. The loader has a thread of its own. Requests that have begun are
    /// answered by the old models; if the loader fails, they go on to be served.
    ///
    /// ```
    /// use bert_server::{Model, ModelOptions, Options, Server};
    /// use bert_tasks::{Device, Pretrained};
    /// let model = "path/to/bert-base-uncased";
    /// # let model = bert_conformance::checkpoint("bert-masked-lm").to_str().unwrap().to_owned();
    /// let load = move || {
    ///     let files = Pretrained::open(&model)?;
    ///     Ok(vec![Model::load("english", &files, &Device::auto()?, &ModelOptions::default())?])
    /// };
    /// let server = Server::new(load()?, Options::default())?.with_loader(load);
    /// # drop(server);
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    #[must_use]
    pub fn with_loader(
        self,
        loader: impl Fn() -> Result<Vec<Model>, Box<dyn Error + Send + Sync>> + Send + Sync + 'static,
    ) -> Self {
        // The first loader stays.
        let _ = self.shared.reloads.loader.set(Box::new(loader));
        self
    }

    /// The same server, which sends a span for each request to a collector of OpenTelemetry, by OTLP over plain HTTP: where
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` says, or else to the port 4318 of this machine.
    ///
    /// # Errors
    /// An address that is none.
    #[cfg(feature = "otel")]
    pub fn with_traces(self) -> Result<Self, ServerError> {
        // The first ones stay.
        let _ = self.shared.traces.set(crate::otel::Traces::new(None)?);
        Ok(self)
    }

    /// What a signal sets to have a server that [runs](Self::run) load its models, and its certificate, again.
    pub fn reload_switch(&self) -> Arc<AtomicBool> {
        self.shared.reloads.wanted.clone()
    }

    /// All paths, with everything that is done before and after each request.
    pub fn router(&self) -> Router {
        self.with_layers(api::routes())
    }

    fn with_layers(&self, routes: Router<Arc<Shared>>) -> Router {
        let shared = self.shared.clone();
        let panicked =
            |_| Refusal::new(Kind::Internal, "this request failed: a bug of the server").into_response();
        routes
            .with_state(shared.clone())
            .layer(DefaultBodyLimit::max(shared.options.max_body))
            .layer(CatchPanicLayer::custom(panicked))
            // What is in a body counts against its limit, and not what it was packed to.
            .layer(RequestDecompressionLayer::new())
            .layer(from_fn_with_state(shared.clone(), guard))
            .layer(compression())
            .layer(cors(&shared.options.cors))
    }
}

/// Answers that are worth it are packed for clients that say that they can unpack them, at the least cost.
fn compression() -> CompressionLayer<SizeAbove> {
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(1024))
}

/// Which web pages may ask. Without any, no header is written, and browsers let no other origin in.
fn cors(origins: &[String]) -> CorsLayer {
    if origins.is_empty() {
        return CorsLayer::new();
    }
    let allowed = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION, HeaderName::from_static("x-request-id")])
        .expose_headers([header::WARNING, header::RETRY_AFTER, HeaderName::from_static("x-request-id")])
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::routing::get;
    use bert_tasks::{Device, Pretrained};
    use tower::ServiceExt;

    use super::*;
    use crate::ModelOptions;

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_own_request() {
        let folder = bert_conformance::checkpoint("bert-masked-lm");
        let files = Pretrained::open(folder.to_str().unwrap()).unwrap();
        let model = Model::load("a", &files, &Device::auto().unwrap(), &ModelOptions::default()).unwrap();
        let server = Server::new(vec![model], Options::default()).unwrap();
        let broken = || async {
            if true {
                panic!("out of order")
            }
        };
        let router = server.with_layers(api::routes().route("/v1/broken/path", get(broken)));
        let ask = |path| Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
        let reply = router.clone().oneshot(ask("/v1/broken/path")).await.unwrap();
        assert_eq!(
            (reply.status().as_u16(), reply.headers()["content-type"].to_str().unwrap()),
            (500, "application/json")
        );
        assert_eq!(router.oneshot(ask("/health")).await.unwrap().status(), 200);
    }
}
