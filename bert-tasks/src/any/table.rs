//! The tasks by their words. A new task is a row here.

use bert_core::graph::Head;
use serde_json::Value;

use super::erased::ErasedTask;
use super::task::{Json, JsonTask, Load};
use crate::explain::{Attention, Polysemy};
use crate::{
    Embedding, Features, FillMask, MultipleChoice, NextSentence, Pretrained, QuestionAnswering, Result,
    Similarity, SparseEmbedding, TextClassification, TokenClassification,
};

/// A task that can be opened by its word.
#[derive(Clone, Copy, Debug)]
pub struct TaskKind {
    /// Its word, such as `fill-mask`.
    pub word: &'static str,
    /// Another word for it.
    pub alias: Option<&'static str>,
    /// What it does.
    pub summary: &'static str,
    /// The head that its model needs; [`Head::None`] for any model.
    pub head: Head,
    pub(super) open: Open,
}

type Open = fn(&'static str, &Pretrained, &Value, Load<'_>) -> Result<Box<dyn ErasedTask>>;

pub const TASKS: &[TaskKind] = &[
    row::<FillMask>("fill-mask", Head::MaskedLm, "the words that fit in the place of a mask"),
    row::<NextSentence>("next-sentence", Head::NextSentence, "whether one text follows another"),
    row::<QuestionAnswering>("answer", Head::QuestionAnswering, "the words of a text that answer a question"),
    row::<TokenClassification>("entities", Head::TokenClassification, "the names in a text"),
    row::<TextClassification>("sentiment", Head::SequenceClassification, "the labels of a text")
        .or("classify"),
    row::<MultipleChoice>("choose", Head::MultipleChoice, "which of several texts goes with a prompt"),
    row::<Embedding>("embed", Head::None, "a text as a vector"),
    row::<SparseEmbedding>("sparse-embed", Head::Sparse, "a text as weights of words"),
    row::<Similarity>("similarity", Head::None, "how alike two texts are"),
    row::<Features>("features", Head::None, "the hidden states of each token"),
    row::<Attention>("attention", Head::None, "how much the tokens of a text look at one another"),
    row::<Polysemy>("polysemy", Head::None, "how alike the uses of one word are in several texts"),
];

const fn row<T: JsonTask<Options: 'static>>(
    word: &'static str,
    head: Head,
    summary: &'static str,
) -> TaskKind {
    TaskKind { word, alias: None, summary, head, open: open::<T> }
}

impl TaskKind {
    const fn or(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }
}

fn open<T: JsonTask<Options: 'static>>(
    word: &'static str,
    files: &Pretrained,
    options: &Value,
    load: Load<'_>,
) -> Result<Box<dyn ErasedTask>> {
    Ok(Box::new(Json::<T>::open(word, files, options, load)?))
}
