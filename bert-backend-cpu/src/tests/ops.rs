//! The eight required operations.

use bert_core::contract::{BinaryOp, ReduceOp, UnaryOp};
use bert_core::tensor::{DType, HostTensor};

use super::{OfRow, OfRowOrOne, Random, SIZES, backends, compare, operation};
use crate::kernels::pack::Strided;

#[test]
fn matmul_of_all_sizes() {
    let mut random = Random::new(1);
    for m in SIZES {
        for k in [1, 3, 64, 65, 257] {
            for n in SIZES {
                let inputs = [random.tensor([m, k]), random.tensor([k, n])];
                compare(
                    &format!("matmul {m}x{k}x{n}"),
                    OfRowOrOne(5e-6),
                    &inputs,
                    operation!(|b, x| b.matmul(&x[0], &x[1])),
                );
            }
        }
    }
}

#[test]
fn matmul_of_strided_batches() {
    let mut random = Random::new(2);
    for (m, k, n) in [(1, 3, 5), (7, 64, 33), (65, 17, 64)] {
        // [2, k, 3, m] read as [2, 3, m, k]; [n, k] read as [2, 3, k, n]
        let inputs = [random.tensor([2, k, 3, m]), random.tensor([n, k])];
        let op = operation!(|b, x| {
            let a = x[0].permute(&[0, 2, 3, 1]).unwrap();
            let shape = [2, 3, x[1].shape()[1], x[1].shape()[0]];
            b.matmul(&a, &x[1].permute(&[1, 0]).unwrap().broadcast_to(shape).unwrap())
        });
        compare("matmul of permuted and broadcast views", OfRowOrOne(5e-6), &inputs, op);
        let inputs = [random.tensor([2, 3, m, k + 5]), random.tensor([2, 3, k, n + 7])];
        let op = operation!(|b, x| {
            let (k, n) = (x[0].shape()[3] - 5, x[1].shape()[3] - 7);
            b.matmul(&x[0].slice(3, 2..2 + k).unwrap(), &x[1].slice(3, 3..3 + n).unwrap())
        });
        compare("matmul of sliced views", OfRowOrOne(5e-6), &inputs, op);
    }
}

#[test]
fn functions_of_strided_views() {
    let mut random = Random::new(3);
    for (a, b) in [(1, 1), (3, 17), (65, 257), (1030, 9)] {
        let x = random.around(3.0, 1.0, [a, 3, b]);
        for op in [
            UnaryOp::Copy,
            UnaryOp::Cast(DType::F32),
            UnaryOp::Scale(-0.3),
            UnaryOp::Offset(7.0),
            UnaryOp::Exp,
            UnaryOp::Log,
            UnaryOp::Sqrt,
            UnaryOp::Reciprocal,
            UnaryOp::Tanh,
            UnaryOp::Sigmoid,
            UnaryOp::Relu,
            UnaryOp::Gelu,
            UnaryOp::GeluTanh,
        ] {
            let x = std::slice::from_ref(&x);
            compare(&format!("{op:?}"), OfRow(1e-6), x, operation!(|b, x| b.map(op, &x[0]); op: UnaryOp));
            let permuted = operation!(|b, x| b.map(op, &x[0].permute(&[2, 0, 1]).unwrap()); op: UnaryOp);
            compare(&format!("{op:?} of a permuted view"), OfRow(1e-6), x, permuted);
            let shape = [2, a, 3, b];
            let wide = operation!(
                |b, x| b.map(op, &x[0].slice(2, 0..1).unwrap().broadcast_to(shape).unwrap());
                op: UnaryOp, shape: [usize; 4]
            );
            compare(&format!("{op:?} of a broadcast view"), OfRow(1e-6), x, wide);
        }
    }
}

#[test]
fn pairs_of_strided_views() {
    let mut random = Random::new(4);
    for (rows, columns) in [(1, 1), (3, 17), (65, 257), (1000, 33)] {
        let inputs = [
            random.around(2.0, 1.0, [rows, columns]),
            random.around(2.0, 1.0, [columns, rows]),
            random.around(2.0, 1.0, [columns]),
            random.around(2.0, 1.0, [rows, 1]),
        ];
        for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Max] {
            let name = format!("{op:?} of {rows}x{columns}");
            compare(&name, OfRow(1e-6), &inputs, operation!(|b, x| b.zip(op, &x[0], &x[0]); op: BinaryOp));
            let transposed =
                operation!(|b, x| b.zip(op, &x[0], &x[1].permute(&[1, 0]).unwrap()); op: BinaryOp);
            compare(&name, OfRow(1e-6), &inputs, transposed);
            for other in [2, 3] {
                let broadcast = operation!(
                    |b, x| b.zip(op, &x[0], &x[other].broadcast_to(x[0].shape()).unwrap());
                    op: BinaryOp, other: usize
                );
                compare(&name, OfRow(1e-6), &inputs, broadcast);
            }
        }
    }
}

