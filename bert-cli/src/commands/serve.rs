//! `bert serve`: every task over HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bert_server::{Address, LogFormat, Model, ModelOptions, Options, Server};
use bert_tasks::{Device, DeviceOptions, Head, Precision};
use clap::{Args, ValueEnum, ValueHint};

use crate::built_in::{BuiltIn, ENTITIES, SENTIMENT, SIMILARITY};
use crate::error::{Error, Result};
use crate::input::read_text;
use crate::model::{Requirement, SourceArgs, precisions};
use crate::outcome::Outcome;
use crate::reporter::Reporter;
use crate::signals;
use crate::values::positive;

const fn requirement(built_in: BuiltIn) -> Requirement {
    Requirement { kind: "a model", example: "google-bert/bert-base-uncased", head: Head::None, built_in }
}

static NAMED: Requirement = requirement(BuiltIn::None);

/// What is served where the user names nothing, with the tasks of each.
static BUILT_IN: [(&str, Requirement, &[&str]); 4] = [
    ("english-mlm", requirement(BuiltIn::Base), &["fill-mask", "next-sentence", "features"]),
    ("english-similarity", requirement(SIMILARITY), &["embed"]),
    ("english-sentiment", requirement(SENTIMENT), &["sentiment"]),
    ("english-entities", requirement(ENTITIES), &["entities"]),
];

/// Answer every task over HTTP, to the clients that exist, with a page to try it
#[derive(Args, Debug)]
#[command(after_help = "\
Without --model, the built-in English models are served. Open the address in a browser for a page to try the
tasks; GET /openapi.json describes all paths. Clients of Hugging Face's inference API, of
text-embeddings-inference and of OpenAI's embeddings work unchanged.

It ends on Ctrl-C or SIGTERM: nothing more is accepted, and what was accepted is answered.

Examples:
  bert serve
  bert serve --model names=path/to/ner-model --model sentence-transformers/all-MiniLM-L6-v2
  bert serve --host 0.0.0.0 --port 80 --api-key-file key.txt --log json
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

    /// A host name to answer to, beside localhost; again for more
    #[arg(long = "allow-host", value_name = "NAME", env = "BERT_SERVE_ALLOW_HOST", value_delimiter = ',')]
    allowed_hosts: Vec<String>,
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
        let mut keys = self.access.api_keys.clone();
        if let Some(file) = &self.access.api_key_file {
            keys.extend(keys_in(file)?);
        }
        // What needs no model is checked before any is loaded.
        let options = Options {
            api_keys: keys.into_iter().filter(|key| !key.is_empty()).collect(),
            insecure_no_key: self.access.insecure_no_key,
            cors: self.access.cors.clone(),
            allowed_hosts: self.access.allowed_hosts.clone(),
            max_concurrent: self.limits.max_concurrent,
            max_client_batch: self.limits.max_client_batch,
            max_body: self.limits.max_body,
            timeout: Duration::from_secs(self.limits.timeout.into()),
            log: match self.listen.log {
                LogChoice::Off => LogFormat::Off,
                LogChoice::Text => LogFormat::Text,
                LogChoice::Json => LogFormat::Json,
            },
        };
        let device = Device::open(&self.device.device, DeviceOptions { threads: self.device.threads })?;
        let models = self.load(reporter, &device)?;
        let server = Server::new(models, options)?;
        let stop = Arc::new(AtomicBool::new(false));
        signals::set_switch(stop.clone());
        let address = match &self.listen.unix_socket {
            Some(path) => Address::Unix(path.clone()),
            None => Address::Tcp { host: self.listen.host.clone(), port: self.listen.port },
        };
        let drain = Duration::from_secs(self.listen.drain.into());
        server.run(&address, drain, &stop, |bound| reporter.notice(format_args!("listening on {bound}")))?;
        Ok(Outcome::Done)
    }

    fn load(&self, reporter: &Reporter, device: &Device) -> Result<Vec<Model>> {
        let mut models = vec![];
        let named: Vec<_> = self.models.iter().filter(|model| !model.is_empty()).collect();
        if named.is_empty() {
            for (name, requirement, tasks) in &BUILT_IN {
                let chosen: Vec<_> = match &self.tasks[..] {
                    [] => tasks.iter().map(|&task| task.to_owned()).collect(),
                    asked => asked.iter().filter(|task| covers(tasks, task)).cloned().collect(),
                };
                if !chosen.is_empty() {
                    models.push(self.load_one(reporter, device, name, None, requirement, chosen)?);
                }
            }
            if models.is_empty() {
                return Err(NAMED.missing());
            }
        }
        for model in named {
            let (name, place) = match model.split_once('=') {
                Some((name, place)) => (name.to_owned(), place),
                None => (short_name(model), model.as_str()),
            };
            models.push(self.load_one(reporter, device, &name, Some(place), &NAMED, self.tasks.clone())?);
        }
        Ok(models)
    }

    fn load_one(
        &self,
        reporter: &Reporter,
        device: &Device,
        name: &str,
        place: Option<&str>,
        requirement: &'static Requirement,
        tasks: Vec<String>,
    ) -> Result<Model> {
        let source = SourceArgs {
            model: place.map(str::to_owned),
            adapter: None,
            #[cfg(feature = "hub")]
            hub: self.hub.clone(),
        };
        let mut files = source.open(reporter, requirement)?;
        if let Some(tokens) = self.limits.max_batch_tokens {
            files = files.with_token_budget(tokens);
        }
        let mut options = ModelOptions { tasks, queue: self.limits.queue, ..ModelOptions::default() };
        options.precision = self.device.precision;
        let model = Model::load(name, &files, device, &options)?;
        let precision = match self.device.precision {
            Precision::F32 => String::new(),
            precision => format!(", precision {precision}"),
        };
        reporter
            .notice(format_args!("model {name}: {}, device {device}{precision}", model.tasks().join(", ")));
        Ok(model)
    }
}

/// Whether a built-in model does a task that the user asks for.
fn covers(tasks: &[&str], asked: &str) -> bool {
    let asked = match asked {
        "classify" => "sentiment",
        "similarity" => "embed",
        other => other,
    };
    tasks.contains(&asked)
}

/// The name of a folder, or that of a model on the hub as it is.
fn short_name(model: &str) -> String {
    let path = Path::new(model);
    let folder = path.is_dir().then(|| path.canonicalize().ok()).flatten();
    let name = folder.as_ref().and_then(|folder| folder.file_name()).and_then(|name| name.to_str());
    name.unwrap_or(model).to_owned()
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
