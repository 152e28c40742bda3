//! What can go wrong between a tokenizer's files and token ids.

use std::io;
use std::path::PathBuf;

/// Everything that loading or running a [`Tokenizer`](super::Tokenizer) can report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The folder holds none of the files that define a tokenizer.
    #[error(
        "{folder} holds no tokenizer: expected tokenizer.json, vocab.txt (WordPiece), or vocab.json with merges.txt \
         (byte-level BPE)",
        folder = folder.display()
    )]
    NoTokenizer {
        /// The folder that was searched.
        folder: PathBuf,
    },

    /// The tokenizer's only file is a SentencePiece model.
    #[error(
        "{folder} has no tokenizer.json, and {file} is a SentencePiece model, which is not supported; make tokenizer.json \
         of it with: python -c 'from transformers import AutoTokenizer as T; \
         T.from_pretrained(\"{folder}\").save_pretrained(\"{folder}\")'",
        folder = folder.display()
    )]
    SentencePiece {
        /// The folder.
        folder: PathBuf,
        /// The file that is there.
        file: &'static str,
    },

    /// One of the two files of a byte-level BPE is there without the other.
    #[error("{folder} has {found} but no {missing}: byte-level BPE needs both", folder = folder.display())]
    HalfBpe {
        /// The folder.
        folder: PathBuf,
        /// The file that is there.
        found: &'static str,
        /// The file that is not.
        missing: &'static str,
    },

    /// A line of merges.txt that is not two tokens with a space between.
    #[error("{path}, line {line}: {found:?} is not two tokens separated by a space", path = path.display())]
    Merge {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What stands there.
        found: String,
    },

    /// The path given as a model folder is missing, or is something else than a folder.
    #[error("{path} is not a folder: give the folder that holds the model's files", path = path.display())]
    NotAFolder {
        /// The path that was given.
        path: PathBuf,
    },

    /// A file is there but cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },

    /// A file that must be text holds bytes that are not UTF-8.
    #[error("{path}, line {line}: not valid UTF-8; save the file as UTF-8", path = path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first line with such bytes, counted from 1.
        line: usize,
    },

    /// A JSON file is broken, or a field holds another kind of value than it should.
    #[error("{path} is not valid", path = path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },

    /// A setting asks for something that this crate does not do; following it half would give wrong ids.
    #[error("{path}: {field} = {value} is not supported; {hint}", path = path.display())]
    Unsupported {
        /// The file that holds the setting.
        path: PathBuf,
        /// The setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would work.
        hint: &'static str,
    },

    /// The vocabulary has no token at all.
    #[error("the vocabulary is empty: expected one token per line in vocab.txt, or the tokens of vocab.json")]
    EmptyVocab,

    /// The letters of the text alone are more tokens than the vocabulary is to have.
    #[error(
        "a vocabulary of {size} tokens is too small for this text: the special tokens and its characters alone are \
         {needed}; make it larger, or keep fewer characters"
    )]
    VocabTooSmall {
        /// How many tokens were asked for.
        size: usize,
        /// How many there must be.
        needed: usize,
    },

    /// A file that cannot be written.
    #[error("cannot write {path}", path = path.display())]
    Write {
        /// The file or the folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },

    /// A token that BERT cannot work without is not in the vocabulary.
    #[error(
        "the vocabulary has no {token:?}, which is the {role}: add it, or name the right token as \
         {role} in tokenizer_config.json"
    )]
    MissingToken {
        /// The setting that names the token, such as `cls_token`.
        role: &'static str,
        /// The token that was looked for.
        token: String,
    },

    /// The files give an added token an id that the vocabulary does not lead to.
    #[error(
        "the added token {token:?} should have id {expected} but the vocabulary gives it {found}: \
         vocabulary and added tokens belong to different checkpoints, or ids are missing between them"
    )]
    AddedTokenId {
        /// The added token.
        token: String,
        /// The id that the files state, or the first free one.
        expected: u32,
        /// The id that it would get.
        found: u32,
    },

    /// Two added tokens read the same once the text is normalised, so either could be meant.
    #[error(
        "the added tokens {first:?} and {second:?} are the same after normalisation: remove one of them, or \
         set its \"normalized\" to false"
    )]
    SameAddedToken {
        /// The one that comes first in the files.
        first: String,
        /// The other.
        second: String,
    },

    /// Two tokens have one id.
    #[error("the tokenizer's files give id {id} to both {first:?} and {second:?}: every token needs its own")]
    SharedId {
        /// The id.
        id: u32,
        /// One of the tokens.
        first: String,
        /// The other.
        second: String,
    },

    /// The tokenizer can give ids that have no row in the model's embedding table.
    #[error(
        "the tokenizer needs {vocab} embedding rows (its greatest id plus one) but the model has {table} \
         (vocab_size in config.json): the tokenizer belongs to another checkpoint"
    )]
    VocabTooLarge {
        /// The rows that the tokenizer needs: its greatest id plus one.
        vocab: usize,
        /// The rows that the model has.
        table: usize,
    },

    /// `post_processor` in tokenizer.json does not hold together, such as by a special token that it does not define.
    #[error("tokenizer.json: post_processor is inconsistent")]
    Template {
        /// The library's account of it.
        source: tokenizers::Error,
    },

    /// `post_processor` in tokenizer.json loses a text, or puts one in twice.
    #[error(
        "tokenizer.json: post_processor puts text {text} into a {layout} input {count} times; expected: once"
    )]
    TemplateText {
        /// `single` or `pair`.
        layout: &'static str,
        /// `A` or `B`.
        text: char,
        /// How often the layout holds it.
        count: usize,
    },

    /// A step of the tokenizer failed.
    #[error("the tokenizer's {stage} failed")]
    Pipeline {
        /// The step.
        stage: &'static str,
        /// The library's account of it.
        source: tokenizers::Error,
    },

    /// A step of the tokenizer stopped in the middle; its settings contradict themselves.
    #[error("the tokenizer's {stage} panicked: the settings in tokenizer.json are inconsistent")]
    Broken {
        /// The step.
        stage: &'static str,
    },

    /// Windows of this size and stride would leave tokens out.
    #[error(
        "windows of {max_len} tokens that start {stride} apart leave tokens out: expected 1 <= stride <= length"
    )]
    Windows {
        /// Greatest length of a window, in tokens.
        max_len: usize,
        /// Distance between the starts of two windows, in tokens.
        stride: usize,
    },
}

/// Shorthand for a result with [`TokenizerError`].
pub(crate) type Result<T, E = TokenizerError> = std::result::Result<T, E>;
