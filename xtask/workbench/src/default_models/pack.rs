//! From the folder of a run to what the command brings along, without what only a run needs.
//!
//! A base is kept in 8 bits: each matrix `X` becomes `X` (I8) and `X_scale` (F32, one a row), to be read as
//! `X * X_scale[:, None]`. A scale is the largest magnitude of its row / 127, so that quantising a loaded matrix by rows
//! gives the same integers again; scales of least squared error, with the outliers cut, change no measured figure.
//! Vectors are kept in 16 bits, and so are the segment embeddings: two rows that every token shares. An adapter is kept
//! in 16 bits.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use half::f16;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Error, Result};

/// A tensor with its name, as it will be written.
struct Packed {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Writes the model of a run to a folder of the sources, in 8 bits.
///
/// # Errors
/// A run without a model; a file that cannot be read or written.
pub fn base(run: &Path, to: &Path) -> Result<()> {
    pack(run, to, &["config.json", "vocab.txt", "tokenizer_config.json"], "model.safetensors", |tensor| {
        let is_matrix = tensor.shape.len() == 2 && !tensor.name.contains("token_type_embeddings");
        if is_matrix { in_8_bits(tensor) } else { vec![in_16_bits(tensor)] }
    })
}

/// Writes the adapter of a run to a folder of the sources, in 16 bits.
///
/// # Errors
/// A run without an adapter; a file that cannot be read or written.
pub fn adapter(run: &Path, to: &Path) -> Result<()> {
    pack(run, to, &["adapter_config.json", "config.json"], "adapter_model.safetensors", |tensor| {
        vec![in_16_bits(tensor)]
    })
}

fn pack(
    run: &Path,
    to: &Path,
    copied: &[&str],
    weights: &str,
    form: impl Fn(Packed) -> Vec<Packed>,
) -> Result<()> {
    let read = |name: &str| {
        let path = run.join(name);
        fs::read(&path).map_err(|source| Error::File { action: "read", path, source })
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = to.join(name);
        fs::write(&path, bytes).map_err(|source| Error::File { action: "write", path, source })
    };
    fs::create_dir_all(to).map_err(|source| Error::File { action: "make", path: to.to_owned(), source })?;
    for name in copied {
        write(name, &read(name)?)?;
    }
    write(weights, &packed(&read(weights)?, form)?)
}

/// The file with each tensor in another form.
fn packed(file: &[u8], form: impl Fn(Packed) -> Vec<Packed>) -> Result<Vec<u8>> {
    let tensors = SafeTensors::deserialize(file)?;
    let packed: Vec<Packed> = tensors
        .tensors()
        .into_iter()
        .flat_map(|(name, tensor)| {
            let (shape, bytes) = (tensor.shape().to_vec(), tensor.data().to_vec());
            form(Packed { name, dtype: tensor.dtype(), shape, bytes })
        })
        .collect();
    let views = packed
        .iter()
        .map(|Packed { name, dtype, shape, bytes }| {
            Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<HashMap<_, _>, safetensors::SafeTensorError>>()?;
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(safetensors::serialize(views, Some(format))?)
}

/// The numbers of a tensor of `f32`.
fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("4 bytes")))
}

/// The same tensor in `f16`. Other types than `f32` stay.
fn in_16_bits(tensor: Packed) -> Packed {
    if tensor.dtype != Dtype::F32 {
        return tensor;
    }
    let bytes = floats(&tensor.bytes).flat_map(|number| f16::from_f32(number).to_le_bytes()).collect();
    Packed { dtype: Dtype::F16, bytes, ..tensor }
}

/// A matrix of `f32` as integers and the scales of its rows. Other types than `f32` stay.
fn in_8_bits(tensor: Packed) -> Vec<Packed> {
    if tensor.dtype != Dtype::F32 {
        return vec![tensor];
    }
    let columns = tensor.shape[1].max(1);
    let numbers: Vec<f32> = floats(&tensor.bytes).collect();
    let mut scales = Vec::with_capacity(tensor.shape[0]);
    let mut integers = Vec::with_capacity(numbers.len());
    for row in numbers.chunks_exact(columns) {
        let largest = row.iter().fold(0f32, |largest, number| largest.max(number.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        scales.extend(scale.to_le_bytes());
        integers.extend(row.iter().map(|number| (number / scale).round_ties_even() as i8 as u8));
    }
    let scales = Packed {
        name: format!("{}_scale", tensor.name),
        dtype: Dtype::F32,
        shape: vec![tensor.shape[0]],
        bytes: scales,
    };
    vec![Packed { dtype: Dtype::I8, bytes: integers, ..tensor }, scales]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(numbers: &[f32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn an_adapter_is_halved_and_nothing_else_changes() {
        let numbers = bytes(&[1.5, -0.25]);
        let ids: Vec<u8> = 7i64.to_le_bytes().to_vec();
        let views = [
            ("a", TensorView::new(Dtype::F32, vec![1, 2], &numbers).unwrap()),
            ("b", TensorView::new(Dtype::I64, vec![1], &ids).unwrap()),
        ];
        let file = safetensors::serialize(views, None).unwrap();
        let halved = packed(&file, |tensor| vec![in_16_bits(tensor)]).unwrap();
        let read = SafeTensors::deserialize(&halved).unwrap();
        let a = read.tensor("a").unwrap();
        assert_eq!((a.dtype(), a.shape()), (Dtype::F16, &[1, 2][..]));
        let expected: Vec<u8> = [1.5, -0.25].iter().flat_map(|&n| f16::from_f32(n).to_le_bytes()).collect();
        assert_eq!(a.data(), expected);
        assert_eq!(read.tensor("b").unwrap().data(), ids);
        assert!(packed(b"none", |tensor| vec![tensor]).is_err());
    }

    #[test]
    fn a_matrix_is_integers_and_the_scales_of_its_rows() {
        let tensor = |shape: Vec<usize>, numbers: &[f32]| Packed {
            name: "m".into(),
            dtype: Dtype::F32,
            shape,
            bytes: bytes(numbers),
        };
        let [integers, scales] =
            <[Packed; 2]>::try_from(in_8_bits(tensor(vec![2, 3], &[254.0, -127.0, 2.0, 0.0, 0.0, 0.0])))
                .ok()
                .expect("two tensors");
        assert_eq!((integers.name.as_str(), integers.dtype), ("m", Dtype::I8));
        assert_eq!(integers.bytes.iter().map(|&b| b as i8).collect::<Vec<_>>(), [127, -64, 1, 0, 0, 0]);
        assert_eq!((scales.name.as_str(), scales.shape), ("m_scale", vec![2]));
        assert_eq!(floats(&scales.bytes).collect::<Vec<_>>(), [2.0, 1.0]);
    }
}
