//! Linear layers of less than 32 bits, against what their own integers and rounded numbers say in exact
//! arithmetic.

use bert_core::Backend;
use bert_core::contract::{Activation, Linear, Precision};
use bert_core::tensor::{HostTensor, Shape};
use half::bf16;

use super::{Random, backends, download};
use crate::CpuBackend;
use crate::kernels::dot::{ByteLimits, byte_limits};
use crate::kernels::low::{Rounded, byte_layout};
use crate::kernels::pack::Numbers;
use crate::kernels::quantise::{RowScale, round_to_bf16, to_bf16, to_bytes};
use crate::kernels::rows::Rows;

const ROWS: [usize; 8] = [1, 2, 3, 4, 5, 17, 100, 200];
const SIZES: [(usize, usize); 9] =
    [(1, 1), (3, 17), (15, 16), (64, 63), (65, 64), (257, 65), (520, 33), (768, 96), (3075, 35)];

/// Numbers whose sums are as large as they can be, or cancel, beside random ones.
fn hard(random: &mut Random, kind: usize, shape: [usize; 2]) -> HostTensor {
    let columns = shape[1];
    let values = (0..shape[0] * columns).map(|i| {
        let (row, column) = (i / columns, i % columns);
        match (kind, row % 4) {
            (0, _) => random.number(),
            (1, 0) => 3.0,
            (1, 1) => -3.0,
            (1, 2) => [3.0, -3.0][column % 2],
            (1, _) => [3.0, 3.0, -3.0, -3.0][column % 4],
            // One number far above the others, and a row of zeros.
            (_, 0) if column == columns / 2 => 1e4,
            (_, 3) => 0.0,
            _ => 1e-2 * random.number(),
        }
    });
    HostTensor::from_vec(values.collect(), shape)
}

/// The bytes `[out_features, in_features]` of a packed weight, and the scale of each row.
fn bytes_of(backend: &CpuBackend, weight: &HostTensor) -> (Vec<Vec<i8>>, Vec<f32>) {
    let buffer = backend.prepare_weight(weight.into(), Precision::Int8).unwrap();
    let packed = buffer.packed("a test").unwrap();
    let Numbers::Int8(columns) = &packed.numbers else { panic!("no bytes") };
    let (layout, panels) = (byte_layout(backend.cpu.isa), packed.panels::<i8>());
    let of = |output: usize| {
        let panel = &panels[output / layout.width * packed.stride..][..packed.stride];
        (0..packed.in_features).map(|k| panel[layout.place(k, output % layout.width)]).collect()
    };
    let all: Vec<Vec<i8>> = (0..packed.out_features).map(of).collect();
    for (bytes, &sum) in all.iter().zip(columns.sums()) {
        assert_eq!(bytes.iter().map(|&byte| i32::from(byte)).sum::<i32>(), sum);
    }
    (all, columns.scales()[..packed.out_features].to_vec())
}

/// The bytes of a row, and what they stand for.
fn rounded(backend: &CpuBackend, row: &[f32]) -> (Vec<u8>, RowScale) {
    let mut bytes = vec![0xFF; row.len() + 5];
    let scale = to_bytes(backend.cpu.isa, row, byte_limits(backend.cpu.isa).most, &mut bytes);
    assert_eq!(bytes.split_off(row.len()), [0; 5]);
    (bytes, scale)
}

