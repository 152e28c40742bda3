//! A trained model as files: where it is, what it is, and how it is loaded.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bert_core::ModelConfig;
use bert_core::checkpoint::{Adapted, Adapter, Checkpoint, MemoryFiles, files};
use bert_core::contract::Precision;
use bert_core::graph::{Head, ParameterSource, parameters};

use crate::tokenizer::Tokenizer;
use crate::{Device, Error, Result, Session};

/// A model that is embedded in the program: the contents of a checkpoint folder.
#[derive(Clone, Copy)]
pub struct EmbeddedModel {
    /// What it is called in messages.
    pub name: &'static str,
    /// `config.json`
    pub config: &'static str,
    /// `vocab.txt`
    pub vocab: &'static str,
    /// `tokenizer_config.json`
    pub tokenizer_config: &'static str,
    /// `model.safetensors`
    pub weights: &'static [u8],
}

/// An adapter that is embedded in the program: the contents of its folder.
#[derive(Clone, Copy)]
pub struct EmbeddedAdapter {
    /// What it is called in messages.
    pub name: &'static str,
    /// `adapter_config.json`
    pub adapter_config: &'static str,
    /// `config.json`
    pub config: &'static str,
    /// `adapter_model.safetensors`
    pub weights: &'static [u8],
}

/// A checkpoint folder whose files are in memory: what a browser has fetched.
#[derive(Clone)]
pub struct MemoryModel {
    /// What the folder is called in messages, such as its address.
    pub name: String,
    /// The files, by their names in the folder.
    pub files: MemoryFiles,
}

impl MemoryModel {
    /// The bytes of a file; `None` if it is not there.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|file| file.bytes())
    }

    /// The text of a file; `None` if it is not there.
    fn text(&self, name: &str) -> Result<Option<String>> {
        let text = self.file(name).map(|bytes| String::from_utf8(bytes.to_vec())).transpose();
        text.map_err(|error| {
            let source = std::io::Error::new(ErrorKind::InvalidData, error.utf8_error());
            Error::ReadFile { path: Path::new(&self.name).join(name), source }
        })
    }

    fn config(&self) -> Result<ModelConfig> {
        let missing = || Error::ReadFile {
            path: Path::new(&self.name).join(files::CONFIG),
            source: ErrorKind::NotFound.into(),
        };
        Ok(ModelConfig::from_json(&self.text(files::CONFIG)?.ok_or_else(missing)?)?)
    }
}

/// Where the files of a model are.
#[derive(Clone)]
pub enum ModelSource {
    /// A checkpoint folder.
    Folder(PathBuf),
    /// Embedded in the program.
    Embedded(EmbeddedModel),
    /// In memory.
    Memory(MemoryModel),
}

impl ModelSource {
    /// Finds a model by name: a folder on disk, or an id of the model hub (with feature `hub`), which is
    /// downloaded unless the cache has it. A hub that cannot be reached is not an error if the cache has the
    /// model; [`Hub::snapshot`](crate::hub::Hub::snapshot) also reports that, and progress.
    ///
    /// # Errors
    /// [`Error::NoModel`] says what was tried.
    pub fn find(name: &str) -> Result<Self> {
        Self::find_for(name, Head::None)
    }

    /// As [`find`](Self::find), for a model to load with this head: a model on the hub whose configuration says that it
    /// was made for another task is refused before its weights are downloaded.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    #[cfg_attr(not(feature = "hub"), expect(unused_variables, reason = "only the hub is asked for a head"))]
    pub fn find_for(name: &str, head: Head) -> Result<Self> {
        if let Some(folder) = Self::local(name)? {
            return Ok(folder);
        }
        #[cfg(feature = "hub")]
        return Ok(Self::Folder(crate::hub::snapshot(name, head)?.path));
        #[cfg(not(feature = "hub"))]
        Err(Error::NoModel {
            asked: name.to_owned(),
            reason: "there is no such folder, and this build cannot download (feature hub is off)".into(),
        })
    }

