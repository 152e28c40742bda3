//! Fill-mask on a web page: the files that the page has fetched in, the words that the model expects out. All
//! else is [`bert_tasks`], as in any other program; what waits for the GPU is a promise on the page's side.

use std::sync::Arc;

use bert_tasks::bert_core::checkpoint::{MemoryFiles, files};
use bert_tasks::{
    Device, DeviceOptions, FillMask, Head, MemoryModel, ModelSource, Precision, Pretrained, Task,
};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(message: &str);
}

/// A panic is a mistake in this program. It ends it; where it happened is for the console.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| console_error(&panic.to_string())));
}

/// What computes: the GPU of the browser, or the CPU where there is none.
#[wasm_bindgen]
pub struct Processor {
    device: Device,
    no_gpu: Option<String>,
}

#[wasm_bindgen]
impl Processor {
    /// Asks the browser for its GPU, and takes one thread of the CPU if it has none.
    ///
    /// # Errors
    /// There is neither.
    pub async fn open() -> Result<Processor, JsError> {
        match Device::open_async("wgpu", DeviceOptions::default()).await {
            Ok(device) => Ok(Self { device, no_gpu: None }),
            Err(error) => {
                let device = Device::open("cpu", DeviceOptions { threads: Some(1) }).map_err(told)?;
                Ok(Self { device, no_gpu: Some(in_words(&error)) })
            }
        }
    }

    /// What it is, in words.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.device.to_string()
    }

    /// Why it is not the GPU; nothing if it is.
    #[wasm_bindgen(getter, js_name = noGpu)]
    pub fn no_gpu(&self) -> Option<String> {
        self.no_gpu.clone()
    }
}

/// A file that arrives piece by piece.
#[wasm_bindgen]
pub struct ModelFile {
    name: String,
    bytes: Vec<u8>,
}

#[wasm_bindgen]
impl ModelFile {
    /// An empty file that will have about this many bytes, as far as is known.
    ///
    /// # Errors
    /// There is no memory for so many.
    #[wasm_bindgen(constructor)]
    pub fn new(name: String, length: f64) -> Result<ModelFile, JsError> {
        let mut file = Self { name, bytes: vec![] };
        file.reserve(length as usize, true)?; // what is no length becomes 0 or the largest one
        Ok(file)
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn append(&mut self, piece: &[u8]) -> Result<(), JsError> {
        self.reserve(piece.len(), false)?;
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn reserve(&mut self, more: usize, exact: bool) -> Result<(), JsError> {
        let bytes = &mut self.bytes;
        let reserved = if exact { bytes.try_reserve_exact(more) } else { bytes.try_reserve(more) };
        reserved.map_err(|_| {
            let total = bytes.len().saturating_add(more);
            JsError::new(&format!("{}: the browser has not enough memory for its {total} bytes", self.name))
        })
    }
}

/// A checkpoint folder whose files the page has fetched.
#[wasm_bindgen]
pub struct Folder {
    name: String,
    files: MemoryFiles,
}

#[wasm_bindgen]
impl Folder {
    /// An empty one. Messages call it by its address.
    #[wasm_bindgen(constructor)]
    pub fn new(address: String) -> Self {
        Self { name: address, files: MemoryFiles::new() }
    }

    /// The names of the files that a folder may hold beside its weights, `config.json` first.
    #[wasm_bindgen(js_name = smallFiles)]
    pub fn small_files() -> Vec<String> {
        let names = [files::CONFIG].into_iter().chain(files::TOKENIZERS).chain(files::OPTIONAL);
        names.map(str::to_owned).collect()
    }

    /// The names of the files that may hold the weights, or list the files that do, best first.
    #[wasm_bindgen(js_name = weightFiles)]
    pub fn weight_files() -> Vec<String> {
        files::WEIGHTS.map(str::to_owned).to_vec()
    }

    /// Whether the files so far make a model that can be run, so that its weights are worth fetching.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), JsError> {
        ModelSource::Memory(self.model()).check(Head::MaskedLm).map_err(told)
    }

    /// The names of the files that a file of weights lists, which has been added; none if it holds them itself.
    ///
    /// # Errors
    /// It lists what cannot be the names of files.
    pub fn parts(&self, name: &str) -> Result<Vec<String>, JsError> {
        let Some(index) = self.files.get(name).filter(|_| files::is_index(name)) else { return Ok(vec![]) };
        let parts = files::parts(index.bytes());
        let parts = parts.map_err(|error| JsError::new(&format!("{name}: {}", in_words(&error))))?;
        Ok(parts.into_iter().collect())
    }

    /// Adds a file that has arrived.
    pub fn add(&mut self, file: ModelFile) {
        self.files.insert(file.name, Arc::new(file.bytes));
    }
}

impl Folder {
    fn model(&self) -> MemoryModel {
        MemoryModel { name: self.name.clone(), files: self.files.clone() }
    }
}

/// A masked language model in the memory of the GPU, or of the page.
#[wasm_bindgen]
pub struct Filler {
    fill_mask: FillMask,
    mask: String,
}

#[wasm_bindgen]
impl Filler {
    /// Loads a model. The files are freed.
    ///
    /// # Errors
    /// What is wrong with the files; no room for them.
    pub async fn load(processor: &Processor, folder: Folder) -> Result<Filler, JsError> {
        let source = ModelSource::Memory(folder.model());
        drop(folder);
        let files = Pretrained::from_source(source).map_err(told)?;
        let fill_mask = FillMask::from_pretrained(&files, &processor.device, Precision::F32).map_err(told)?;
        drop(files);
        let tokenizer = fill_mask.session().tokenizer();
        let mask = tokenizer.special().mask.and_then(|id| tokenizer.id_to_token(id)).unwrap_or_default();
        // A browser tells later what its GPU has refused. A first answer waits for it, and compiles the kernels.
        fill_mask.predict_one_async(mask.clone()).await.map_err(told)?;
        Ok(Self { fill_mask, mask })
    }

    /// How the model writes the word that it is to find, such as `[MASK]`.
    #[wasm_bindgen(getter)]
    pub fn mask(&self) -> String {
        self.mask.clone()
    }

    /// The words that the model expects in the masks of a text: the JSON of a
    /// [`FilledText`](bert_tasks::fill_mask::FilledText).
    ///
    /// # Errors
    /// A text without a mask, or too long for the model; a GPU that is gone.
    pub async fn fill(&self, text: String) -> Result<String, JsError> {
        let filled = self.fill_mask.predict_one_async(text).await.map_err(told)?;
        serde_json::to_string(&filled).map_err(|error| JsError::new(&error.to_string()))
    }
}

fn told(error: bert_tasks::Error) -> JsError {
    JsError::new(&in_words(&error))
}

/// An error and its causes in one line.
fn in_words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
