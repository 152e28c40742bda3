//! `pytorch_model.bin`: what PyTorch writes, in all the forms that it may take.

use bert_core::checkpoint::{Checkpoint, CheckpointError, TorchError, ZipError};
use bert_core::tensor::DType;

use super::files::{Pickle, TorchTensor, ZipStyle, counting, f32s, state_dict, torch, zip};
use super::refused;

fn torch_error(bytes: Vec<u8>) -> TorchError {
    match refused(bytes) {
        CheckpointError::Torch { source, .. } => source,
        other => panic!("{other}"),
    }
}

#[test]
fn a_state_dict_is_read_in_place() {
    let pickle = state_dict(&[
        TorchTensor::new("bert.pooler.dense.weight", "0", &[2, 3], &[3, 1]),
        // The stride of a single row means nothing.
        TorchTensor { offset: 1, length: 4, ..TorchTensor::new("classifier.bias", "1", &[1, 2], &[999, 1]) },
    ]);
    let file = torch(&pickle, &[("0", &counting(6)), ("1", &counting(4))]);
    let file: &'static [u8] = file.leak();
    let checkpoint = Checkpoint::from_bytes(file).unwrap();
    let weight = checkpoint.tensor("pooler.dense.weight", &[2, 3]).unwrap();
    assert_eq!(weight.bytes(), counting(6));
    assert!(file.as_ptr_range().contains(&weight.bytes().as_ptr()));
    let bias = checkpoint.tensor("classifier.bias", &[1, 2]).unwrap();
    assert_eq!(bias.to_f32().unwrap().as_slice().unwrap(), [1.0, 2.0]);
    assert!(file.as_ptr_range().contains(&bias.bytes().as_ptr()));
}

#[test]
fn every_storage_class_has_its_type() {
    let table = [
        ("DoubleStorage", 8, Some(DType::F64)),
        ("FloatStorage", 4, Some(DType::F32)),
        ("HalfStorage", 2, Some(DType::F16)),
        ("BFloat16Storage", 2, Some(DType::Bf16)),
        ("LongStorage", 8, None),
        ("IntStorage", 4, None),
        ("ShortStorage", 2, None),
        ("CharStorage", 1, None),
        ("ByteStorage", 1, None),
        ("BoolStorage", 1, None),
    ];
    for (storage, size, dtype) in table {
        let pickle = state_dict(&[TorchTensor { storage, ..TorchTensor::new("a", "0", &[3], &[1]) }]);
        let checkpoint = Checkpoint::from_bytes(torch(&pickle, &[("0", &vec![0; 3 * size])])).unwrap();
        let loaded = checkpoint.tensor("a", &[3]);
        assert_eq!(loaded.ok().map(|tensor| tensor.dtype()), dtype, "{storage}");
        assert!(matches!(
            torch_error(torch(&pickle, &[("0", &vec![0; 3 * size - 1])])),
            TorchError::Bounds { length, .. } if length == 3 * size - 1
        ));
    }
}

#[test]
fn strided_tensors_are_put_in_order() {
    let numbers = counting(24);
    let load = |shape: &[i64], strides: &[i64], offset: i64| {
        let tensor = TorchTensor { length: 24, offset, ..TorchTensor::new("a", "0", shape, strides) };
        let checkpoint = Checkpoint::from_bytes(torch(&state_dict(&[tensor]), &[("0", &numbers)])).unwrap();
        let shape: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
        checkpoint
            .tensor("a", &shape)
            .unwrap()
            .to_f32()
            .unwrap()
            .iter()
            .map(|&x| x as i64)
            .collect::<Vec<_>>()
    };
    assert_eq!(load(&[3, 2], &[1, 3], 0), [0, 3, 1, 4, 2, 5]);
    assert_eq!(load(&[2, 2], &[10, 2], 3), [3, 5, 13, 15]);
    assert_eq!(load(&[2, 3, 4], &[12, 4, 1], 0), (0..24).collect::<Vec<_>>());
    assert_eq!(load(&[4, 3, 2], &[1, 4, 12], 0)[..7], [0, 12, 4, 16, 8, 20, 1]);
    assert_eq!(load(&[1, 3], &[999, 1], 2), [2, 3, 4]);
    assert_eq!(load(&[2, 2], &[0, 1], 5), [5, 6, 5, 6]);
    assert_eq!(load(&[], &[], 23), [23]);
    assert_eq!(load(&[0, 5], &[5, 1], 0), [0i64; 0]);
}

