//! Tokenised text on disk: one file holds the token ids of many documents and where their sentences begin.
//!
//! A shard is mapped, so that memory stays flat however large it is, and any sentence can be read by itself.
//! All numbers are little-endian:
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | `bertshrd` |
//! | 4 | the version of this format, 1 |
//! | 4 | bytes of a token id: 2 or 4 |
//! | 32 | [`Vocabulary::hash`] of the tokenizer |
//! | 3 × 8 | the numbers of documents, sentences and tokens |
//! | 4, 4 | the size of the vocabulary, and 0 |
//! | tokens × 2 or 4 | the ids, filled up with zeros to a multiple of 4 |
//! | (sentences + 1) × 4 | the first token of each sentence, and the number of tokens |
//! | (documents + 1) × 4 | the first sentence of each document, and the number of sentences |

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::Vocabulary;
use super::error::{PretrainingError, Result};

/// How a shard begins.
pub(super) const MAGIC: &[u8; 8] = b"bertshrd";
pub(super) const VERSION: u32 = 1;
/// Bytes before the ids.
pub(super) const HEADER: usize = 80;
/// The extension of a shard's name.
pub(super) const EXTENSION: &str = "shard";

/// Bytes of an id of a vocabulary.
pub(super) fn id_bytes(vocabulary: &Vocabulary) -> usize {
    if vocabulary.size() <= 1 << 16 { 2 } else { 4 }
}

/// The documents of one file.
pub struct Shard {
    path: PathBuf,
    bytes: Bytes,
    documents: usize,
    sentences: usize,
    tokens: usize,
    /// Bytes of an id.
    width: usize,
    /// One more than the greatest id.
    vocab_size: u32,
    /// Where the first tokens of sentences stand in the file.
    sentence_starts: usize,
    /// Where the first sentences of documents stand in the file.
    document_starts: usize,
}

enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Shard {
    /// Maps a file and checks everything but the ids, which are checked when they are read.
    ///
    /// The file must not be changed in place while it is in use; it may be replaced or removed.
    ///
    /// # Errors
    /// [`PretrainingError::Read`], [`PretrainingError::Shard`], and [`PretrainingError::OtherTokenizer`] if it
    /// was made with another tokenizer than the vocabulary's.
    pub fn open(path: impl AsRef<Path>, vocabulary: &Vocabulary) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let read = |source| PretrainingError::Read { path: path.clone(), source };
        if !std::fs::metadata(&path).map_err(read)?.is_file() {
            return Err(PretrainingError::Shard { path, reason: "not a regular file".to_owned() });
        }
        let file = File::open(&path).map_err(read)?;
        // SAFETY: the mapping is read-only and lives as long as the shard. It is sound as long as nobody
        // shortens or rewrites the file in place, which is the contract above; shards are written under
        // another name and renamed when they are whole.
        let map = unsafe { Mmap::map(&file) }.map_err(read)?;
        Self::parse(path, Bytes::Mapped(map), vocabulary)
    }

    /// The same for the contents of a file; the name is for messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(name: impl AsRef<Path>, bytes: Vec<u8>, vocabulary: &Vocabulary) -> Result<Self> {
        Self::parse(name.as_ref().to_owned(), Bytes::Owned(bytes), vocabulary)
    }

    fn parse(path: PathBuf, bytes: Bytes, vocabulary: &Vocabulary) -> Result<Self> {
        let data = bytes.as_slice();
        let refuse = |reason: &str| PretrainingError::Shard { path: path.clone(), reason: reason.to_owned() };
        if data.len() < HEADER || !data.starts_with(MAGIC) {
            return Err(refuse("its header is not that of a shard"));
        }
        let (version, width) = (u32_at(data, 8), u32_at(data, 12) as usize);
        if version != VERSION {
            return Err(refuse(&format!(
                "its format has version {version}, and this program reads {VERSION}"
            )));
        }
        if data[16..48] != vocabulary.hash() {
            return Err(PretrainingError::OtherTokenizer { path });
        }
        if u32_at(data, 72) != vocabulary.size() || width != id_bytes(vocabulary) {
            return Err(refuse("its header does not match its tokenizer"));
        }
        let counts = [48, 56, 64].map(|at| u64::from_le_bytes(data[at..at + 8].try_into().expect("8 bytes")));
        if counts.iter().any(|&count| count >= u64::from(u32::MAX)) {
            return Err(refuse("it has more tokens than a shard can hold"));
        }
        // None of this can overflow: the counts are below 2^32.
        let [documents, sentences, tokens] = counts;
        let sentence_starts = HEADER as u64 + (tokens * width as u64).next_multiple_of(4);
        let document_starts = sentence_starts + 4 * (sentences + 1);
        let length = document_starts + 4 * (documents + 1);
        if data.len() as u64 != length {
            return Err(refuse(&format!("it has {} bytes and should have {length}", data.len())));
        }
        let [sentence_starts, document_starts] = [sentence_starts, document_starts].map(|at| at as usize);
        if !ascends(&data[sentence_starts..document_starts], tokens)
            || !ascends(&data[document_starts..], sentences)
        {
            return Err(refuse("the offsets of its sentences are damaged"));
        }
        let [documents, sentences, tokens] = counts.map(|count| count as usize);
        let vocab_size = vocabulary.size();
        Ok(Self {
            path,
            bytes,
            documents,
            sentences,
            tokens,
            width,
            vocab_size,
            sentence_starts,
            document_starts,
        })
    }

    /// How many documents there are.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// How many sentences there are.
    pub fn sentences(&self) -> usize {
        self.sentences
    }

    /// How many tokens there are.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The sentences of a document; at least one.
    ///
    /// # Panics
    /// If there is no such document, as slicing does.
    pub fn sentences_of(&self, document: usize) -> Range<usize> {
        assert!(document < self.documents, "no document {document} of {}", self.documents);
        let at = self.document_starts + 4 * document;
        u32_at(self.bytes.as_slice(), at) as usize..u32_at(self.bytes.as_slice(), at + 4) as usize
    }

    /// The number of tokens of a sentence; at least one.
    ///
    /// # Panics
    /// If there is no such sentence, as slicing does.
    pub fn sentence_len(&self, sentence: usize) -> usize {
        self.tokens_of(sentence).len()
    }

    /// Appends the ids of a sentence.
    ///
    /// # Errors
    /// [`PretrainingError::Shard`] if there is an id that the vocabulary does not have.
    ///
    /// # Panics
    /// If there is no such sentence, as slicing does.
    pub fn read_sentence(&self, sentence: usize, ids: &mut Vec<u32>) -> Result<()> {
        let tokens = self.tokens_of(sentence);
        let from = HEADER + tokens.start * self.width;
        let bytes = &self.bytes.as_slice()[from..from + tokens.len() * self.width];
        let before = ids.len();
        match self.width {
            2 => ids.extend(bytes.chunks_exact(2).map(|id| u32::from(u16::from_le_bytes([id[0], id[1]])))),
            _ => ids.extend(bytes.chunks_exact(4).map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]))),
        }
        match ids[before..].iter().find(|&&id| id >= self.vocab_size) {
            Some(id) => {
                let reason = format!("it has a token {id}, and the vocabulary has {}", self.vocab_size);
                Err(PretrainingError::Shard { path: self.path.clone(), reason })
            }
            None => Ok(()),
        }
    }

    fn tokens_of(&self, sentence: usize) -> Range<usize> {
        assert!(sentence < self.sentences, "no sentence {sentence} of {}", self.sentences);
        let at = self.sentence_starts + 4 * sentence;
        u32_at(self.bytes.as_slice(), at) as usize..u32_at(self.bytes.as_slice(), at + 4) as usize
    }
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Whether numbers begin with 0, end with `last` and rise all the way.
fn ascends(bytes: &[u8], last: u64) -> bool {
    let mut numbers = bytes.chunks_exact(4).map(|number| u32_at(number, 0));
    let Some(0) = numbers.next() else { return false };
    let mut before = 0;
    for number in numbers {
        if number <= before {
            return false;
        }
        before = number;
    }
    u64::from(before) == last
}

