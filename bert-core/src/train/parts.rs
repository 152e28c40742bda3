//! Where parameters lie in a tensor that several of them share.

use std::ops::Range;

use crate::graph::ParameterSpec;
use crate::tensor::{DType, Element, HostTensor, Shape};
use crate::{Error, Result};

/// A parameter and where its upper left corner is in the tensor that it shares. Elsewhere, the tensor is 0.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub spec: ParameterSpec,
    pub row: usize,
    pub column: usize,
}

impl Part {
    /// Parameters below one another.
    pub fn stacked(specs: Vec<ParameterSpec>) -> Vec<Self> {
        let mut next = 0;
        let part = |spec: ParameterSpec| {
            let row = next;
            next += spec.shape[0];
            Self { spec, row, column: 0 }
        };
        specs.into_iter().map(part).collect()
    }

    /// How many numbers a row has.
    fn width(&self) -> usize {
        self.spec.shape[1..].iter().product()
    }

    /// Where each of its rows is among the numbers of a tensor.
    fn rows(&self, whole: Shape) -> impl Iterator<Item = Range<usize>> {
        let (width, stride) = (self.width(), whole[1..].iter().product::<usize>());
        let (first, column) = (self.row, self.column);
        (first..first + self.spec.shape[0]).map(move |row| {
            let start = row * stride + column;
            start..start + width
        })
    }
}

/// The parameters in a tensor.
pub(super) fn split(parts: &[Part], tensor: &HostTensor) -> Result<Vec<(ParameterSpec, HostTensor)>> {
    fn take<T: Element>(part: &Part, values: &[T], whole: Shape) -> HostTensor {
        let mut own = Vec::with_capacity(part.spec.shape.elements());
        part.rows(whole).for_each(|row| own.extend_from_slice(&values[row]));
        HostTensor::from_vec(own, part.spec.shape)
    }
    let whole = tensor.shape();
    let of = |part: &Part| {
        let own = match (tensor.as_slice::<f64>(), tensor.as_slice::<f32>()) {
            (Some(values), _) => take(part, values, whole),
            (_, Some(values)) => take(part, values, whole),
            _ => return Err(Error::DType { op: "split", expected: "floats", found: tensor.dtype() }),
        };
        Ok((part.spec.clone(), own))
    };
    parts.iter().map(of).collect()
}

/// The tensor of this shape in which parameters lie, and 0 between them.
pub(super) fn join(parts: &[Part], tensors: &[HostTensor], whole: Shape) -> Result<HostTensor> {
    fn put<T: Element>(part: &Part, values: &[T], into: &mut [T], whole: Shape) {
        let width = part.width();
        for (row, place) in part.rows(whole).enumerate() {
            into[place].copy_from_slice(&values[row * width..(row + 1) * width]);
        }
    }
    let rows: usize = tensors.iter().map(|tensor| tensor.shape()[0]).sum();
    match tensors {
        [one] if one.shape() == whole => return Ok(one.clone()),
        // Nothing lies between them.
        tensors if rows == whole[0] && tensors.iter().all(|tensor| tensor.shape()[1..] == whole[1..]) => {
            return HostTensor::concat_rows(&tensors.iter().collect::<Vec<_>>());
        }
        _ => {}
    }
    if tensors.iter().all(|tensor| tensor.dtype() == DType::F64) {
        let mut values = vec![0f64; whole.elements()];
        for (part, tensor) in parts.iter().zip(tensors) {
            put(part, tensor.as_slice().expect("it is f64"), &mut values, whole);
        }
        return Ok(HostTensor::from_vec(values, whole));
    }
    let mut values = vec![0f32; whole.elements()];
    for (part, tensor) in parts.iter().zip(tensors) {
        let own = tensor.to_f32()?;
        put(part, own.as_standard_layout().as_slice().expect("in order"), &mut values, whole);
    }
    Ok(HostTensor::from_vec(values, whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ParameterKind;

    #[test]
    fn parameters_lie_in_blocks_and_come_out_again() {
        let spec = |name: &str| ParameterSpec {
            name: name.to_owned(),
            shape: [2, 1].into(),
            kind: ParameterKind::LoraB,
        };
        let parts = [
            Part { spec: spec("query"), row: 0, column: 0 },
            Part { spec: spec("value"), row: 3, column: 1 },
        ];
        let numbers = [[1f32, 2.0], [3.0, 4.0]].map(|values| HostTensor::from_vec(values.to_vec(), [2, 1]));
        let joined = join(&parts, &numbers, [5, 2].into()).unwrap();
        let wanted = [1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 4.0];
        assert_eq!(joined.as_slice::<f32>(), Some(&wanted[..]));
        let apart = split(&parts, &joined).unwrap();
        for ((spec, found), (part, wanted)) in apart.iter().zip(parts.iter().zip(&numbers)) {
            assert_eq!((&spec.name, found.bytes()), (&part.spec.name, wanted.bytes()));
        }
        let stacked = Part::stacked(vec![spec("query"), spec("value")]);
        let joined = join(&stacked, &numbers, [4, 1].into()).unwrap();
        assert_eq!(joined.as_slice::<f32>(), Some(&[1.0, 2.0, 3.0, 4.0][..]));
        assert_eq!(split(&stacked, &joined).unwrap()[1].1.bytes(), numbers[1].bytes());
    }
}
