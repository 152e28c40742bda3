//! The classic BERT tasks over HTTP: every task of [`bert_tasks`], for the clients that exist.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//! use std::time::Duration;
//! use bert_server::{Address, Model, ModelOptions, Options, Server};
//! use bert_tasks::{Device, Pretrained};
//!
//! let files = Pretrained::open("path/to/a-sentiment-model")?;
//! let model = Model::load("reviews", &files, &Device::auto()?, &ModelOptions::default())?;
//! let server = Server::new(vec![model], Options::default())?;
//! let stop = AtomicBool::new(false); // a signal sets it
//! let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 8080 };
//! server.run(&address, Duration::from_secs(30), &stop, |bound| println!("listening on {bound}"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * A [`Model`] is served under a name, with the tasks that its head is for. Each task has a
//!   [`Batcher`](bert_tasks::Batcher): requests of all clients share batches, take turns, and get the bits that the
//!   library gives.
//! * There is a file for each family of clients: this server's own, Hugging Face, text-embeddings-inference, OpenAI.
//! * What is not answered is a [`Refusal`], in the form that the clients of its path expect.
//!
//! No request names a file or a model to load: what is served is decided before the first one. [`Server::with_loader`] lets
//! the same be loaded again while the server runs.
//!
//! Features: `tls` (default) is for connections with TLS, and compiles C; `otel` sends a span for each request to a
//! collector of OpenTelemetry.

mod api;
mod ask;
mod error;
mod guard;
mod line_reader;
mod listen;
mod log;
mod metrics;
mod models;
mod offsets;
mod options;
#[cfg(feature = "otel")]
mod otel;
mod reader;
mod refusal;
mod reload;
mod server;
#[cfg(feature = "tls")]
mod tls;

pub use error::ServerError;
pub use listen::{Address, Bound};
pub use log::LogFormat;
pub use models::{Model, ModelOptions};
pub use options::{Options, TlsFiles};
pub use refusal::{Kind, Refusal};
pub use server::Server;
