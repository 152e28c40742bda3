//! Models by name, and the tasks that each does.

use std::fmt;
use std::sync::Arc;

use bert_tasks::any::TaskKind;
use bert_tasks::batcher::{Batcher, BatcherOptions};
use bert_tasks::tokenizer::Tokenizer;
use bert_tasks::{AnyTask, Device, Head, ModelConfig, PassLog, Precision, Pretrained, Session, Task};
use serde_json::Value;

use crate::{Kind, Refusal, ServerError};

/// How a model is served.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// The precision of its linear layers.
    pub precision: Precision,
    /// The words of the tasks, as [`AnyTask`] knows them. Those that the model cannot do are left out. If none is given,
    /// those that its head is for.
    pub tasks: Vec<String>,
    /// How many requests may wait for each task.
    pub queue: usize,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self { precision: Precision::F32, tasks: vec![], queue: 1024 }
    }
}

/// A model that is served under a name.
pub struct Model {
    pub(crate) name: String,
    pub(crate) tasks: Vec<Arc<Served>>,
    pub(crate) precision: Precision,
    log: PassLog,
}

/// The model as it is loaded: once for each head that its tasks need. A task that needs none runs on any of them.
struct Sessions<'a> {
    files: &'a Pretrained,
    device: &'a Device,
    precision: Precision,
    loaded: Vec<(Head, Session)>,
}

