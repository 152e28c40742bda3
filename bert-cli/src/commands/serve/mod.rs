//! `bert serve`: every task over HTTP.

mod models;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bert_server::{Address, LogFormat, Options, Server, TlsFiles};
use bert_tasks::{Device, DeviceOptions, Precision};
use clap::{Args, ValueEnum, ValueHint};

use self::models::Wanted;
use crate::error::{Error, Result};
use crate::input::read_text;
use crate::model::precisions;
use crate::outcome::Outcome;
use crate::reporter::{Reporter, ReporterArgs};
use crate::signals;
use crate::values::positive;

/// Answer every task over HTTP, to the clients that exist, with a page to try it
#[derive(Args, Debug)]
#[command(after_help = "\
Without --model, the built-in English models are served. Open the address in a browser for a page to try the
tasks, or /docs for all paths, which GET /openapi.json describes. Clients of Hugging Face's inference API, of
text-embeddings-inference and of OpenAI's embeddings work unchanged.

It ends on Ctrl-C or SIGTERM: nothing more is accepted, and what was accepted is answered. SIGHUP has it load its
models and its certificate again, while requests go on.

Examples:
  bert serve
  bert serve --model names=path/to/ner-model --model sentence-transformers/all-MiniLM-L6-v2
  bert serve --host 0.0.0.0 --port 443 --api-key-file key.txt --tls-cert cert.pem --tls-key key.pem
  curl --json '{\"text\": \"The capital of France is [MASK].\"}' http://127.0.0.1:8080/v1/fill-mask")]
pub struct ServeCommand {
    /// A model, and the name that requests have for it; again, or separated by commas, for more. Where a request names
    /// none, the first that can do its task answers
    #[arg(short, long = "model", value_name = "[NAME=]FOLDER|HUB", env = "BERT_SERVE_MODEL", hide_env_values = true, value_delimiter = ',', value_hint = ValueHint::DirPath)]
    models: Vec<String>,

    /// The tasks to serve, separated by commas; those that each model was made for, if not given
    #[arg(
        long,
        value_name = "TASKS",
        env = "BERT_SERVE_TASKS",
        hide_env_values = true,
        value_delimiter = ','
    )]
    tasks: Vec<String>,

    #[cfg(feature = "hub")]
    #[command(flatten)]
    hub: crate::hub::HubArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// Where models run.
#[derive(Args, Debug)]
#[command(next_help_heading = "Device")]
struct DeviceArgs {
    /// Where to compute: auto, cpu, or another backend of this build (`bert devices` lists them)
    #[arg(long, value_name = "DEVICE", env = "BERT_DEVICE", hide_env_values = true, default_value = "auto")]
    device: String,

    /// How many CPU threads to compute with; as many as the system allows, if not given
    #[arg(long, value_name = "COUNT", env = "BERT_THREADS", hide_env_values = true, value_parser = positive, allow_negative_numbers = true)]
    threads: Option<usize>,

    /// The precision of linear layers; only f32 is exact
    #[arg(long, value_name = "PRECISION", env = "BERT_PRECISION", hide_env_values = true, default_value = "auto", ignore_case = true, value_parser = precisions())]
    precision: Precision,
}

/// Where clients find it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Address")]
struct ListenArgs {
    /// The address to listen on. Beyond this machine it takes an API key, or --insecure-no-key
    #[arg(long, value_name = "HOST", env = "BERT_SERVE_HOST", default_value = "127.0.0.1")]
    host: String,

    /// The port; 0 for any that is free
    #[arg(short, long, value_name = "PORT", env = "BERT_SERVE_PORT", default_value = "8080")]
    port: u16,

    /// Listen on a Unix socket instead
    #[arg(long, value_name = "FILE", env = "BERT_SERVE_UNIX_SOCKET", conflicts_with_all = ["host", "port"], value_hint = ValueHint::FilePath)]
    unix_socket: Option<PathBuf>,

    /// At the end, how many seconds to wait for what was accepted
    #[arg(long, value_name = "SECONDS", env = "BERT_SERVE_DRAIN", default_value = "30")]
    drain: u32,

    /// What to write on stderr for each request
    #[arg(long, value_name = "FORMAT", env = "BERT_SERVE_LOG", value_enum, default_value = "text")]
    log: LogChoice,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogChoice {
    /// Nothing
    Off,
    /// A line
    Text,
    /// A line that is a JSON object
    Json,
}

/// Who may use it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Access")]
struct AccessArgs {
    /// A key that clients have to send; again for more. Other users of this machine may see the arguments of a
    /// command: a file or the variable hides it
    #[arg(long = "api-key", value_name = "KEY", env = "BERT_SERVE_API_KEY", hide_env_values = true)]
    api_keys: Vec<String>,

    /// A file with such keys, one a line
    #[arg(long, value_name = "FILE", env = "BERT_SERVE_API_KEY_FILE", value_hint = ValueHint::FilePath)]
    api_key_file: Option<PathBuf>,

    /// Let everyone who can reach the address use it without a key
    #[arg(long, env = "BERT_SERVE_INSECURE_NO_KEY", value_parser = clap::builder::FalseyValueParser::new())]
    insecure_no_key: bool,

    /// An origin whose web pages may use it, such as `https://example.org`, or * for all; again for more
    #[arg(long, value_name = "ORIGIN", env = "BERT_SERVE_CORS", value_delimiter = ',')]
    cors: Vec<String>,

    #[cfg(feature = "tls")]
    #[command(flatten)]
    tls: TlsArgs,

