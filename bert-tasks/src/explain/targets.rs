//! The scores of each task that can be explained.

use std::ops::Range;

use bert_core::config::ProblemType;
use bert_core::graph::{Head, Output};

use super::attention::check;
use super::error::quoted;
use super::reading::Reading;
use super::subject::Parts;
use super::{ExplainError, Subject};
use crate::canonical::equal;
use crate::fill_mask::FillMaskOptions;
use crate::next_sentence::TextPair;
use crate::question_answering::Question;
use crate::text_classification::{Text, TextClassificationOptions};
use crate::{
    Error, FillMask, NextSentence, QuestionAnswering, Request, Result, Similarity, Task, TextClassification,
    TokenClassification,
};

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
        let named = found.iter().filter(|found| entity.is_none_or(|entity| equal(entity, &found.text)));
        let Some(chosen) = named.reduce(|best, next| if next.score > best.score { next } else { best })
        else {
            let found = found.iter().map(|found| quoted(&found.text)).collect();
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
}
