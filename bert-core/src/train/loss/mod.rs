//! Losses: their value, and the gradient of the scores that went in. All are means, as in transformers.

mod distillation;
mod embeddings;
mod units;

use super::backward::TrainBackend;
use crate::contract::{BinaryOp, ReduceOp, Tensor, UnaryOp};
use crate::tensor::HostTensor;
use crate::{Error, Result};

pub use distillation::{hidden_state_cosine, soft_choices, soft_spans, soft_targets};
pub use embeddings::{cosines, multiple_negatives_ranking};

/// What a loss gives.
pub struct Loss<B: TrainBackend> {
    /// Numbers whose sum is the loss.
    parts: Vec<Tensor<B>>,
    /// The gradient of the scores, in their shape.
    pub gradient: Tensor<B>,
}

impl<B: TrainBackend> Loss<B> {
    /// The loss as a number.
    ///
    /// # Errors
    /// A device that failed.
    pub async fn value(&self, backend: &B) -> Result<f64> {
        let mut sum = 0.0;
        for part in backend.download(&self.parts).await? {
            sum += part.to_f64()?.sum();
        }
        Ok(sum)
    }
}

/// One class out of several for each row: the cross-entropy of `logits [rows, classes]`, averaged over the rows that
/// have a target. With label smoothing, a share of each target is spread over all classes.
///
/// # Errors
/// [`Error::Label`] for a class that there is not, [`Error::Empty`] without any target.
pub fn classes<B: TrainBackend>(
    backend: &B,
    logits: &Tensor<B>,
    targets: &[Option<u32>],
    smoothing: f32,
) -> Result<Loss<B>> {
    let [rows, classes] = logits.shape()[..] else { unreachable!("scores are a matrix") };
    assert_eq!(targets.len(), rows, "a target for each row");
    let count = targets.iter().flatten().count();
    if count == 0 {
        return Err(Error::Empty { what: "list of targets" });
    }
    if let Some(&target) = targets.iter().flatten().find(|&&target| target as usize >= classes) {
        return Err(Error::Label { found: target as usize, count: classes });
    }
    let factor = (count as f64).recip();
    let [losses, gradient] = backend.cross_entropy_classes(logits, targets, smoothing, factor)?;
    Ok(Loss { parts: vec![losses], gradient })
}

/// Distributions over classes, such as those of a teacher: the cross-entropy of `logits` and `targets`, both
/// `[rows, classes]`, divided by `count`.
///
/// # Errors
/// A device that failed.
pub fn distributions<B: TrainBackend>(
    backend: &B,
    logits: &Tensor<B>,
    targets: &Tensor<B>,
    count: usize,
) -> Result<Loss<B>> {
    let [losses, gradient] = backend.cross_entropy(logits, targets)?;
    let share = UnaryOp::Scale((count as f64).recip());
    Ok(Loss { parts: vec![backend.map(share, &losses)?], gradient: backend.map(share, &gradient)? })
}

/// Any number of labels for each row, or one yes or no: the binary cross-entropy of `logits [rows, labels]` and
/// `targets` between 0 and 1, averaged over all of them. A target that is `None` does not count.
///
/// # Errors
/// [`Error::Empty`] without any target.
pub fn labels<B: TrainBackend>(backend: &B, logits: &Tensor<B>, targets: &[Option<f32>]) -> Result<Loss<B>> {
    let shape = logits.shape();
    assert_eq!(targets.len(), shape.elements(), "a target for each score");
    let count = targets.iter().flatten().count();
    if count == 0 {
        return Err(Error::Empty { what: "list of targets" });
    }
    let upload = |of: fn(&Option<f32>) -> f32| {
        backend.upload(&HostTensor::from_vec(targets.iter().map(of).collect(), shape))
    };
    let share = UnaryOp::Scale((count as f64).recip());
    let counts = backend.map(share, &upload(|target| f32::from(target.is_some()))?)?;
    let targets = upload(|target| target.unwrap_or(0.0))?;
    // log(1 + exp(z)) - t z, without an exponential that overflows
    let negative = backend.map(UnaryOp::Scale(-1.0), logits)?;
    let size = backend.zip(BinaryOp::Max, logits, &negative)?;
    let small = backend.map(UnaryOp::Exp, &backend.map(UnaryOp::Scale(-1.0), &size)?)?;
    let small = backend.map(UnaryOp::Log, &backend.map(UnaryOp::Offset(1.0), &small)?)?;
    let loss = backend.zip(BinaryOp::Add, &backend.map(UnaryOp::Relu, logits)?, &small)?;
    let loss = backend.zip(BinaryOp::Sub, &loss, &backend.zip(BinaryOp::Mul, &targets, logits)?)?;
    let gradient = backend.zip(BinaryOp::Sub, &backend.map(UnaryOp::Sigmoid, logits)?, &targets)?;
    Ok(Loss {
        parts: vec![backend.reduce(ReduceOp::Sum, &backend.zip(BinaryOp::Mul, &loss, &counts)?)?],
        gradient: backend.zip(BinaryOp::Mul, &gradient, &counts)?,
    })
}

