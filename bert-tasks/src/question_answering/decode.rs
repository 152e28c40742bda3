//! From the logits of overlapping windows to answers: which spans there are, how likely each one is, and the
//! best of them in order.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

use super::{Answer, Answers, QuestionAnsweringOptions};
use crate::tokenizer::{Source, Windows};

/// What is kept of a window's logits.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowLogits {
    /// `[CLS]` as the start and as the end.
    pub(super) null: [f32; 2],
    /// The window's tokens of the context, each as the start.
    pub(super) start: Vec<f32>,
    /// The same tokens, each as the end.
    pub(super) end: Vec<f32>,
}

/// The answers that finite logits of all windows over the tokens of `context` speak for.
pub fn decode(
    context: &str,
    tokens: &[Source],
    windows: Windows,
    logits: &[WindowLogits],
    options: &QuestionAnsweringOptions,
) -> Answers {
    let spans = Spans::new(tokens, windows, logits, options);
    let null = logits.iter().map(|window| sum(window.null[0], window.null[1])).reduce(f64::min);
    let mut total = LogSum::default();
    if let Some(null) = null {
        total.add(null);
    }
    let mut ranked = Ranked::new(&spans, |span| total.add(span.logit));
    let total = total.value();
    let probability = |logit: f64| (logit - total).exp() as f32;

    let mut answers = Answers {
        answers: vec![],
        n_best: vec![],
        no_answer_score: null.map_or(1.0, probability),
        no_answer_odds: None,
        truncated: None,
    };
    let mut top_k = options.top_k;
    let mut taken = BTreeMap::new();
    while answers.n_best.len() < options.n_best || answers.answers.len() < top_k {
        let Some(span) = ranked.next() else { break };
        let range = spans.bytes(&span);
        let Some(text) = context.get(range.clone()).filter(|text| !text.is_empty()) else { continue };
        let answer = Answer { text: text.to_owned(), range, score: probability(span.logit) };
        if answers.no_answer_odds.is_none() {
            answers.no_answer_odds = null.map(|null| (null - span.logit) as f32);
            let decided = answers.no_answer_odds.zip(options.no_answer_threshold);
            if decided.is_some_and(|(odds, threshold)| odds > threshold) {
                top_k = 0;
            }
        }
        if answers.n_best.len() < options.n_best {
            answers.n_best.push(answer.clone());
        }
        if answers.answers.len() < top_k && is_free(&taken, &answer.range) {
            taken.insert(answer.range.start, answer.range.end);
            answers.answers.push(answer);
        }
    }
    answers
}

/// Whether a range overlaps none of those taken, given as starts and ends.
fn is_free(taken: &BTreeMap<usize, usize>, range: &Range<usize>) -> bool {
    taken.range(..range.end).next_back().is_none_or(|(_, &end)| end <= range.start)
}

/// A span from the first token of one unit to the last token of another. A better one is greater; of equals
/// the earlier one, then the shorter one.
#[derive(Clone, Copy, Debug)]
struct Span {
    logit: f64,
    first: usize,
    last: usize,
}

impl Ord for Span {
    fn cmp(&self, other: &Self) -> Ordering {
        let place = |span: &Self| Reverse((span.first, span.last));
        self.logit.total_cmp(&other.logit).then_with(|| place(self).cmp(&place(other)))
    }
}

impl PartialOrd for Span {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Span {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Span {}

/// All spans that may be answers.
struct Spans<'a> {
    tokens: &'a [Source],
    windows: Windows,
    logits: &'a [WindowLogits],
    max_tokens: usize,
    /// The tokens of each word; or each token alone, where answers are not aligned to words.
    units: Vec<Range<usize>>,
    /// For each token, the window in which it has most context.
    best: Vec<usize>,
}

impl<'a> Spans<'a> {
    fn new(
        tokens: &'a [Source],
        windows: Windows,
        logits: &'a [WindowLogits],
        options: &QuestionAnsweringOptions,
    ) -> Self {
        let mut end = 0;
        let units = tokens.chunk_by(|a, b| options.align_to_words && a.word == b.word).map(|unit| {
            let start = end;
            end += unit.len();
            start..end
        });
        let best = (0..tokens.len()).map(|token| windows.best(token).expect("windows cover every token"));
        Self {
            tokens,
            windows,
            logits,
            max_tokens: options.max_answer_tokens,
            units: units.collect(),
            best: best.collect(),
        }
    }

