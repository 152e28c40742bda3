//! Safetensors: number types, layouts, compact checkpoints, and headers that lie.

use bert_core::checkpoint::{Checkpoint, CheckpointError, SafetensorsError};
use bert_core::tensor::DType;
use half::{bf16, f16};

use super::files::{counting, f32s, safetensors, safetensors_raw};
use super::{chain, checkpoint_error, refused};

const NAME: &str = "embeddings.LayerNorm.weight";

#[test]
fn every_float_type_keeps_its_values() {
    let values = [1.0f32, -0.5, 3.140625, 1024.0];
    let storages: [(&str, DType, Vec<u8>); 4] = [
        ("F64", DType::F64, values.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect()),
        ("F32", DType::F32, f32s(&values)),
        ("F16", DType::F16, values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()),
        ("BF16", DType::Bf16, values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect()),
    ];
    for (name, dtype, bytes) in storages {
        let checkpoint = Checkpoint::from_bytes(safetensors(&[(NAME, name, &[2, 2], bytes)])).unwrap();
        let tensor = checkpoint.tensor(NAME, &[2, 2]).unwrap();
        assert_eq!(tensor.dtype(), dtype);
        let expected: Vec<_> =
            values.iter().map(|&x| if name == "BF16" { bf16::from_f32(x).to_f32() } else { x }).collect();
        assert_eq!(tensor.to_f32().unwrap().as_slice().unwrap(), expected);
    }
}

#[test]
fn aligned_floats_are_lent_and_others_are_copied() {
    for pad in 0..8 {
        let header =
            format!(r#"{{"{NAME}":{{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}}}{}"#, " ".repeat(pad));
        let checkpoint = Checkpoint::from_bytes(safetensors_raw(&header, &counting(3))).unwrap();
        let tensor = checkpoint.tensor(NAME, &[3]).unwrap();
        let aligned = tensor.bytes().as_ptr().addr().is_multiple_of(4);
        assert_eq!(tensor.as_slice::<f32>().is_some(), aligned);
        assert_eq!(tensor.to_f32().unwrap().as_slice().unwrap(), [0.0, 1.0, 2.0]);
    }
}

#[test]
fn bytes_in_the_program_are_used_in_place() {
    let bytes: &'static [u8] = safetensors(&[(NAME, "F32", &[2], counting(2))]).leak();
    let tensor = Checkpoint::from_bytes(bytes).unwrap().tensor(NAME, &[2]).unwrap();
    assert!(bytes.as_ptr_range().contains(&tensor.bytes().as_ptr()));
}

#[test]
fn numbers_that_are_no_floats_are_refused_only_when_asked_for() {
    let checkpoint = Checkpoint::from_bytes(safetensors(&[
        ("ids", "I64", &[1], vec![0; 8]),
        ("flags", "BOOL", &[2], vec![0; 2]),
        ("tiny", "F8_E4M3", &[2], vec![0; 2]),
        ("nibbles", "F4", &[4], vec![0; 2]),
        ("rounded", "I8", &[2], vec![0; 2]),
        ("deep", "F32", &[1, 1, 1, 1, 1], counting(1)),
        (NAME, "F32", &[1], counting(1)),
    ]))
    .unwrap();
    assert!(checkpoint.tensor(NAME, &[1]).is_ok());
    for (name, length, kind) in [
        ("ids", 1, "i64"),
        ("flags", 2, "BOOL"),
        ("tiny", 2, "F8_E4M3"),
        ("nibbles", 4, "F4"),
        ("rounded", 2, "i8"),
    ] {
        match checkpoint_error(checkpoint.tensor(name, &[length])) {
            CheckpointError::NotFloat { found, .. } => assert_eq!(found.to_string(), kind),
            other => panic!("{other}"),
        }
    }
    assert!(
        checkpoint.tensor("deep", &[1, 1, 1, 1, 1]).unwrap_err().to_string().contains("at most 4 extents")
    );
    assert!(matches!(checkpoint_error(checkpoint.tensor("deep", &[1])), CheckpointError::Misshapen(_)));
}

#[test]
fn tensors_without_numbers() {
    let checkpoint = Checkpoint::from_bytes(safetensors(&[
        ("empty", "F32", &[0, 7], vec![]),
        ("scalar", "F32", &[], counting(1)),
        ("rows", "I8", &[0, 3], vec![]),
        ("rows_scale", "F32", &[0], vec![]),
    ]))
    .unwrap();
    assert_eq!(checkpoint.tensor("empty", &[0, 7]).unwrap().shape().elements(), 0);
    assert_eq!(checkpoint.tensor("scalar", &[]).unwrap().bytes(), counting(1));
    assert_eq!(checkpoint.tensor("rows", &[0, 3]).unwrap().dtype(), DType::F32);
    assert!(Checkpoint::from_bytes(safetensors(&[])).unwrap().names().next().is_none());
}

#[test]
fn int8_rows_are_multiplied_by_their_scale() {
    let bytes: Vec<u8> = [127i8, -128, 0, 1, 2, -3].map(|q| q as u8).to_vec();
    for shape in [&[2][..], &[2, 1]] {
        let checkpoint = Checkpoint::from_bytes(safetensors(&[
            ("bert.embeddings.word_embeddings.weight", "I8", &[2, 3], bytes.clone()),
            ("bert.embeddings.word_embeddings.weight_scale", "F32", shape, f32s(&[0.5, 0.25])),
        ]))
        .unwrap();
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["embeddings.word_embeddings.weight"]);
        assert!(checkpoint.tensors().next().unwrap().scaled);
        let tensor = checkpoint.tensor("embeddings.word_embeddings.weight", &[2, 3]).unwrap();
        assert_eq!(tensor.as_slice::<f32>().unwrap(), [63.5, -64.0, 0.0, 0.25, 0.5, -0.75]);
        assert_eq!(checkpoint.unused(), []);
    }
}

