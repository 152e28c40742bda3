//! Losses of a student that is to answer as its teacher does. The teacher's numbers are constants: only what the student
//! gave has a gradient.

use super::units::Units;
use super::{Loss, distributions};
use crate::contract::{BinaryOp, ReduceOp, Tensor, UnaryOp};
use crate::tensor::HostTensor;
use crate::train::TrainBackend;
use crate::{Error, Result};

/// How far the student's distributions over classes are from the teacher's: the Kullback-Leibler divergence of the
/// softmax of `logits / temperature` from the softmax of `teacher / temperature`, both `[rows, classes]`, averaged over
/// the rows that count and multiplied by the square of the temperature. With that factor, gradients are about as large
/// at every temperature, and a share between this loss and that of the labels means the same.
///
/// Sources: "Distilling the Knowledge in a Neural Network" (Hinton et al., 2015), section 2; the divergence in place of
/// the cross-entropy, which differs by a constant, as DistilBERT has it (Sanh et al., 2019): it is 0 where both agree.
///
/// # Errors
/// [`Error::Empty`] if no row counts; a device that failed.
///
/// # Panics
/// If the shapes differ, or there is not one `counts` for each row.
pub fn soft_targets<B: TrainBackend>(
    backend: &B,
    logits: &Tensor<B>,
    teacher: &Tensor<B>,
    counts: &[bool],
    temperature: f64,
) -> Result<Loss<B>> {
    assert_eq!(logits.shape(), teacher.shape(), "the teacher scores the same classes");
    assert_eq!(counts.len(), logits.shape()[0], "each row counts or does not");
    let count = counts.iter().filter(|&&counts| counts).count();
    if count == 0 {
        return Err(Error::Empty { what: "list of targets" });
    }
    let soften = UnaryOp::Scale(temperature.recip());
    let (soft_logits, soft_teacher) = (backend.map(soften, logits)?, backend.map(soften, teacher)?);
    let mut targets = backend.softmax(&soft_teacher)?;
    if count < counts.len() {
        let counts = counts.iter().map(|&counts| f32::from(u8::from(counts))).collect();
        let counts = backend.upload(&HostTensor::from_vec(counts, [logits.shape()[0], 1]))?;
        targets = backend.zip(BinaryOp::Mul, &targets, &counts.broadcast_to(logits.shape())?)?;
    }
    let own = distributions(backend, &soft_teacher, &targets, count)?; // the least that the cross-entropy can be
    let Loss { parts, gradient } = distributions(backend, &soft_logits, &targets, count)?;
    let square = temperature * temperature;
    let scaled = |factor: f64, parts: Vec<Tensor<B>>| {
        parts.into_iter().map(move |part| backend.map(UnaryOp::Scale(factor), &part))
    };
    Ok(Loss {
        parts: scaled(square, parts).chain(scaled(-square, own.parts)).collect::<Result<_>>()?,
        // The square, and one division by the temperature on the way to the scores.
        gradient: backend.map(UnaryOp::Scale(temperature), &gradient)?,
    })
}

/// The same for answers: the distributions are those of the starts and of the ends, each over the tokens of its
/// sequence. `logits` and `teacher` are `[tokens, 2]`, sequences end at `bounds`; averaged as [`spans`](super::spans).
///
/// # Errors
/// As [`soft_targets`].
pub fn soft_spans<B: TrainBackend>(
    backend: &B,
    logits: &Tensor<B>,
    teacher: &Tensor<B>,
    bounds: &[u32],
    temperature: f64,
) -> Result<Loss<B>> {
    let share = UnaryOp::Scale(((bounds.len() - 1) as f64).recip());
    let (mut parts, mut gradients) = (vec![], vec![]);
    for pair in bounds.windows(2) {
        // [2, length]
        let own = |scores: &Tensor<B>| {
            let own = scores.slice(0, pair[0] as usize..pair[1] as usize)?.permute(&[1, 0])?;
            backend.map(UnaryOp::Copy, &own)
        };
        let loss = soft_targets(backend, &own(logits)?, &own(teacher)?, &[true; 2], temperature)?;
        for part in loss.parts {
            parts.push(backend.map(share, &part)?);
        }
        let gradient = backend.map(share, &loss.gradient)?.permute(&[1, 0])?;
        gradients.push(backend.map(UnaryOp::Copy, &gradient)?);
    }
    Ok(Loss { parts, gradient: backend.concat(&gradients)? })
}

/// The same for alternatives: the distributions are those over each question's `choices`. `scores` and `teacher` are
/// `[questions * choices, 1]`.
///
/// # Errors
/// As [`soft_targets`].
pub fn soft_choices<B: TrainBackend>(
    backend: &B,
    scores: &Tensor<B>,
    teacher: &Tensor<B>,
    choices: usize,
    temperature: f64,
) -> Result<Loss<B>> {
    let count = scores.shape()[0] / choices;
    let questions = |scores: &Tensor<B>| scores.reshape([count, choices]);
    let counts = vec![true; count];
    let Loss { parts, gradient } =
        soft_targets(backend, &questions(scores)?, &questions(teacher)?, &counts, temperature)?;
    Ok(Loss { parts, gradient: gradient.reshape(scores.shape())? })
}

/// How far the student's hidden states point from where the teacher's do: 1 less the cosine of each row of `states` with
/// the same row of `teacher`, both `[tokens, hidden]`, averaged over the rows.
///
/// Source: "DistilBERT, a distilled version of BERT" (Sanh et al., 2019), section 2.
///
/// # Errors
/// A device that failed.
///
/// # Panics
/// If the shapes differ.
pub fn hidden_state_cosine<B: TrainBackend>(
    backend: &B,
    states: &Tensor<B>,
    teacher: &Tensor<B>,
) -> Result<Loss<B>> {
    assert_eq!(states.shape(), teacher.shape(), "the teacher has as many hidden features");
    let (own, teacher) = (Units::new(backend, states)?, Units::new(backend, teacher)?.directions);
    let product = backend.zip(BinaryOp::Mul, &own.directions, &teacher)?;
    let cosines = backend.reduce(ReduceOp::Sum, &product)?; // [tokens, 1]
    let share = (states.shape()[0] as f64).recip();
    let less = UnaryOp::Scale(-share);
    let distances = backend.map(UnaryOp::Offset(share), &backend.map(less, &cosines)?)?;
    Ok(Loss { parts: vec![distances], gradient: own.backward(backend, &backend.map(less, &teacher)?)? })
}
