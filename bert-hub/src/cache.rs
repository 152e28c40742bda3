//! The cache folder, in the layout that Python's `huggingface_hub` reads and writes:
//!
//! ```text
//! <cache>/.locks/models--owner--name/<etag>.lock
//! <cache>/models--owner--name/refs/main                     the commit that `main` stands for
//! <cache>/models--owner--name/blobs/<etag>                  the content of a file
//! <cache>/models--owner--name/snapshots/<commit>/<file>     a link to ../../blobs/<etag>
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bert_core::ModelConfig;
use bert_core::checkpoint::files;

use crate::names::{ModelId, is_commit};
use crate::own_file::open_file;
use crate::{HubError, Settings};

/// One model in the cache, as `bert models list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachedModel {
    /// The model.
    pub id: ModelId,
    /// The commit of this copy.
    pub commit: String,
    /// The branches and tags that stood for the commit when they were last asked for.
    pub revisions: Vec<String>,
    /// The folder with the model's files.
    pub path: PathBuf,
    /// The size of the files in bytes.
    pub size: u64,
    /// The `model_type` in `config.json`: the cache is shared with programs for other models.
    pub model_type: Option<String>,
    /// Whether bert-core can read `config.json`.
    pub is_supported: bool,
    /// What is missing to run the model; `None` if the copy is whole.
    pub missing: Option<String>,
}

/// What the cache holds of one revision of a model.
pub(crate) enum Lookup {
    Absent,
    Partial { folder: PathBuf, missing: String },
    Whole { folder: PathBuf, commit: String },
}

/// The part of the cache that belongs to one model.
pub(crate) struct ModelCache {
    root: PathBuf,
    locks: PathBuf,
    symlinks: bool,
}

impl ModelCache {
    pub(crate) fn new(settings: &Settings, id: &ModelId) -> Self {
        let folder = id.folder_name();
        Self {
            root: settings.cache.join(&folder),
            locks: settings.cache.join(".locks").join(&folder),
            symlinks: settings.symlinks,
        }
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// Looks a revision up: a commit by itself, a branch or a tag through `refs`.
    pub(crate) fn find(&self, revision: &str) -> Result<Lookup, HubError> {
        let commit = if is_commit(revision) { Some(revision.to_owned()) } else { self.read_ref(revision)? };
        let Some(commit) = commit else { return Ok(Lookup::Absent) };
        let folder = self.snapshot(&commit);
        if !folder.is_dir() {
            return Ok(Lookup::Absent);
        }
        Ok(match files::missing_from(&folder) {
            Some(missing) => Lookup::Partial { folder, missing: missing.to_string() },
            None => Lookup::Whole { folder, commit },
        })
    }

    /// The commit that a branch or tag stood for when it was last asked for.
    fn read_ref(&self, revision: &str) -> Result<Option<String>, HubError> {
        let path = self.root.join("refs").join(revision);
        match fs::read_to_string(&path) {
            // A ref that holds no commit is as good as none: the hub is asked again.
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|commit| is_commit(commit))),
            Err(error) if is_absence(&error) => Ok(None),
            Err(source) => Err(HubError::Read { path, source }),
        }
    }

    /// Notes that a branch or tag stands for a commit. Comes last, when all files of the commit are in place.
    pub(crate) fn write_ref(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if revision == commit || self.read_ref(revision)?.as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        match make_parent(&path).and_then(|()| replace(&path, |new| fs::write(new, commit))) {
            // The files are all there, which is common in a cache that somebody else fills.
            Err(HubError::Write { source, .. }) if is_read_only(&source) => Ok(()),
            result => result,
        }
    }

    /// Waits until no other process downloads the same content. The lock saves double work and nothing
    /// depends on it, so a file system without locks is no error.
    pub(crate) fn lock(&self, etag: &str) -> Option<File> {
        fs::create_dir_all(&self.locks).ok()?;
        let path = self.locks.join(format!("{etag}.lock"));
        let file = open_file(File::options().create(true).append(true), &path).ok()?;
        file.lock().ok()?;
        Some(file)
    }

    /// Makes a blob appear in a snapshot under its name; `fresh` says that it is new, so that no other
    /// snapshot links to it.
    pub(crate) fn place(&self, etag: &str, fresh: bool, commit: &str, name: &str) -> Result<(), HubError> {
        let blob = self.blobs().join(etag);
        let pointer = self.snapshot(commit).join(name);
        make_parent(&pointer)?;
        if self.symlinks {
            // From the folder of the pointer up to the model's: `snapshots`, the commit, and the name's own.
            let up: PathBuf = Path::new(name).components().map(|_| Component::ParentDir).collect();
            let target = up.join("..").join("blobs").join(etag);
            if replace(&pointer, |new| symlink(&target, new)).is_ok() {
                return Ok(());
            }
        }
        if fresh && fs::rename(&blob, &pointer).is_ok() {
            return Ok(());
        }
        replace(&pointer, |new| fs::copy(&blob, new).map(drop))
    }
}

