//! From raw text to shards: sentences are split and tokenised once, on several threads, in the order of the
//! text.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::error::{PretrainingError, Result};
use super::shards::{EXTENSION, shards_in};
use super::words::Words;
use super::writer::Writer;
use super::{Vocabulary, split_sentences};
use crate::data;
use crate::data::text::Paragraph;
use crate::tokenizer::Tokenizer;

/// Text that a thread tokenises at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// How text is tokenised and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildOptions {
    /// Threads that tokenise; all that there are, if 0. The shards do not depend on it.
    pub threads: usize,
    /// A shard ends with the document that brings it to so many tokens.
    pub shard_tokens: usize,
    /// A longer sentence is cut into parts of at most so many tokens, before pieces that begin a word. A
    /// sentence that does not fit an example would be cut there, and the rest of it lost.
    pub max_sentence: usize,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self { threads: 0, shard_tokens: 100_000_000, max_sentence: 256 }
    }
}

/// What was built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// The shards, in the order of the text.
    pub paths: Vec<PathBuf>,
    /// The documents that have a token.
    pub documents: u64,
    /// Their sentences.
    pub sentences: u64,
    /// Their tokens.
    pub tokens: u64,
}

/// Tokenises paragraphs and writes them to a folder, as `00000.shard`, `00001.shard` and so on.
///
/// Memory stays flat: a few chunks of text, and 4 bytes for every sentence of the shard that is written. Special
/// tokens that the text spells out, such as `[SEP]`, are left out.
///
/// ```
/// use bert_tasks::data::text;
/// use bert_tasks::pretraining::{BuildOptions, build_shards};
/// use bert_tasks::tokenizer::Tokenizer;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("text.txt");
/// std::fs::write(&path, "A cat. A dog.\n\nA cow.\n")?;
/// let tokenizer = Tokenizer::from_parts("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\ncat\ndog\ncow\n.\n", None)?;
///
/// let paragraphs = text::paragraphs([&path], &text::Options::default());
/// let built = build_shards(paragraphs, &tokenizer, folder.path(), &BuildOptions::default())?;
/// assert_eq!((built.documents, built.sentences, built.tokens), (2, 3, 9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`PretrainingError::NotEmpty`] if the folder holds shards; what is wrong with the text or the disk. Whole
/// shards stay, the one that was being written is removed.
pub fn build_shards<I>(
    paragraphs: I,
    tokenizer: &Tokenizer,
    folder: impl AsRef<Path>,
    options: &BuildOptions,
) -> Result<Built>
where
    I: IntoIterator<Item = data::Result<Paragraph>>,
    I::IntoIter: Send,
{
    let folder = folder.as_ref();
    for (setting, value) in [("shard_tokens", options.shard_tokens), ("max_sentence", options.max_sentence)] {
        if value == 0 {
            return Err(PretrainingError::Setting { setting, found: "0".into(), expected: "at least 1" });
        }
    }
    std::fs::create_dir_all(folder)
        .map_err(|source| PretrainingError::Write { path: folder.to_owned(), source })?;
    if !shards_in(folder)?.is_empty() {
        return Err(PretrainingError::NotEmpty { path: folder.to_owned() });
    }
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let vocabulary = Vocabulary::new(tokenizer)?;
    let unknown = tokenizer.special().unk;
    let worker = Worker { vocabulary: &vocabulary, unknown, max_sentence: options.max_sentence };
    let paragraphs = paragraphs.into_iter();
    thread::scope(|scope| {
        // Each worker has a queue of its own and is given every n-th chunk, so that the results, taken from
        // the workers in turn, are in order. A side that fails drops its end, and the others stop.
        let (mut to, mut from) = (vec![], vec![]);
        for _ in 0..threads {
            let (sender, chunks) = sync_channel(2);
            let (results, receiver) = sync_channel(2);
            let (worker, words) = (&worker, Words::new(tokenizer));
            scope.spawn(move || worker.run(words, &chunks, &results));
            to.push(sender);
            from.push(receiver);
        }
        scope.spawn(move || send_chunks(paragraphs, &to));
        collect(&from, &vocabulary, folder, options.shard_tokens)
    })
}

/// Paragraphs, or why there are no more.
type Chunk = Result<Vec<Paragraph>>;

