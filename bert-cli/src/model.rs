//! Which model, and where it runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};

use bert_tasks::checkpoint::Adapter;
use bert_tasks::tokenizer::Tokenizer;
use bert_tasks::{
    CacheProblem, Device, DeviceOptions, EmbeddedAdapter, Head, ModelSource, PackedCache, PassLog, Precision,
    Pretrained,
};

use crate::built_in::{BuiltIn, MODEL};
use crate::error::{Error, Result, describe};
use crate::reporter::Reporter;
use crate::style::counted;

/// What a command asks of its model.
#[derive(Clone, Copy, Debug)]
pub struct Requirement {
    /// The kind of model, in words.
    pub kind: &'static str,
    /// A model of that kind on the hub.
    pub example: &'static str,
    /// The head that it has; [`Head::None`] where any will do.
    pub head: Head,
    /// The built-in one, if there is one.
    pub built_in: BuiltIn,
}

impl Requirement {
    /// The error of a command without a model.
    pub fn missing(&self) -> Error {
        Error::NoModel { kind: self.kind, example: self.example }
    }

    /// The error of a model that cannot be used.
    pub fn refuses(&self, source: bert_tasks::Error) -> Error {
        Error::Load { kind: self.kind, example: self.example, source: Box::new(source) }
    }
}

/// An adapter over a model.
pub enum AdapterSource {
    Folder(PathBuf),
    BuiltIn(&'static EmbeddedAdapter),
}

/// Which model.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Model")]
pub struct SourceArgs {
    /// A folder with config.json, weights and tokenizer, or the name of a model on the Hugging Face hub
    #[arg(short, long, value_name = "FOLDER|NAME", env = "BERT_MODEL", hide_env_values = true, value_hint = ValueHint::DirPath)]
    pub model: Option<String>,

    /// A folder with an adapter of the model, as `bert train --lora` and PEFT write it. Without --model, the model is
    /// the one that the adapter was trained on
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub adapter: Option<PathBuf>,

    #[cfg(feature = "hub")]
    #[command(flatten)]
    pub hub: crate::hub::HubArgs,
}

/// Where it runs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Device")]
pub struct DeviceArgs {
    /// Where to compute: auto, cpu, or another backend of this build (`bert devices` lists them)
    #[arg(long, value_name = "DEVICE", env = "BERT_DEVICE", hide_env_values = true, default_value = "auto")]
    pub device: String,

    /// How many CPU threads to compute with; as many as the system allows, if not given
    #[arg(long, value_name = "COUNT", env = "BERT_THREADS", hide_env_values = true, value_parser = crate::values::positive, allow_negative_numbers = true)]
    pub threads: Option<usize>,

    /// The precision of linear layers; only f32 is exact, and `auto` never chooses another
    #[arg(
        long,
        value_name = "PRECISION",
        env = "BERT_PRECISION",
        hide_env_values = true,
        default_value = "auto",
        ignore_case = true,
        value_parser = precisions()
    )]
    pub precision: Precision,

    /// Keep the packed int8 weights, and start from them the next time: in DIR, or in the folder `packed` beside the
    /// model. Only on the CPU; the answers are the same
    #[arg(
        long,
        value_name = "DIR",
        env = "BERT_PACKED_CACHE",
        hide_env_values = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = BESIDE,
        value_hint = ValueHint::DirPath
    )]
    pub packed_cache: Option<OsString>,

    /// Report the cost of the forward passes on stderr at the end: time, and on graphics adapters kernels,
    /// submissions and bytes moved
    #[arg(long)]
    pub profile: bool,
}

/// The word for a cache of packed weights beside the model. A folder of this name is `./beside`.
const BESIDE: &str = "beside";

/// The words for [`Precision`], with what each costs.
pub fn precisions() -> impl TypedValueParser<Value = Precision> {
    let words = [
        ("auto", "f32"),
        ("f32", "Exact, on every device"),
        (
            "bf16",
            "Close to f32, in half the memory. Twice as fast on CPUs with fast bf16 dot products (AMD with AVX-512, \
             since Zen 4); correct but no faster on others",
        ),
        ("f16", "Close to f32, in half the memory. On GPUs"),
        (
            "int8",
            "Least memory and fastest: weights in 8 bits with a scale for each output, activations in 8 \
             bits with a scale for each token. Similarities move by some 0.005, seldom by more than 0.02",
        ),
    ];
    PossibleValuesParser::new(words.map(|(word, help)| PossibleValue::new(word).help(help)))
        .try_map(|word| word.parse::<Precision>())
}

/// Which model, and where it runs.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub device: DeviceArgs,
}