#[test]
fn a_scale_must_fit_its_rows() {
    let wrong: [(&str, &[usize], usize); 4] =
        [("F32", &[3], 12), ("F32", &[1, 2], 8), ("F16", &[2], 4), ("F32", &[], 4)];
    for (dtype, shape, length) in wrong {
        let file =
            safetensors(&[("a", "I8", &[2, 3], vec![1; 6]), ("a_scale", dtype, shape, vec![0; length])]);
        let error = checkpoint_error(Checkpoint::from_bytes(file).unwrap().tensor("a", &[2, 3]));
        assert!(matches!(error, CheckpointError::Scale { rows: 2, .. }), "{error}");
    }
    // Without an int8 tensor beside it, the name means nothing.
    let file = safetensors(&[("a", "F32", &[1], counting(1)), ("a_scale", "F32", &[1], counting(1))]);
    assert_eq!(Checkpoint::from_bytes(file).unwrap().names().collect::<Vec<_>>(), ["a", "a_scale"]);
    let scalar = safetensors(&[("a", "I8", &[], vec![3]), ("a_scale", "F32", &[1], f32s(&[2.0]))]);
    let tensor = Checkpoint::from_bytes(scalar).unwrap().tensor("a", &[]).unwrap();
    assert_eq!(tensor.as_slice::<f32>().unwrap(), [6.0]);
}

#[test]
fn numbers_that_are_not_finite_are_counted() {
    let halves = [f16::NAN, f16::INFINITY, f16::MAX, f16::ZERO];
    let brains = [bf16::NEG_INFINITY, bf16::MAX];
    let doubles = [f64::NAN, f64::MAX, 1e300];
    let checkpoint = Checkpoint::from_bytes(safetensors(&[
        ("a", "F32", &[4], f32s(&[f32::NAN, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE])),
        ("b", "F16", &[4], halves.iter().flat_map(|x| x.to_le_bytes()).collect()),
        ("c", "BF16", &[2], brains.iter().flat_map(|x| x.to_le_bytes()).collect()),
        ("d", "F64", &[3], doubles.iter().flat_map(|x| x.to_le_bytes()).collect()),
        ("e", "I64", &[1], vec![0xff; 8]),
        ("f", "F32", &[2], counting(2)),
        ("g", "I8", &[2, 3], vec![0xff; 6]),
        ("g_scale", "F32", &[2], f32s(&[f32::NAN, 1.0])),
    ]))
    .unwrap();
    assert_eq!(checkpoint.non_finite(), [("a", 2), ("b", 2), ("c", 1), ("d", 1), ("g", 3)]);
}

