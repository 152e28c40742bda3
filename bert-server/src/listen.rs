//! Where a server listens, and how its connections begin and end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::server::Shared;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::{Server, ServerError};

/// How many connections are open at once; more wait to be accepted.
const CONNECTIONS: usize = 4096;

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(30);

/// How long a client may take to agree on TLS.
#[cfg(feature = "tls")]
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How soon a stop or a reload is noticed.
const GLANCE: Duration = Duration::from_millis(50);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A port.
    Tcp {
        /// A name or an address, such as `127.0.0.1`.
        host: String,
        /// The port; 0 for any that is free.
        port: u16,
    },
    /// A Unix socket. What lies there from an earlier run is replaced, if it is a socket.
    Unix(PathBuf),
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A port.
    Tcp(SocketAddr),
    /// A port, by TLS.
    Tls(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Tls(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: tokio::net::UnixListener,
        _file: SocketFile,
    },
}

/// The file of a Unix socket, which is removed at the end.
#[cfg(unix)]
struct SocketFile(PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Server {
    /// Listens and answers until `stop` is set; then accepts nothing more, answers what was accepted, and returns after
    /// `drain` at the latest. `ready` is told where it listens. Blocks: it has a runtime of its own.
    ///
    /// # Errors
    /// An address that cannot be listened on, or that others can reach although no key is set.
    pub fn run(
        self,
        address: &Address,
        drain: Duration,
        stop: &AtomicBool,
        ready: impl FnOnce(&Bound),
    ) -> Result<(), ServerError> {
        // What computes has threads of its own; these only move bytes.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // These tokenise: more of them than cores gain nothing.
            .max_blocking_threads(16)
            .thread_name("bert-server")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|source| ServerError::Runtime { source })?;
        let result = runtime.block_on(async {
            let (listener, bound) = self.listen(address).await?;
            ready(&bound);
            self.accept(listener, drain, stop).await;
            Ok(())
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        result
    }

    async fn listen(&self, address: &Address) -> Result<(Listener, Bound), ServerError> {
        self.shared.load_tls(address)?;
        let failed = |address: String| move |source| ServerError::Listen { address, source };
        match address {
            Address::Tcp { host, port } => {
                let listener = TcpListener::bind((host.as_str(), *port)).await;
                let listener = listener.map_err(failed(format!("{host}:{port}")))?;
                let local = listener.local_addr().map_err(failed(format!("{host}:{port}")))?;
                let loopback = local.ip().is_loopback();
                let options = &self.shared.options;
                if !loopback && options.api_keys.is_empty() && !options.insecure_no_key {
                    return Err(ServerError::NoKey { address: local.to_string() });
                }
                self.shared.set_loopback(loopback);
                let bound = if options.tls.is_some() { Bound::Tls(local) } else { Bound::Tcp(local) };
                Ok((Listener::Tcp(listener), bound))
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                use std::os::unix::fs::FileTypeExt;
                // A server that was killed leaves its socket behind. One that lives answers there.
                let is_socket =
                    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
                if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
                    let _ = std::fs::remove_file(path);
                }
                let listener = tokio::net::UnixListener::bind(path);
                let listener = listener.map_err(failed(path.display().to_string()))?;
                // Who may connect is a matter of the file; host names mean nothing there.
                self.shared.set_loopback(false);
                Ok((Listener::Unix { listener, _file: SocketFile(path.clone()) }, Bound::Unix(path.clone())))
            }
            #[cfg(not(unix))]
            Address::Unix(_) => Err(ServerError::NoUnixSocket),
        }
    }

    async fn accept(&self, listener: Listener, drain: Duration, stop: &AtomicBool) {
        let router = self.router();
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let (ending, ended) = watch::channel(());
        let mut glance = tokio::time::interval(GLANCE);
        loop {
            let accepted = tokio::select! {
                biased;
                _ = glance.tick() => {
                    if stop.load(Ordering::Acquire) { break }
                    self.shared.reload_if_wanted();
                    continue;
                }
                accepted = accept_one(&listener, &room, &self.shared, &router, &ended) => accepted,
            };
            if accepted.is_err() {
                // Such as too many open files: others will be closed.
                tokio::time::sleep(GLANCE).await;
            }
        }
        self.shared.drain();
        drop(listener);
        drop(ended);
        // Every connection holds a receiver: with the last one the work is done.
        let _ = ending.send(());
        let _ = tokio::time::timeout(drain, ending.closed()).await;
    }
}

async fn accept_one(
    listener: &Listener,
    room: &Arc<Semaphore>,
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "it has what TLS is spoken with"))]
    shared: &Shared,
    router: &Router,
    ended: &watch::Receiver<()>,
) -> io::Result<()> {
    let Ok(permit) = room.clone().acquire_owned().await else { return Ok(()) };
    let (router, ended) = (router.clone(), ended.clone());
    match listener {
        Listener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            // Answers are small and waited for.
            let _ = stream.set_nodelay(true);
            #[cfg(feature = "tls")]
            if let Some(acceptor) = shared.tls.get().map(Tls::acceptor) {
                tokio::spawn(async move {
                    if let Some(stream) = handshake(acceptor, stream, ended.clone()).await {
                        serve(stream, router, ended).await;
                    }
                    drop(permit);
                });
                return Ok(());
            }
            tokio::spawn(async move {
                serve(stream, router, ended).await;
                drop(permit);
            });
        }
        #[cfg(unix)]
        Listener::Unix { listener, .. } => {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                serve(stream, router, ended).await;
                drop(permit);
            });
        }
    }
    Ok(())
}

/// Agrees with a client on TLS; `None` if it does not, takes too long, or the server ends.
#[cfg(feature = "tls")]
async fn handshake(
    acceptor: tokio_rustls::TlsAcceptor,
    stream: tokio::net::TcpStream,
    mut ended: watch::Receiver<()>,
) -> Option<tokio_rustls::server::TlsStream<tokio::net::TcpStream>> {
    tokio::select! {
        agreed = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => agreed.ok()?.ok(),
        _ = ended.changed() => None,
    }
}

/// Answers the requests of one connection. A client that closes its side is gone: what it asked is not computed.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    router: Router,
    mut ended: watch::Receiver<()>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        // What breaks a connection is the client's affair.
        _ = connection.as_mut() => return,
        _ = ended.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
