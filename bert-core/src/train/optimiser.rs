//! From gradients to a step.

use crate::Result;
use crate::contract::{Backend, BinaryOp, Tensor, UnaryOp};

/// The factor that brings gradients of this norm down to a largest one, as PyTorch's `clip_grad_norm_` computes it.
pub fn clip(norm: f64, most: f64) -> f64 {
    (most / (norm + 1e-6)).min(1.0)
}

/// AdamW: Adam with weight decay that does not go through the moments. Source: Loshchilov and Hutter, 2019.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// How much of the mean of gradients stays from one step to the next, and of the mean of their squares.
    pub betas: [f64; 2],
    /// Added to the root of the mean of squares.
    pub eps: f64,
    /// What a step of rate 1 takes off a parameter that decays.
    pub weight_decay: f64,
    /// Whether the means are corrected for having begun at 0.
    pub bias_correction: bool,
}

impl Default for AdamW {
    /// As usual trainers have it.
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01, bias_correction: true }
    }
}

impl AdamW {
    /// As the original BERT was trained: without correction, and with another epsilon.
    pub fn bert() -> Self {
        Self { eps: 1e-6, bias_correction: false, ..Self::default() }
    }

    /// What the two means of step `number` have to be divided by for having begun at 0.
    pub fn corrections(&self, number: u64) -> [f64; 2] {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        self.betas.map(|beta| if self.bias_correction { 1.0 - beta.powi(number) } else { 1.0 })
    }
}

/// What an optimiser does at one step, the same for all parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Which step this is, from 1.
    pub number: u64,
    /// The rate of this step.
    pub rate: f64,
    /// What gradients are multiplied with first: [`clip`], or one over the count of batches that were added up.
    pub scale: f64,
}

/// A parameter and its two moments after a step, by the words of the backend.
pub(super) fn adamw<B: Backend>(
    backend: &B,
    options: &AdamW,
    step: &AdamStep,
    decays: bool,
    [parameter, mean, square]: [&Tensor<B>; 3],
    gradient: &Tensor<B>,
) -> Result<[Tensor<B>; 3]> {
    let scaled = |x: &Tensor<B>, factor| backend.map(UnaryOp::Scale(factor), x);
    let add = |a: &Tensor<B>, b: &Tensor<B>| backend.zip(BinaryOp::Add, a, b);
    let [b1, b2] = options.betas;
    let gradient = scaled(gradient, step.scale)?;
    let mean = add(&scaled(mean, b1)?, &scaled(&gradient, 1.0 - b1)?)?;
    let squared = backend.zip(BinaryOp::Mul, &gradient, &gradient)?;
    let square = add(&scaled(square, b2)?, &scaled(&squared, 1.0 - b2)?)?;

    let [c1, c2] = options.corrections(step.number);
    let root = backend.map(UnaryOp::Sqrt, &scaled(&square, c2.recip())?)?;
    let root = backend.map(UnaryOp::Offset(options.eps), &root)?;
    let change = backend.zip(BinaryOp::Div, &scaled(&mean, -step.rate / c1)?, &root)?;
    let decay = if decays { step.rate * options.weight_decay } else { 0.0 };
    let parameter = add(&scaled(parameter, 1.0 - decay)?, &change)?;
    Ok([parameter, mean, square])
}