    /// A folder on disk; `None` if there is none by this name, but it may be an id of the model hub.
    ///
    /// # Errors
    /// [`Error::NoModel`] for a name that can be neither.
    pub fn local(name: &str) -> Result<Option<Self>> {
        let path = Path::new(name);
        let no_model =
            |reason: &str| Err(Error::NoModel { asked: name.to_owned(), reason: reason.to_owned() });
        if path.is_dir() {
            return Ok(Some(Self::Folder(path.to_owned())));
        }
        if path.exists() {
            return no_model("it is a file; give the folder that holds config.json and the weights");
        }
        let parts: Vec<&str> = name.split('/').collect();
        if parts.len() > 2 || parts.iter().any(|part| part.is_empty() || part.starts_with('.')) {
            return no_model("there is no such folder");
        }
        Ok(None)
    }

    /// The folder, if it holds an adapter and no model of its own.
    pub fn adapter_folder(&self) -> Option<&Path> {
        let Self::Folder(folder) = self else { return None };
        let is_model = files::WEIGHTS.iter().any(|file| folder.join(file).exists());
        (Adapter::is_in(folder) && !is_model).then_some(folder)
    }

    /// The tokenizer of the model alone.
    ///
    /// # Errors
    /// What is wrong with its files.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        Ok(match self {
            Self::Folder(path) => Tokenizer::from_folder(path)?,
            Self::Embedded(model) => Tokenizer::from_parts(model.vocab, Some(model.tokenizer_config))?,
            Self::Memory(model) => {
                Tokenizer::from_files(&model.name, |name| model.file(name).map(<[u8]>::to_vec))?
            }
        })
    }

    /// Whether this can be a model with a head, as far as the files other than its weights tell: its family is
    /// supported, no class in its configuration rules the head out ([`Head::may_hold`]), and its tokenizer can be used.
    /// The weights need not be there, so this can be called before they are downloaded.
    ///
    /// A model that is refused for a head can still be downloaded for [`Head::None`] and then be loaded for the head, if
    /// it has the tensors.
    ///
    /// ```
    /// use bert_tasks::{Head, ModelSource};
    /// # let folder = std::env::temp_dir();
    /// // A folder without any file:
    /// let error = ModelSource::Folder(folder.join("no-model")).check(Head::MaskedLm).unwrap_err();
    /// assert!(error.to_string().contains("config.json"), "{error}");
    /// ```
    ///
    /// # Errors
    /// What is wrong with the files; [`WrongHead`](bert_core::Error::WrongHead) for a model that was made for another
    /// task.
    pub fn check(&self, head: Head) -> Result<()> {
        let config = self.config()?;
        if let Some(made_for) = Head::of(&config).filter(|made_for| !made_for.may_hold(head)) {
            let found = config.architectures.join(", ");
            return Err(bert_core::Error::WrongHead { asked: head, found, made_for }.into());
        }
        Ok(self.tokenizer()?.check_vocab_size(config.vocab_size)?)
    }

    /// The configuration of the model alone.
    ///
    /// # Errors
    /// A file that cannot be read, or that this crate does not understand.
    pub fn config(&self) -> Result<ModelConfig> {
        Ok(match self {
            Self::Folder(path) => ModelConfig::from_folder(path)?,
            Self::Embedded(model) => ModelConfig::from_json(model.config)?,
            Self::Memory(model) => model.config()?,
        })
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        Ok(match self {
            Self::Folder(path) => Checkpoint::open(path)?,
            Self::Embedded(model) => Checkpoint::from_bytes(model.weights)?,
            Self::Memory(model) => Checkpoint::from_files(&model.name, &model.files)?,
        })
    }
}

impl fmt::Display for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Embedded(model) => write!(f, "{} (embedded)", model.name),
            Self::Memory(model) => f.write_str(&model.name),
        }
    }
}

