//! Models from the Hugging Face hub: a name and a revision become a folder with just the files of a BERT.
//!
//! The folder lies in the cache that Python's `huggingface_hub` uses, and either side finds what the other
//! one downloaded. A file gets its name only when its size, and where the hub tells it the SHA-256, are as
//! promised; `refs/main` moves only when all files are there. So a run that is interrupted leaves nothing
//! that looks whole, and the next run goes on where it ended.
//!
//! What cannot be run is refused before its weights are downloaded: the small files come first, and a check that the
//! caller may replace ([`Hub::with_check`]) looks at them.
//!
//! This is own code on [`ureq`] because `hf-hub` 0.5 checks neither sizes nor hashes, moves the ref after
//! the first file, puts the server's ETag into a path unchecked and knows no offline mode, and `hf-hub` 1.0
//! brings several hundred crates.
//!
//! It needs a network, so this example is compiled and not run:
//!
//! ```no_run
//! use bert_hub::{DEFAULT_REVISION, Hub};
//!
//! let hub = Hub::from_env()?;
//! let id = "sentence-transformers/all-MiniLM-L6-v2".parse()?;
//! let snapshot = hub.snapshot(&id, DEFAULT_REVISION, |progress| {
//!     eprint!("\r{} {} of {}", progress.file, progress.done_bytes, progress.total_bytes);
//! })?;
//! println!("{}", snapshot.path.display());
//! # Ok::<(), bert_hub::HubError>(())
//! ```

mod cache;
mod download;
mod error;
mod http;
mod names;
mod own_file;
mod settings;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use bert_core::ModelConfig;
use bert_core::checkpoint::{IndexError, files};

pub use cache::CachedModel;
pub use error::HubError;
pub use names::{DEFAULT_REVISION, ModelId};
pub use settings::{Settings, Token};

use cache::{Lookup, ModelCache, holds};
use download::Source;
use http::{Client, Listing};

/// How far the download of one file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The file's name in the model, such as `model.safetensors`.
    pub file: &'a str,
    /// Bytes on disk. Falls back when a server cannot continue a cut transfer.
    pub done_bytes: u64,
    /// Bytes of the whole file.
    pub total_bytes: u64,
}

/// A model in the cache, whole.
#[derive(Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// The folder with the model's files.
    pub path: PathBuf,
    /// The commit that the revision stands for.
    pub commit: String,
    /// Why the cached copy had to do, when the hub should have been asked and gave no newer one.
    pub fallback: Option<HubError>,
}

/// Why a model cannot be used: the error of a check.
pub type Refusal = Box<dyn Error + Send + Sync>;

/// Looks at a folder that holds all files of a model but its weights.
type Check = Box<dyn Fn(&Path) -> Result<(), Refusal> + Send + Sync>;

/// A hub and a cache.
///
/// Calls from several threads and processes at once are safe: what one of them downloads, the others find.
pub struct Hub {
    settings: Settings,
    client: Client,
    check: Check,
}

