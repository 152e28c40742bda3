//! Low-rank adapters in training: the weight of a linear layer stays, and two small matrices beside it move.
//!
//! Layers of one input that are computed as one, such as query, key and value, have one adapter: their matrices `A`
//! lie below one another, and their matrices `B` are blocks on the diagonal of one matrix, which is 0 elsewhere. The
//! adapted words are those of any linear layer, so that there is no rule of a gradient for them.

use std::sync::Arc;

use super::backward::TrainBackend;
use super::parameter::{Node, Parameter};
use super::parts::{Part, join};
use crate::Result;
use crate::contract::{Linear, Precision, upload_f32};
use crate::graph::{ParameterSource, ParameterSpec, lora};
use crate::tensor::HostTensor;

/// What adapters are like: `y = x Wᵀ + b + scale * (x Aᵀ) Bᵀ`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lora {
    /// The rank of what is added to a weight: rows of `A`.
    pub rank: usize,
    /// What the product is multiplied with.
    pub scale: f64,
    /// The share of the numbers of an adapter's input that is dropped in training. Layers that are computed as one
    /// drop the same ones.
    pub dropout: f64,
}

/// The adapter of a weight.
pub(super) struct Adapter<B: TrainBackend> {
    pub lora: Lora,
    /// `[parts * rank, inputs]`
    pub a: Arc<Parameter<B>>,
    /// `[outputs, parts * rank]`
    pub b: Arc<Parameter<B>>,
    /// Which one of the model's it is, for dropout.
    pub number: u64,
}

/// The parameters of an adapter, as they lie in its two matrices.
pub(super) type AdapterParts = [Vec<Part>; 2];

impl<B: TrainBackend> Adapter<B> {
    /// An adapter of some of the weights that lie below one another in `[outputs, inputs]`; `None` if it is none of
    /// them.
    pub fn new(
        backend: &B,
        lora: Lora,
        number: u64,
        weights: &[Part],
        [outputs, inputs]: [usize; 2],
        source: &dyn ParameterSource,
        targets: &dyn Fn(&ParameterSpec) -> bool,
    ) -> Result<Option<(Self, AdapterParts)>> {
        let (mut a, mut b) = (vec![], vec![]);
        for weight in weights.iter().filter(|weight| targets(&weight.spec)) {
            let Some([spec_a, spec_b]) = self::lora(&weight.spec, lora.rank) else { continue };
            let column = a.len() * lora.rank;
            a.push(spec_a);
            b.push(Part { spec: spec_b, row: weight.row, column });
        }
        if a.is_empty() {
            return Ok(None);
        }
        let (a, rank) = (Part::stacked(a), lora.rank * b.len());
        let read = |parts: &[Part], shape: [usize; 2]| -> Result<Parameter<B>> {
            let tensors =
                parts.iter().map(|part| source.parameter(&part.spec)).collect::<Result<Vec<_>>>()?;
            Ok(Parameter::new(upload_f32(backend, &join(parts, &tensors, shape.into())?)?))
        };
        let mut of_b = read(&b, [outputs, rank])?;
        if b.iter().any(|part| part.spec.shape[..] != [outputs, rank]) {
            // What lies between the blocks stays 0.
            let one =
                |part: &Part| HostTensor::from_vec(vec![1f32; part.spec.shape.elements()], part.spec.shape);
            let ones: Vec<_> = b.iter().map(one).collect();
            of_b = of_b.with_mask(backend.upload(&join(&b, &ones, [outputs, rank].into())?)?);
        }
        let of_a = read(&a, [rank, inputs])?;
        Ok(Some((Self { lora, a: Arc::new(of_a), b: Arc::new(of_b), number }, [a, b])))
    }

    /// The two layers that the input goes through.
    pub fn layers(&self, precision: Precision) -> [Linear<Node<B>>; 2] {
        [&self.a, &self.b].map(|parameter| Linear {
            weight: Node::Parameter(parameter.clone()),
            bias: None,
            in_features: parameter.shape()[1],
            out_features: parameter.shape()[0],
            precision,
        })
    }
}
