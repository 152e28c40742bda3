//! A model whose logits the test makes up, and what SQuAD's rules make of them, written as plainly as can be.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bert_core::contract::BackendInfo;
use bert_core::graph::{Encoder, Head, Output};
use bert_core::tensor::HostTensor;
use bert_core::{ModelConfig, PackedBatch};
use bert_tasks::question_answering::{Answers, Question, QuestionAnsweringOptions};
use bert_tasks::tokenizer::{Source, Tokenizer};
use bert_tasks::{QuestionAnswering, Session, Task};
use ndarray::Array2;

/// Gives each token the logits that a function of its id says.
struct Planted<F> {
    config: ModelConfig,
    logits: F,
}

#[async_trait::async_trait]
impl<F: Fn(u32) -> [f32; 2] + Send + Sync> Encoder for Planted<F> {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn backend_info(&self) -> BackendInfo {
        let threads = Some(2);
        BackendInfo {
            name: "planted",
            device: String::new(),
            features: vec![],
            threads,
            software: false,
            precisions: vec![],
            emulated: vec![],
        }
    }

    async fn run(&self, batch: &PackedBatch, outputs: &[Output]) -> bert_core::Result<Vec<HostTensor>> {
        assert_eq!(outputs, [Output::Scores(Head::QuestionAnswering)]);
        batch.check(&self.config)?;
        let logits: Vec<f32> = batch.ids().iter().flat_map(|&id| (self.logits)(id)).collect();
        Ok(vec![HostTensor::from_vec(logits, [batch.tokens(), 2])])
    }
}

/// A task whose model has 512 positions, the given vocabulary, and logits by token id.
pub fn task_with(vocab: &str, logits: impl Fn(u32) -> [f32; 2] + Send + Sync + 'static) -> QuestionAnswering {
    let config = serde_json::json!({
        "model_type": "bert", "architectures": ["BertForQuestionAnswering"],
        "vocab_size": vocab.lines().count(), "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 512,
        "type_vocab_size": 2,
    });
    let config = ModelConfig::from_json(&config.to_string()).unwrap();
    let tokenizer = Tokenizer::from_parts(vocab, None).unwrap();
    QuestionAnswering::new(Session::new(Arc::new(Planted { config, logits }), tokenizer)).unwrap()
}

/// Words of the letters a and b, many of them of several pieces.
pub const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nab\n##a\n##b\n##ab\n.\n,\ne\n##e\n中\n";

/// The logits of one window as start and as end: of `[CLS]`, and of the tokens of the context.
#[derive(Clone, Debug)]
pub struct WindowLogits {
    pub null: [f32; 2],
    pub tokens: Vec<[f32; 2]>,
}

/// A question with its tokens and windows, by the loop of the original.
pub struct Asked {
    pub question: Question,
    pub tokens: Vec<Source>,
    pub windows: Vec<Range<usize>>,
    options: QuestionAnsweringOptions,
    task: QuestionAnswering,
}

impl Asked {
    pub fn new(task: &QuestionAnswering, options: &QuestionAnsweringOptions, question: Question) -> Self {
        let task = task.clone().with_options(options.clone()).unwrap();
        let tokenizer = task.session().tokenizer();
        let asked = tokenizer.encode_without_special(&question.question).unwrap().len();
        let context = tokenizer.encode_without_special(&question.context).unwrap();
        let room = options.max_length - 3;
        let room = room - asked.min(options.max_question_tokens).min(room / 2);
        let stride = options.doc_stride.min(room / 2).max(1);
        let mut windows = vec![];
        let mut start = 0;
        while start < context.len() {
            let length = (context.len() - start).min(room);
            windows.push(start..start + length);
            if start + length == context.len() {
                break;
            }
            start += length.min(stride);
        }
        let tokens = context.sources.into_iter().flatten().collect();
        Self { question, tokens, windows, options: options.clone(), task }
    }

