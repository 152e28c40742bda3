//! A folder for the packed weights of backends that can keep them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::problem::CacheProblem;

/// A folder in which a backend keeps its packed weights, one file each, so that the next start need not pack them
/// again; see [`Backend::with_packed_cache`](super::Backend::with_packed_cache). The backend decides
/// which weights it keeps, and in which files: the CPU keeps those of [`Precision::Int8`](super::Precision::Int8).
///
/// Files are named by what is in them, so any number of models, instruction sets and processes may share a
/// folder, and any file may be deleted at any time; none is deleted automatically. Whoever can write to the folder can
/// change the answers, as with the checkpoint itself. Clones share one count.
///
/// ```
/// use bert_core::contract::PackedCache;
/// let cache = PackedCache::new("path/to/a/model/packed");
/// assert_eq!((cache.written(), cache.read()), (0, 0));
/// assert!(cache.take_problems().is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct PackedCache(Arc<State>);

#[derive(Debug)]
struct State {
    folder: PathBuf,
    read: AtomicUsize,
    written: AtomicUsize,
    problems: Mutex<Vec<CacheProblem>>,
    /// Writing failed once: one message is enough, and so is one attempt.
    unwritable: AtomicBool,
}

impl PackedCache {
    /// A cache in this folder, which is made when there is something to keep.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(Arc::new(State {
            folder: folder.into(),
            read: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            problems: Mutex::default(),
            unwritable: AtomicBool::new(false),
        }))
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// How many weights came from the folder.
    pub fn read(&self) -> usize {
        self.0.read.load(Relaxed)
    }

    /// How many weights were packed and are now in the folder.
    pub fn written(&self) -> usize {
        self.0.written.load(Relaxed)
    }

    /// What went wrong since the last call. None of it makes a weight wrong.
    pub fn take_problems(&self) -> Vec<CacheProblem> {
        std::mem::take(&mut self.0.problems.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For backends: a weight came from the folder.
    pub fn count_read(&self) {
        self.0.read.fetch_add(1, Relaxed);
    }

    /// For backends: a weight was packed and is now in the folder.
    pub fn count_written(&self) {
        self.0.written.fetch_add(1, Relaxed);
    }

    /// For backends: a file could not be used. After the first [`CacheProblem::Write`] the folder is no longer
    /// [writable](Self::is_writable), and further ones are not noted.
    pub fn note(&self, problem: CacheProblem) {
        let write = matches!(problem, CacheProblem::Write { .. });
        if !(write && self.0.unwritable.swap(true, Relaxed)) {
            self.0.problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
        }
    }

    /// For backends: whether to try to write a file.
    pub fn is_writable(&self) -> bool {
        !self.0.unwritable.load(Relaxed)
    }
}
