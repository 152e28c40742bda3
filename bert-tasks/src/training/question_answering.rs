//! Question answering as an objective: where in a text the answer to a question begins and ends.

use std::collections::HashMap;

use bert_core::ModelConfig;
use bert_core::graph::{Head, Output};

use super::target::{Target, TrainingExample};
use super::{Evaluation, Objective, Scorer, TrainingError};
use crate::data::squad::{Dataset, Paragraph};
use crate::question_answering::squad::{best_thresholds, evaluate, with_threshold};
use crate::question_answering::{QuestionAnsweringOptions, Reader};
use crate::tokenizer::Tokenizer;
use crate::{Error, Pretrained, Result};

/// Questions about texts to train on, and some to evaluate on.
///
/// A text that does not fit a sequence is read through overlapping windows, each of which is an example of its own. One
/// that does not hold the whole answer, and every window of a question without an answer, points at `[CLS]`. Of several
/// answers, the first one is learnt.
pub struct QuestionAnswering {
    tokenizer: Tokenizer,
    options: QuestionAnsweringOptions,
    train: Dataset,
    windows: Vec<Window>,
    eval: Option<Dataset>,
    counts: QuestionCounts,
}

/// A window to train on.
struct Window {
    article: u32,
    paragraph: u32,
    question: u32,
    /// Which one of its question's.
    window: u32,
    /// The first and the last token of the answer; twice 0 if it is not here.
    span: [u32; 2],
}

/// What there is to train on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuestionCounts {
    /// All questions.
    pub questions: usize,
    /// Those without an answer.
    pub unanswerable: usize,
    /// Those that take more than one window.
    pub long: usize,
    /// Those whose own words are cut, by
    /// [`max_question_tokens`](QuestionAnsweringOptions::max_question_tokens).
    pub cut: usize,
    /// Those whose answer is so short of tokens that nothing could point at it: they are left out.
    pub without_tokens: usize,
    /// Those whose answer is longer than a window, so that none holds it.
    pub without_window: usize,
}

impl QuestionAnswering {
    /// Questions are read, and those to evaluate on answered, as `options` say; a sequence is as long as these say, and
    /// as the model allows.
    ///
    /// # Errors
    /// [`TrainingError::NoExamples`], [`TrainingError::NoAnswers`]; an answer that its text does not have where it is
    /// said to; [`Error::Setting`] for sequences without room for a text.
    pub fn new(
        base: &Pretrained,
        train: Dataset,
        eval: Option<Dataset>,
        options: QuestionAnsweringOptions,
    ) -> Result<Self> {
        let tokenizer = base.tokenizer().clone();
        let most = base.config().max_tokens().min(tokenizer.max_length().unwrap_or(usize::MAX));
        let options = QuestionAnsweringOptions { max_length: options.max_length.min(most), ..options };
        let mut task = Self { tokenizer, options, train, windows: vec![], eval, counts: Default::default() };
        if task.reader().room() < 2 {
            return Err(Error::Setting {
                setting: "max_length",
                found: task.options.max_length.to_string(),
                expected: "more than the number of special tokens around a question and its context",
            });
        }
        // What is wrong with those to evaluate on is told before the first step, too.
        for example in task.eval.iter().flat_map(Dataset::examples) {
            example?;
        }
        (task.windows, task.counts) = task.cut()?;
        match task.counts.questions {
            0 => Err(TrainingError::NoExamples.into()),
            count if count == task.counts.unanswerable => Err(TrainingError::NoAnswers { count }.into()),
            _ => Ok(task),
        }
    }

    /// What there is to train on.
    pub fn counts(&self) -> QuestionCounts {
        self.counts
    }

