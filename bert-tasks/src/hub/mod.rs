//! Models from the Hugging Face hub: a name and a revision become a folder with just the files of a BERT.
//!
//! The folder lies in the cache that Python's `huggingface_hub` uses, and either side finds what the other
//! one downloaded. A file gets its name only when its size, and where the hub tells it the SHA-256, are as
//! promised; `refs/main` moves only when all files are there. So a run that is interrupted leaves nothing
//! that looks whole, and the next run goes on where it ended.
//!
//! This is own code on [`ureq`] because `hf-hub` 0.5 checks neither sizes nor hashes, moves the ref after
//! the first file, puts the server's ETag into a path unchecked and knows no offline mode, and `hf-hub` 1.0
//! brings several hundred crates.
//!
//! ```no_run
//! use bert_tasks::hub::{DEFAULT_REVISION, Hub};
//!
//! let hub = Hub::from_env()?;
//! let id = "sentence-transformers/all-MiniLM-L6-v2".parse()?;
//! let snapshot = hub.snapshot(&id, DEFAULT_REVISION, |progress| {
//!     eprint!("\r{} {} of {}", progress.file, progress.done_bytes, progress.total_bytes);
//! })?;
//! println!("{}", snapshot.path.display());
//! # Ok::<(), bert_tasks::hub::HubError>(())
//! ```

mod cache;
mod download;
mod error;
mod files;
mod http;
mod names;
mod settings;

use std::path::PathBuf;

pub use cache::CachedModel;
pub use error::HubError;
pub use names::{DEFAULT_REVISION, ModelId};
pub use settings::{Settings, Token};

use cache::{Lookup, ModelCache, holds};
use download::Source;
use files::Weights;
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

/// A hub and a cache.
///
/// Calls from several threads and processes at once are safe: what one of them downloads, the others find.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    client: Client,
}

impl Hub {
    /// A hub with explicit settings. Nothing is read or written yet.
    ///
    /// ```
    /// use bert_tasks::hub::{Hub, HubError, Settings};
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
        Ok(Self { settings, client })
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
    /// with other programs, so look at [`CachedModel::model_type`].
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
        let selection = files::select(listing.files.keys().map(String::as_str)).map_err(unusable)?;
        let cache = ModelCache::new(&self.settings, id);
        let folder = cache.snapshot(&listing.commit);

        // The weights come last: a snapshot that has them has all the rest, also for whoever looks only at
        // the folder.
        for name in &selection.small {
            self.fetch_file(id, &cache, &listing, name, report)?;
        }
        match selection.weights {
            Weights::Whole(name) => self.fetch_file(id, &cache, &listing, name, report)?,
            Weights::Sharded => {
                self.fetch_file(id, &cache, &listing, files::SAFETENSORS_INDEX, report)?;
                for shard in files::shards(&folder.join(files::SAFETENSORS_INDEX))? {
                    if !listing.files.contains_key(&shard) {
                        return Err(unusable(shard));
                    }
                    self.fetch_file(id, &cache, &listing, &shard, report)?;
                }
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
