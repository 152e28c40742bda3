//! Losses of the vectors of texts. All compare directions: the length of a vector does not count.
//!
//! Rows of vectors come example by example: the texts of the first one, then those of the second one, and so on.

use super::units::Units;
use super::{Loss, classes, squares};
use crate::Result;
use crate::contract::{BinaryOp, ReduceOp, Tensor, UnaryOp};
use crate::tensor::HostTensor;
use crate::train::TrainBackend;

/// Texts that belong together, against those of all other examples: for each example the cross-entropy of the cosines
/// of its first text with the other texts of all examples, multiplied by `scale`, where its own second text is the right
/// one. `embeddings [examples * texts, hidden]`; with three texts or more, the third and later ones are wrong for every
/// example ("hard negatives"). A text that happens to be right for another example, too, is left out of that example's
/// sum: `left_out` has the number of the example and the row of the text.
///
/// Sources: "Efficient Natural Language Response Suggestion for Smart Reply" (Henderson et al., 2017), and
/// `MultipleNegativesRankingLoss` of sentence-transformers, whose scale is 20.
///
/// # Errors
/// A device that failed.
///
/// # Panics
/// With fewer than two texts an example.
pub fn multiple_negatives_ranking<B: TrainBackend>(
    backend: &B,
    embeddings: &Tensor<B>,
    texts: usize,
    scale: f64,
    left_out: &[(usize, usize)],
) -> Result<Loss<B>> {
    assert!(texts >= 2, "a text and one that belongs to it");
    let blocks = Blocks::new(backend, embeddings, texts)?;
    let examples = blocks.examples;
    let units = Units::new(backend, &blocks.sorted)?;
    let anchors = units.directions.slice(0, 0..examples)?;
    let candidates = units.directions.slice(0, examples..examples * texts)?;
    let cosines = backend.matmul(&anchors, &candidates.permute(&[1, 0])?)?;
    let mut scores = backend.map(UnaryOp::Scale(scale), &cosines)?;
    if !left_out.is_empty() {
        // So little that its exponential is 0, and so is its gradient.
        const NOTHING: f32 = -1e9;
        let shape = scores.shape();
        let mut offsets = vec![0f32; shape.elements()];
        for &(example, row) in left_out {
            let candidate = (row % texts - 1) * examples + row / texts;
            offsets[example * shape[1] + candidate] = NOTHING;
        }
        let offsets = backend.upload(&HostTensor::from_vec(offsets, shape))?;
        scores = backend.zip(BinaryOp::Add, &scores, &offsets)?;
    }
    let own: Vec<_> = (0..examples as u32).map(Some).collect();
    let Loss { parts, gradient } = classes(backend, &scores, &own, 0.0)?;
    let gradient = backend.map(UnaryOp::Scale(scale), &gradient)?;
    let of_anchors = backend.matmul(&gradient, &candidates)?;
    let of_candidates = backend.matmul(&gradient.permute(&[1, 0])?, &anchors)?;
    let gradient = units.backward(backend, &backend.concat(&[of_anchors, of_candidates])?)?;
    Ok(Loss { parts, gradient: blocks.unsort(backend, &gradient)? })
}

/// Pairs with scores: the mean of the squares of what the cosines of `embeddings [2 * pairs, hidden]` are off by.
///
/// # Errors
/// A device that failed.
pub fn cosines<B: TrainBackend>(backend: &B, embeddings: &Tensor<B>, targets: &[f32]) -> Result<Loss<B>> {
    let blocks = Blocks::new(backend, embeddings, 2)?;
    let pairs = blocks.examples;
    assert_eq!(targets.len(), pairs, "a score for each pair");
    let units = Units::new(backend, &blocks.sorted)?;
    let [first, second] = [0..pairs, pairs..2 * pairs].map(|rows| units.directions.slice(0, rows));
    let (first, second) = (first?, second?);
    let cosines = backend.reduce(ReduceOp::Sum, &backend.zip(BinaryOp::Mul, &first, &second)?)?;
    let Loss { parts, gradient } = squares(backend, &cosines, targets)?;
    let gradient = gradient.broadcast_to(first.shape())?;
    let of_first = backend.zip(BinaryOp::Mul, &gradient, &second)?;
    let of_second = backend.zip(BinaryOp::Mul, &gradient, &first)?;
    let gradient = units.backward(backend, &backend.concat(&[of_first, of_second])?)?;
    Ok(Loss { parts, gradient: blocks.unsort(backend, &gradient)? })
}

/// Rows in the order of their places in the examples: all first texts, then all second ones.
struct Blocks<B: TrainBackend> {
    sorted: Tensor<B>,
    examples: usize,
    texts: usize,
}

impl<B: TrainBackend> Blocks<B> {
    fn new(backend: &B, embeddings: &Tensor<B>, texts: usize) -> Result<Self> {
        let rows = embeddings.shape()[0];
        assert!(rows.is_multiple_of(texts), "each example has as many texts");
        let examples = rows / texts;
        let sorted = transposed(backend, embeddings, examples, texts)?;
        Ok(Self { sorted, examples, texts })
    }

    /// The gradient in the order that the rows came in.
    fn unsort(&self, backend: &B, gradient: &Tensor<B>) -> Result<Tensor<B>> {
        transposed(backend, gradient, self.texts, self.examples)
    }
}

/// The rows of a table of `outer * inner` rows, those with equal places in the inner order together.
fn transposed<B: TrainBackend>(backend: &B, x: &Tensor<B>, outer: usize, inner: usize) -> Result<Tensor<B>> {
    let rows = (0..inner).flat_map(|at| (0..outer).map(move |of| (of * inner + at) as u32)).collect();
    backend.gather_rows(x, &backend.upload(&HostTensor::from_vec(rows, [outer * inner]))?)
}
