//! `bert info`: what a model is, and what it would run on.

mod damaged;
mod facts;
mod tasks;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use bert_tasks::ModelConfig;
use bert_tasks::checkpoint::Checkpoint;
use bert_tasks::{Head, parameters};
use bert_tasks::{ModelSource, Pretrained};
use clap::{Args, ValueHint};
use serde::Serialize;

use crate::built_in::{BuiltIn, BuiltInTask};
use crate::error::{Error, Result, describe};
use crate::model::{DeviceArgs, Requirement, SourceArgs};
use crate::outcome::Outcome;
use crate::output::{OutputArgs, Page, Record, Sink};
use crate::reporter::Reporter;
use crate::style::{bytes, thousands};
use damaged::Damaged;
use facts::{AdapterFacts, Shape, TokenizerFacts, of_layers, of_tokenizer, show_facts};
use tasks::TaskFit;

const REQUIREMENT: Requirement = Requirement {
    kind: "a model",
    example: "google-bert/bert-base-uncased",
    head: Head::None,
    built_in: BuiltIn::Base,
};

/// Show what a model is, and what is wrong with it
#[derive(Args, Debug)]
#[command(after_help = "\
Says what each command could do with the model, and reads every weight once, to count those that are
infinite or not a number. Exits with status 2 if the model cannot be loaded; what is known of it is shown
all the same.

Without --model it shows the built-in model, and the tasks that it answers: by itself, or with a built-in
adapter.

Examples:
  bert info
  bert info path/to/model
  bert info sentence-transformers/all-MiniLM-L6-v2 --json")]
