//! Fill-mask on a web page: the files that the page has fetched in, the words that the model expects out. All
//! else is [`bert_tasks`], as in any other program; what waits for the GPU is a promise on the page's side.

use std::sync::Arc;

use bert_tasks::bert_core::checkpoint::MemoryFiles;
use bert_tasks::{Device, DeviceOptions, FillMask, MemoryModel, ModelSource, Precision, Pretrained, Task};
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

/// The GPU of the browser.
#[wasm_bindgen]
pub struct Gpu {
    device: Device,
}

#[wasm_bindgen]
impl Gpu {
    /// Asks the browser for its GPU.
    ///
    /// # Errors
    /// There is none.
    pub async fn open() -> Result<Gpu, JsError> {
        let device = Device::open_async("wgpu", DeviceOptions::default()).await.map_err(told)?;
        Ok(Self { device })
    }

    /// What it is, in words.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.device.to_string()
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
            JsError::new(&format!("{}: the browser has no memory for its {total} bytes", self.name))
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

    /// Adds a file that has arrived.
    pub fn add(&mut self, file: ModelFile) {
        self.files.insert(file.name, Arc::new(file.bytes));
    }
}

/// A masked language model in the memory of the GPU.
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
    /// What is wrong with the files; a GPU without room for them.
    pub async fn load(gpu: &Gpu, folder: Folder) -> Result<Filler, JsError> {
        let Folder { name, files } = folder;
        let source = ModelSource::Memory(MemoryModel { name, files });
        let files = Pretrained::from_source(source).map_err(told)?;
        let fill_mask = FillMask::from_pretrained(&files, &gpu.device, Precision::F32).map_err(told)?;
        drop(files);
        let tokenizer = fill_mask.session().tokenizer();
        let mask = tokenizer.special().mask.and_then(|id| tokenizer.id_to_token(id)).unwrap_or_default();
        // A browser tells later what its GPU has refused. A first answer waits for it, and compiles the kernels.
        fill_mask.predict_one_async(mask.clone()).await.map_err(told)?;
        Ok(Self { fill_mask, mask })
    }

    /// How the model writes the word that it shall find, such as `[MASK]`.
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

/// An error and its causes in one line.
fn told(error: bert_tasks::Error) -> JsError {
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    JsError::new(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}
