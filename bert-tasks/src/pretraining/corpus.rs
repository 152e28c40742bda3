//! A corpus on disk and the shards made of it, which are made once.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{PretrainingError, Result};
use super::{BuildOptions, Built, Shards, Vocabulary, build_shards};
use crate::data::text::{self, Options};
use crate::tokenizer::Tokenizer;

/// The file beside shards that says what they were made of.
const MANIFEST: &str = "corpus.json";

/// Files of raw text, and how they become shards.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    /// The files, in their order.
    pub files: Vec<PathBuf>,
    /// How they are read.
    pub text: Options,
    /// How they are tokenised.
    pub build: BuildOptions,
}

/// What shards were made of: they are used again for the same files alone.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    files: Vec<FileSize>,
    field: String,
    document_per_line: bool,
    max_sentence: usize,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileSize {
    path: PathBuf,
    bytes: u64,
}

impl Corpus {
    /// The shards of these files in a folder. If it has none, they are made, and [`Built`] says of how much; a build
    /// that is broken off leaves nothing there.
    ///
    /// ```
    /// use bert_tasks::pretraining::{Corpus, Vocabulary};
    /// use bert_tasks::tokenizer::Tokenizer;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("text.txt");
    /// std::fs::write(&path, "A cat. A dog.\n\nA cow.\n")?;
    /// let vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\ncat\ndog\ncow\n.\n";
    /// let tokenizer = Tokenizer::from_parts(vocab, None)?;
    ///
    /// let corpus = Corpus { files: vec![path], ..Corpus::default() };
    /// let (shards, built) = corpus.shards(&tokenizer, &folder.path().join("shards"))?;
    /// assert_eq!((shards.documents(), built.is_some()), (2, true));
    /// let (_, built) = corpus.shards(&tokenizer, &folder.path().join("shards"))?;
    /// assert!(built.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`build_shards`]; [`PretrainingError::NoText`] without a token; [`PretrainingError::OtherCorpus`] if the folder holds shards of something else.
    pub fn shards(&self, tokenizer: &Tokenizer, folder: &Path) -> Result<(Shards, Option<Built>)> {
        let manifest = self.manifest()?;
        let path = folder.join(MANIFEST);
        let built = match fs::read_to_string(&path) {
            Ok(text) if serde_json::from_str(&text).is_ok_and(|found: Manifest| found == manifest) => None,
            Ok(_) => return Err(PretrainingError::OtherCorpus { path: folder.to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Some(self.build(tokenizer, folder, &manifest)?)
            }
            Err(source) => return Err(PretrainingError::Read { path, source }),
        };
        Ok((Shards::open_folder(folder, Vocabulary::new(tokenizer)?)?, built))
    }

    /// Makes them under another name, which a kill leaves behind for the next build to remove.
    fn build(&self, tokenizer: &Tokenizer, folder: &Path, manifest: &Manifest) -> Result<Built> {
        if folder.exists() && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(PretrainingError::NotEmpty { path: folder.to_owned() });
        }
        let mut name = folder.file_name().unwrap_or_default().to_owned();
        name.push(".incomplete");
        let incomplete = folder.with_file_name(name);
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists());
        let built = self.build_in(&incomplete, tokenizer, folder, manifest);
        if built.is_err() {
            // What cannot be removed does no harm.
            let _ = fs::remove_dir_all(&incomplete);
            let _ = parent.map(fs::remove_dir);
        }
        built
    }

    fn build_in(
        &self,
        incomplete: &Path,
        tokenizer: &Tokenizer,
        folder: &Path,
        manifest: &Manifest,
    ) -> Result<Built> {
        let fail = |source| PretrainingError::Write { path: incomplete.to_owned(), source };
        if incomplete.exists() {
            fs::remove_dir_all(incomplete).map_err(fail)?;
        }
        let paragraphs = text::paragraphs(&self.files, &self.text);
        let mut built = build_shards(paragraphs, tokenizer, incomplete, &self.build)?;
        if built.documents == 0 {
            return Err(PretrainingError::NoText { path: self.files.first().cloned().unwrap_or_default() });
        }
        let text = serde_json::to_string_pretty(manifest).expect("names and numbers");
        fs::write(incomplete.join(MANIFEST), text).map_err(fail)?;
        if folder.exists() {
            fs::remove_dir(folder).map_err(fail)?;
        }
        fs::rename(incomplete, folder).map_err(fail)?;
        for path in &mut built.paths {
            *path = folder.join(path.file_name().expect("a shard has a name"));
        }
        Ok(built)
    }

    fn manifest(&self) -> Result<Manifest> {
        let size = |path: &PathBuf| {
            let read = |source| PretrainingError::Read { path: path.clone(), source };
            let path = fs::canonicalize(path).map_err(read)?;
            let bytes = fs::metadata(&path).map_err(read)?.len();
            Ok(FileSize { path, bytes })
        };
        Ok(Manifest {
            files: self.files.iter().map(size).collect::<Result<_>>()?,
            field: self.text.field.clone(),
            document_per_line: self.text.document_per_line,
            max_sentence: self.build.max_sentence,
        })
    }
}
