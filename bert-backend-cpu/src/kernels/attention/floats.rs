//! Attention in `f32`, on every instruction set.

use std::ops::Range;

use bert_core::contract::Activation;

use super::{Factors, Head, Scratch};
use crate::kernels::gemm::Product;
use crate::kernels::pack::Strided;
use crate::kernels::{elementwise, norm};

pub(super) struct Floats;

impl Factors for Floats {
    fn scratch(head: &Head) -> [usize; 6] {
        let [scores, sums, products] = head.floats();
        let values = head.size.next_multiple_of(head.width) * head.length;
        [head.padded * head.size, values, scores, sums, products, 0]
    }

    unsafe fn pack(head: &Head, [keys, values, ..]: &mut Scratch<'_>) {
        let &Head { isa, length, size, stride, width, .. } = head;
        let key_columns =
            Strided { from: head.key, depth: size, depth_stride: 1, columns: length, column_stride: stride };
        let value_columns = Strided {
            from: head.value,
            depth: length,
            depth_stride: stride,
            columns: size,
            column_stride: 1,
        };
        // SAFETY: the keys and values of the sequence, `size` numbers each.
        unsafe {
            key_columns.pack(isa, keys, width);
            value_columns.pack(isa, values, width);
        }
    }

    unsafe fn attend(
        head: &Head,
        [keys, values, scores, sums, products, _]: &mut Scratch<'_>,
        queries: Range<usize>,
        to: *mut f32,
        to_stride: usize,
    ) {
        let &Head { isa, length, size, stride, width, padded, scale, .. } = head;
        let rows = queries.len();
        // SAFETY: `scores` holds `rows` rows of `padded` numbers, a multiple of the width; queries and
        // panels are as the product wants them.
        unsafe {
            Product {
                a: head.query.add(queries.start * stride),
                a_stride: stride,
                b: keys.as_ptr(),
                b_stride: size * width,
                c: scores.as_mut_ptr(),
                c_stride: padded,
                rows,
                columns: padded,
                depth: size,
                bias: None,
                activation: Activation::Identity,
                scratch: products.as_mut_ptr(),
            }
            .run(isa);
        }
        let (scores, sums) = (&mut scores[..rows * padded], &mut sums[..rows]);
        norm::softmax_numerators(isa, scores, padded, length, scale, sums);
        if let Some(dropout) = head.dropout {
            // The sums stay those of all.
            dropout.apply(queries.start, scores, padded);
        }
        // SAFETY: the rows of `to` are the caller's promise, and the rest is as above.
        unsafe {
            Product {
                a: scores.as_ptr(),
                a_stride: padded,
                b: values.as_ptr(),
                b_stride: length * width,
                c: to,
                c_stride: to_stride,
                rows,
                columns: size,
                depth: length,
                bias: None,
                activation: Activation::Identity,
                scratch: products.as_mut_ptr(),
            }
            .run(isa);
            for (row, sum) in sums.iter().enumerate() {
                let row = std::slice::from_raw_parts_mut(to.add(row * to_stride), size);
                elementwise::scale(isa, row, 1.0 / sum);
            }
        }
    }
}