impl Hub {
    /// A hub with explicit settings. Nothing is read or written yet.
    ///
    /// ```
    /// use bert_hub::{Hub, HubError, Settings};
    ///
    /// let mut settings = Settings::new("no/such/folder");
    /// settings.offline = true;
    /// let hub = Hub::new(settings)?;
    /// let result = hub.snapshot(&"owner/name".parse()?, "main", |_| ());
    /// assert!(matches!(result, Err(HubError::NotCached { .. })));
    /// # Ok::<(), HubError>(())
    /// ```
    ///
    /// # Errors
    /// [`HubError::InvalidEndpoint`] and [`HubError::InvalidToken`].
    pub fn new(settings: Settings) -> Result<Self, HubError> {
        let client = Client::new(&settings)?;
        let check = Box::new(|folder: &Path| match ModelConfig::from_folder(folder) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        });
        Ok(Self { settings, client, check })
    }

    /// The same hub with another check of what is to be downloaded. `check` is given the folder of the model while it
    /// holds all files but the weights; what it refuses stays on the hub. It is not asked about copies that the cache
    /// has whole. Without this, a model is refused whose `config.json` bert-core cannot read.
    ///
    /// ```
    /// use bert_hub::{Hub, Settings};
    ///
    /// let hub = Hub::new(Settings::new("/srv/models/hub"))?.with_check(|folder| {
    ///     let config = std::fs::read_to_string(folder.join("config.json"))?;
    ///     if config.contains("ForMaskedLM") { Ok(()) } else { Err("it is no masked language model".into()) }
    /// });
    /// # Ok::<(), bert_hub::HubError>(())
    /// ```
    pub fn with_check(
        mut self,
        check: impl Fn(&Path) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        self.check = Box::new(check);
        self
    }

    /// A hub with the settings of the environment; see [`Settings::from_env`].
    ///
    /// # Errors
    /// Those of [`Settings::from_env`] and of [`Hub::new`].
    pub fn from_env() -> Result<Self, HubError> {
        Self::new(Settings::from_env()?)
    }

    /// The settings that are in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The folder of a model, downloaded where it is not cached or out of date.
    ///
    /// A branch or tag is asked for at the hub; if that, or the download of a newer commit, fails and the
    /// cache has a whole copy, the copy is returned and [`Snapshot::fallback`] says why. A commit hash never
    /// moves, so a whole copy needs no question.
    ///
    /// # Errors
    /// Every [`HubError`] except those of the settings.
    pub fn snapshot(
        &self,
        id: &ModelId,
        revision: &str,
        mut report: impl FnMut(Progress<'_>),
    ) -> Result<Snapshot, HubError> {
        match (self.find(id, revision)?, self.settings.offline) {
            (Lookup::Whole { folder, commit }, offline) => {
                if offline || names::is_commit(revision) {
                    return Ok(Snapshot { path: folder, commit, fallback: None });
                }
                // With a copy at hand, waiting for a hub that is down is not worth it.
                self.fetch(id, revision, 0, &mut report)
                    .or_else(|error| Ok(Snapshot { path: folder, commit, fallback: Some(error) }))
            }
            (Lookup::Partial { folder, missing }, true) => {
                Err(HubError::Incomplete { id: id.to_string(), folder, missing })
            }
            (Lookup::Absent, true) => Err(HubError::NotCached {
                id: id.to_string(),
                revision: revision.to_owned(),
                cache: self.settings.cache.clone(),
            }),
            (_, false) => self.fetch(id, revision, self.client.retries, &mut report),
        }
    }

    /// As [`snapshot`](Self::snapshot), but a hub that cannot be asked is an error even where a copy is
    /// cached, and the sizes of cached files are compared with the hub's. Offline, the two are the same.
    ///
    /// # Errors
    /// Every [`HubError`] except those of the settings.
    pub fn pull(
        &self,
        id: &ModelId,
        revision: &str,
        mut report: impl FnMut(Progress<'_>),
    ) -> Result<Snapshot, HubError> {
        if self.settings.offline {
            return self.snapshot(id, revision, report);
        }
        names::check_revision(revision)?;
        self.fetch(id, revision, self.client.retries, &mut report)
    }

    /// The folder of a model if the cache has it whole; the network is not asked.
    ///
    /// # Errors
    /// [`HubError::InvalidRevision`], and [`HubError::Read`] for a cache that cannot be read.
    pub fn cached_path(&self, id: &ModelId, revision: &str) -> Result<Option<PathBuf>, HubError> {
        Ok(match self.find(id, revision)? {
            Lookup::Whole { folder, .. } => Some(folder),
            Lookup::Partial { .. } | Lookup::Absent => None,
        })
    }

    /// Every copy of every model in the cache, whole or not, sorted by id and commit. The cache is shared
    /// with other programs, so look at [`CachedModel::is_supported`].
    ///
    /// # Errors
    /// [`HubError::Read`] for a cache that exists and cannot be read.
    pub fn list_cached(&self) -> Result<Vec<CachedModel>, HubError> {
        cache::list(&self.settings)
    }

    fn find(&self, id: &ModelId, revision: &str) -> Result<Lookup, HubError> {
        names::check_revision(revision)?;
        ModelCache::new(&self.settings, id).find(revision)
    }

    fn fetch(
        &self,
        id: &ModelId,
        revision: &str,
        retries: u32,
        report: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Snapshot, HubError> {
        let listing = self.client.listing(id, revision, retries)?;
        let unusable =
            |missing| HubError::Unusable { id: id.to_string(), commit: listing.commit.clone(), missing };
        let selection = files::select(listing.files.keys().map(String::as_str))
            .map_err(|missing| unusable(missing.to_string()))?;
        let cache = ModelCache::new(&self.settings, id);
        let folder = cache.snapshot(&listing.commit);

        // The weights come last: a snapshot that has them has all the rest, also for whoever looks only at
        // the folder.
        for name in &selection.small {
            self.fetch_file(id, &cache, &listing, name, report)?;
        }
        if files::missing_from(&folder).is_some() {
            (self.check)(&folder).map_err(|source| HubError::Refused {
                id: id.to_string(),
                commit: listing.commit.clone(),
                source,
            })?;
        }
        self.fetch_file(id, &cache, &listing, selection.weights, report)?;
        if files::is_index(selection.weights) {
            let parts = parts(&folder.join(selection.weights))?;
            if let Some(absent) = parts.iter().find(|part| !listing.files.contains_key(*part)) {
                return Err(unusable(absent.clone()));
            }
            for part in &parts {
                self.fetch_file(id, &cache, &listing, part, report)?;
            }
        }
        cache.write_ref(revision, &listing.commit)?;
        Ok(Snapshot { path: folder, commit: listing.commit, fallback: None })
    }

    /// Brings one listed file into the snapshot, unless it is there with the right size.
    fn fetch_file(
        &self,
        id: &ModelId,
        cache: &ModelCache,
        listing: &Listing,
        name: &str,
        report: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), HubError> {
        let url = self.client.file_url(id, &listing.commit, name);
        let blob = self.client.blob(id, &url, &listing.files[name])?;
        let pointer = cache.snapshot(&listing.commit).join(name);
        if holds(&pointer, blob.size) {
            return Ok(());
        }
        let lock = cache.lock(&blob.etag);
        if holds(&pointer, blob.size) {
            return Ok(()); // Another process was faster.
        }
        let stored = cache.blobs().join(&blob.etag);
        let fresh = !stored.exists();
        if !holds(&stored, blob.size) {
            let source = Source { id, url: &url, name, blob: &blob };
            download::download(&self.client, &source, &cache.blobs(), lock.is_some(), report)?;
        }
        cache.place(&blob.etag, fresh, &listing.commit, name)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The files that an index lists: plain names, of the same format as the index.
fn parts(index: &Path) -> Result<BTreeSet<String>, HubError> {
    let unsafe_name = |name| HubError::UnsafeName { name, origin: index.display().to_string() };
    let text = fs::read(index).map_err(|source| HubError::Read { path: index.to_owned(), source })?;
    let parts = files::parts(&text).map_err(|source| match source {
        IndexError::Escapes { part } => unsafe_name(part),
        source => HubError::BadIndex { path: index.to_owned(), source },
    })?;
    // `model.safetensors.index.json` is of `.safetensors`: nothing else is downloaded for it.
    let format = index.with_extension("").with_extension("");
    let same_format = |part: &str| Path::new(part).extension() == format.extension();
    match parts.iter().find(|part| !(names::is_plain_file_name(part) && same_format(part))) {
        Some(part) => Err(unsafe_name(part.clone())),
        None => Ok(parts),
    }
}

/// The examples of README.md are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_plain_names_of_the_format_of_their_index() {
        let folder = tempfile::tempdir().unwrap();
        for (extension, other) in [("safetensors", "bin"), ("bin", "safetensors")] {
            let index = folder.path().join(format!("model.{extension}.index.json"));
            let parts_of = |part: &str| {
                fs::write(&index, format!(r#"{{"weight_map": {{"w": "{part}"}}}}"#)).unwrap();
                parts(&index)
            };
            let good = format!("model-1-of-1.{extension}");
            assert_eq!(parts_of(&good).unwrap(), BTreeSet::from([good]));
            for hostile in ["../evil", "/tmp/evil", "a/b", ""] {
                let hostile = format!("{hostile}.{extension}");
                assert!(
                    matches!(parts_of(&hostile), Err(HubError::UnsafeName { name, .. }) if name == hostile)
                );
            }
            let wrong = format!("evil.{other}");
            assert!(matches!(parts_of(&wrong), Err(HubError::UnsafeName { name, .. }) if name == wrong));
        }
    }
}
