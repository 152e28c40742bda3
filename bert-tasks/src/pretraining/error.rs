//! What can go wrong between raw text and examples.

use std::io;
use std::path::PathBuf;

use crate::data::DataError;
use crate::tokenizer::TokenizerError;

/// Shorthand for a result with [`PretrainingError`].
pub type Result<T, E = PretrainingError> = std::result::Result<T, E>;

/// Everything that can go wrong between raw text and examples for pre-training.
///
/// A message does not repeat its cause; print the chain of [`source`](std::error::Error::source)s.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PretrainingError {
    /// The raw text.
    #[error(transparent)]
    Data(#[from] DataError),

    /// A text that cannot be tokenised.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),

    /// A tokenizer without a token that pre-training needs.
    #[error("this tokenizer has no {token} token; pre-training needs one")]
    NoToken {
        /// Which one, such as `mask`.
        token: &'static str,
    },

    /// A file that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or the folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file that cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or the folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A folder that is to be filled with shards and holds some already.
    #[error("{} holds shards already; name an empty folder, or remove them", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },

    /// A folder of shards that were made of other files, or in another way.
    #[error("{} holds the shards of another corpus; name another folder, or remove it", path.display())]
    OtherCorpus {
        /// The folder.
        path: PathBuf,
    },

    /// A corpus without a single token.
    #[error("{} holds no text", path.display())]
    NoText {
        /// The first of its files.
        path: PathBuf,
    },

    /// No shards where some should be.
    #[error("no .shard files in {}", path.display())]
    NoShards {
        /// The folder.
        path: PathBuf,
    },

    /// A file that is not a shard, one of another version, or a damaged one.
    #[error("{}: not a usable shard: {reason}; build it again", path.display())]
    Shard {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A shard that was made with another tokenizer: its ids mean other tokens.
    #[error("{}: made with another tokenizer; build it again with this one", path.display())]
    OtherTokenizer {
        /// The file.
        path: PathBuf,
    },

    /// More tokens in a document than a shard can hold.
    #[error("{}: a document has more tokens than a shard can hold; separate documents by blank lines", path.display())]
    TooLarge {
        /// The shard.
        path: PathBuf,
    },

    /// Too few documents to take a sentence of another one.
    #[error(
        "{found} documents; next sentence prediction needs two or more: separate documents by blank lines, or turn it off"
    )]
    TooFewDocuments {
        /// How many there are.
        found: usize,
    },

    /// An example that an epoch does not have.
    #[error("no example {index}; this epoch has {count}")]
    NoExample {
        /// The example.
        index: u64,
        /// How many there are.
        count: u64,
    },

    /// A setting with a value that makes no sense.
    #[error("{setting} is {found}; it must be {expected}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What would have been right.
        expected: &'static str,
    },
}
