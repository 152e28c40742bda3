//! Why a server does not start, or ends.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// Everything that keeps a server from running. What is wrong with a single request is a [`Refusal`](crate::Refusal).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A server without a model.
    #[error("no model to serve; name at least one")]
    NoModel,

    /// Two models of one name.
    #[error("two models are called {name:?}; give each a name of its own, as NAME=FOLDER")]
    SameName {
        /// The name.
        name: String,
    },

    /// A name that no address can hold.
    #[error("{name:?} is no name for a model: use letters, digits, `-`, `_`, `.` and `/`")]
    BadName {
        /// The name.
        name: String,
    },

    /// A model that does none of the tasks.
    #[error("the model {name:?} can do none of the tasks {}", asked.join(", "))]
    NoTask {
        /// The model.
        name: String,
        /// The tasks.
        asked: Vec<String>,
    },

    /// A model that cannot be loaded.
    #[error("cannot serve the model {name:?}")]
    Model {
        /// The model.
        name: String,
        /// What is wrong with it.
        source: Box<bert_tasks::Error>,
    },

    /// An address that others can reach, and no key.
    #[error(
        "{address} can be reached from other machines, and anyone could use it: set an API key, or allow it without one \
         (--insecure-no-key)"
    )]
    NoKey {
        /// The address.
        address: String,
    },

    /// An address that cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },

    /// A file for TLS that cannot be used.
    #[error("the {what} {} cannot be used", path.display())]
    TlsFile {
        /// What is in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },

    /// A certificate and a key that do not go together.
    #[error(
        "the certificate {} and the private key {} cannot be used together",
        certificate.display(),
        key.display()
    )]
    TlsPair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong with them.
        source: Box<dyn Error + Send + Sync>,
    },

    /// TLS where there is none.
    #[error("no TLS here: {reason}")]
    NoTls {
        /// Why.
        reason: &'static str,
    },

    /// Traces that cannot be sent.
    #[cfg(feature = "otel")]
    #[error("no traces can be sent; look at the variables OTEL_EXPORTER_OTLP_…")]
    Traces {
        /// What is wrong.
        source: Box<dyn Error + Send + Sync>,
    },

    /// A system without Unix sockets.
    #[error("this system has no Unix sockets; listen on a port")]
    NoUnixSocket,

    /// A system without resources for the threads of the server.
    #[error("cannot start the threads of the server")]
    Runtime {
        /// What the system said.
        source: io::Error,
    },

    /// An option with a value that makes no sense.
    #[error("{option} is {found:?}; it must be {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        found: String,
        /// What would have been right.
        expected: &'static str,
    },
}