impl SourceArgs {
    /// What the user calls the model; an empty variable counts as none.
    pub fn name(&self) -> Option<&str> {
        self.model.as_deref().filter(|name| !name.is_empty())
    }

    /// Finds the model and opens its files; downloads them first if need be.
    ///
    /// # Errors
    /// No model where one has to be named, one that is not there, and what is wrong with its files.
    pub fn open(&self, reporter: &Reporter, requirement: &'static Requirement) -> Result<Pretrained> {
        let (source, adapter) = self.find(reporter, requirement)?;
        Ok(Self::open_found(source, adapter)?)
    }

    /// Opens the files of a model that was found.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn open_found(source: ModelSource, adapter: Option<AdapterSource>) -> bert_tasks::Result<Pretrained> {
        let files = Pretrained::from_source(source)?;
        Ok(match adapter {
            Some(AdapterSource::Folder(folder)) => files.with_adapter(folder)?,
            Some(AdapterSource::BuiltIn(adapter)) => files.with_embedded_adapter(adapter)?,
            None => files,
        })
    }

    /// What the model that was opened is called: as the user has it, or of what is built in.
    pub fn label(&self, requirement: &Requirement, files: &Pretrained) -> String {
        let model = self.name().map_or_else(|| files.source().to_string(), str::to_owned);
        match (self.name(), &self.adapter, requirement.built_in) {
            (None, None, BuiltIn::Adapter(adapter)) => format!("{model} with {}", adapter.name),
            (_, Some(adapter), _) => format!("{model} with {}", adapter.display()),
            _ => model,
        }
    }

    /// Finds the model and opens its tokenizer alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_tokenizer(
        &self,
        reporter: &Reporter,
        requirement: &'static Requirement,
    ) -> Result<Tokenizer> {
        Ok(self.find(reporter, requirement)?.0.tokenizer()?)
    }

    /// The model, and the adapter over it.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for what is wrong with the files.
    pub fn find(
        &self,
        reporter: &Reporter,
        requirement: &'static Requirement,
    ) -> Result<(ModelSource, Option<AdapterSource>)> {
        let adapter = self.adapter.clone();
        let Some(name) = self.name() else {
            return Ok(match (adapter, MODEL, requirement.built_in) {
                (Some(folder), ..) => {
                    (self.base_of(reporter, requirement, &folder)?, Some(AdapterSource::Folder(folder)))
                }
                (None, Some(model), BuiltIn::Base) => (ModelSource::Embedded(model), None),
                (None, Some(model), BuiltIn::Adapter(adapter)) => {
                    (ModelSource::Embedded(model), Some(AdapterSource::BuiltIn(adapter)))
                }
                (None, ..) => return Err(requirement.missing()),
            });
        };
        // An adapter brings its own head.
        let head = if adapter.is_some() { Head::None } else { requirement.head };
        let source = self.named(reporter, name, head)?;
        match source.adapter_folder() {
            // The folder of an adapter stands for the model and the adapter.
            Some(folder) if adapter.is_none() => Ok((
                self.base_of(reporter, requirement, folder)?,
                Some(AdapterSource::Folder(folder.to_owned())),
            )),
            _ => Ok((source, adapter.map(AdapterSource::Folder))),
        }
    }

    /// The model that an adapter was trained on: the built-in one, if it names none.
    fn base_of(
        &self,
        reporter: &Reporter,
        requirement: &'static Requirement,
        folder: &Path,
    ) -> Result<ModelSource> {
        let adapter = Adapter::open(folder).map_err(bert_tasks::Error::from)?;
        match (&adapter.config().base, MODEL) {
            (Some(name), _) => self.named(reporter, name, Head::None),
            (None, Some(model)) => Ok(ModelSource::Embedded(model)),
            (None, None) => Err(requirement.missing()),
        }
    }

    fn named(&self, reporter: &Reporter, name: &str, head: Head) -> Result<ModelSource> {
        match ModelSource::local(name)? {
            Some(folder) => Ok(folder),
            None => self.download(reporter, name, head),
        }
    }

    #[cfg(feature = "hub")]
    fn download(&self, reporter: &Reporter, name: &str, head: Head) -> Result<ModelSource> {
        let folder = crate::hub::snapshot(reporter, &self.hub, name, head).map_err(|source| {
            Error::NeitherFolderNorHub { name: name.to_owned(), source: Box::new(source) }
        })?;
        Ok(ModelSource::Folder(folder))
    }

    #[cfg(not(feature = "hub"))]
    fn download(&self, _: &Reporter, name: &str, head: Head) -> Result<ModelSource> {
        Ok(ModelSource::find_for(name, head)?)
    }
}

