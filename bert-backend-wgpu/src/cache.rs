//! Compiled kernels from one run to the next, where the driver gives them out. A cache saves time and does
//! nothing else: whatever is wrong with it, kernels are compiled as if there were none.

use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use wgpu::{AdapterInfo, Device, PipelineCache, PipelineCacheDescriptor};

/// Starts a file, before the checksum of the rest.
const MAGIC: &[u8; 8] = b"BERTWGP1";
/// Larger files are none of ours.
const MOST_BYTES: u64 = 64 << 20;

/// The compiled kernels of a device, and their file.
pub(crate) struct Cache {
    pipelines: PipelineCache,
    file: PathBuf,
    /// Kernels compiled since the file was read or written.
    compiled: AtomicUsize,
    /// Checksum of what the file held when it was read.
    stored: Option<u64>,
}

impl Cache {
    /// What the folder holds for this adapter, its driver and this version of the kernels.
    pub fn open(folder: &Path, device: &Device, adapter: &AdapterInfo) -> Self {
        let file = folder.join(file_name(adapter));
        let data = read(&file);
        let descriptor = PipelineCacheDescriptor { label: None, data: data.as_deref(), fallback: true };
        // SAFETY: the data is what a driver of this name and version gave out, as the file's name and checksum
        // say, and the driver checks its own header on top of that.
        let pipelines = unsafe { device.create_pipeline_cache(&descriptor) };
        Self { pipelines, file, compiled: AtomicUsize::new(0), stored: data.as_deref().map(checksum) }
    }

    /// To compile with.
    pub fn pipelines(&self) -> &PipelineCache {
        &self.pipelines
    }

    /// Counts a kernel as compiled.
    pub fn count_compiled(&self) {
        self.compiled.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes the file, if there is something new.
    fn store(&self) {
        if self.compiled.swap(0, Ordering::Relaxed) == 0 {
            return;
        }
        let Some(data) = self.pipelines.get_data() else { return };
        if self.stored != Some(checksum(&data)) {
            // A folder that is full or cannot be written to costs the next run some time, and nobody an answer.
            let _ = write(&self.file, &data);
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.store();
    }
}

/// Different for whatever makes compiled kernels of another kind.
fn file_name(adapter: &AdapterInfo) -> String {
    let mut hasher = DefaultHasher::new();
    (&adapter.name, adapter.vendor, adapter.device, &adapter.device_pci_bus_id).hash(&mut hasher);
    (&adapter.driver, &adapter.driver_info).hash(&mut hasher);
    let key = hasher.finish();
    format!("{}-{}-{key:016x}.bin", adapter.backend, env!("CARGO_PKG_VERSION"))
}

/// FNV-1a: tells a torn or rotten file from a whole one, and no more than that.
fn checksum(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn read(file: &Path) -> Option<Vec<u8>> {
    let about = std::fs::metadata(file).ok()?;
    if !about.is_file() || about.len() > MOST_BYTES {
        return None;
    }
    let bytes = std::fs::read(file).ok()?;
    let data = bytes.strip_prefix(MAGIC)?;
    let (sum, data) = data.split_first_chunk()?;
    (u64::from_le_bytes(*sum) == checksum(data)).then(|| data.to_vec())
}

/// Another process may do the same at the same time: a reader sees one file or the other, never a half.
fn write(file: &Path, data: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let draft = file.with_extension(format!("{}.part", std::process::id()));
    let bytes = [&MAGIC[..], &checksum(data).to_le_bytes(), data].concat();
    let result = std::fs::write(&draft, bytes).and_then(|()| std::fs::rename(&draft, file));
    if result.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    result
}

/// Where the cache is if nobody says otherwise.
pub(crate) fn usual_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(folder) = variable("BERT_WGPU_CACHE") {
        return (!folder.is_empty()).then(|| folder.into());
    }
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = match absolute("XDG_CACHE_HOME") {
        Some(folder) => folder,
        None if cfg!(windows) => absolute("LOCALAPPDATA")?,
        None => {
            absolute("HOME")?.join(if cfg!(target_vendor = "apple") { "Library/Caches" } else { ".cache" })
        }
    };
    Some(caches.join(OsStr::new("bert")).join("wgpu"))
}
