//! Other models in the place of those that are served, while requests go on.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use crate::server::Shared;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::{Address, Kind, Model, Refusal, ServerError, models};

/// Loads the models that are to be served from now on.
pub type Loader = dyn Fn() -> Result<Vec<Model>, Box<dyn Error + Send + Sync>> + Send + Sync;

/// How models come while the server runs.
#[derive(Default)]
pub struct Reloads {
    pub loader: std::sync::OnceLock<Box<Loader>>,
    /// Set from outside, such as by a signal.
    pub wanted: Arc<AtomicBool>,
    busy: AtomicBool,
}

/// One at a time: two would take the memory of three servers.
struct Turn<'a>(&'a AtomicBool);

impl<'a> Turn<'a> {
    fn take(busy: &'a AtomicBool) -> Option<Self> {
        (!busy.swap(true, Ordering::AcqRel)).then_some(Self(busy))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// How often models that were replaced are looked after.
const GLANCE: Duration = Duration::from_millis(100);

impl Shared {
    /// Begins a reload if one was asked for from outside, after the one that is going on.
    pub fn reload_if_wanted(self: &Arc<Self>) {
        let reloads = &self.reloads;
        if reloads.wanted.load(Ordering::Acquire)
            && !reloads.busy.load(Ordering::Acquire)
            && reloads.wanted.swap(false, Ordering::AcqRel)
        {
            let shared = self.clone();
            // The log tells how it went.
            tokio::spawn(async move { drop(shared.reload().await) });
        }
    }

    /// Reads what a port speaks TLS with, if it does.
    #[cfg(feature = "tls")]
    pub fn load_tls(&self, address: &Address) -> Result<(), ServerError> {
        match (&self.options.tls, address) {
            (None, _) => Ok(()),
            (Some(files), Address::Tcp { .. }) => {
                let _ = self.tls.set(Tls::load(files)?);
                Ok(())
            }
            (Some(_), Address::Unix(_)) => Err(ServerError::NoTls {
                reason: "a Unix socket speaks plain HTTP; who may connect is a matter of its file",
            }),
        }
    }

    #[cfg(not(feature = "tls"))]
    pub fn load_tls(&self, _: &Address) -> Result<(), ServerError> {
        match self.options.tls {
            None => Ok(()),
            Some(_) => Err(ServerError::NoTls { reason: "this build was made without the feature tls" }),
        }
    }

    fn reload_tls(&self) -> Result<(), ServerError> {
        #[cfg(feature = "tls")]
        self.tls.get().map_or(Ok(()), Tls::reload)?;
        Ok(())
    }

    /// Loads the models and the certificate again, and lets them take the place of those that are there. Requests that
    /// have begun are answered by the old ones, which are let go after that. If anything fails, all stays as it is. It goes
    /// on if the future is dropped.
    ///
    /// # Errors
    /// Nothing to load them with; a reload that is going on; models that cannot be loaded, of which the log says more.
    pub async fn reload(self: &Arc<Self>) -> Result<Arc<[Model]>, Refusal> {
        let shared = self.clone();
        let failed = || Refusal::new(Kind::Internal, "the reload failed: a bug of the server");
        spawn_blocking(move || shared.reload_now()).await.map_err(|_| failed())?
    }

    fn reload_now(&self) -> Result<Arc<[Model]>, Refusal> {
        let Some(loader) = self.reloads.loader.get() else {
            return Err(Refusal::new(Kind::NotFound, "this server cannot load its models again; restart it"));
        };
        let Some(_turn) = Turn::take(&self.reloads.busy) else {
            return Err(Refusal::new(Kind::Overloaded, "the models are being loaded again already"));
        };
        let started = Instant::now();
        let loaded = loader().and_then(|loaded| {
            models::check(&loaded)?;
            self.reload_tls()?;
            Ok(loaded)
        });
        match loaded {
            Ok(loaded) => {
                let models: Arc<[Model]> = loaded.into();
                retire(self.replace_models(models.clone()));
                let names: Vec<_> = models.iter().map(Model::name).collect();
                let took = started.elapsed().as_secs_f64();
                self.options.log.event(&format!("reloaded in {took:.2} s: {}", names.join(", ")), false);
                Ok(models)
            }
            Err(error) => {
                let mut message = format!("the reload failed, and what was served goes on: {error}");
                let mut cause = error.source();
                while let Some(error) = cause {
                    message = format!("{message}: {error}");
                    cause = error.source();
                }
                self.options.log.event(&message, true);
                // Paths of files are for the log, and not for clients.
                let message =
                    "the models could not be loaded, and those that were served go on; the log says why";
                Err(Refusal::new(Kind::Internal, message))
            }
        }
    }
}

/// Lets models go when their last requests are answered, on a thread that may wait for that.
fn retire(old: Arc<[Model]>) {
    let is_used = |old: &Arc<[Model]>| {
        let tasks = || old.iter().flat_map(|model| &model.tasks);
        Arc::strong_count(old) > 1 || tasks().any(|task| Arc::strong_count(task) > 1)
    };
    let wait = move || {
        while is_used(&old) {
            thread::sleep(GLANCE);
        }
        drop(old);
    };
    // Without a thread the last request lets them go, and waits for their ends.
    let _ = thread::Builder::new().name("bert-retire".into()).spawn(wait);
}
