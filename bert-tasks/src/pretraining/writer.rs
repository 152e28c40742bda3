//! Writing one shard.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Vocabulary;
use super::error::{PretrainingError, Result};
use super::shards::{HEADER, MAGIC, VERSION, id_bytes};

/// Writes sentences to a shard. The file has its name only when it is whole; one that is not finished is removed.
pub(super) struct Writer {
    path: PathBuf,
    /// What the file is called before it is whole.
    partial: PathBuf,
    /// `None` once it is finished.
    file: Option<BufWriter<File>>,
    vocabulary_size: u32,
    hash: [u8; 32],
    width: usize,
    /// The first token of each sentence, and the number of tokens.
    sentences: Vec<u32>,
    /// The first sentence of each document that has ended, and of the one that is written.
    documents: Vec<u32>,
}

impl Writer {
    pub fn create(path: &Path, vocabulary: &Vocabulary) -> Result<Self> {
        let partial = path.with_extension("partial");
        let write = |source| PretrainingError::Write { path: partial.clone(), source };
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&partial).map_err(write)?);
        file.write_all(&[0; HEADER]).map_err(write)?;
        Ok(Self {
            path: path.to_owned(),
            partial,
            file: Some(file),
            vocabulary_size: vocabulary.size(),
            hash: vocabulary.hash(),
            width: id_bytes(vocabulary),
            sentences: vec![0],
            documents: vec![0],
        })
    }

    /// The tokens so far.
    pub fn tokens(&self) -> usize {
        *self.sentences.last().expect("it begins with 0") as usize
    }

    /// The documents that have ended.
    pub fn documents(&self) -> usize {
        self.documents.len() - 1
    }

    /// The sentences so far.
    pub fn sentences(&self) -> usize {
        self.sentences.len() - 1
    }

    /// Adds a sentence to the document; an empty one is none.
    pub fn add_sentence(&mut self, ids: &[u32]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let tokens = self.tokens() as u64 + ids.len() as u64;
        let end = u32::try_from(tokens).ok().filter(|&end| end < u32::MAX);
        let end = end.ok_or_else(|| PretrainingError::TooLarge { path: self.path.clone() })?;
        let file = self.file.as_mut().expect("it is not finished");
        let written = ids.iter().try_for_each(|id| file.write_all(&id.to_le_bytes()[..self.width]));
        written.map_err(|source| PretrainingError::Write { path: self.partial.clone(), source })?;
        self.sentences.push(end);
        Ok(())
    }

    /// Ends the document; without a sentence it is none.
    pub fn end_document(&mut self) {
        let sentences = self.sentences() as u32;
        if self.documents.last() != Some(&sentences) {
            self.documents.push(sentences);
        }
    }

    /// Writes what is left and gives the file its name.
    pub fn finish(mut self) -> Result<()> {
        self.end_document();
        let file = self.file.take().expect("it is not finished");
        let written = self.write_rest(file).and_then(|()| fs::rename(&self.partial, &self.path));
        written.map_err(|source| {
            // It is of no use, and in the way of the next attempt.
            let _ = fs::remove_file(&self.partial);
            PretrainingError::Write { path: self.path.clone(), source }
        })
    }

    fn write_rest(&self, mut file: BufWriter<File>) -> io::Result<()> {
        let padding = (self.tokens() * self.width).next_multiple_of(4) - self.tokens() * self.width;
        file.write_all(&[0; 4][..padding])?;
        for start in self.sentences.iter().chain(&self.documents) {
            file.write_all(&start.to_le_bytes())?;
        }
        file.seek(SeekFrom::Start(0))?;
        file.write_all(MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        file.write_all(&(self.width as u32).to_le_bytes())?;
        file.write_all(&self.hash)?;
        for count in [self.documents(), self.sentences(), self.tokens()] {
            file.write_all(&(count as u64).to_le_bytes())?;
        }
        file.write_all(&self.vocabulary_size.to_le_bytes())?;
        file.write_all(&[0; 4])?;
        file.into_inner()?.sync_all()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.partial);
        }
    }
}