#[test]
fn only_the_elements_of_a_strided_tensor_are_judged() {
    let tensor = TorchTensor { length: 4, ..TorchTensor::new("a", "0", &[2], &[2]) };
    let count = |values: [f32; 4]| {
        let file = torch(&state_dict(&[tensor]), &[("0", &f32s(&values))]);
        Checkpoint::from_bytes(file).unwrap().non_finite().iter().map(|&(_, count)| count).sum::<usize>()
    };
    assert_eq!(count([0.0, f32::NAN, 0.0, f32::NAN]), 0);
    assert_eq!(count([0.0, 0.0, f32::INFINITY, 0.0]), 1);
}

#[test]
fn tied_tensors_share_a_storage() {
    let tied = |name| TorchTensor::new(name, "0", &[2], &[1]);
    let pickle = state_dict(&[tied("cls.predictions.bias"), tied("cls.predictions.decoder.bias")]);
    let checkpoint = Checkpoint::from_bytes(torch(&pickle, &[("0", &counting(2))])).unwrap();
    assert_eq!(checkpoint.tensor("cls.predictions.bias", &[2]).unwrap().bytes(), counting(2));

    // Twins are also compared where one of them is strided.
    let transposed =
        |name, strides| TorchTensor { length: 4, ..TorchTensor::new(name, "0", &[2, 2], strides) };
    for (strides, same) in [(&[2, 1], true), (&[1, 2], false)] {
        let pickle = state_dict(&[transposed("bert.a", &[2, 1]), transposed("a", strides)]);
        let checkpoint = Checkpoint::from_bytes(torch(&pickle, &[("0", &counting(4))])).unwrap();
        assert_eq!(checkpoint.tensor("a", &[2, 2]).is_ok(), same);
    }
}

#[test]
fn the_newer_forms_of_the_same_pickle_are_read() {
    let tensor = TorchTensor::new("a", "0", &[2], &[1]);
    let storages: [(&str, &[u8]); 1] = [("0", &counting(200))];
    // Protocol 4: frames, short strings, names from the stack, memo without numbers, a plain dictionary.
    let short = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes()].concat();
    let four = Pickle(b"\x80\x04\x95\0\0\0\0\0\0\0\0}\x94".to_vec())
        .raw(short("a"))
        .raw(b"\x94")
        .raw(short("torch._utils"))
        .raw(short("_rebuild_tensor_v2"))
        .raw(b"\x93\x94((")
        .raw(short("storage"))
        .global("torch", "FloatStorage")
        .raw(short("0"))
        .raw(short("cuda:0"))
        .raw(b"\x8a\x02\xc8\x00tQ\x8a\x00K\x01K\x01K\x02\x87K\x02K\x02K\x01\x87\x88}\x94tRs")
        .stop();
    // A parameter around the tensor, a torch.Size for the shape, values that are no tensors, a list.
    let parameter = Pickle::new()
        .ordered_dict()
        .raw(b"(")
        .text("a")
        .global("torch._utils", "_rebuild_parameter")
        .raw(b"(")
        .tensor(&tensor)
        .raw(b"\x88")
        .ordered_dict()
        .raw(b"tR")
        .text("epoch")
        .int(-1)
        .text("history")
        .raw(b"](K\x01K\x02eNa")
        .text("size")
        .global("torch", "Size")
        .ints(&[2, 3])
        .raw(b"\x85Ru")
        .stop();
    for (pickle, shape) in [(four, &[1, 1, 2][..]), (parameter, &[2])] {
        let checkpoint = Checkpoint::from_bytes(torch(&pickle, &storages)).unwrap();
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a"]);
        assert_eq!(checkpoint.tensor("a", shape).unwrap().bytes(), counting(2));
    }
}

#[test]
fn archives_of_every_style() {
    let pickle = state_dict(&[TorchTensor::new("a", "7", &[3], &[1])]);
    let numbers = counting(3);
    let entries = |root: &str| {
        [(format!("{root}/data.pkl"), pickle.as_slice()), (format!("{root}/data/7"), numbers.as_slice())]
    };
    let write = |root: &str, style| {
        let entries = entries(root);
        zip(&entries.each_ref().map(|(name, data)| (name.as_str(), *data)), style)
    };
    for root in ["archive", "pytorch_model", "modèle"] {
        let plain = ZipStyle::default();
        for style in [plain, ZipStyle { zip64: true, ..plain }, ZipStyle { far: true, ..plain }] {
            let file = write(root, ZipStyle { aligned: root == "archive", ..style });
            let checkpoint = Checkpoint::from_bytes(file).unwrap();
            assert_eq!(checkpoint.tensor("a", &[3]).unwrap().to_f32().unwrap()[[2]], 2.0);
        }
    }
    let mut commented = write("archive", ZipStyle::default());
    let end = commented.len();
    commented.extend(b"PK\x05\x06 is how a directory ends, says this comment");
    commented[end - 2] = (commented.len() - end) as u8;
    assert!(Checkpoint::from_bytes(commented).is_ok());

    for style in [ZipStyle { method: 8, ..ZipStyle::default() }, ZipStyle { flags: 1, ..ZipStyle::default() }]
    {
        let packed = torch_error(write("archive", style));
        assert!(matches!(packed, TorchError::Zip(ZipError::NotStored { .. })), "{packed}");
    }
}