    /// The spans that begin with one unit, the shortest first. Where one is held by no window, longer ones
    /// are not either.
    fn beginning_with(&self, first: usize) -> impl Iterator<Item = Span> + '_ {
        let start = self.units[first].start;
        (first..self.units.len())
            .take_while(move |&last| self.units[last].end - start <= self.max_tokens)
            .map_while(move |last| self.logit(first, last).map(|logit| Span { logit, first, last }))
    }

    /// The logit of a span: the logarithm of the sum over all that are widened to it. `None` if no window
    /// holds any.
    fn logit(&self, first: usize, last: usize) -> Option<f64> {
        let mut logit = LogSum::default();
        for start in self.units[first].clone() {
            for end in self.units[last].clone().skip_while(|&end| end < start) {
                let Some((index, window)) = self.window(start, end) else { continue };
                let WindowLogits { start: starts, end: ends, .. } = &self.logits[index];
                logit.add(sum(starts[start - window.start], ends[end - window.start]));
            }
        }
        (logit.sum > 0.0).then(|| logit.value())
    }

    /// Of the windows that hold a start and an end, the one that is best for the start, and its tokens. That
    /// is the best one for the start alone, or the first after it that holds the end too, since windows
    /// show less and less of what is before the start.
    fn window(&self, start: usize, end: usize) -> Option<(usize, Range<usize>)> {
        (self.best[start]..)
            .map_while(|index| self.windows.get(index).map(|window| (index, window)))
            .take_while(|(_, window)| window.start <= start)
            .find(|(_, window)| end < window.end)
    }

    /// The bytes from the least start to the greatest end of the tokens. Those of the first and the last
    /// token alone would do for most tokenizers, but normalisation may change the order of chars.
    fn bytes(&self, span: &Span) -> Range<usize> {
        let tokens = &self.tokens[self.units[span.first].start..self.units[span.last].end];
        let start = tokens.iter().map(|token| token.start).min().unwrap_or(0);
        let end = tokens.iter().map(|token| token.end).max().unwrap_or(0);
        start..end.max(start)
    }
}

/// All spans, best first. One at a time for each first unit is held, however many there are.
struct Ranked<'a> {
    spans: &'a Spans<'a>,
    heap: BinaryHeap<Span>,
}

impl<'a> Ranked<'a> {
    /// Shows every span to `each` on the way.
    fn new(spans: &'a Spans<'a>, mut each: impl FnMut(&Span)) -> Self {
        let best = |first| spans.beginning_with(first).inspect(&mut each).max();
        let heap = (0..spans.units.len()).filter_map(best).collect();
        Self { spans, heap }
    }
}

impl Iterator for Ranked<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let span = self.heap.pop()?;
        self.heap.extend(self.spans.beginning_with(span.first).filter(|next| *next < span).max());
        Some(span)
    }
}

/// The sum of two logits, without loss.
fn sum(start: f32, end: f32) -> f64 {
    f64::from(start) + f64::from(end)
}

/// The logarithm of a sum of exponentials, which is the logit itself if there is only one.
struct LogSum {
    max: f64,
    /// In units of `exp(max)`; 0 if nothing was added.
    sum: f64,
}

impl Default for LogSum {
    fn default() -> Self {
        Self { max: f64::NEG_INFINITY, sum: 0.0 }
    }
}

impl LogSum {
    fn add(&mut self, logit: f64) {
        if logit > self.max {
            self.sum = self.sum * (self.max - logit).exp() + 1.0;
            self.max = logit;
        } else {
            self.sum += (logit - self.max).exp();
        }
    }

    fn value(&self) -> f64 {
        self.max + self.sum.ln()
    }
}
