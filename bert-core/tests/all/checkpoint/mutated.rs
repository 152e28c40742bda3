//! Files with random damage: each opens or is refused, and whatever opens can be read to its last byte.

use std::sync::LazyLock;

use bert_core::checkpoint::Checkpoint;
use proptest::prelude::*;

use super::files::{Pickle, TorchTensor, ZipStyle, counting, safetensors, state_dict, torch, zip};

/// Touches everything that a file holds.
fn exercise(bytes: Vec<u8>) {
    match Checkpoint::from_bytes(bytes) {
        Ok(checkpoint) => {
            checkpoint.non_finite();
            for info in checkpoint.tensors() {
                match checkpoint.tensor(info.name, info.shape) {
                    Ok(tensor) => assert_eq!(tensor.to_f32().unwrap().shape(), info.shape),
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
            let missing = checkpoint.tensor("encoder.layer.9.output.dense.bias", &[usize::MAX, 2]);
            if let Err(error) = missing {
                assert!(!error.to_string().is_empty());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

static SAFETENSORS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    safetensors(&[
        ("bert.embeddings.LayerNorm.gamma", "F32", &[3], counting(3)),
        ("encoder.layer.0.output.dense.weight", "I8", &[2, 2], vec![1, 2, 3, 4]),
        ("encoder.layer.0.output.dense.weight_scale", "F32", &[2, 1], counting(2)),
        ("encoder.layer.0.output.dense.bias", "F16", &[2], vec![0; 4]),
    ])
});

const SHAPE: [i64; 2] = [2, 3];

fn tensors() -> [TorchTensor<'static>; 3] {
    [
        TorchTensor::new("bert.pooler.dense.weight", "0", &SHAPE, &[3, 1]),
        TorchTensor::new("pooler.dense.weight", "0", &SHAPE, &[1, 2]),
        TorchTensor { storage: "HalfStorage", ..TorchTensor::new("cls.predictions.bias", "1", &[2], &[1]) },
    ]
}

static TORCH: LazyLock<Vec<u8>> =
    LazyLock::new(|| torch(&state_dict(&tensors()), &[("0", &counting(6)), ("1", &[0; 4])]));

static ZIP64: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pickle = state_dict(&tensors());
    let entries: [(&str, &[u8]); 3] =
        [("a/data.pkl", &pickle), ("a/data/0", &counting(6)), ("a/data/1", &[0; 4])];
    zip(&entries, ZipStyle { zip64: true, ..ZipStyle::default() })
});

/// A few bytes replaced, then a piece cut out or doubled.
fn damage(whole: &'static LazyLock<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![any::<u8>(), prop::sample::select(vec![0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'"', b'('])];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), byte), 0..6);
    let piece = prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()));
    (edits, piece).prop_map(|(edits, piece)| {
        let mut bytes = whole.to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((from, to, double)) = piece {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let (from, to) = (from.min(to), from.max(to));
            if double {
                let piece = bytes[from..to].to_vec();
                bytes.splice(to..to, piece);
            } else {
                bytes.drain(from..to);
            }
        }
        bytes
    })
}

/// Programs of valid opcodes in a random order.
fn programs() -> impl Strategy<Value = Vec<u8>> {
    let tensor = Pickle::default().tensor(&tensors()[0]).0;
    let words: Vec<Vec<u8>> = [
        &b"("[..],
        b"N",
        b"K\x01",
        b"M\x02\x00",
        b"J\xff\xff\xff\xff",
        b"\x8a\x01\xff",
        b")",
        b"t",
        b"\x85",
        b"\x86",
        b"\x87",
        b"]",
        b"a",
        b"e",
        b"}",
        b"s",
        b"u",
        b"q\x00",
        b"q\x01",
        b"\x94",
        b"h\x00",
        b"h\x01",
        b"Q",
        b"R",
        b"b",
        b"\x93",
        b".",
        b"X\x01\x00\x00\x00a",
        b"\x8c\x07storage",
        b"ctorch\nFloatStorage\n",
        b"ctorch\nSize\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch._utils\n_rebuild_parameter\n",
        b"ccollections\nOrderedDict\n",
        &tensor,
    ]
    .iter()
    .map(|word| word.to_vec())
    .collect();
    prop::collection::vec(prop::sample::select(words), 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn damaged_safetensors(bytes in damage(&SAFETENSORS)) {
        exercise(bytes);
    }

    #[test]
    fn damaged_archives(bytes in damage(&TORCH)) {
        exercise(bytes);
    }

    #[test]
    fn damaged_zip64_archives(bytes in damage(&ZIP64)) {
        exercise(bytes);
    }

    #[test]
    fn random_programs(program in programs()) {
        exercise(torch(&Pickle::new().raw(program).stop(), &[("0", &counting(6))]));
    }

    #[test]
    fn random_bytes_behind_every_beginning(
        head in prop::sample::select(vec![&b""[..], b"PK\x03\x04", b"\x80\x02", b"\x02\0\0\0\0\0\0\0{}"]),
        tail in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        exercise([head, &tail].concat());
    }
}
