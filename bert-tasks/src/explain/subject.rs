//! What is explained: one score of a task.

use std::ops::Range;

use bert_core::config::ProblemType;
use bert_core::graph::{Head, Output};
use serde::Serialize;

use super::ExplainError;
use super::attention::check;
use super::reading::Reading;
use crate::fill_mask::FillMaskOptions;
use crate::next_sentence::TextPair;
use crate::question_answering::Question;
use crate::text_classification::{Text, TextClassificationOptions};
use crate::tokenizer::Encoded;
use crate::{
    Error, FillMask, NextSentence, Prepared, QuestionAnswering, Request, Result, Rows, Sequence, Session,
    Similarity, Task, TextClassification, TokenClassification,
};

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
/// special tokens, and masks that the text itself has, are never masked.
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
}

/// What a subject begins with.
struct Parts<'a> {
    session: &'a Session,
    task: &'static str,
    head: Head,
    outputs: Vec<Output>,
    texts: Vec<String>,
    /// Each with the index of its first text.
    encoded: Vec<(usize, Encoded)>,
}

impl Parts<'_> {
    fn subject(self, reading: Reading, target: String, masked: Vec<u32>) -> Result<Subject> {
        let tokenizer = self.session.tokenizer();
        let mask = tokenizer.special().mask.ok_or(Error::NoMaskToken)?;
        let (mut words, mut places, mut sequences) = (Vec::<Word>::new(), Vec::<Vec<_>>::new(), vec![]);
        for (number, (first, encoded)) in self.encoded.into_iter().enumerate() {
            let mut last = None;
            for (token, source) in encoded.sources.iter().enumerate() {
                let Some(source) = source.filter(|_| encoded.ids[token] != mask) else { continue };
                let text = first + usize::from(source.sequence);
                let range = source.range();
                if last == Some((text, source.word)) {
                    let word = words.last_mut().expect("it has a token before");
                    word.range = word.range.start.min(range.start)..word.range.end.max(range.end);
                    word.word = self.texts[text][word.range.clone()].to_owned();
                    places.last_mut().expect("as words").push((number, token));
                } else {
                    words.push(Word { text, word: self.texts[text][range.clone()].to_owned(), range });
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
        Ok(Subject { session, task, head, outputs, sequences, reading, texts, target, words, places, mask })
    }
}

impl Subject {
    /// The probability of a label, or the number of a regression; of the best label if none is named.
    ///
    /// # Errors
    /// [`Error::UnknownLabel`]; [`ExplainError::TooLong`] and [`ExplainError::NoWords`]; what the model says.
    pub fn label(task: &TextClassification, text: impl Into<Text>, label: Option<&str>) -> Result<Self> {
        let text = text.into();
        let session = task.session();
        let tokenizer = session.tokenizer();
        let encoded = match &text.pair {
            None => tokenizer.encode(&text.text)?,
            Some(pair) => tokenizer.encode_pair(&text.text, pair)?,
        };
        check(&encoded, session)?;
        let label = match label {
            Some(label) => label.to_owned(),
            None => {
                let all = TextClassificationOptions { top_k: None, problem_type: Some(task.problem_type()) };
                let answer = task.predict_one(Request::from(text.clone()).with_options(all))?;
                answer.scores.into_iter().next().map(|best| best.label).unwrap_or_default()
            }
        };
        let labels = &session.config().labels;
        let Some(column) = labels.iter().position(|known| *known == label) else {
            return Err(Error::UnknownLabel { found: label, known: labels.clone() });
        };
        let reading = match task.problem_type() {
            ProblemType::SingleLabelClassification => {
                Reading::Softmax { rows: vec![0], columns: vec![column] }
            }
            ProblemType::MultiLabelClassification => Reading::Sigmoid { column },
            ProblemType::Regression => Reading::Number { column },
        };
        let head = Head::SequenceClassification;
        let texts = [text.text].into_iter().chain(text.pair).collect();
        let outputs = vec![Output::Scores(head)];
        Parts { session, task: "sentiment", head, outputs, texts, encoded: vec![(0, encoded)] }.subject(
            reading,
            label,
            vec![],
        )
    }

    /// The probability of a word in the place of a mask, which are counted from 1; of the best word if none is named.
    ///
    /// # Errors
    /// [`Error::NoMask`]; [`ExplainError::Mask`]; [`Error::Targets`] for a word that is not one token;
    /// [`ExplainError::TooLong`] and [`ExplainError::NoWords`]; what the model says.
    pub fn mask(task: &FillMask, text: &str, mask: usize, word: Option<&str>) -> Result<Self> {
        let session = task.session();
        let encoded = session.tokenizer().encode(text)?;
        check(&encoded, session)?;
        let targets = word.iter().map(|word| (*word).to_owned()).collect();
        let options = FillMaskOptions { top_k: 1, targets };
        let filled = task.predict_one(Request::from(text).with_options(options))?;
        let chosen = mask.checked_sub(1).and_then(|index| filled.masks.get(index));
        let Some(chosen) = chosen else {
            return Err(ExplainError::Mask { mask, count: filled.masks.len() }.into());
        };
        let best = &chosen.candidates[0];
        let position = encoded
            .sources
            .iter()
            .position(|source| source.is_some_and(|source| source.range() == chosen.range));
        let masked = position.iter().map(|&position| position as u32).collect();
        let reading = Reading::Softmax { rows: vec![0], columns: vec![best.token as usize] };
        let head = Head::MaskedLm;
        let (outputs, target) = (vec![Output::Scores(head)], best.token_str.clone());
        Parts {
            session,
            task: "fill-mask",
            head,
            outputs,
            texts: vec![text.to_owned()],
            encoded: vec![(0, encoded)],
        }
        .subject(reading, target, masked)
    }

    /// The probability that the second text follows the first.
    ///
    /// # Errors
    /// [`ExplainError::TooLong`] and [`ExplainError::NoWords`].
    pub fn follows(task: &NextSentence, pair: &TextPair) -> Result<Self> {
        let session = task.session();
        let encoded = session.tokenizer().encode_pair(&pair.first, &pair.second)?;
        check(&encoded, session)?;
        let reading = Reading::Softmax { rows: vec![0], columns: vec![0] };
        let head = Head::NextSentence;
        let texts = vec![pair.first.clone(), pair.second.clone()];
        let outputs = vec![Output::Scores(head)];
        Parts { session, task: "next-sentence", head, outputs, texts, encoded: vec![(0, encoded)] }.subject(
            reading,
            "follows".to_owned(),
            vec![],
        )
    }

    /// The probability of an entity's label, which is the mean over its words; of the entity that is most probable, if
    /// none is named by what the text says there.
    ///
    /// # Errors
    /// [`ExplainError::NoEntity`]; [`ExplainError::TooLong`] and [`ExplainError::NoWords`]; what the model says.
    pub fn entity(task: &TokenClassification, text: &str, entity: Option<&str>) -> Result<Self> {
        let session = task.session();
        let tokenizer = session.tokenizer();
        let encoded = tokenizer.with_special(&tokenizer.encode_words(text)?);
        check(&encoded, session)?;
        let found = task.predict(text)?;
        let named = found.iter().filter(|found| entity.is_none_or(|entity| entity == found.text));
        let Some(chosen) = named.reduce(|best, next| if next.score > best.score { next } else { best })
        else {
            let found = found.iter().map(|found| format!("{:?}", found.text)).collect();
            return Err(ExplainError::NoEntity { asked: entity.map(str::to_owned), found }.into());
        };
        // The first token of each word, which is the one that models are trained on.
        let mut rows = vec![];
        let mut last = None;
        for (token, source) in encoded.sources.iter().enumerate() {
            let Some(source) = source else { continue };
            let inside = chosen.range.start <= source.start && source.end <= chosen.range.end;
            if inside && last != Some(source.word) {
                rows.push(token);
            }
            last = Some(source.word);
        }
        let scheme = task.scheme();
        let labels = session.config().labels.iter().enumerate();
        let columns = labels.filter(|(_, label)| scheme.kind(label) == chosen.label).map(|(index, _)| index);
        let reading = Reading::Softmax { rows, columns: columns.collect() };
        let target = format!("{} {}", chosen.label, chosen.text);
        let head = Head::TokenClassification;
        let outputs = vec![Output::Scores(head)];
        Parts {
            session,
            task: "entities",
            head,
            outputs,
            texts: vec![text.to_owned()],
            encoded: vec![(0, encoded)],
        }
        .subject(reading, target, vec![])
    }

    /// The probability of the best answer: of its start times that of its end, among all tokens.
    ///
    /// # Errors
    /// [`ExplainError::NoAnswer`]; [`ExplainError::TooLong`], where answers themselves take windows, and
    /// [`ExplainError::NoWords`]; what the model says.
    pub fn answer(task: &QuestionAnswering, question: &Question) -> Result<Self> {
        let session = task.session();
        let encoded = session.tokenizer().encode_pair(&question.question, &question.context)?;
        check(&encoded, session)?;
        let answers = task.predict(&question.question, &question.context)?;
        let best = answers.answers.first().ok_or(ExplainError::NoAnswer)?;
        let place = |fits: &dyn Fn(Range<usize>) -> bool| {
            let of_context = |source: &crate::tokenizer::Source| source.sequence == 1 && fits(source.range());
            encoded.sources.iter().position(|source| source.as_ref().is_some_and(of_context))
        };
        let start = place(&|range| range.start >= best.range.start).ok_or(ExplainError::NoAnswer)?;
        let end = place(&|range| range.end >= best.range.end).ok_or(ExplainError::NoAnswer)?;
        let (reading, target) = (Reading::Span { start, end }, best.text.clone());
        let head = Head::QuestionAnswering;
        let texts = vec![question.question.clone(), question.context.clone()];
        let outputs = vec![Output::Scores(head)];
        Parts { session, task: "answer", head, outputs, texts, encoded: vec![(0, encoded)] }.subject(
            reading,
            target,
            vec![],
        )
    }

    /// How alike two texts are: the cosine of their vectors.
    ///
    /// # Errors
    /// [`ExplainError::TooLong`] and [`ExplainError::NoWords`].
    pub fn similarity(task: &Similarity, pair: &TextPair) -> Result<Self> {
        let session = task.session();
        let texts = vec![pair.first.clone(), pair.second.clone()];
        let mut encoded = vec![];
        for (index, text) in texts.iter().enumerate() {
            let tokens = task.embedding().encode(text)?;
            check(&tokens, session)?;
            encoded.push((index, tokens));
        }
        let outputs = task.outputs();
        Parts { session, task: "similarity", head: Head::None, outputs, texts, encoded }.subject(
            Reading::Cosine,
            "cosine".to_owned(),
            vec![],
        )
    }

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

    fn reduce(&self, (): &(), _: usize, rows: Rows) -> Result<Vec<f32>> {
        Ok(self.0.reading.reduce(rows))
    }

    fn finish(&self, _: &Vec<usize>, (): (), pieces: Vec<Vec<f32>>) -> Result<f64> {
        Ok(self.0.reading.score(&pieces))
    }
}
