//! Views stay inside their buffers and show what NumPy would show; host tensors read any storage.

use std::sync::Arc;

use bert_core::Backend;
use bert_core::contract::UnaryOp;
use bert_core::reference::Reference;
use bert_core::tensor::{ByteSource, DType, HostTensor, Shape, View};
use half::{bf16, f16};
use proptest::prelude::*;

/// 0, 1, 2 … in a device tensor.
fn counting(shape: impl Into<Shape>) -> View<Arc<[f64]>> {
    let shape = shape.into();
    let values = (0..shape.elements()).map(|i| i as f32).collect();
    Reference.upload(&HostTensor::from_vec(values, shape)).unwrap()
}

/// The elements that a view shows, in row-major order.
fn elements(view: &View<Arc<[f64]>>) -> Vec<f64> {
    let copy = Reference.map(UnaryOp::Copy, view).unwrap();
    let host = pollster::block_on(Reference.download(&[copy])).unwrap();
    host[0].as_slice().unwrap().to_vec()
}

#[test]
fn slicing_permuting_and_broadcasting_move_no_data() {
    let view = counting([2, 3]);
    assert_eq!(elements(&view.slice(1, 1..3).unwrap()), [1.0, 2.0, 4.0, 5.0]);
    assert_eq!(elements(&view.permute(&[1, 0]).unwrap()), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    let row = view.slice(0, 1..2).unwrap();
    assert_eq!(elements(&row.broadcast_to([2, 3]).unwrap()), [3.0, 4.0, 5.0, 3.0, 4.0, 5.0]);
    let vector = counting([3]);
    assert_eq!(elements(&vector.broadcast_to([1, 2, 3]).unwrap()), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    assert_eq!(elements(&row.reshape([3, 1]).unwrap()), [3.0, 4.0, 5.0]);
}

/// A range that a caller got the wrong way round.
fn backwards(from: usize, to: usize) -> std::ops::Range<usize> {
    assert!(from > to);
    from..to
}

#[test]
fn what_would_leave_the_buffer_is_an_error() {
    let view = counting([2, 3]);
    assert!(view.slice(0, 1..3).is_err());
    assert!(view.slice(2, 0..1).is_err());
    assert!(view.slice(0, backwards(2, 1)).is_err());
    assert!(view.permute(&[0, 0]).is_err());
    assert!(view.permute(&[1]).is_err());
    assert!(view.broadcast_to([3, 3]).is_err());
    assert!(view.broadcast_to([3]).is_err());
    assert!(view.reshape([4]).is_err());
    assert!(view.permute(&[1, 0]).unwrap().reshape([6]).is_err(), "a transposed view has to be copied first");
    assert!(Shape::new(&[1, 2, 3, 4, 5]).is_err());
    assert!(Shape::new(&[usize::MAX, 2]).is_err());
}

proptest! {
    /// Any chain of view operations shows exactly what indexing the original by hand shows.
    #[test]
    fn a_view_is_what_its_indices_say(
        (a, b, c) in (1usize..5, 1usize..5, 1usize..5),
        axis in 0usize..3,
        (low, high) in (0.0f64..1.0, 0.0f64..1.0),
        order in Just(vec![0usize, 1, 2]).prop_shuffle(),
    ) {
        let dims = [a, b, c];
        let (low, high) = (low.min(high), low.max(high));
        let range = (low * dims[axis] as f64) as usize..(high * dims[axis] as f64).ceil() as usize;
        prop_assume!(!range.is_empty());
        let view = counting(dims).slice(axis, range.clone()).unwrap().permute(&order).unwrap();

        let mut expected = vec![];
        let extent = |i: usize| if i == axis { range.len() } else { dims[i] };
        for x in 0..extent(order[0]) {
            for y in 0..extent(order[1]) {
                for z in 0..extent(order[2]) {
                    let mut index = [0; 3];
                    (index[order[0]], index[order[1]], index[order[2]]) = (x, y, z);
                    index[axis] += range.start;
                    expected.push(((index[0] * b + index[1]) * c + index[2]) as f64);
                }
            }
        }
        prop_assert_eq!(elements(&view), expected);
    }
}

#[test]
fn any_float_storage_reads_as_f32() {
    let expected = [1.0f32, -2.5, 0.0, 96.0];
    let tensors = [
        HostTensor::from_vec(expected.to_vec(), [4]),
        HostTensor::from_vec(expected.map(f64::from).to_vec(), [4]),
        HostTensor::from_vec(expected.map(f16::from_f32).to_vec(), [4]),
        HostTensor::from_vec(expected.map(bf16::from_f32).to_vec(), [4]),
    ];
    for tensor in tensors {
        assert_eq!(tensor.to_f32().unwrap().as_slice(), Some(&expected[..]), "{tensor:?}");
        assert_eq!(tensor.to_f64().unwrap().as_slice(), Some(&expected.map(f64::from)[..]), "{tensor:?}");
    }
    assert!(HostTensor::from_vec(vec![1u32], [1]).to_f32().is_err());
}

struct Bytes(Vec<u8>);

impl ByteSource for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[test]
fn bytes_on_odd_addresses_are_read_right() {
    let mut bytes = vec![0u8; 16];
    for shift in 0..4 {
        bytes[shift..shift + 4].copy_from_slice(&1.5f32.to_le_bytes());
        let source = Arc::new(Bytes(bytes.clone()));
        let tensor = HostTensor::from_source(source, shift..shift + 4, DType::F32, [1]).unwrap();
        assert_eq!(tensor.to_f32().unwrap()[[0]], 1.5);
    }
}

#[test]
fn a_source_must_hold_what_the_shape_says() {
    let source: Arc<dyn ByteSource> = Arc::new(Bytes(vec![0; 16]));
    let tensor = |range, shape| HostTensor::from_source(source.clone(), range, DType::F32, shape);
    assert!(tensor(0..16, [4]).is_ok());
    assert!(tensor(0..16, [5]).is_err());
    assert!(tensor(4..20, [4]).is_err());
    assert!(tensor(backwards(8, 4), [1]).is_err());
}

#[test]
fn rows_are_stacked_in_order() {
    let a = HostTensor::from_vec(vec![1.0f32, 2.0], [1, 2]);
    let b = HostTensor::from_vec(vec![f16::from_f32(3.0), f16::from_f32(4.0)], [1, 2]);
    let both = HostTensor::concat_rows(&[&a, &b]).unwrap();
    assert_eq!(both.shape()[..], [2, 2]);
    assert_eq!(both.as_slice::<f32>(), Some(&[1.0, 2.0, 3.0, 4.0][..]));
    let narrow = HostTensor::from_vec(vec![5.0f32], [1, 1]);
    assert!(HostTensor::concat_rows(&[&a, &narrow]).is_err());
}