#[test]
fn lying_headers_are_refused() {
    let tensor = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
    };
    let one =
        |dtype: &str, shape: &str, offsets: &str| format!(r#"{{"a":{}}}"#, tensor(dtype, shape, offsets));
    let two = |first: &str, second: &str| {
        format!(r#"{{"a":{},"b":{}}}"#, tensor("F32", "[1]", first), tensor("F32", "[1]", second))
    };
    let eighth = usize::MAX / 8;
    // Tensors that are each possible, and whose sum runs over.
    let sum = (0..8u64).map(|i| {
        let step = eighth as u64;
        format!(
            r#""t{i}":{}"#,
            tensor("U8", &format!("[{step}]"), &format!("[{},{}]", i * step, (i + 1) * step))
        )
    });
    let sum = format!("{{{}}}", sum.collect::<Vec<_>>().join(","));
    let headers = [
        one("F32", "[2]", "[0,12]"),
        one("F32", "[2]", "[4,12]"),
        one("F32", "[2]", "[8,0]"),
        one("F32", "[2]", "[0,18446744073709551615]"),
        one("F32", "[2]", "[0,-8]"),
        one("F32", "[4]", "[0,16]"),
        one("F32", "[1]", "[0,4]"),
        one("F32", "[4611686018427387904,4]", "[0,8]"),
        one("F32", "[9223372036854775807,0,9223372036854775807]", "[0,8]"),
        one("F32", "[9223372036854775807,2,0]", "[0,0]"),
        one("F99", "[2]", "[0,8]"),
        one("F32", &format!("{:?}", [1; 65]), "[0,4]"),
        one("F4", "[3]", "[0,2]"),
        two("[0,4]", "[0,4]"),
        two("[0,4]", "[2,6]"),
        two("[0,4]", "[5,9]"),
        sum,
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.into(),
        r#"{"__metadata__":{"a":1}}"#.into(),
        r#"{"a":null}"#.into(),
        "[]".into(),
        "{".into(),
        "[".repeat(100_000),
        String::new(),
        "\u{0}".into(),
    ];
    for header in headers {
        let error = refused(safetensors_raw(&header, &[0; 8]));
        assert!(matches!(error, CheckpointError::Safetensors { .. }), "{error}");
        assert!(!chain(&error).contains('\n'), "{error}");
    }
    assert!(Checkpoint::from_bytes(safetensors_raw(&one("F32", "[2]", "[0,8]"), &[0; 8])).is_ok());
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let whole = safetensors(&[(NAME, "F32", &[2], counting(2)), ("b", "F16", &[1], vec![0; 2])]);
    for length in 0..whole.len() {
        let error = refused(whole[..length].to_vec());
        assert!(matches!(error, CheckpointError::Safetensors { .. }), "{length}: {error}");
    }
    let mut longer = whole;
    longer.push(0);
    let error = refused(longer);
    assert!(
        matches!(
            error,
            CheckpointError::Safetensors {
                source: SafetensorsError::Length { described: 10, found: 11 },
                ..
            }
        ),
        "{error}"
    );
    for announced in [u64::MAX, u64::MAX - 7, 1 << 63, 100_000_001, 9] {
        let mut file = announced.to_le_bytes().to_vec();
        file.extend([b' '; 8]);
        let error = refused(file);
        let found = SafetensorsError::Header { announced, found: 16 }.to_string();
        assert!(chain(&error).contains(&found), "{error}");
    }
}
