//! What a task is: how a text becomes sequences, and how the model's numbers become an answer. The engine
//! in between ([`Stream`]) is the same for all.

use bert_core::contract::{MaybeSend, MaybeSync};
use bert_core::graph::Output;
use ndarray::Array2;

use crate::stream::{Pending, Window};
use crate::tokenizer::Encoded;
use crate::wait::wait;
use crate::{Result, Session, Stream};

/// One run of tokens as the model sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids, `[CLS]` and `[SEP]` included; at most [`Session::max_length`].
    pub ids: Vec<u32>,
    /// The segment, 0 or 1, of each token.
    pub segments: Vec<u32>,
    /// The positions whose vocabulary scores are wanted, in rising order; empty unless the task asks for those of
    /// a masked-LM head.
    pub masked: Vec<u32>,
}

impl Sequence {
    /// What it adds to a batch: its tokens, and something for each row of vocabulary scores, which is as
    /// long as many hidden states.
    pub(crate) fn cost(&self) -> usize {
        self.ids.len() + 8 * self.masked.len()
    }
}

impl From<Encoded> for Sequence {
    fn from(encoded: Encoded) -> Self {
        Self { ids: encoded.ids, segments: encoded.segments, masked: vec![] }
    }
}

/// An input made ready: one sequence, or several where a long text takes windows.
pub struct Prepared<C> {
    /// In the order in which [`Task::finish`] wants their results.
    pub sequences: Vec<Sequence>,
    /// What the task remembers of the input.
    pub context: C,
}

/// The rows of one sequence, for each output that the task asked for: `[tokens, n]`, `[1, n]` for outputs
/// of whole sequences, `[masked, vocab]` for scores of the vocabulary.
pub type Rows = Vec<Array2<f32>>;

/// A task on a loaded model.
///
/// Implementors say what goes in and what comes out; batching, order and memory are the engine's. Every
/// task has a method of its own for one input; these are for many.
pub trait Task: MaybeSync + Sized {
    /// What is asked.
    type Input: Sync;
    /// What [`prepare`](Self::prepare) remembers for [`finish`](Self::finish).
    type Context: MaybeSend;
    /// What is kept of one sequence's rows, which are large and die with their batch.
    type Piece;
    /// What comes out.
    type Answer;

    /// The model that answers.
    fn session(&self) -> &Session;

    /// What the model shall compute.
    fn outputs(&self) -> Vec<Output>;

    /// Turns an input into sequences. Runs on several threads.
    ///
    /// # Errors
    /// An input that the task cannot take.
    fn prepare(&self, input: &Self::Input) -> Result<Prepared<Self::Context>>;

    /// Keeps what matters of the rows of sequence `index` of an input.
    ///
    /// # Errors
    /// Numbers that make no answer.
    fn reduce(&self, context: &Self::Context, index: usize, rows: Rows) -> Result<Self::Piece>;

    /// Turns what was kept into the answer.
    ///
    /// # Errors
    /// Numbers that make no answer.
    fn finish(
        &self,
        input: &Self::Input,
        context: Self::Context,
        pieces: Vec<Self::Piece>,
    ) -> Result<Self::Answer>;

    /// Answers any number of inputs, in their order, holding only some of them in memory at a time. Inputs
    /// of like length share a batch; answers do not depend on which.
    ///
    /// While the model computes on other threads than the caller's, the next inputs are read and tokenised.
    ///
    /// An input that cannot be answered gives an error in its place, and the rest go on; a device that
    /// fails gives an error and ends the stream.
    fn stream<I: IntoIterator<Item = Self::Input>>(&self, inputs: I) -> Stream<'_, Self, I::IntoIter> {
        Stream::new(self, inputs.into_iter())
    }

    /// Answers all inputs, in their order. `progress` is told how many are done.
    ///
    /// # Errors
    /// The first input that cannot be answered.
    fn predict_all(
        &self,
        inputs: impl IntoIterator<Item = Self::Input>,
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<Self::Answer>> {
        let mut answers = vec![];
        for answer in self.stream(inputs) {
            answers.push(answer?);
            progress(answers.len());
        }
        Ok(answers)
    }

    /// Answers one input.
    ///
    /// # Errors
    /// An input that the task cannot take; a device that failed.
    fn predict_one(&self, input: Self::Input) -> Result<Self::Answer> {
        wait(self.predict_one_async(input))
    }

    /// Answers one input, for callers that do something else meanwhile, or cannot wait as in a browser.
    ///
    /// # Errors
    /// As [`predict_one`](Self::predict_one).
    fn predict_one_async(&self, input: Self::Input) -> impl Future<Output = Result<Self::Answer>> {
        async move {
            let prepared = self.prepare(&input);
            let budget = self.session().token_budget();
            let mut window = Window::new(vec![Pending::new(input, prepared)], budget);
            while let Some(places) = window.batches.front() {
                let job = window.job(self, places);
                let results = self.session().run_async(&job.batch, &job.outputs).await?;
                window.take(self, &job, &results);
            }
            window.answers(self).next().expect("one input gives one answer")
        }
    }
}