impl DeviceArgs {
    /// Opens the device.
    ///
    /// # Errors
    /// One that is not there.
    pub fn open(&self) -> Result<Device> {
        Ok(Device::open(&self.device, DeviceOptions { threads: self.threads })?)
    }

    /// Where packed weights are kept, if that was asked for; or else why it would do nothing, which is no error: a
    /// variable that is set for all models should not stop one.
    fn packed_folder(&self, device: &Device, source: &ModelSource) -> Option<Result<PathBuf, &'static str>> {
        // An empty variable counts as none.
        let asked = self.packed_cache.as_ref().filter(|asked| !asked.is_empty())?;
        Some(match source {
            _ if !device.keeps_packed_weights() => Err("this device keeps no packed weights"),
            _ if self.precision != Precision::Int8 => Err("only the weights of --precision int8 are kept"),
            _ if asked != BESIDE => Ok(asked.into()),
            ModelSource::Folder(folder) => Ok(folder.join("packed")),
            ModelSource::Embedded(_) | ModelSource::Memory(_) => {
                Err("this model has no folder; name one with --packed-cache=DIR")
            }
        })
    }

    /// Whether the device was chosen for the user.
    fn is_auto(&self) -> bool {
        self.device.trim().eq_ignore_ascii_case("auto")
    }
}

impl ModelArgs {
    /// Opens the model and the device, and makes a task of them.
    ///
    /// # Errors
    /// No such model or device, and what `load` says.
    pub fn load<T>(
        &self,
        reporter: &Reporter,
        requirement: &'static Requirement,
        load: impl FnOnce(&Pretrained, &Device, Precision) -> bert_tasks::Result<T>,
    ) -> Result<T> {
        let files = self.source.open(reporter, requirement)?;
        let mut device = self.device.open()?;
        if self.device.profile {
            let log = PassLog::default();
            device = device.with_log(log.clone());
            reporter.report_at_the_end(log);
        }
        let precision = self.device.precision;
        let approximate = precision != Precision::F32;
        if self.device.is_auto() || approximate {
            let name = self.source.label(requirement, &files);
            let precision = if approximate { format!(", precision {precision}") } else { String::new() };
            reporter.notice(format_args!("model {name}, device {device}{precision}"));
        }
        if device.is_software() && !self.device.is_auto() {
            reporter.notice(format_args!(
                "device {device} is software that runs on the CPU; --device cpu is faster"
            ));
        }
        if device.info().emulated.contains(&precision) {
            reporter.warning(format_args!(
                "this device has no fast instructions for {precision}: it is no faster than f32"
            ));
        }
        let mut cache = None;
        match self.device.packed_folder(&device, files.source()) {
            Some(Ok(folder)) => device = device.with_packed_cache(cache.insert(PackedCache::new(folder)))?,
            Some(Err(reason)) => reporter.notice(format_args!("--packed-cache has no effect: {reason}")),
            None => (),
        }
        let embedded = matches!(files.source(), ModelSource::Embedded(_));
        // Reading every weight for the check costs about as much as preparing them, so both go at once, if the system
        // gives a thread.
        let check = || if embedded { vec![] } else { files.checkpoint().non_finite() };
        let (task, broken) = std::thread::scope(|scope| {
            let checking = std::thread::Builder::new().spawn_scoped(scope, check);
            let task = load(&files, &device, precision);
            let broken = match checking {
                Ok(checking) => checking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => check(),
            };
            (task, broken)
        });
        if let Some(cache) = cache {
            warn_of(&cache, reporter);
        }
        let task = task.map_err(|error| requirement.refuses(error))?;
        if let [(name, count), others @ ..] = &broken[..] {
            let more = match others.len() {
                0 => String::new(),
                others => format!(", and in {}", counted(others as u64, "other tensor", "other tensors")),
            };
            reporter.warning(format_args!(
                "the model is damaged: NaN or infinite values in {name} ({count}){more}; its answers are meaningless"
            ));
        }
        Ok(task)
    }
}

/// Says what was wrong with a cache: the first of its files, and how many there are.
fn warn_of(cache: &PackedCache, reporter: &Reporter) {
    let (unwritten, unread): (Vec<_>, Vec<_>) =
        cache.take_problems().into_iter().partition(|problem| matches!(problem, CacheProblem::Write { .. }));
    for problems in [unread, unwritten] {
        let Some(first) = problems.first() else { continue };
        let more = match problems.len() - 1 {
            0 => String::new(),
            others => format!("; the same holds for {}", counted(others as u64, "other file", "other files")),
        };
        reporter.warning(format_args!("{}{more}", describe(first)));
    }
}