impl Sessions<'_> {
    /// Loads what these tasks need, but for heads that the model does not have.
    fn load(&mut self, kinds: &[&TaskKind]) -> bert_tasks::Result<()> {
        let heads = |needed: bool| {
            kinds.iter().map(|kind| kind.head).filter(move |head| (*head != Head::None) == needed)
        };
        for head in heads(true).chain(heads(false)) {
            if self.of(head).is_none() {
                match self.files.load(head, self.device, self.precision) {
                    Ok(session) => self.loaded.push((head, session)),
                    Err(error) if error.is_wrong_head() => (),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn of(&self, head: Head) -> Option<&Session> {
        let found = self.loaded.iter().find(|(own, _)| head == Head::None || *own == head);
        found.map(|(_, session)| session)
    }
}

/// A task of a model.
pub struct Served {
    pub kind: &'static TaskKind,
    pub batcher: Batcher<AnyTask>,
    /// How many inputs of one request wait at once.
    pub window: usize,
}

impl Served {
    pub fn session(&self) -> &Session {
        self.batcher.task().session()
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        self.session().tokenizer()
    }
}

impl Model {
    /// Loads a model for its tasks.
    ///
    /// ```
    /// use bert_server::{Model, ModelOptions};
    /// use bert_tasks::{Device, Pretrained};
    /// let model = "path/to/bert-base-uncased";
    /// # let model = bert_conformance::checkpoint("bert-masked-lm");
    /// # let model = model.to_str().unwrap();
    /// let files = Pretrained::open(model)?;
    /// let model = Model::load("english", &files, &Device::auto()?, &ModelOptions::default())?;
    /// assert_eq!(model.tasks(), ["fill-mask"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A name that cannot stand in an address; a model that is damaged, or can do none of the tasks.
    pub fn load(
        name: &str,
        files: &Pretrained,
        device: &Device,
        options: &ModelOptions,
    ) -> Result<Self, ServerError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let parts_are_there = name.split('/').all(|part| !part.is_empty() && part != "pipeline");
        if !name.bytes().all(allowed) || !parts_are_there {
            return Err(ServerError::BadName { name: name.to_owned() });
        }
        let failed = |source| ServerError::Model { name: name.to_owned(), source: Box::new(source) };
        let log = PassLog::default();
        let device = device.clone().with_log(log.clone());
        let mut tasks: Vec<Arc<Served>> = vec![];
        let mut sessions = Sessions { files, device: &device, precision: options.precision, loaded: vec![] };
        let asked = match &options.tasks[..] {
            [] => tasks_of(files).map_err(failed)?,
            words => words.to_vec(),
        };
        let mut kinds: Vec<&'static TaskKind> = vec![];
        for word in &asked {
            // Similarity compares the vectors that `embed` gives.
            let kind = AnyTask::kind_of(if word == "similarity" { "embed" } else { word }).map_err(failed)?;
            if !kinds.iter().any(|other| other.word == kind.word) {
                kinds.push(kind);
            }
        }
        sessions.load(&kinds).map_err(failed)?;
        for kind in kinds {
            let Some(session) = sessions.of(kind.head) else { continue };
            let task = AnyTask::with_session(kind.word, session, files, &Value::Null).map_err(failed)?;
            let mut limits = BatcherOptions::default();
            limits.capacity = options.queue;
            let batcher = Batcher::with_options(task, limits).map_err(failed)?;
            tasks.push(Arc::new(Served { kind, batcher, window: (options.queue / 4).clamp(1, 256) }));
        }
        if tasks.is_empty() {
            return Err(ServerError::NoTask { name: name.to_owned(), asked });
        }
        Ok(Self { name: name.to_owned(), tasks, precision: options.precision, log })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The words of its tasks.
    pub fn tasks(&self) -> Vec<&'static str> {
        self.tasks.iter().map(|task| task.kind.word).collect()
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        self.tasks[0].session().config()
    }

    pub(crate) fn log(&self) -> &PassLog {
        &self.log
    }

    pub(crate) fn task(&self, word: &str) -> Option<&Arc<Served>> {
        self.tasks.iter().find(|task| task.kind.word == word)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("name", &self.name)
            .field("tasks", &self.tasks())
            .finish_non_exhaustive()
    }
}

/// The tasks that a model was made for.
fn tasks_of(files: &Pretrained) -> bert_tasks::Result<Vec<String>> {
    let modules = files.read("modules.json")?.unwrap_or_default();
    let head = Head::of(files.config()).unwrap_or(Head::None);
    let words: &[&str] = match head {
        _ if modules.contains("SpladePooling") => &["sparse-embed"],
        _ if !modules.is_empty() => &["embed"],
        Head::MaskedLm => &["fill-mask"],
        Head::PreTraining => &["fill-mask", "next-sentence"],
        head => match AnyTask::kinds().iter().find(|kind| kind.head == head) {
            Some(kind) => &[kind.word],
            None => &["embed"],
        },
    };
    Ok(words.iter().map(|&word| word.to_owned()).collect())
}

/// Finds who answers: the model of this name, or else the first that does the task.
pub fn find<'a>(models: &'a [Model], name: Option<&str>, word: &str) -> Result<&'a Arc<Served>, Refusal> {
    let word = AnyTask::kind_of(word).map_err(|error| Refusal::new(Kind::NotFound, error.to_string()))?.word;
    match name {
        Some(name) => {
            let model = named(models, name)?;
            model.task(word).ok_or_else(|| {
                let does = model.tasks().join(", ");
                Refusal::new(
                    Kind::NotFound,
                    format!("the model {:?} does not do {word}; it does {does}", model.name),
                )
            })
        }
        None => models.iter().find_map(|model| model.task(word)).ok_or_else(|| {
            let mut served: Vec<_> = models.iter().flat_map(Model::tasks).collect();
            served.dedup();
            let served = served.join(", ");
            Refusal::new(Kind::NotFound, format!("no model here does {word}; those here do {served}"))
        }),
    }
}

/// The model of a name.
pub fn named<'a>(models: &'a [Model], name: &str) -> Result<&'a Model, Refusal> {
    models.iter().find(|model| model.name == name).ok_or_else(|| {
        let known: Vec<_> = models.iter().map(Model::name).collect();
        let short: String = name.chars().take(60).collect();
        Refusal::new(Kind::NotFound, format!("no model {short:?} here; there are {}", known.join(", ")))
    })
}

/// The model of a name, or else the first.
pub fn named_or_first<'a>(models: &'a [Model], name: Option<&str>) -> Result<&'a Model, Refusal> {
    match name {
        Some(name) => named(models, name),
        None => Ok(&models[0]),
    }
}

/// Whether these can be served together.
pub fn check(models: &[Model]) -> Result<(), ServerError> {
    if models.is_empty() {
        return Err(ServerError::NoModel);
    }
    for (index, model) in models.iter().enumerate() {
        if models[..index].iter().any(|other| other.name == model.name) {
            return Err(ServerError::SameName { name: model.name.clone() });
        }
    }
    Ok(())
}
