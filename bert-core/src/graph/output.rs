//! What a forward pass can give.

use std::ops::Range;

use super::Head;
use crate::contract::Pooling;
use crate::packed::PackedBatch;

/// What the rows of an output stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// A row for each token.
    Tokens,
    /// A row for each marked token.
    Marked,
    /// A row for each sequence.
    Sequences,
    /// A row for each pair of a token and a token of its sequence that it looks at, query by query.
    Pairs,
}

impl Axis {
    /// The rows that belong to a sequence of a batch.
    pub fn rows(self, batch: &PackedBatch, sequence: usize) -> Range<usize> {
        match self {
            Self::Tokens => batch.sequence(sequence),
            Self::Marked => batch.marked_rows(sequence),
            Self::Sequences => sequence..sequence + 1,
            Self::Pairs => {
                let pairs = |rows: Range<usize>| rows.len() * rows.len();
                let start = batch.sequence_rows().take(sequence).map(pairs).sum::<usize>();
                start..start + pairs(batch.sequence(sequence))
            }
        }
    }
}

/// Something that a forward pass can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// `[tokens, hidden]`, the output of a layer: 0 the embeddings, `i` the `i`-th layer.
    HiddenState(usize),
    /// `[pairs, heads]`, how much each token looks at each token of its sequence in the `i`-th layer, counted from 1: the
    /// weights of the softmax, which sum up to 1 over the keys of a query. A forward pass never stores them; they are
    /// computed once more for the layers that are asked for.
    Attention(usize),
    /// `[tokens, 2 * heads * head_size]`, the queries and the keys of the `i`-th layer side by side, counted from 1.
    QueriesAndKeys(usize),
    /// `[sequences, hidden]`, the last hidden state pooled.
    Pooled(Pooling),
    /// `[sequences, hidden]`, the output of the pooler.
    PoolerOutput,
    /// What a head gives: `[tokens, labels]` of [`Head::TokenClassification`], `[tokens, 2]` of
    /// [`Head::QuestionAnswering`], `[marked, vocab]` of [`Head::MaskedLm`], `[sequences, 2]` of
    /// [`Head::NextSentence`], `[sequences, labels]` of [`Head::SequenceClassification`], `[sequences, 1]` of
    /// [`Head::MultipleChoice`], `[tokens, 1]` of [`Head::ReplacedTokens`], `[sequences, vocab]`
    /// of [`Head::Sparse`].
    Scores(Head),
}

impl Output {
    /// What its rows stand for.
    pub fn axis(self) -> Axis {
        match self {
            Self::HiddenState(_) | Self::QueriesAndKeys(_) => Axis::Tokens,
            Self::Attention(_) => Axis::Pairs,
            Self::Pooled(_) | Self::PoolerOutput => Axis::Sequences,
            Self::Scores(head) => head.gives(),
        }
    }

    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::HiddenState(_) => "hidden state of that layer",
            Self::Attention(_) => "attention weights of that layer",
            Self::QueriesAndKeys(_) => "queries and keys of that layer",
            Self::Pooled(_) => "pooled hidden state",
            Self::PoolerOutput => "pooler output",
            Self::Scores(head) => head.scores(),
        }
    }
}
