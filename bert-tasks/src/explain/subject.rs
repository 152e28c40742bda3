//! What is explained: one score of a task.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bert_core::graph::{Head, Output};
use serde::Serialize;

use super::ExplainError;
use super::reading::Reading;
use crate::canonical::with_marks;
use crate::tokenizer::{Encoded, Tokenizer};
use crate::{Error, Prepared, Result, Rows, Sequence, Session, Task};

/// A word of the texts, which an explanation scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Word {
    /// Which text: 0 for the first or only one.
    pub text: usize,
    /// Its bytes in that text.
    pub range: Range<usize>,
    /// What the text says there.
    pub word: String,
}

/// One score of a task on one input: the probability of a label, of a word for a mask, that a sentence follows, of an
/// entity, of an answer; or how alike two texts are.
///
/// A method of explanation asks what becomes of it when words are masked. A word is what the tokenizer calls one; the
/// special tokens, those that the text itself has among them, are never masked.
///
/// ```
/// use bert_tasks::explain::Subject;
/// use bert_tasks::{Device, FillMask};
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-masked-lm");
/// # let model = model.to_str().unwrap();
/// let fill_mask = FillMask::load(model, &Device::auto()?)?;
/// let subject = Subject::mask(&fill_mask, "The capital of France is [MASK].", 1, None)?;
/// let all = subject.score(&[])?;
/// let without_the_first = subject.score(&[0])?;
/// println!("{}: {all:.3}, without {:?} {without_the_first:.3}", subject.target(), subject.words()[0].word);
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Subject {
    pub(super) session: Session,
    pub(super) task: &'static str,
    pub(super) head: Head,
    pub(super) outputs: Vec<Output>,
    pub(super) sequences: Vec<Sequence>,
    pub(super) reading: Reading,
    pub(super) texts: Vec<String>,
    pub(super) target: String,
    pub(super) words: Vec<Word>,
    /// The tokens of each word: which sequence, and which of its tokens.
    places: Vec<Vec<(usize, usize)>>,
    mask: u32,
    pub(super) progress: Progress,
}

/// What is told after each pass through the model.
#[derive(Clone, Default)]
pub(super) struct Progress(Option<Arc<dyn Fn() + Send + Sync>>);

impl Progress {
    /// A pass is done.
    pub fn passed(&self) {
        if let Some(report) = &self.0 {
            report();
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Progress").field(&self.0.is_some()).finish()
    }
}

/// What a subject begins with.
pub(super) struct Parts<'a> {
    pub session: &'a Session,
    pub task: &'static str,
    pub head: Head,
    pub outputs: Vec<Output>,
    pub texts: Vec<String>,
    /// Each with the index of its first text.
    pub encoded: Vec<(usize, Encoded)>,
}

impl Parts<'_> {
    /// The subject. `masked` are the tokens whose vocabulary scores are wanted.
    pub fn subject(self, reading: Reading, target: String, masked: Vec<u32>) -> Result<Subject> {
        let tokenizer = self.session.tokenizer();
        let mask = tokenizer.special().mask.ok_or(Error::NoMaskToken)?;
        let (mut words, mut places, mut sequences) = (Vec::<Word>::new(), Vec::<Vec<_>>::new(), vec![]);
        for (number, (first, encoded)) in self.encoded.into_iter().enumerate() {
            let mut last = None;
            for (token, source) in encoded.sources.iter().enumerate() {
                let Some(source) = source else { continue };
                let text = first + usize::from(source.sequence);
                let written = &self.texts[text];
                if is_special(tokenizer, encoded.ids[token], &written[source.range()]) {
                    continue;
                }
                let next = encoded.sources.get(token + 1).copied().flatten();
                let next = next.filter(|next| next.sequence == source.sequence);
                let range =
                    with_marks(written, source.range(), next.map_or(written.len(), |next| next.start));
                if last == Some((text, source.word)) {
                    let word = words.last_mut().expect("it has a token before");
                    word.range = word.range.start.min(range.start)..word.range.end.max(range.end);
                    word.word = written[word.range.clone()].to_owned();
                    places.last_mut().expect("as words").push((number, token));
                } else {
                    words.push(Word { text, word: written[range.clone()].to_owned(), range });
                    places.push(vec![(number, token)]);
                }
                last = Some((text, source.word));
            }
            sequences.push(Sequence { masked: masked.clone(), ..encoded.into() });
        }
        if words.is_empty() {
            return Err(ExplainError::NoWords.into());
        }
        let Self { session, task, head, outputs, texts, .. } = self;
        let session = session.clone();
        let progress = Progress::default();
        Ok(Subject {
            session,
            task,
            head,
            outputs,
            sequences,
            reading,
            texts,
            target,
            words,
            places,
            mask,
            progress,
        })
    }
}