/// Numbers: the mean of the squares of what `scores [rows, n]` are off by.
///
/// # Errors
/// A device that failed.
pub fn squares<B: TrainBackend>(backend: &B, scores: &Tensor<B>, targets: &[f32]) -> Result<Loss<B>> {
    let shape = scores.shape();
    assert_eq!(targets.len(), shape.elements(), "a target for each score");
    let targets = backend.upload(&HostTensor::from_vec(targets.to_vec(), shape))?;
    let distance = backend.zip(BinaryOp::Sub, scores, &targets)?;
    let share = (shape.elements() as f64).recip();
    let loss = backend.zip(BinaryOp::Mul, &distance, &distance)?;
    Ok(Loss {
        parts: vec![backend.reduce(ReduceOp::Sum, &backend.map(UnaryOp::Scale(share), &loss)?)?],
        gradient: backend.map(UnaryOp::Scale(2.0 * share), &distance)?,
    })
}

/// Answers: the cross-entropy of the starts and of the ends, each over the tokens of its sequence, averaged over both
/// and over the sequences. `logits [tokens, 2]`, sequences end at `bounds`, answers are first and last token counted
/// in their sequence.
///
/// # Errors
/// [`Error::Label`] for an answer outside its sequence.
pub fn spans<B: TrainBackend>(
    backend: &B,
    logits: &Tensor<B>,
    bounds: &[u32],
    answers: &[[u32; 2]],
) -> Result<Loss<B>> {
    assert_eq!(answers.len() + 1, bounds.len(), "an answer for each sequence");
    let (mut parts, mut gradients) = (vec![], vec![]);
    for (pair, [start, end]) in bounds.windows(2).zip(answers) {
        let scores = logits.slice(0, pair[0] as usize..pair[1] as usize)?.permute(&[1, 0])?; // [2, length]
        let scores = backend.map(UnaryOp::Copy, &scores)?;
        let ends = [Some(*start), Some(*end)];
        let Loss { parts: losses, gradient } = classes(backend, &scores, &ends, 0.0)?;
        let share = UnaryOp::Scale((answers.len() as f64).recip());
        for loss in losses {
            parts.push(backend.map(share, &loss)?);
        }
        let gradient = backend.map(share, &gradient)?.permute(&[1, 0])?;
        gradients.push(backend.map(UnaryOp::Copy, &gradient)?);
    }
    Ok(Loss { parts, gradient: backend.concat(&gradients)? })
}

/// Alternatives: the cross-entropy over each question's `choices`, averaged over the questions.
/// `scores [questions * choices, 1]`.
///
/// # Errors
/// [`Error::Label`] for an alternative that there is not.
pub fn choices<B: TrainBackend>(
    backend: &B,
    scores: &Tensor<B>,
    choices: usize,
    answers: &[u32],
) -> Result<Loss<B>> {
    let questions = scores.reshape([answers.len(), choices])?;
    let answers: Vec<_> = answers.iter().copied().map(Some).collect();
    let Loss { parts, gradient } = classes(backend, &questions, &answers, 0.0)?;
    Ok(Loss { parts, gradient: gradient.reshape(scores.shape())? })
}
