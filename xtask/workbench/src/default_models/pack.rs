//! From the folder of a run to what the command brings along: adapters in 16 bits, without what only a run needs.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use half::f16;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Error, Result};

/// Writes the adapter of a run to a folder of the sources.
///
/// # Errors
/// A run without an adapter; a file that cannot be read or written.
pub fn pack(run: &Path, to: &Path) -> Result<()> {
    let read = |name: &str| {
        let path = run.join(name);
        fs::read(&path).map_err(|source| Error::File { action: "read", path, source })
    };
    let write = |name: &str, bytes: &[u8]| {
        let path = to.join(name);
        fs::write(&path, bytes).map_err(|source| Error::File { action: "write", path, source })
    };
    fs::create_dir_all(to).map_err(|source| Error::File { action: "make", path: to.to_owned(), source })?;
    for name in ["adapter_config.json", "config.json"] {
        write(name, &read(name)?)?;
    }
    const WEIGHTS: &str = "adapter_model.safetensors";
    write(WEIGHTS, &in_16_bits(&read(WEIGHTS)?)?)
}

/// The same tensors in `f16`. Other types than `f32` stay.
fn in_16_bits(file: &[u8]) -> Result<Vec<u8>> {
    let tensors = SafeTensors::deserialize(file)?;
    let halved: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let shape = tensor.shape().to_vec();
            if tensor.dtype() != Dtype::F32 {
                return (name, tensor.dtype(), shape, tensor.data().to_vec());
            }
            let numbers = tensor.data().chunks_exact(4).map(|bytes| {
                f16::from_f32(f32::from_le_bytes(bytes.try_into().expect("4 bytes"))).to_le_bytes()
            });
            (name, Dtype::F16, shape, numbers.flatten().collect())
        })
        .collect();
    let views = halved
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<HashMap<_, _>, safetensors::SafeTensorError>>()?;
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    Ok(safetensors::serialize(views, Some(format))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_halved_and_nothing_else_changes() {
        let numbers: Vec<u8> = [1.5f32, -0.25].iter().flat_map(|number| number.to_le_bytes()).collect();
        let ids: Vec<u8> = 7i64.to_le_bytes().to_vec();
        let views = [
            ("a", TensorView::new(Dtype::F32, vec![1, 2], &numbers).unwrap()),
            ("b", TensorView::new(Dtype::I64, vec![1], &ids).unwrap()),
        ];
        let file = safetensors::serialize(views, None).unwrap();
        let halved = in_16_bits(&file).unwrap();
        let read = SafeTensors::deserialize(&halved).unwrap();
        let a = read.tensor("a").unwrap();
        assert_eq!((a.dtype(), a.shape()), (Dtype::F16, &[1, 2][..]));
        let expected: Vec<u8> = [1.5, -0.25].iter().flat_map(|&n| f16::from_f32(n).to_le_bytes()).collect();
        assert_eq!(a.data(), expected);
        assert_eq!(read.tensor("b").unwrap().data(), ids);
        assert!(in_16_bits(b"none").is_err());
    }
}
