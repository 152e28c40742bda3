//! Products in 8 bits against their definition.

use bert_core::Backend;
use bert_core::contract::{Activation, Linear, Precision};
use bert_core::tensor::HostTensor;

use super::{Random, assert_close, backend, backend_within, download, numbers};
use crate::{Limits, WgpuBackend};

/// Levels of a row and the length of a step.
fn quantised(row: &[f32]) -> (Vec<f64>, f64) {
    let step = row.iter().fold(0f32, |largest, x| largest.max(x.abs())) / 127.0;
    let level = |x: &f32| if step == 0.0 { 0.0 } else { f64::from((x / step).round_ties_even()) };
    (row.iter().map(level).collect(), f64::from(step))
}

/// `x Wᵀ` of rows that are quantised first, otherwise exact.
fn expected(x: &[f32], weight: &[f32], depth: usize) -> Vec<f64> {
    let columns: Vec<_> = weight.chunks(depth).map(quantised).collect();
    let rows = x.chunks(depth).map(quantised);
    rows.flat_map(|(row, row_step)| {
        let dot = |column: &[f64]| row.iter().zip(column).map(|(a, b)| a * b).sum::<f64>();
        columns.iter().map(|(column, step)| dot(column) * row_step * step).collect::<Vec<_>>()
    })
    .collect()
}

fn linear(backend: &WgpuBackend, x: &HostTensor, weight: &HostTensor) -> Vec<f64> {
    let layer = Linear::new(backend, weight, None, Precision::Int8).unwrap();
    numbers(backend, &backend.linear(&backend.upload(x).unwrap(), &layer, Activation::Identity).unwrap())
}

/// Numbers whose levels are far from the middle between two, where a rounding could go either way.
fn clear(random: &mut Random, [rows, depth]: [usize; 2]) -> Vec<f32> {
    (0..rows * depth)
        .map(
            |i| {
                if i % depth == 0 { 127.0 } else { (random.number() * 127.0).round() + random.number() * 0.3 }
            },
        )
        .map(|x: f32| x.clamp(-127.0, 127.0) / 64.0)
        .collect()
}

#[test]
fn products_are_those_of_the_levels() {
    let Some(backend) = backend() else { return };
    let mut random = Random::new(41);
    for (rows, depth, outputs) in
        [(1, 1, 1), (3, 17, 5), (33, 63, 64), (9, 64, 65), (70, 257, 130), (2, 3072, 7)]
    {
        let (x, weight) = (clear(&mut random, [rows, depth]), clear(&mut random, [outputs, depth]));
        let expected = expected(&x, &weight, depth);
        let (x, weight) =
            (HostTensor::from_vec(x, [rows, depth]), HostTensor::from_vec(weight, [outputs, depth]));
        assert_close(
            &format!("{rows} x {depth} x {outputs}"),
            &linear(&backend, &x, &weight),
            &expected,
            1e-6,
        );
    }
}

#[test]
fn a_long_product_does_not_overflow() {
    let Some(backend) = backend() else { return };
    let depth = 150_000; // 127 * 127 * depth is more than 2^31
    let x = HostTensor::from_vec(vec![1f32; depth], [1, depth]);
    let weight = HostTensor::from_vec(vec![2f32; depth], [1, depth]);
    assert_close("a long product", &linear(&backend, &x, &weight), &[2.0 * depth as f64], 1e-6);
}

#[test]
fn weights_in_parts_and_views_with_strides() {
    let Some(backend) =
        backend_within(Limits { max_storage_buffer_binding_size: 32 << 10, ..Limits::defaults() })
    else {
        return;
    };
    let mut random = Random::new(42);
    let (x, weight) = (clear(&mut random, [5, 90]), clear(&mut random, [700, 90])); // 63 KB: two parts
    let expected = expected(&x, &weight, 90);
    let weight = HostTensor::from_vec(weight, [700, 90]);
    let found = linear(&backend, &HostTensor::from_vec(x.clone(), [5, 90]), &weight);
    assert_close("in parts", &found, &expected, 1e-6);
    let transposed: Vec<f32> =
        (0..90).flat_map(|k| (0..5).map(move |row| (row, k))).map(|(row, k)| x[row * 90 + k]).collect();
    let view = backend.upload(&HostTensor::from_vec(transposed, [90, 5])).unwrap().permute(&[1, 0]).unwrap();
    let layer = Linear::new(&backend, &weight, None, Precision::Int8).unwrap();
    let strided = numbers(&backend, &backend.linear(&view, &layer, Activation::Identity).unwrap());
    assert_eq!(strided, found);
}

#[test]
fn a_row_does_not_depend_on_its_neighbours() {
    let Some(backend) = backend() else { return };
    let mut random = Random::new(43);
    let (rows, depth) = (40, 100);
    let mut values = clear(&mut random, [rows, depth]);
    values[3 * depth..4 * depth].iter_mut().for_each(|x| *x *= 1e6);
    values[5 * depth..6 * depth].fill(0.0);
    values[7 * depth..8 * depth].fill(1e-38);
    values[9 * depth] = f32::NAN;
    values[11 * depth + 1] = f32::INFINITY;
    let weight = random.tensor([70, depth]);
    let layer = Linear::new(&backend, &weight, None, Precision::Int8).unwrap();
    let x = backend.upload(&HostTensor::from_vec(values, [rows, depth])).unwrap();
    let run = |x: &bert_core::contract::Tensor<WgpuBackend>| {
        download(&backend, &backend.linear(x, &layer, Activation::Identity).unwrap())
    };
    let together = run(&x);
    let all: Vec<f32> = together.to_f32().unwrap().iter().copied().collect();
    for row in 0..rows {
        let alone = run(&x.slice(0, row..row + 1).unwrap());
        let among = &together.bytes()[row * 280..(row + 1) * 280];
        let numbers = &all[row * 70..(row + 1) * 70];
        match row {
            5 | 7 => assert!(numbers.iter().all(|&y| y == 0.0), "row {row}: {numbers:?}"),
            // What comes of numbers that are none must not look like one.
            9 | 11 => assert!(numbers.iter().all(|y| !y.is_finite()), "row {row}: {numbers:?}"),
            _ => assert!(alone.bytes() == among, "row {row}"),
        }
    }
}

#[test]
fn a_weight_that_is_not_finite_shows_in_its_column_alone() {
    let Some(backend) = backend() else { return };
    let mut values = vec![0.5f32; 3 * 8];
    values[9] = f32::NAN;
    let weight = HostTensor::from_vec(values, [3, 8]);
    let y = linear(&backend, &HostTensor::from_vec(vec![1f32; 8], [1, 8]), &weight);
    assert!(y[1].is_nan() && (y[0] - 4.0).abs() < 1e-5 && y[0] == y[2], "{y:?}");
}