#[test]
fn archives_that_are_not_pytorchs() {
    let pickle = state_dict(&[TorchTensor::new("a", "0", &[1], &[1])]);
    let (pickle, number) = (pickle.as_slice(), &counting(1)[..]);
    let error = |entries: &[(&str, &[u8])]| torch_error(zip(entries, ZipStyle::default()));
    assert_eq!(error(&[("x/other", b"")]), TorchError::NoPickle { found: 0 });
    assert_eq!(error(&[("data.pkl", pickle)]), TorchError::NoPickle { found: 0 });
    assert_eq!(error(&[("x/y/data.pkl", pickle)]), TorchError::NoPickle { found: 0 });
    assert_eq!(error(&[("x/data.pkl", pickle), ("y/data.pkl", pickle)]), TorchError::NoPickle { found: 2 });
    assert_eq!(
        error(&[("x/data.pkl", pickle), ("x/data.pkl", pickle)]),
        TorchError::Zip(ZipError::Duplicate { name: "x/data.pkl".into() })
    );
    assert_eq!(
        error(&[("x/data.pkl", pickle)]),
        TorchError::NoStorage { tensor: "a".into(), entry: "x/data/0".into() }
    );
    assert_eq!(
        error(&[("x/data.pkl", pickle), ("x/data/0", number), ("x/byteorder", b"big")]),
        TorchError::ByteOrder { order: "big".into() }
    );
    assert_eq!(
        torch_error(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02".to_vec()),
        TorchError::Legacy
    );
}

#[test]
fn tensors_that_reach_beyond_their_storage() {
    let good = TorchTensor { length: 6, ..TorchTensor::new("a", "0", &[2, 3], &[3, 1]) };
    let wrong = [
        TorchTensor { offset: 1, ..good },
        TorchTensor { length: 7, ..good },
        TorchTensor { length: i64::MAX, ..good },
        TorchTensor { offset: i64::MAX, ..good },
        TorchTensor { strides: &[4, 1], ..good },
        TorchTensor { strides: &[i64::MAX, i64::MAX], ..good },
        TorchTensor { shape: &[i64::MAX, 3], ..good },
        TorchTensor { shape: &[i64::MAX, i64::MAX], strides: &[0, 0], ..good },
        TorchTensor { shape: &[i64::MAX, i64::MAX, 0], strides: &[0, 0, 0], ..good },
        TorchTensor { storage: "DoubleStorage", ..good },
        TorchTensor { shape: &[0], strides: &[1], offset: 7, ..good },
    ];
    let file = |tensor| torch(&state_dict(&[tensor]), &[("0", &counting(6))]);
    assert!(Checkpoint::from_bytes(file(good)).is_ok());
    for tensor in wrong {
        let error = torch_error(file(tensor));
        assert!(matches!(error, TorchError::Bounds { .. }), "{error}");
    }
    let bomb = TorchTensor { shape: &[1 << 40], strides: &[0], ..good };
    assert!(matches!(torch_error(file(bomb)), TorchError::Expanded { .. }));
    for tensor in [
        TorchTensor { strides: &[-3, 1], ..good },
        TorchTensor { strides: &[1], ..good },
        TorchTensor { strides: &[3, 1, 1], ..good },
        TorchTensor { offset: -1, ..good },
    ] {
        assert!(matches!(torch_error(file(tensor)), TorchError::Pickle(_)));
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let pickle = state_dict(&[TorchTensor::new("a", "0", &[2], &[1])]);
    let whole = torch(&pickle, &[("0", &counting(2))]);
    for length in (4..whole.len()).step_by(3).chain(whole.len() - 24..whole.len()) {
        let error = torch_error(whole[..length].to_vec());
        assert_eq!(error, TorchError::Zip(ZipError::NoDirectory), "{length}");
    }
}