/// All shards of a data set, as one long list of documents.
pub struct Shards {
    shards: Vec<Shard>,
    /// The first document of each shard.
    starts: Vec<usize>,
    documents: usize,
    vocabulary: Vocabulary,
}

impl Shards {
    /// Maps files, whose documents follow one another in the order given.
    ///
    /// # Errors
    /// As [`Shard::open`].
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>, vocabulary: Vocabulary) -> Result<Self> {
        let shards = paths.into_iter().map(|path| Shard::open(path, &vocabulary));
        Ok(Self::new(shards.collect::<Result<_>>()?, vocabulary))
    }

    /// Maps all `.shard` files of a folder, in the order of their names.
    ///
    /// # Errors
    /// [`PretrainingError::NoShards`] if there are none; as [`Shard::open`].
    pub fn open_folder(folder: impl AsRef<Path>, vocabulary: Vocabulary) -> Result<Self> {
        let folder = folder.as_ref();
        let paths = shards_in(folder)?;
        if paths.is_empty() {
            return Err(PretrainingError::NoShards { path: folder.to_owned() });
        }
        Self::open(paths, vocabulary)
    }

    /// Joins shards that are open already.
    pub fn new(shards: Vec<Shard>, vocabulary: Vocabulary) -> Self {
        let mut documents = 0;
        let mut starts = vec![];
        for shard in &shards {
            starts.push(documents);
            documents += shard.documents();
        }
        Self { shards, starts, documents, vocabulary }
    }

    /// How many documents there are.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// How many tokens there are.
    pub fn tokens(&self) -> u64 {
        self.shards.iter().map(|shard| shard.tokens() as u64).sum()
    }

    /// The tokens' meaning.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The shard of a document and its sentences there.
    pub(super) fn document(&self, document: usize) -> (&Shard, Range<usize>) {
        let at = self.starts.partition_point(|&start| start <= document) - 1;
        let shard = &self.shards[at];
        (shard, shard.sentences_of(document - self.starts[at]))
    }
}

/// The `.shard` files of a folder, in the order of their names.
pub(super) fn shards_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = |source| PretrainingError::Read { path: folder.to_owned(), source };
    let mut paths = vec![];
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