#[test]
fn reductions() {
    let mut random = Random::new(5);
    for length in SIZES {
        let x = [random.tensor([5, length, 3])];
        for op in [ReduceOp::Sum, ReduceOp::Max] {
            let bound = OfRowOrOne(if op == ReduceOp::Sum { 2e-6 } else { 0.0 });
            compare("reduce", bound, &x, operation!(|b, x| b.reduce(op, &x[0]); op: ReduceOp));
            let columns = operation!(|b, x| b.reduce(op, &x[0].permute(&[0, 2, 1]).unwrap()); op: ReduceOp);
            compare("reduce of columns", bound, &x, columns);
        }
    }
}

#[test]
fn sums_of_positive_numbers_are_exact_to_the_last_digits() {
    let mut random = Random::new(6);
    for length in [1, 64, 257, 5000] {
        let x = [random.around(1.0, 0.5, [7, length])];
        compare("sum", OfRow(1e-6), &x, operation!(|b, x| b.reduce(ReduceOp::Sum, &x[0])));
    }
}

#[test]
fn gathered_rows() {
    let mut random = Random::new(7);
    for length in SIZES {
        let table = random.tensor([11, length]);
        let ids = HostTensor::from_vec((0..40u32).map(|i| i * 7 % 11).collect(), [40]);
        compare("gather_rows", OfRow(0.0), &[table, ids], operation!(|b, x| b.gather_rows(&x[0], &x[1])));
    }
    let inputs = [random.tensor([9, 10]), HostTensor::from_vec(vec![4u32, 0, 9, 9], [2, 2])];
    let op = operation!(|b, x| {
        let table = x[0].permute(&[1, 0]).unwrap().slice(1, 2..6).unwrap();
        let every_other = x[1].slice(1, 0..1).unwrap().permute(&[1, 0]).unwrap().slice(0, 0..1).unwrap();
        let ids = b.map(UnaryOp::Copy, &every_other).unwrap().reshape([2]).unwrap();
        b.gather_rows(&table, &ids)
    });
    compare("gather_rows of a strided table", OfRow(0.0), &inputs, op);
}

#[test]
fn ids_become_numbers_and_back() {
    let inputs = [HostTensor::from_vec((0..600u32).collect(), [20, 30])];
    let op = operation!(|b, x| {
        let numbers = b.map(UnaryOp::Cast(DType::F32), &x[0].permute(&[1, 0]).unwrap()).unwrap();
        let ids = b.map(UnaryOp::Cast(DType::U32), &numbers).unwrap();
        assert_eq!(ids.dtype(), DType::U32);
        let copy = b.map(UnaryOp::Copy, &ids.slice(1, 3..7).unwrap()).unwrap();
        b.map(UnaryOp::Cast(DType::F32), &copy)
    });
    compare("cast", OfRow(0.0), &inputs, op);
}

#[test]
fn columns_of_any_stride_are_packed() {
    for backend in backends() {
        let width = 2 * backend.cpu.isa.lanes();
        for columns in SIZES {
            for depth in SIZES {
                // Rows of a matrix, its columns, and neither, with numbers between them that are not asked for.
                let strides = [(columns + 3, 1), (1, depth + 2), (2 * columns + 1, 2)];
                for (depth_stride, column_stride) in strides {
                    let end = (depth - 1) * depth_stride + (columns - 1) * column_stride;
                    // Nothing can be read behind the last number: the slice ends there.
                    let numbers: Box<[f32]> = (1..=end + 1).map(|i| i as f32).collect();
                    let matrix =
                        Strided { from: numbers.as_ptr(), depth, depth_stride, columns, column_stride };
                    let mut panels = vec![f32::NAN; columns.next_multiple_of(width) * depth];
                    // SAFETY: all numbers are there.
                    unsafe { matrix.pack(backend.cpu.isa, &mut panels, width) };
                    for (at, &x) in panels.iter().enumerate() {
                        let (panel, k, column) = (at / (width * depth), at / width % depth, at % width);
                        let column = panel * width + column;
                        let wanted = match column < columns {
                            true => numbers[k * depth_stride + column * column_stride],
                            false => 0.0,
                        };
                        assert_eq!(x, wanted, "{backend:?} {matrix:?} number {k} of column {column}");
                    }
                }
            }
        }
    }
}