#[test]
fn products_of_bytes_are_what_the_integers_say() {
    let mut random = Random::new(31);
    for backend in backends() {
        for (inner, outer) in SIZES {
            for (of_x, of_weight) in [(0, 0), (1, 1), (2, 2), (0, 1), (1, 0)] {
                let weight = hard(&mut random, of_weight, [outer, inner]);
                let bias = random.tensor([outer]);
                let (bytes, scales) = bytes_of(&backend, &weight);
                let layer = Linear::new(&backend, &weight, Some(&bias), Precision::Int8).unwrap();
                for rows in ROWS.into_iter().filter(|rows| rows * inner * outer < 3_000_000) {
                    let x = hard(&mut random, of_x, [rows, inner]);
                    let y = backend.linear(&backend.upload(&x).unwrap(), &layer, Activation::Identity);
                    let y = download(&backend, &y.unwrap());
                    let found = y.as_slice::<f32>().unwrap().chunks(outer);
                    for (x, found) in x.as_slice::<f32>().unwrap().chunks(inner).zip(found) {
                        let (row, RowScale { scale, zero }) = rounded(&backend, x);
                        for (output, &found) in found.iter().enumerate() {
                            let products = row.iter().zip(&bytes[output]);
                            let exact: i64 = products
                                .map(|(&a, &b)| (i64::from(a) - i64::from(zero)) * i64::from(b))
                                .sum();
                            let exact = exact as f64 * f64::from(scale) * f64::from(scales[output]);
                            let bias = f64::from(bias.as_slice::<f32>().unwrap()[output]);
                            let error = (f64::from(found) - (exact + bias)).abs();
                            let bound = 3e-7 * (exact.abs() + bias.abs());
                            assert!(
                                error <= bound,
                                "{rows}x{inner}x{outer} of kind {of_x}, {of_weight} on {backend:?}: {found} \
                                 for {exact} + {bias}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn bytes_are_near_their_numbers_and_no_lane_overflows() {
    let mut random = Random::new(32);
    for backend in backends() {
        let ByteLimits { most, lane } = byte_limits(backend.cpu.isa);
        for kind in 0..3 {
            let weight = hard(&mut random, kind, [37, 250]);
            let (bytes, scales) = bytes_of(&backend, &weight);
            for ((row, bytes), scale) in weight.as_slice::<f32>().unwrap().chunks(250).zip(&bytes).zip(scales)
            {
                for (&x, &byte) in row.iter().zip(bytes) {
                    assert!(
                        (x - f32::from(byte) * scale).abs() <= 0.5001 * scale,
                        "{x} as {byte} of {scale}"
                    );
                    assert!(byte != -128);
                }
                for group in bytes.chunks(lane.map_or(4, |lane| 4 * lane.steps)) {
                    for first in [0, 2] {
                        let pairs = group.chunks(4).flat_map(|four| four.iter().skip(first).take(2));
                        let (mut positive, mut negative) = (0, 0);
                        pairs.for_each(|&byte| match byte {
                            0.. => positive += i32::from(byte),
                            _ => negative -= i32::from(byte),
                        });
                        let largest = positive.max(negative) * i32::from(most);
                        assert!(lane.is_none() || largest <= 32767, "{largest} in a lane on {backend:?}");
                    }
                }
            }
            let x = hard(&mut random, kind, [8, 333]);
            for row in x.as_slice::<f32>().unwrap().chunks(333) {
                let (bytes, RowScale { scale, zero }) = rounded(&backend, row);
                for (&x, &byte) in row.iter().zip(&bytes) {
                    assert!(byte <= most);
                    let error = (x - (i32::from(byte) - zero) as f32 * scale).abs();
                    // Half a step for the number and half a one for the zero.
                    assert!(error <= 1.001 * scale, "{x} as {byte} of {scale}, {zero}");
                    assert!(x != 0.0 || i32::from(byte) == zero);
                }
            }
        }
    }
}

#[test]
fn products_of_bf16_are_those_of_rounded_numbers() {
    let mut random = Random::new(33);
    let round = |x: f32| bf16::from_f32(x).to_f64();
    for backend in backends() {
        for (inner, outer) in SIZES {
            let (weight, bias) = (random.tensor([outer, inner]), random.tensor([outer]));
            let layer = Linear::new(&backend, &weight, Some(&bias), Precision::Bf16).unwrap();
            for rows in ROWS.into_iter().filter(|rows| rows * inner * outer < 3_000_000) {
                let x = random.tensor([rows, inner]);
                let y = backend.linear(&backend.upload(&x).unwrap(), &layer, Activation::Identity).unwrap();
                let y = download(&backend, &y);
                let found = y.as_slice::<f32>().unwrap().chunks(outer);
                for (x, found) in x.as_slice::<f32>().unwrap().chunks(inner).zip(found) {
                    let columns = weight.as_slice::<f32>().unwrap().chunks(inner);
                    for ((weight, bias), found) in columns.zip(bias.as_slice::<f32>().unwrap()).zip(found) {
                        let terms = x.iter().zip(weight).map(|(&a, &b)| round(a) * round(b));
                        let (sum, size) =
                            terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                        let error = (f64::from(*found) - sum - f64::from(*bias)).abs();
                        let bound = 2e-6 * (size + f64::from(bias.abs()));
                        assert!(error <= bound, "{rows}x{inner}x{outer} on {backend:?}: {found} for {sum}");
                    }
                }
            }
        }
    }
}

#[test]
fn bf16_that_is_widened_says_so() {
    for backend in backends() {
        let emulated = backend.info().emulated;
        assert_eq!(emulated, if backend.cpu.isa.has_bf16() { vec![] } else { vec![Precision::Bf16] });
    }
}

#[test]
fn activations_follow_products_of_every_precision() {
    let mut random = Random::new(34);
    let (weight, bias, x) = (random.tensor([33, 70]), random.tensor([33]), random.tensor([7, 70]));
    for backend in backends() {
        let x = backend.upload(&x).unwrap();
        for precision in backend.info().precisions {
            let layer = Linear::new(&backend, &weight, Some(&bias), precision).unwrap();
            let plain = backend.linear(&x, &layer, Activation::Identity).unwrap();
            for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Tanh] {
                let fused = download(&backend, &backend.linear(&x, &layer, activation).unwrap());
                let apart = backend.map(activation.as_unary().unwrap(), &plain).unwrap();
                assert_eq!(
                    fused.bytes(),
                    download(&backend, &apart).bytes(),
                    "{activation:?} in {precision}"
                );
            }
        }
    }
}

#[test]
fn bf16_rounds_halves_to_even_and_keeps_what_is_no_number() {
    let mut numbers = vec![0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, 1e-40, -1e-45];
    for upper in [0x3f80u32, 0x3f81, 0x0001, 0x7f7f, 0xc2ff] {
        numbers
            .extend([0, 1, 0x7fff, 0x8000, 0x8001, 0xffff].map(|lower| f32::from_bits(upper << 16 | lower)));
    }
    // A NaN whose payload lies in the bits that are cut off, and one that rounding would carry over.
    numbers.extend([0x7f80_0001, 0xffff_ffff, 0x7fff_ffff].map(f32::from_bits));
    for backend in backends() {
        let (mut short, mut wide) = (vec![bf16::ONE; numbers.len() + 1], vec![1.0; numbers.len() + 1]);
        to_bf16(backend.cpu.isa, &numbers, &mut short);
        round_to_bf16(backend.cpu.isa, &numbers, &mut wide);
        assert_eq!((short.pop(), wide.pop()), (Some(bf16::ZERO), Some(0.0)));
        for ((&x, short), wide) in numbers.iter().zip(short).zip(wide) {
            let expected = bf16::from_f32(x);
            match x.is_nan() {
                true => assert!(short.is_nan() && wide.is_nan(), "{:x}", x.to_bits()),
                false => {
                    assert_eq!((short, wide.to_bits()), (expected, expected.to_f32().to_bits()), "{x:e}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_finite_spoils_its_row_alone() {
    let mut random = Random::new(35);
    let weight = random.tensor([40, 100]);
    for backend in backends() {
        for precision in [Precision::Bf16, Precision::Int8] {
            let layer = Linear::new(&backend, &weight, None, precision).unwrap();
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let clean = random.tensor([9, 100]);
                let mut values = clean.as_slice::<f32>().unwrap().to_vec();
                values[4 * 100 + 99] = bad;
                let run = |x: &HostTensor| {
                    let y =
                        backend.linear(&backend.upload(x).unwrap(), &layer, Activation::Identity).unwrap();
                    download(&backend, &y).as_slice::<f32>().unwrap().to_vec()
                };
                let (found, expected) = (run(&HostTensor::from_vec(values, [9, 100])), run(&clean));
                for (row, (found, expected)) in found.chunks(40).zip(expected.chunks(40)).enumerate() {
                    match row {
                        4 => assert!(found.iter().all(|x| !x.is_finite()), "{bad} in {precision}"),
                        _ => assert_eq!(found, expected),
                    }
                }
            }
            let mut values = weight.as_slice::<f32>().unwrap().to_vec();
            values[7 * 100] = f32::NAN;
            let layer =
                Linear::new(&backend, &HostTensor::from_vec(values, [40, 100]), None, precision).unwrap();
            let x = backend.upload(&random.tensor([3, 100])).unwrap();
            let y = download(&backend, &backend.linear(&x, &layer, Activation::Identity).unwrap());
            for (i, y) in y.as_slice::<f32>().unwrap().iter().enumerate() {
                assert_eq!(y.is_nan(), i % 40 == 7, "column {} in {precision}", i % 40);
            }
        }
    }
}

#[test]
fn numbers_of_any_size_are_rounded_to_bytes() {
    let rows: [&[f32]; 6] = [
        &[0.0; 20],
        &[1e-45, -1e-45, 0.0],
        &[1e-38, -3e-38, 2e-38],
        &[f32::MAX, f32::MIN, 1.0],
        &[5.0, 5.0, 5.0],
        &[-2.0, -1.0],
    ];
    for backend in backends() {
        for row in rows {
            let (bytes, RowScale { scale, zero }) = rounded(&backend, row);
            assert!(scale.is_finite(), "{row:?}");
            for (&x, &byte) in row.iter().zip(&bytes) {
                let error = (f64::from(x) - f64::from(i32::from(byte) - zero) * f64::from(scale)).abs();
                let bound = 1.001 * f64::from(scale).max(3e-38);
                assert!(error <= bound, "{x:e} as {byte} of {scale:e}, {zero}");
            }
        }
    }
}

#[test]
fn weights_are_cut_into_bytes_from_every_float_type() {
    let mut random = Random::new(36);
    let numbers = random.tensor([5, 40]);
    let values = numbers.as_slice::<f32>().unwrap();
    // What f16 holds exactly, so that all types hold the same numbers.
    let values: Vec<_> = values.iter().map(|&x| half::f16::from_f32(x)).collect();
    let same = [
        HostTensor::from_vec(values.iter().map(|x| x.to_f32()).collect::<Vec<f32>>(), [5, 40]),
        HostTensor::from_vec(values.iter().map(|x| x.to_f64()).collect::<Vec<f64>>(), [5, 40]),
        HostTensor::from_vec(values, [5, 40]),
    ];
    for backend in backends() {
        let all = same.each_ref().map(|weight| bytes_of(&backend, weight));
        assert!(all[0] == all[1] && all[0] == all[2]);
        let whole = HostTensor::from_vec(vec![1i8; 6], [2, 3]);
        let deep = HostTensor::from_vec(vec![0.0f32; 70_000], [1, 70_000]);
        for precision in [Precision::Bf16, Precision::Int8] {
            assert!(
                backend.prepare_weight((&whole).into(), precision).unwrap_err().to_string().contains("i8")
            );
        }
        let error = backend.prepare_weight((&deep).into(), Precision::Int8).unwrap_err();
        let source = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(source.contains("70000"), "{source}");
    }
}

#[test]
fn rounded_rows_of_strided_tensors() {
    let mut random = Random::new(37);
    let x = random.tensor([9, 50]);
    for backend in backends() {
        let view = backend.upload(&x).unwrap().slice(1, 3..40).unwrap();
        let rows = Rows::new(&view, x.as_slice::<f32>().unwrap());
        let all = Rounded::to_bytes(&backend.cpu.pool, backend.cpu.isa, &backend.cpu.arena, &rows);
        assert_eq!(view.shape(), Shape::from([9, 37]));
        for (row, &scale) in all.scales().iter().enumerate() {
            let (bytes, expected) = rounded(&backend, rows.row(row));
            let (start, stride) = all.row(row);
            assert!(stride >= 37);
            // SAFETY: a row of bytes is as long as the stride says.
            assert_eq!(unsafe { std::slice::from_raw_parts(start, 37) }, bytes);
            assert_eq!(scale, expected);
        }
    }
}