/// Whether a token of the text is a special one that the text itself has, and not a word that the tokenizer does not know.
fn is_special(tokenizer: &Tokenizer, id: u32, written: &str) -> bool {
    let special = tokenizer.special();
    match special.unk == Some(id) {
        true => tokenizer.token_text(id).is_some_and(|unknown| unknown == written),
        false => special.mask == Some(id) || tokenizer.is_special(id),
    }
}

impl Subject {
    /// The words of all texts, in their order.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// The texts.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// What the score is one of: a label, a word, an answer.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The same subject, which calls `report` after each text that has passed through the model, for methods that take many.
    pub fn with_progress(self, report: impl Fn() + Send + Sync + 'static) -> Self {
        Self { progress: Progress(Some(Arc::new(report))), ..self }
    }

    /// The score when the words with these indices are masked.
    ///
    /// # Errors
    /// [`Error::NotFinite`] from a damaged model; a device that failed.
    ///
    /// # Panics
    /// If there is no word with one of the indices.
    pub fn score(&self, masked: &[usize]) -> Result<f64> {
        Variants(self).predict_one(masked.to_vec())
    }

    /// The scores when each of these sets of words is masked.
    pub(super) fn scores(&self, masked: Vec<Vec<usize>>) -> Result<Vec<f64>> {
        Variants(self).predict_all(masked)
    }

    /// The sequences with some words masked.
    pub(super) fn masked(&self, words: &[usize]) -> Vec<Sequence> {
        let mut sequences = self.sequences.clone();
        for &(sequence, token) in words.iter().flat_map(|&word| &self.places[word]) {
            sequences[sequence].ids[token] = self.mask;
        }
        sequences
    }

    /// A number for each word: the sum of those of its tokens, of which there is a list for each sequence.
    pub(super) fn sum_by_word(&self, tokens: &[Vec<f64>]) -> Vec<f64> {
        let of = |places: &Vec<(usize, usize)>| {
            places.iter().map(|&(sequence, token)| tokens[sequence][token]).sum()
        };
        self.places.iter().map(of).collect()
    }
}

/// A subject as a task whose inputs are the words to mask: batching, order and memory are those of any task.
struct Variants<'a>(&'a Subject);

impl Task for Variants<'_> {
    type Input = Vec<usize>;
    type Context = ();
    type Piece = Vec<f32>;
    type Answer = f64;

    fn session(&self) -> &Session {
        &self.0.session
    }

    fn outputs(&self) -> Vec<Output> {
        self.0.outputs.clone()
    }

    fn prepare(&self, masked: &Vec<usize>) -> Result<Prepared<()>> {
        Ok(Prepared { sequences: self.0.masked(masked), context: () })
    }

    fn reduce(&self, (): &(), index: usize, rows: Rows) -> Result<Vec<f32>> {
        // Here and not where answers come out, which many do at once.
        if index + 1 == self.0.sequences.len() {
            self.0.progress.passed();
        }
        Ok(self.0.reading.reduce(rows))
    }

    fn finish(&self, _: &Vec<usize>, (): (), pieces: Vec<Vec<f32>>) -> Result<f64> {
        Ok(self.0.reading.score(&pieces))
    }
}
