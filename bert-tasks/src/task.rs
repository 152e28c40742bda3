//! What a task is: how a text becomes sequences, and how the model's outputs become an answer. The engine
//! in between ([`Stream`]) is the same for all tasks.

use bert_core::contract::{MaybeSend, MaybeSync};
use bert_core::graph::Output;
use ndarray::Array2;

use crate::stream::{Inputs, Pending, Source, Stream, Window};
use crate::tokenizer::Encoded;
use crate::wait::wait;
use crate::{Result, Session};

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
    /// Its cost in a batch, in tokens: its own tokens, and an extra cost for each row of vocabulary scores,
    /// which is as long as many hidden states.
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
/// ```
/// use bert_tasks::{Device, Task, TextClassification};
/// let model = "path/to/a-sentiment-model";
/// # let model = bert_conformance::checkpoint("bert-sequence-classification");
/// # let model = model.to_str().unwrap();
/// let classifier = TextClassification::load(model, &Device::auto()?)?;
/// let texts = ["a good movie", "not bad"];
/// for (text, answer) in texts.iter().zip(classifier.stream(texts)) {
///     println!("{text}: {}", answer?.scores[0].label);
/// }
/// # Ok::<(), bert_tasks::Error>(())
/// ```
///
/// Implementors say what goes in and what comes out; batching, order and memory are the engine's. Every
/// task has a method of its own for one input; these are for many.
pub trait Task: MaybeSend + MaybeSync + Sized {
    /// What is asked.
    type Input: MaybeSend + MaybeSync;
    /// What [`prepare`](Self::prepare) remembers for [`finish`](Self::finish).
    type Context: MaybeSend + MaybeSync;
    /// What is kept of one sequence's rows, which are large and are freed with their batch.
    type Piece: MaybeSend;
    /// What comes out.
    type Answer: MaybeSend;

    /// The model that answers.
    fn session(&self) -> &Session;

    /// What the model is to compute.
    fn outputs(&self) -> Vec<Output>;

    /// Turns an input into sequences. Runs on several threads.
    ///
    /// # Errors
    /// An input that the task cannot take.
    fn prepare(&self, input: &Self::Input) -> Result<Prepared<Self::Context>>;

    /// Extracts what the answer needs from the rows of sequence `index` of an input.
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
    /// of similar length share a batch; answers do not depend on which inputs share one.
    ///
    /// While the model computes on other threads than the caller's, the next inputs are read and tokenised.
    ///
    /// What the iterator gives may be anything that an input can be made from, such as a `&str`. An iterator cannot say
    /// whether its next input is there. While inputs come at once, many are read before the first answer is out; after
    /// one that took longer than 10 ms all answers come out before another is asked for. If inputs come one by one,
    /// each sent only after the answer to the last, use [`stream_from`](Self::stream_from).
    ///
    /// An input that cannot be answered gives an error in its place, and the rest go on; a device that
    /// fails gives an error and ends the stream.
    fn stream<I>(&self, inputs: I) -> Stream<'_, Self, Inputs<I::IntoIter>>
    where
        I: IntoIterator<Item: Into<Self::Input>>,
    {
        Stream::new(self, Inputs::new(inputs.into_iter()))
    }

    /// As [`stream`](Self::stream), from a source that says what has arrived: whenever the device is free, the inputs
    /// that have arrived are computed, and the stream waits for an input only when all answers are out.
    ///
    /// ```
    /// use std::io::{BufRead, BufReader};
    /// use bert_tasks::stream::read_ahead;
    /// use bert_tasks::{Device, Embedding, Task};
    /// let model = "path/to/all-MiniLM-L6-v2";
    /// # let model = bert_conformance::checkpoint("bert-embedding");
    /// # let model = model.to_str().unwrap();
    /// let embedding = Embedding::load(model, &Device::auto()?)?;
    /// let input = std::io::stdin();
    /// # let input = std::io::Cursor::new("a text\nanother text");
    /// let lines = BufReader::new(input).lines().map_while(Result::ok);
    /// for answer in embedding.stream_from(read_ahead(lines, 64)?) {
    ///     println!("{:?}", answer?.vector);
    /// }
    /// # Ok::<(), bert_tasks::Error>(())
    /// ```
    fn stream_from<S: Source<Item: Into<Self::Input>>>(&self, inputs: S) -> Stream<'_, Self, S> {
        Stream::new(self, inputs)
    }

    /// Answers all inputs, in their order.
    ///
    /// # Errors
    /// The first input that cannot be answered.
    fn predict_all<I>(&self, inputs: I) -> Result<Vec<Self::Answer>>
    where
        I: IntoIterator<Item: Into<Self::Input>>,
    {
        self.stream(inputs).collect()
    }

    /// Answers one input.
    ///
    /// # Errors
    /// An input that the task cannot take; a device that failed.
    fn predict_one(&self, input: impl Into<Self::Input>) -> Result<Self::Answer> {
        wait(self.predict_one_async(input))
    }

    /// Answers one input, for callers that do something else meanwhile, or cannot block, as in a browser. On a CPU the
    /// future computes where it is polled; a [`Batcher`](crate::Batcher) has a thread of its own for that.
    ///
    /// # Errors
    /// As [`predict_one`](Self::predict_one).
    fn predict_one_async(
        &self,
        input: impl Into<Self::Input>,
    ) -> impl Future<Output = Result<Self::Answer>> + MaybeSend {
        let input = input.into();
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