    /// A host name to answer to, beside localhost; again for more
    #[arg(long = "allow-host", value_name = "NAME", env = "BERT_SERVE_ALLOW_HOST", value_delimiter = ',')]
    allowed_hosts: Vec<String>,
}

/// What its port speaks TLS with.
#[cfg(feature = "tls")]
#[derive(Args, Debug)]
struct TlsArgs {
    /// Speak TLS with the certificate in this file of PEM, followed there by those that it is signed by
    #[arg(long = "tls-cert", value_name = "FILE", env = "BERT_SERVE_TLS_CERT", requires = "tls_key", conflicts_with = "unix_socket", value_hint = ValueHint::FilePath)]
    tls_cert: Option<PathBuf>,

    /// The file of PEM with the private key of the certificate, not encrypted
    #[arg(long = "tls-key", value_name = "FILE", env = "BERT_SERVE_TLS_KEY", requires = "tls_cert", value_hint = ValueHint::FilePath)]
    tls_key: Option<PathBuf>,
}

impl AccessArgs {
    /// What its port speaks TLS with.
    fn tls(&self) -> Option<TlsFiles> {
        #[cfg(feature = "tls")]
        if let (Some(certificate), Some(key)) = (&self.tls.tls_cert, &self.tls.tls_key) {
            return Some(TlsFiles { certificate: certificate.clone(), key: key.clone() });
        }
        None
    }
}

/// How much it takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// How many requests are worked on at once; more are told to come again later (status 429)
    #[arg(long, value_name = "COUNT", env = "BERT_SERVE_MAX_CONCURRENT", default_value = "512", value_parser = positive)]
    max_concurrent: usize,

    /// How many inputs may wait for each task of a model
    #[arg(long, value_name = "COUNT", env = "BERT_SERVE_QUEUE", default_value = "1024", value_parser = positive)]
    queue: usize,

    /// How many tokens are computed at once; more take memory and gain little
    #[arg(long, value_name = "TOKENS", env = "BERT_SERVE_MAX_BATCH_TOKENS", value_parser = positive)]
    max_batch_tokens: Option<usize>,

    /// How many inputs a request may hold
    #[arg(long, value_name = "COUNT", env = "BERT_SERVE_MAX_CLIENT_BATCH", default_value = "1024", value_parser = positive)]
    max_client_batch: usize,

    /// The largest body of a request, in bytes
    #[arg(long, value_name = "BYTES", env = "BERT_SERVE_MAX_BODY", default_value = "4194304", value_parser = positive)]
    max_body: usize,

    /// How many seconds a request may take
    #[arg(long, value_name = "SECONDS", env = "BERT_SERVE_TIMEOUT", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
}

impl ServeCommand {
    pub fn run(self, reporter: &Reporter) -> Result<Outcome> {
        let options = self.options()?;
        let address = match &self.listen.unix_socket {
            Some(path) => Address::Unix(path.clone()),
            None => Address::Tcp { host: self.listen.host.clone(), port: self.listen.port },
        };
        let drain = Duration::from_secs(self.listen.drain.into());
        let device = Device::open(&self.device.device, DeviceOptions { threads: self.device.threads })?;
        let wanted = Wanted {
            models: self.models,
            tasks: self.tasks,
            #[cfg(feature = "hub")]
            hub: self.hub,
            device,
            precision: self.device.precision,
            queue: self.limits.queue,
            max_batch_tokens: self.limits.max_batch_tokens,
        };
        // The log tells how a reload went; a bar of a download would be in its way.
        let again = move |wanted: &Wanted| {
            let quiet = ReporterArgs { quiet: true, ..ReporterArgs::default() };
            Ok(wanted.load(&Reporter::new(quiet))?)
        };
        // Until the models are there, a hangup has nothing to reload, and must not end what is about to serve.
        #[cfg(unix)]
        signals::set_hangup_switch(Arc::default());
        let models = wanted.load(reporter)?;
        let server = Server::new(models, options)?.with_loader(move || again(&wanted));
        #[cfg(feature = "otel")]
        let server = match wants_traces() {
            true => server.with_traces()?,
            false => server,
        };
        let stop = Arc::new(AtomicBool::new(false));
        signals::set_switch(stop.clone());
        #[cfg(unix)]
        signals::set_hangup_switch(server.reload_switch());
        server.run(&address, drain, &stop, |bound| reporter.notice(format_args!("listening on {bound}")))?;
        Ok(Outcome::Done)
    }

    /// What needs no model, so that it is checked before any is loaded.
    fn options(&self) -> Result<Options> {
        let mut keys = self.access.api_keys.clone();
        if let Some(file) = &self.access.api_key_file {
            keys.extend(keys_in(file)?);
        }
        Ok(Options {
            api_keys: keys.into_iter().filter(|key| !key.is_empty()).collect(),
            insecure_no_key: self.access.insecure_no_key,
            cors: self.access.cors.clone(),
            allowed_hosts: self.access.allowed_hosts.clone(),
            tls: self.access.tls(),
            max_concurrent: self.limits.max_concurrent,
            max_client_batch: self.limits.max_client_batch,
            max_body: self.limits.max_body,
            timeout: Duration::from_secs(self.limits.timeout.into()),
            log: match self.listen.log {
                LogChoice::Off => LogFormat::Off,
                LogChoice::Text => LogFormat::Text,
                LogChoice::Json => LogFormat::Json,
            },
        })
    }
}

/// Whether the environment names a collector of OpenTelemetry, by the variables that all programs have for it.
#[cfg(feature = "otel")]
fn wants_traces() -> bool {
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn keys_in(file: &Path) -> Result<Vec<String>> {
    let text = read_text(file, false)?;
    let keys: Vec<_> =
        text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    match keys.is_empty() {
        // A server that was meant to be closed must not be open.
        true => Err(Error::EmptyInput { name: file.display().to_string() }),
        false => Ok(keys),
    }
}