/// Lists every snapshot of every model in the cache, sorted by id and commit. A cache folder that does not
/// exist is an empty list.
pub(crate) fn list(settings: &Settings) -> Result<Vec<CachedModel>, HubError> {
    let unreadable = |source| HubError::Read { path: settings.cache.clone(), source };
    let entries = match fs::read_dir(&settings.cache) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut models = Vec::new();
    for entry in entries {
        let folder = entry.map_err(unreadable)?.file_name();
        let Some(id) = folder.to_str().and_then(ModelId::from_folder_name) else { continue };
        let cache = ModelCache::new(settings, &id);
        let refs = collect_refs(&cache.root.join("refs"));
        for (commit, path) in children(&cache.root.join("snapshots")) {
            if !is_commit(&commit) || !path.is_dir() {
                continue;
            }
            let revisions = refs.iter().filter(|(_, target)| *target == commit).map(|(name, _)| name.clone());
            models.push(CachedModel {
                id: id.clone(),
                revisions: revisions.collect(),
                size: size_of(&path),
                model_type: model_type(&path),
                is_supported: ModelConfig::from_folder(&path).is_ok(),
                missing: files::missing_from(&path).map(|missing| missing.to_string()),
                commit,
                path,
            });
        }
    }
    models.sort_by(|a, b| (&a.id, &a.commit).cmp(&(&b.id, &b.commit)));
    Ok(models)
}

/// Whether a path leads to a file of this size in bytes.
pub(crate) fn holds(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
}

/// A suffix that no other process or thread uses.
pub(crate) fn unique_suffix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    format!("bert-{:x}-{count:x}-{nanos:x}", process::id())
}

pub(crate) fn make_parent(path: &Path) -> Result<(), HubError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|source| HubError::Write { path: parent.to_owned(), source })
}

/// Makes a file under another name beside `path` and renames it there, so that a reader sees the old one
/// or the new one and never a part.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), HubError> {
    let new = path.with_added_extension(unique_suffix()).with_added_extension("tmp");
    make(&new).and_then(|()| fs::rename(&new, path)).map_err(|source| {
        let _ = fs::remove_file(&new);
        HubError::Write { path: path.to_owned(), source }
    })
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The entries of a folder whose names are text; none for a folder that cannot be read.
fn children(folder: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

fn collect_refs(folder: &Path) -> Vec<(String, String)> {
    fn walk(folder: &Path, prefix: &str, found: &mut Vec<(String, String)>) {
        for (name, path) in children(folder) {
            if is_real_dir(&path) {
                walk(&path, &format!("{prefix}{name}/"), found);
            } else if let Ok(commit) = fs::read_to_string(&path) {
                found.push((format!("{prefix}{name}"), commit.trim().to_owned()));
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, "", &mut found);
    found.sort();
    found
}

fn size_of(folder: &Path) -> u64 {
    let sizes = children(folder).map(|(_, path)| match fs::metadata(&path) {
        Ok(found) if found.is_file() => found.len(),
        Ok(_) if is_real_dir(&path) => size_of(&path),
        _ => 0,
    });
    sizes.sum()
}

/// A folder that is no link, so that a walk comes to an end.
fn is_real_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

fn model_type(folder: &Path) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Config {
        model_type: Option<String>,
    }
    let text = fs::read(folder.join(files::CONFIG)).ok()?;
    serde_json::from_slice::<Config>(&text).ok()?.model_type
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
    )
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}