/// The files of a model, opened: its configuration is read, its weights are mapped but not loaded.
///
/// ```
/// use bert_tasks::{Device, Head, Precision, Pretrained};
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-masked-lm");
/// # let model = model.to_str().unwrap();
/// let files = Pretrained::open(model)?;
/// println!("{} layers", files.config().num_hidden_layers);
/// let session = files.load(Head::MaskedLm, &Device::auto()?, Precision::F32)?;
/// assert!(session.max_length() <= files.config().max_position_embeddings);
/// # Ok::<(), bert_tasks::Error>(())
/// ```
pub struct Pretrained {
    source: ModelSource,
    /// The configuration of the checkpoint; that of the model may have the labels and the head of an adapter.
    base: ModelConfig,
    config: ModelConfig,
    tokenizer: Tokenizer,
    checkpoint: Arc<Checkpoint>,
    adapted: Option<Adapted>,
    token_budget: Option<usize>,
}

impl Pretrained {
    /// Opens a model by name; see [`ModelSource::find`].
    ///
    /// # Errors
    /// [`Error::NoModel`], and what is wrong with its files.
    pub fn open(name: &str) -> Result<Self> {
        Self::from_source(ModelSource::find(name)?)
    }

    /// Opens a model by name that is to be loaded for a head; see [`ModelSource::find_for`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for(name: &str, head: Head) -> Result<Self> {
        Self::from_source(ModelSource::find_for(name, head)?)
    }

    /// Opens a model whose place is known. A folder with an adapter alone is the model that the adapter names as its
    /// base, with that adapter.
    ///
    /// # Errors
    /// What is wrong with its files; a tokenizer that gives ids for which the model has no embedding; an adapter whose
    /// base is not named or not there.
    pub fn from_source(source: ModelSource) -> Result<Self> {
        if let Some(folder) = source.adapter_folder() {
            let no_model =
                |reason: &str| Error::NoModel { asked: source.to_string(), reason: reason.to_owned() };
            let unnamed = "it is an adapter that does not name its model; open that model, with this adapter";
            let base = Adapter::open(folder)?.config().base.clone().ok_or_else(|| no_model(unnamed))?;
            let base = ModelSource::find(&base)?;
            if base.adapter_folder().is_some() {
                return Err(no_model(
                    "it is an adapter of an adapter; merge that adapter into its model first",
                ));
            }
            return Self::from_source(base)?.with_adapter(folder);
        }
        let (config, tokenizer, checkpoint) = (source.config()?, source.tokenizer()?, source.checkpoint()?);
        tokenizer.check_vocab_size(config.vocab_size)?;
        let base = config.clone();
        let checkpoint = Arc::new(checkpoint);
        Ok(Self { source, base, config, tokenizer, checkpoint, adapted: None, token_budget: None })
    }

    /// The same model with the adapter in a folder, as PEFT writes it; it replaces an adapter that the model has. The
    /// files of the model are shared, so adapters take memory only on the devices that they are loaded onto.
    ///
    /// ```
    /// use bert_tasks::{Device, Precision, Pretrained, TextClassification};
    /// let model = "path/to/bert-base-uncased";
    /// # let model = bert_conformance::checkpoint("bert-sequence-classification");
    /// # let model = model.to_str().unwrap();
    /// let adapters = ["path/to/an-adapter", "path/to/another"];
    /// # let adapter = bert_conformance::checkpoint("adapters/bert");
    /// # let adapters = [adapter.clone(), adapter];
    /// let base = Pretrained::open(model)?;
    /// let device = Device::auto()?;
    /// for adapter in adapters {
    ///     let adapted = base.with_adapter(adapter)?;
    ///     let classifier = TextClassification::from_pretrained(&adapted, &device, Precision::F32)?;
    ///     println!("{:?}", classifier.predict("A gorgeous, witty, seductive movie.")?);
    /// }
    /// # Ok::<(), bert_tasks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`AdapterError`](bert_core::checkpoint::AdapterError) for an adapter that is not there, of another model, or of a
    /// kind that is not supported.
    pub fn with_adapter(&self, folder: impl AsRef<Path>) -> Result<Self> {
        self.adapted(Adapter::open(folder.as_ref())?)
    }

    /// The same with an adapter that is embedded in the program.
    ///
    /// # Errors
    /// As [`with_adapter`](Self::with_adapter).
    pub fn with_embedded_adapter(&self, adapter: &EmbeddedAdapter) -> Result<Self> {
        self.adapted(Adapter::from_parts(adapter.adapter_config, adapter.weights, Some(adapter.config))?)
    }

    fn adapted(&self, adapter: Adapter) -> Result<Self> {
        let adapter = Arc::new(adapter);
        let config = adapter.configure(&self.base)?;
        let adapted = Adapted::new(self.checkpoint.clone(), adapter, &config)?;
        Ok(Self {
            source: self.source.clone(),
            base: self.base.clone(),
            config,
            tokenizer: self.tokenizer.clone(),
            checkpoint: self.checkpoint.clone(),
            adapted: Some(adapted),
            token_budget: self.token_budget,
        })
    }

    /// The adapter that the model has.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapted.as_ref().map(Adapted::adapter)
    }

    /// The parameters of the model: those of the checkpoint, with an adapter merged into them if it has one.
    pub fn parameters(&self) -> &dyn ParameterSource {
        match &self.adapted {
            Some(adapted) => adapted,
            None => &*self.checkpoint,
        }
    }

    /// The same model, to be run in batches of at most `tokens` tokens; see [`Session::with_token_budget`].
    pub fn with_token_budget(self, tokens: usize) -> Self {
        Self { token_budget: Some(tokens), ..self }
    }

    /// Where the files are.
    pub fn source(&self) -> &ModelSource {
        &self.source
    }

    /// The shape of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The tensors of the files, by name, without any adapter.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The text of another file of the folder; `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::ReadFile`] if it is there and cannot be read.
    pub fn read(&self, file: &str) -> Result<Option<String>> {
        let folder = match &self.source {
            ModelSource::Folder(folder) => folder,
            ModelSource::Embedded(_) => return Ok(None),
            ModelSource::Memory(model) => return model.text(file),
        };
        let path = folder.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(source) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::ReadFile { path, source }),
        }
    }

    /// Whether the model has what a head needs, without loading it: the head may be loaded from its checkpoint, and the
    /// parameters of the head are there in their shapes.
    ///
    /// ```
    /// use bert_tasks::{Head, Pretrained};
    /// let model = "path/to/bert-base-uncased";
    /// # let model = bert_conformance::checkpoint("bert-masked-lm");
    /// # let model = model.to_str().unwrap();
    /// let files = Pretrained::open(model)?;
    /// assert!(files.check_head(Head::MaskedLm).is_ok());
    /// assert!(files.check_head(Head::QuestionAnswering).is_err());
    /// # Ok::<(), bert_tasks::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`WrongHead`](bert_core::Error::WrongHead); a parameter of the head that is missing or has another shape.
    pub fn check_head(&self, head: Head) -> Result<()> {
        let source = self.parameters();
        source.check_head(&self.config, head)?;
        let encoder = parameters(&self.config, Head::None)?;
        for parameter in parameters(&self.config, head)? {
            if encoder.iter().all(|other| other.name != parameter.name) {
                source.parameter(&parameter)?;
            }
        }
        Ok(())
    }

    /// Loads the parameters for one head onto a device.
    ///
    /// # Errors
    /// A checkpoint made for another task, a tensor that is missing or misshapen, a device without room.
    pub fn load(&self, head: Head, device: &Device, precision: Precision) -> Result<Session> {
        let encoder = device.load(self.config.clone(), self.parameters(), head, precision)?;
        let session = Session::new(encoder, self.tokenizer.clone());
        Ok(match self.token_budget {
            Some(tokens) => session.with_token_budget(tokens),
            None => session,
        })
    }
}