/// Cuts the text into chunks and deals them out in turn.
fn send_chunks(paragraphs: impl Iterator<Item = data::Result<Paragraph>>, to: &[SyncSender<Chunk>]) {
    let mut workers = to.iter().cycle();
    let mut send = |chunk: Chunk| workers.next().is_some_and(|worker| worker.send(chunk).is_ok());
    let (mut chunk, mut bytes) = (vec![], 0);
    for paragraph in paragraphs {
        match paragraph {
            Ok(paragraph) => {
                bytes += paragraph.text.len();
                chunk.push(paragraph);
                if bytes >= CHUNK {
                    bytes = 0;
                    if !send(Ok(std::mem::take(&mut chunk))) {
                        return;
                    }
                }
            }
            Err(error) => {
                let _ = send(Ok(chunk)) && send(Err(error.into()));
                return;
            }
        }
    }
    send(Ok(chunk));
}

/// The sentences of some paragraphs.
#[derive(Default)]
struct Tokenised {
    ids: Vec<u32>,
    /// For each sentence, its document and where its ids end.
    sentences: Vec<(u64, usize)>,
}

struct Worker<'a> {
    vocabulary: &'a Vocabulary,
    /// The only special token that a text may hold.
    unknown: Option<u32>,
    max_sentence: usize,
}

impl Worker<'_> {
    fn run(&self, mut words: Words<'_>, chunks: &Receiver<Chunk>, results: &SyncSender<Result<Tokenised>>) {
        for chunk in chunks {
            let tokenised = chunk.and_then(|paragraphs| self.tokenise(&mut words, &paragraphs));
            if results.send(tokenised).is_err() {
                return;
            }
        }
    }

    fn tokenise(&self, words: &mut Words<'_>, paragraphs: &[Paragraph]) -> Result<Tokenised> {
        let mut tokenised = Tokenised::default();
        let mut ids = vec![];
        for paragraph in paragraphs {
            for sentence in split_sentences(&paragraph.text) {
                ids.clear();
                words.encode(sentence, &mut ids)?;
                let from = tokenised.ids.len();
                let ordinary = |id: &u32| !self.vocabulary.is_special(*id) || Some(*id) == self.unknown;
                tokenised.ids.extend(ids.iter().copied().filter(ordinary));
                self.cut(&mut tokenised, from, paragraph.document);
            }
        }
        Ok(tokenised)
    }

    /// Makes sentences of the ids from a place on.
    fn cut(&self, tokenised: &mut Tokenised, mut from: usize, document: u64) {
        let end = tokenised.ids.len();
        while from < end {
            let mut to = end;
            if end - from > self.max_sentence {
                let most = from + self.max_sentence;
                let begins = |&at: &usize| !self.vocabulary.continues(tokenised.ids[at]);
                to = (from + 1..=most).rev().find(begins).unwrap_or(most);
            }
            tokenised.sentences.push((document, to));
            from = to;
        }
    }
}

/// Writes what the workers made, in order.
fn collect(
    from: &[Receiver<Result<Tokenised>>],
    vocabulary: &Vocabulary,
    folder: &Path,
    shard_tokens: usize,
) -> Result<Built> {
    let mut built = Built::default();
    let mut writer: Option<Writer> = None;
    let mut document = None;
    for worker in from.iter().cycle() {
        let Ok(tokenised) = worker.recv() else { break };
        let Tokenised { ids, sentences } = tokenised?;
        let mut start = 0;
        for (of, end) in sentences {
            if document != Some(of) {
                document = Some(of);
                if let Some(open) = &mut writer {
                    open.end_document();
                    if open.tokens() >= shard_tokens {
                        finish(&mut writer, &mut built)?;
                    }
                }
            }
            let open = match &mut writer {
                Some(open) => open,
                None => {
                    let path = folder.join(format!("{:05}.{EXTENSION}", built.paths.len()));
                    let open = Writer::create(&path, vocabulary)?;
                    built.paths.push(path);
                    writer.insert(open)
                }
            };
            open.add_sentence(&ids[start..end])?;
            start = end;
        }
    }
    finish(&mut writer, &mut built)?;
    Ok(built)
}

fn finish(writer: &mut Option<Writer>, built: &mut Built) -> Result<()> {
    let Some(mut writer) = writer.take() else { return Ok(()) };
    writer.end_document();
    built.documents += writer.documents() as u64;
    built.sentences += writer.sentences() as u64;
    built.tokens += writer.tokens() as u64;
    writer.finish()
}