    fn reader(&self) -> Reader<'_> {
        Reader { tokenizer: &self.tokenizer, max_length: self.options.max_length, options: &self.options }
    }

    /// All windows over all texts.
    fn cut(&self) -> Result<(Vec<Window>, QuestionCounts)> {
        let (mut windows, mut counts) = (vec![], QuestionCounts::default());
        let mut examples = self.train.examples();
        for (article, of) in (0..).zip(&self.train.data) {
            for (paragraph, Paragraph { context, qas }) in (0..).zip(&of.paragraphs) {
                let context = self.tokenizer.encode_without_special(context)?;
                for question in 0..qas.len() as u32 {
                    let example = examples.next().expect("an example for each question")?;
                    let asked = self.tokenizer.encode_without_special(example.question)?;
                    let read = self.reader().windows(&asked, &context)?;
                    counts.questions += 1;
                    counts.long += usize::from(read.sequences.len() > 1);
                    counts.cut += usize::from(read.context.truncated.is_some());
                    let answer = match example.answers.first() {
                        Some(range) => match read.context.tokens_of(range) {
                            Some(tokens) => Some(tokens),
                            None => {
                                counts.without_tokens += 1;
                                continue;
                            }
                        },
                        None => {
                            counts.unanswerable += 1;
                            None
                        }
                    };
                    let mut found = false;
                    for window in 0..read.sequences.len() {
                        let span = answer.and_then(|tokens| read.context.span(window, tokens));
                        found |= span.is_some();
                        let (window, span) = (window as u32, span.unwrap_or_default());
                        windows.push(Window { article, paragraph, question, window, span });
                    }
                    counts.without_window += usize::from(answer.is_some() && !found);
                }
            }
        }
        Ok((windows, counts))
    }

    /// The best answer to each question, and the odds that there is none.
    fn answers(
        &self,
        dataset: &Dataset,
        model: &Scorer<'_>,
    ) -> Result<(HashMap<String, String>, HashMap<String, f64>)> {
        let (mut predictions, mut odds) = (HashMap::new(), HashMap::new());
        // A paragraph at a time, so that memory stays flat.
        for Paragraph { context: text, qas } in dataset.paragraphs() {
            let context = self.tokenizer.encode_without_special(text)?;
            let read = qas.iter().map(|qa| {
                self.reader().windows(&self.tokenizer.encode_without_special(&qa.question)?, &context)
            });
            let read = read.collect::<Result<Vec<_>>>()?;
            let sequences: Vec<_> = read.iter().flat_map(|read| read.sequences.clone()).collect();
            let mut scored = model.score(&sequences, &[Output::Scores(self.head())])?.into_iter();
            for (qa, read) in qas.iter().zip(read) {
                let rows = scored.by_ref().take(read.sequences.len()).enumerate();
                let logits: Vec<_> = rows.map(|(window, rows)| read.context.logits(window, &rows)).collect();
                let found = self.reader().answers(text, read.context, &logits);
                let best = found.answers.into_iter().next().map(|answer| answer.text);
                predictions.insert(qa.id.clone(), best.unwrap_or_default());
                odds.extend(found.no_answer_odds.map(|odds| (qa.id.clone(), f64::from(odds))));
            }
        }
        Ok((predictions, odds))
    }
}

impl Objective for QuestionAnswering {
    fn head(&self) -> Head {
        Head::QuestionAnswering
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        // transformers makes as many outputs as there are labels, and needs a start and an end.
        let labels = match base.labels.len() {
            2 => base.labels.clone(),
            _ => ["LABEL_0", "LABEL_1"].map(str::to_owned).to_vec(),
        };
        ModelConfig { labels, problem_type: None, ..base.clone() }
    }

    fn examples(&self) -> usize {
        self.windows.len()
    }

    /// How long examples are say the options that they are made with.
    fn example(&self, _: u64, index: usize, _: usize) -> Result<TrainingExample> {
        let Window { article, paragraph, question, window, span } = self.windows[index];
        let Paragraph { context, qas } = &self.train.data[article as usize].paragraphs[paragraph as usize];
        let asked = self.tokenizer.encode_without_special(&qas[question as usize].question)?;
        let mut read = self.reader().windows(&asked, &self.tokenizer.encode_without_special(context)?)?;
        Ok(TrainingExample {
            sequences: vec![read.sequences.swap_remove(window as usize)],
            target: Target::Span(span),
            truncated: read.context.truncated.is_some(),
        })
    }

    /// The F1 of SQuAD, from 0 to 1, and how many answers are exact. Where some questions have no answer, one is given
    /// only if it is more probable than none; what the best threshold of the odds would lead to stands in the details, under
    /// the names of the official script.
    fn evaluate(&self, model: &Scorer<'_>) -> Result<Option<Evaluation>> {
        let Some(dataset) = &self.eval else { return Ok(None) };
        let (predictions, odds) = self.answers(dataset, model)?;
        let figures = |predictions: &HashMap<String, String>| {
            let all = evaluate(dataset, predictions).all;
            let evaluation = Evaluation::new("f1", all.f1 / 100.0, all.total);
            evaluation.with_detail("exact", all.exact / 100.0)
        };
        if dataset.qas().all(|qa| !qa.answers.is_empty()) {
            return Ok(Some(figures(&predictions)));
        }
        let best = best_thresholds(dataset, &predictions, &odds).f1;
        let evaluation = figures(&with_threshold(&predictions, &odds, 0.0));
        let evaluation = evaluation.with_detail("best_f1", best.score / 100.0);
        Ok(Some(match best.threshold {
            Some(threshold) => evaluation.with_detail("best_f1_thresh", threshold),
            None => evaluation,
        }))
    }
}
