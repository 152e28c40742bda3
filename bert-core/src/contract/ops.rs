//! The small words of the [`Backend`](super::Backend) trait: which function, which precision, which pooling.

use std::fmt;
use std::str::FromStr;

use crate::random::Random;
use crate::tensor::DType;
use crate::{Error, Result};

/// A function of one number, applied to each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UnaryOp {
    /// The element itself. On a strided view this makes a row-major copy.
    Copy,
    /// The element as another kind of number.
    Cast(DType),
    /// `x * factor`
    Scale(f64),
    /// `x + offset`
    Offset(f64),
    /// `exp(x)`
    Exp,
    /// `ln(x)`
    Log,
    /// `sqrt(x)`
    Sqrt,
    /// `1 / x`
    Reciprocal,
    /// `tanh(x)`
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `max(x, 0)`
    Relu,
    /// `x * Φ(x)`, with the error function: `0.5 * x * (1 + erf(x / sqrt(2)))`
    Gelu,
    /// The approximation `0.5 * x * (1 + tanh(sqrt(2 / π) * (x + 0.044715 * x³)))`
    GeluTanh,
}

/// A function of two numbers, applied to pairs of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// The larger of the two.
    Max,
}

/// How a row of numbers becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReduceOp {
    /// Their sum.
    Sum,
    /// The largest of them.
    Max,
}

/// What follows a linear layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    Identity,
    /// GELU with the error function, as BERT was trained; see [`UnaryOp::Gelu`].
    Gelu,
    /// GELU by its tanh approximation; see [`UnaryOp::GeluTanh`]. Not the same numbers as [`Gelu`](Self::Gelu).
    GeluTanh,
    /// `max(x, 0)`
    Relu,
    /// `tanh(x)`
    Tanh,
}

impl Activation {
    /// The same function as an element-wise operation; `None` for the identity.
    pub fn as_unary(self) -> Option<UnaryOp> {
        match self {
            Self::Identity => None,
            Self::Gelu => Some(UnaryOp::Gelu),
            Self::GeluTanh => Some(UnaryOp::GeluTanh),
            Self::Relu => Some(UnaryOp::Relu),
            Self::Tanh => Some(UnaryOp::Tanh),
        }
    }
}

/// How the hidden states of a sequence become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The hidden state of the first token, `[CLS]`.
    Cls,
    /// The mean over all tokens of the sequence, special ones included.
    Mean,
    /// The largest value of each feature over all tokens.
    Max,
    /// The sum over all tokens divided by the square root of their count.
    MeanSqrtLen,
}

/// Which numbers are set to 0 in training, each with the same probability; the others are scaled up, so that the mean
/// stays. Source: Srivastava et al., 2014.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The share that is set to 0, below 1.
    pub probability: f64,
    /// The source of random numbers: the number at a row-major position decides about that position, so that a mask is
    /// the same forwards and backwards, on every device, and after a run is resumed.
    pub random: Random,
}

impl Dropout {
    /// What the number at a row-major position is multiplied by.
    pub fn factor(&self, position: u64) -> f32 {
        let kept = self.random.uniform(position) >= self.probability;
        if kept { self.scale() } else { 0.0 }
    }

    /// Multiplies numbers that lie side by side, the first at this row-major position, by their [factors](Self::factor):
    /// each block of the generator is drawn once.
    pub fn apply(&self, mut position: u64, mut numbers: &mut [f32]) {
        // As many of the 2^32 values of 32 bits are below the probability.
        let dropped = (self.probability * 4_294_967_296.0).ceil() as u64;
        let scale = self.scale();
        while !numbers.is_empty() {
            let within = (position % 4) as usize;
            let (now, later) = numbers.split_at_mut(numbers.len().min(4 - within));
            let bits = self.random.block(position / 4);
            for (number, &bits) in now.iter_mut().zip(&bits[within..]) {
                *number *= if u64::from(bits) < dropped { 0.0 } else { scale };
            }
            position += now.len() as u64;
            numbers = later;
        }
    }

    /// The factor that makes up for the numbers that are dropped.
    fn scale(&self) -> f32 {
        (1.0 - self.probability).recip() as f32
    }
}

/// What attention computes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct AttentionSpec {
    /// How many heads stand side by side.
    pub heads: usize,
    /// How wide a head is.
    pub head_size: usize,
    /// What the product of a query and a key is multiplied by.
    pub scale: f64,
    /// The precision of the layer whose outputs are multiplied.
    pub precision: Precision,
    /// In training, which weights of the softmax are set to 0: a stream for each sequence by its number, positions in
    /// `[heads, length, length]`.
    pub dropout: Option<Dropout>,
}

impl AttentionSpec {
    /// Heads of this width, scaled by one over its square root.
    pub fn new(heads: usize, head_size: usize, precision: Precision) -> Self {
        Self { heads, head_size, scale: (head_size as f64).sqrt().recip(), precision, dropout: None }
    }
}

/// The numbers that linear layers compute with. Chosen once, when a model is loaded; every precision that is
/// not exact has to be asked for by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
    /// Weights and activations of linear layers rounded to bfloat16, accumulated in `f32`; and what attention
    /// multiplies, on a backend that gains by it.
    Bf16,
    /// Weights and activations of linear layers rounded to 16-bit floats, accumulated in `f32`.
    F16,
    /// Weights in 8 bits with a scale per output channel, activations in 8 bits with a scale per token; what
    /// attention multiplies is rounded to bfloat16 at most.
    Int8,
}

impl Precision {
    /// Every precision, with the word for it on the command line.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::F32, "f32"), (Self::Bf16, "bf16"), (Self::F16, "f16"), (Self::Int8, "int8")];
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::ALL.iter().find(|(precision, _)| precision == self);
        f.write_str(named.expect("every precision has a word").1)
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.to_ascii_lowercase();
        if text == "auto" {
            return Ok(Self::F32); // nothing approximate is chosen silently
        }
        let named = Self::ALL.iter().find(|(_, word)| *word == text);
        named.map(|&(precision, _)| precision).ok_or(Error::UnknownWord {
            what: "precision",
            found: text,
            known: "auto, f32, bf16, f16, int8",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dropped_by_their_place_however_they_are_cut() {
        for probability in [0.0, 0.1, 0.5, 0.999] {
            let dropout = Dropout { probability, random: Random::new(3).numbered(7) };
            for (first, length) in [(0, 41), (1, 40), (2, 7), (3, 1), (4, 4), ((1 << 34) - 2, 9)] {
                let mut numbers = vec![2f32; length];
                dropout.apply(first, &mut numbers);
                let places = first..first + length as u64;
                let expected: Vec<_> = places.map(|place| 2.0 * dropout.factor(place)).collect();
                assert_eq!(numbers, expected, "{probability} from {first}");
            }
        }
    }
}
