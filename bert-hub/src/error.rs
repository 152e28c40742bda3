//! What can go wrong between a model's name and a folder with its files.
//!
//! A message does not repeat its cause; print the chain of [`source`](std::error::Error::source)s.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use bert_core::checkpoint::IndexError;

use crate::Refusal;

/// A failure of the hub, of the network or of the cache: what was asked, what was found, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The text is not a model id.
    #[error("`{id}` is not a model id: {rule}; write `owner/name`, or the path of a folder that exists")]
    InvalidId {
        /// What was given.
        id: String,
        /// The rule that it breaks.
        rule: &'static str,
    },

    /// The text is no branch, tag or commit.
    #[error("`{revision}` is not a revision: write a branch, a tag or a commit hash, such as `main`")]
    InvalidRevision {
        /// What was given.
        revision: String,
    },

    /// The address of the hub is unusable.
    #[error("HF_ENDPOINT `{endpoint}` is not the address of a hub: write it like https://huggingface.co")]
    InvalidEndpoint {
        /// What was given.
        endpoint: String,
    },

    /// The access token has characters that an HTTP header cannot carry.
    #[error(
        "the access token (HF_TOKEN, or the file `token` in HF_HOME) is not a single line of plain characters"
    )]
    InvalidToken,

    /// Neither the environment nor the system says where the cache is.
    #[error("no folder for downloaded models: set HF_HOME, HF_HUB_CACHE or HOME")]
    NoCacheFolder,

    /// The hub knows no such model.
    #[error("no model `{id}` at {endpoint}: check the spelling, or give the path of a folder")]
    ModelNotFound {
        /// The model asked for.
        id: String,
        /// The hub that was asked.
        endpoint: String,
    },

    /// The hub has the model, but no such branch, tag or commit.
    #[error("model `{id}` at {endpoint} has no revision `{revision}`; the usual one is `main`")]
    RevisionNotFound {
        /// The model asked for.
        id: String,
        /// The revision asked for.
        revision: String,
        /// The hub that was asked.
        endpoint: String,
    },

    /// The hub refuses the model: it is private or gated, or it does not exist and the hub does not say so.
    #[error("{endpoint} refuses `{id}` ({status}): {}", access_hint(*.token_sent))]
    AccessDenied {
        /// The model asked for.
        id: String,
        /// The hub that was asked.
        endpoint: String,
        /// The HTTP status: 401 or 403.
        status: u16,
        /// Whether a token went with the request.
        token_sent: bool,
    },

    /// The hub, or a server that it redirects to, answers with another status than success.
    #[error("{url} answered with status {status} (tries: {tries}); try again later, or check HF_ENDPOINT")]
    Status {
        /// The address asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How often it was tried.
        tries: u32,
    },

    /// No connection to the server could be made.
    #[error(
        "cannot reach {url}; check the connection, HF_ENDPOINT and HTTPS_PROXY (a model in the cache or in a folder \
         needs no connection)"
    )]
    Unreachable {
        /// The address asked for.
        url: String,
        /// What the HTTP client says.
        source: Box<dyn Error + Send + Sync>,
    },

    /// The connection was cut, or went silent, before the answer was complete.
    #[error("the connection was lost while reading {url} (tries: {tries}); run the command again")]
    Interrupted {
        /// The address asked for.
        url: String,
        /// How often it was tried.
        tries: u32,
        /// What the HTTP client says.
        source: io::Error,
    },

    /// A redirect without a usable target, from HTTPS to HTTP, or one of too many.
    #[error("{url} redirects to {target}, which is not followed; check HF_ENDPOINT")]
    BadRedirect {
        /// The address asked for.
        url: String,
        /// Where it points, or what is wrong with that.
        target: String,
    },

    /// The answer is no list of a model's files.
    #[error(
        "the answer of {url} is not a hub's list of files; check HF_ENDPOINT, and whether a login page \
         of the network answers instead"
    )]
    BadListing {
        /// The address asked for.
        url: String,
        /// What the JSON reader says.
        source: serde_json::Error,
    },

    /// The list of a model's weight shards cannot be read.
    #[error("{path} is not an index of weight shards")]
    BadIndex {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: IndexError,
    },

    /// The server does not say something that a safe download needs to know.
    #[error("{url} does not give {what}; check HF_ENDPOINT")]
    MissingMetadata {
        /// The address asked for.
        url: String,
        /// What is missing.
        what: &'static str,
    },

    /// A server sent a name that does not belong in a path of the cache.
    #[error("{origin} holds `{}`, which is not a plain file name; nothing was written for it", .name.escape_debug())]
    UnsafeName {
        /// The name.
        name: String,
        /// Where it was found.
        origin: String,
    },

    /// The model exists, but lacks a file without which it cannot be run.
    #[error("model `{id}` (commit {commit}) has no {missing}; it cannot be used as a BERT model")]
    Unusable {
        /// The model asked for.
        id: String,
        /// The commit that was looked at.
        commit: String,
        /// The file, or the files of which one is needed.
        missing: String,
    },

    /// The model has all files, but the check of the hub ([`Hub::with_check`](crate::Hub::with_check)) refuses it. Its
    /// weights were not downloaded.
    #[error("model `{id}` (commit {commit}) cannot be used; its weights were not downloaded")]
    Refused {
        /// The model asked for.
        id: String,
        /// The commit that was looked at.
        commit: String,
        /// Why not.
        source: Refusal,
    },

    /// A file has another size than the hub promised.
    #[error(
        "{url}: the hub promises {expected} bytes, the server sends {found}; try again, or check HF_ENDPOINT"
    )]
    SizeMismatch {
        /// The address asked for.
        url: String,
        /// The promised size in bytes.
        expected: u64,
        /// The size of the answer in bytes; of a longer one, as much as was read.
        found: u64,
    },

    /// A file has another content than the hub promised.
    #[error(
        "{url}: the hub promises SHA-256 {expected}, the server sends {found}; try again, or check HF_ENDPOINT"
    )]
    HashMismatch {
        /// The address asked for.
        url: String,
        /// The promised hash.
        expected: String,
        /// The hash of what was received.
        found: String,
    },

    /// Without the network only the cache can answer, and it does not hold the model.
    #[error(
        "`{id}` (revision {revision}) is not in the cache {cache}, and HF_HUB_OFFLINE forbids a download; set \
         HF_HUB_OFFLINE=0, run `bert models pull {id}` while connected, or give the path of a folder"
    )]
    NotCached {
        /// The model asked for.
        id: String,
        /// The revision asked for.
        revision: String,
        /// The cache that was searched.
        cache: PathBuf,
    },

    /// Without the network only the cache can answer, and it holds a part of the model.
    #[error(
        "the cached copy of `{id}` in {folder} has no {missing}, and HF_HUB_OFFLINE forbids a download; set \
         HF_HUB_OFFLINE=0, or run `bert models pull {id}` while connected"
    )]
    Incomplete {
        /// The model asked for.
        id: String,
        /// The folder that was looked at.
        folder: PathBuf,
        /// The file, or the files of which one is needed.
        missing: String,
    },

    /// A file or folder of the cache cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },

    /// A file or folder of the cache cannot be written.
    #[error("cannot write {path}; set HF_HOME or HF_HUB_CACHE to a folder with space that can be written")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl HubError {
    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Interrupted { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            _ => false,
        }
    }

    /// Writes the number of tries into the errors that tell it.
    pub(crate) fn after(mut self, count: u32) -> Self {
        if let Self::Status { tries, .. } | Self::Interrupted { tries, .. } = &mut self {
            *tries = count;
        }
        self
    }
}

fn access_hint(token_sent: bool) -> &'static str {
    if token_sent {
        "the token has no access to it; accept the model's terms on its page, or use another HF_TOKEN"
    } else {
        "it is private or gated, or the name is misspelt; set HF_TOKEN to an access token if it is yours to use"
    }
}