pub struct InfoCommand {
    /// The model, as --model has it
    #[arg(value_name = "FOLDER|NAME", value_hint = ValueHint::DirPath)]
    name: Option<String>,

    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl InfoCommand {
    pub fn run(mut self, reporter: &Reporter) -> Result<Outcome> {
        if let Some(name) = self.name.take() {
            let by_option =
                self.source.name().is_some_and(|model| std::env::var("BERT_MODEL").as_deref() != Ok(model));
            if by_option {
                return Err(Error::NoMeaning { option: "--model", reason: "the model was named without it" });
            }
            self.source.model = Some(name);
        }
        let mut sink = Sink::open(&self.output, false, reporter)?;
        let (source, adapter) = self.source.find(reporter, &REQUIREMENT)?;
        let files = match SourceArgs::open_found(source.clone(), adapter) {
            Ok(files) => files,
            Err(error) => {
                sink.write(None, &Damaged::new(&source, &error))?;
                sink.finish()?;
                return Err(REQUIREMENT.refuses(error));
            }
        };
        let device = self.device.open()?;
        let head = main_head(files.config(), files.checkpoint());
        // Loading shows whether the tensors fit the configuration, and which of them are of no use.
        let loaded = files.load(head, &device, self.device.precision);
        let error = loaded.as_ref().err().map(|error| describe(error));
        let mut info = Info::new(&files, device.to_string(), self.device.precision.to_string(), error);
        if let (ModelSource::Embedded(base), None) = (files.source(), files.adapter()) {
            info.built_in = BuiltInTask::all(base, &files)?;
        }
        sink.write(None, &info)?;
        sink.finish()?;
        match loaded {
            Ok(_) => Ok(Outcome::Done),
            Err(source) => Err(REQUIREMENT.refuses(source)),
        }
    }
}

/// The head that uses most of the checkpoint.
fn main_head(config: &ModelConfig, checkpoint: &Checkpoint) -> Head {
    match Head::of(config) {
        // A checkpoint of another class has the heads that its tensors show.
        None | Some(Head::PreTraining) => {
            let shown = |head: &&Head| {
                let mut own = head.own_tensors().peekable();
                own.peek().is_some() && own.all(|tensor| checkpoint.contains(tensor))
            };
            let shown = Head::ALL.iter().filter(shown);
            shown.max_by_key(|head| head.parts().len()).copied().unwrap_or(Head::None)
        }
        Some(head) => head,
    }
}

/// The heads that the tensors show, with the pooler.
fn heads(config: &ModelConfig, checkpoint: &Checkpoint) -> Vec<String> {
    let mut heads = vec![];
    if checkpoint.contains("pooler.dense.weight") {
        heads.push("pooler".to_owned());
    }
    let shown = |head: &&Head| {
        head.parts() == [**head] && head.own_tensors().any(|tensor| checkpoint.contains(tensor))
    };
    heads.extend(Head::ALL.iter().filter(shown).map(Head::to_string));
    // Classifiers of tokens, sequences and choices share the names of their tensors.
    let classifier =
        Head::of(config).filter(|head| head.own_tensors().next().is_none() && *head != Head::None);
    if checkpoint.names().any(|name| name.starts_with("classifier.")) {
        heads.push(classifier.unwrap_or(Head::SequenceClassification).to_string());
    }
    heads
}

#[derive(Serialize)]
struct Info {
    model: String,
    model_type: String,
    /// The layout that the names of the tensors show.
    family: String,
    architectures: Vec<String>,
    shape: Shape,
    parameters: u64,
    /// Bytes of all tensors as they are stored.
    size: u64,
    /// Count of numbers by their kind.
    dtypes: BTreeMap<String, u64>,
    heads: Vec<String>,
    /// What each command could do with it.
    tasks: Vec<TaskFit>,
    labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<AdapterFacts>,
    /// The tasks that need no model of the user's, if this is the model that answers them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    built_in: Vec<BuiltInTask>,
    tokenizer: TokenizerFacts,
    unused_tensors: Vec<String>,
    /// Count of numbers that are infinite or not a number, by tensor.
    non_finite: BTreeMap<String, usize>,
    device: String,
    precision: String,
    /// Why it cannot be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Info {
    fn new(files: &Pretrained, device: String, precision: String, error: Option<String>) -> Self {
        let (config, checkpoint) = (files.config(), files.checkpoint());
        let mut size = 0;
        let mut dtypes = BTreeMap::new();
        for tensor in checkpoint.tensors() {
            let count = tensor.shape.iter().product::<usize>() as u64;
            size += (count * tensor.dtype.bits() as u64).div_ceil(8);
            *dtypes.entry(tensor.dtype.to_string()).or_default() += count;
        }
        // Those of the model as it is used; what else the files hold is listed as unused.
        let list = parameters(config, main_head(config, checkpoint)).unwrap_or_default();
        let there = list.iter().filter(|parameter| checkpoint.contains(&parameter.name));
        let parameters = there.map(|parameter| parameter.shape.elements() as u64).sum();
        let mut heads = heads(config, checkpoint);
        // An adapter may bring a head that its model does not have.
        let own = files.adapter().and_then(|_| Head::of(config)).filter(|head| *head != Head::None);
        heads.extend(own.map(|head| head.to_string()).filter(|own| !heads.contains(own)));
        // Configurations without labels get two by default, which mean nothing without a classifier.
        let labelled = heads.iter().any(|head| head.ends_with("classification"));
        // Before the tasks are tried: what a head reads counts as used.
        let unused = checkpoint.unused().iter().map(|tensor| tensor.stored_name.to_owned()).collect();
        Self {
            model: files.source().to_string(),
            model_type: config.model_type.to_string(),
            family: checkpoint.family().to_string(),
            architectures: config.architectures.clone(),
            shape: Shape::of(config),
            parameters,
            size,
            dtypes,
            labels: if labelled { config.labels.clone() } else { vec![] },
            heads,
            tasks: TaskFit::all(files),
            adapter: files.adapter().map(|adapter| adapter.config().into()),
            built_in: vec![],
            tokenizer: TokenizerFacts::of(files.tokenizer()),
            unused_tensors: unused,
            non_finite: checkpoint
                .non_finite()
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count))
                .collect(),
            device,
            precision,
            error,
        }
    }

    /// The facts in words, for people.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let shape = &self.shape;
        let dtypes = self.dtypes.keys().cloned().collect::<Vec<_>>().join(" ");
        let none = || "none".to_owned();
        let join = |names: &[String]| match names {
            [] => none(),
            _ => names.join(", "),
        };
        let mut facts = vec![
            ("model", self.model.clone()),
            ("type", format!("{}, tensors named as in {}", self.model_type, self.family)),
            ("class", join(&self.architectures)),
            ("layers", of_layers(shape)),
            ("positions", format!("{}, {} token types", shape.max_positions, shape.token_types)),
            ("parameters", format!("{} as {dtypes}, {}", thousands(self.parameters), bytes(self.size))),
            ("heads", if self.heads.is_empty() { none() } else { self.heads.join(", ") }),
        ];
        if !self.labels.is_empty() {
            facts.push(("labels", join(&self.labels)));
        }
        if let Some(AdapterFacts { rank, alpha, targets, modules_to_save }) = &self.adapter {
            let (targets, saved) = (join(targets), join(modules_to_save));
            let text = format!("rank {rank}, alpha {alpha}, of {targets}; trained as a whole: {saved}");
            facts.push(("adapter", text));
        }
        facts.extend(TaskFit::facts(&self.tasks));
        facts.extend(self.built_in.iter().map(|task| ("built in", task.to_string())));
        facts.extend([
            ("tokenizer", of_tokenizer(&self.tokenizer)),
            ("unused", join(&self.unused_tensors)),
            ("device", self.device.clone()),
            ("precision", self.precision.clone()),
        ]);
        if !self.non_finite.is_empty() {
            let list: Vec<_> =
                self.non_finite.iter().map(|(name, count)| format!("{count} in {name}")).collect();
            facts.push(("not finite", list.join(", ")));
        }
        if let Some(error) = &self.error {
            facts.push(("error", error.clone()));
        }
        facts
    }
}

impl Record for Info {
    fn columns(&self) -> Vec<Cow<'static, str>> {
        vec!["fact".into(), "value".into()]
    }

    fn rows(&self) -> Vec<Vec<String>> {
        self.facts().into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
    }

    fn show(&self, page: &mut Page<'_>) -> io::Result<()> {
        show_facts(&self.facts(), page)
    }
}