    /// Logits by window and by token of the context; `None` is `[CLS]`.
    pub fn logits(&self, logits: impl Fn(usize, Option<usize>) -> [f32; 2]) -> Vec<WindowLogits> {
        let logits = &logits;
        let windows = self.windows.iter().enumerate();
        let window = |(index, window): (usize, &Range<usize>)| WindowLogits {
            null: logits(index, None),
            tokens: window.clone().map(|token| logits(index, Some(token))).collect(),
        };
        windows.map(window).collect()
    }

    /// What the task answers when the model gives these logits, and to the question the highest.
    pub fn answers(&self, logits: &[WindowLogits]) -> Answers {
        let prepared = self.task.prepare(&self.question.clone().into()).unwrap();
        assert_eq!(prepared.sequences.len(), self.windows.len());
        let mut pieces = vec![];
        for (index, (sequence, logits)) in prepared.sequences.iter().zip(logits).enumerate() {
            let context = sequence.segments.iter().position(|&segment| segment == 1).unwrap();
            let end = sequence.ids.len() - 1;
            assert_eq!(end - context, self.windows[index].len());
            assert!(sequence.ids.len() <= self.options.max_length);
            let rows = Array2::from_shape_fn((sequence.ids.len(), 2), |(row, column)| match row {
                0 => logits.null[column],
                row if (context..end).contains(&row) => logits.tokens[row - context][column],
                _ => 1e3,
            });
            pieces.push(self.task.reduce(&prepared.context, index, vec![rows]).unwrap());
        }
        self.task.finish(&self.question.clone().into(), prepared.context, pieces).unwrap()
    }

    /// The span of a pair of tokens: from the first token of a word to the last token of a word if answers
    /// are aligned to words. `None` if it is too long.
    pub fn widened(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        let same_word = |a: usize, b: usize| self.tokens[a].word == self.tokens[b].word;
        let (mut first, mut last) = (start, end);
        if self.options.align_to_words {
            while first > 0 && same_word(first - 1, first) {
                first -= 1;
            }
            while last + 1 < self.tokens.len() && same_word(last, last + 1) {
                last += 1;
            }
        }
        (last + 1 - first <= self.options.max_answer_tokens).then_some((first, last))
    }

    /// All spans with their probabilities, best first; and at last that of no answer.
    pub fn every_span(&self, logits: &[WindowLogits]) -> (Vec<(Range<usize>, f64)>, f64) {
        let exp = |[start, end]: [f32; 2]| (f64::from(start) + f64::from(end)).exp();
        let mut weights: BTreeMap<(usize, usize), f64> = BTreeMap::new();
        for start in 0..self.tokens.len() {
            for end in start..self.tokens.len() {
                let Some(span) = self.widened(start, end) else { continue };
                // As `_check_is_max_context` of the original, among the windows that hold both.
                let mut best: Option<(f64, usize)> = None;
                for (index, window) in self.windows.iter().enumerate() {
                    if !window.contains(&start) || !window.contains(&end) {
                        continue;
                    }
                    let context = (start - window.start).min(window.end - 1 - start);
                    let score = context as f64 + 0.01 * window.len() as f64;
                    if best.is_none_or(|(best, _)| score > best) {
                        best = Some((score, index));
                    }
                }
                let Some((_, index)) = best else { continue };
                let at = |token: usize| logits[index].tokens[token - self.windows[index].start];
                *weights.entry(span).or_default() += exp([at(start)[0], at(end)[1]]);
            }
        }
        let null = logits.iter().map(|window| exp(window.null));
        let null = null.fold(f64::INFINITY, f64::min);
        let total = null + weights.values().sum::<f64>();
        let mut spans: Vec<_> = weights
            .into_iter()
            .map(|((first, last), weight)| (self.tokens[first].start..self.tokens[last].end, weight / total))
            .collect();
        spans.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        (spans, null / total)
    }
}
