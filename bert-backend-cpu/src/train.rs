//! The words of [`TrainBackend`], cut into tasks for the kernels.
//!
//! Sums over rows are added up in chunks of fixed size and then in their order, so that here, too, no number depends on
//! the threads.

use bert_core::Result;
use bert_core::contract::{Activation, AttentionSpec, Backend, BinaryOp, DeviceBatch, LayerNorm, Tensor};
use bert_core::tensor::{DType, View};
use bert_core::train::{AdamStep, AdamW, NormGradients, TrainBackend};

use crate::CpuBackend;
use crate::buffer::{CpuBuffer, Storage, dense};
use crate::cpu::{Cpu, PIECE};
use crate::kernels::elementwise;
use crate::kernels::rows::Rows;
use crate::kernels::train::{activation, attention::AttentionBackward, loss, norm, optimiser};
use crate::memory::Filling;
use crate::products;
use crate::thread_pool::Shareable;

/// Rows whose contributions to a gradient are added up together.
const ROWS: usize = 64;

impl CpuBackend {
    /// The numbers of a contiguous view, for writing, where nobody else has them.
    fn alone(x: &mut View<CpuBuffer>) -> Option<&mut [f32]> {
        let length = x.shape().elements();
        let whole = x.is_contiguous() && x.offset() == 0;
        match &mut x.buffer_mut().0 {
            Storage::Block(block, DType::F32) if whole => {
                block.as_mut_slice().filter(|numbers| numbers.len() == length)
            }
            _ => None,
        }
    }

    /// The numbers of a contiguous view that lives as long as a model, for writing: a copy where somebody else has them,
    /// too, in memory of their own size and not in what a result has left.
    fn own<'a>(&self, op: &'static str, x: &'a mut View<CpuBuffer>) -> Result<&'a mut [f32]> {
        if Self::alone(x).is_none() {
            let mut copy = Filling::<f32>::permanent(x.shape().elements());
            let from = Rows::joined(x, x.buffer().f32(op)?);
            let pool = &self.cpu.pool;
            pool.run_pieces(copy.as_mut_slice(), PIECE, |task, piece| from.copy(task * PIECE, piece));
            if let Storage::Host(tensor) = &x.buffer().0 {
                // What was read from a file is not needed in memory twice.
                tensor.release();
            }
            *x = Cpu::view(copy, DType::F32, x.shape());
        }
        Ok(Self::alone(x).expect("nobody else has it"))
    }
}

impl TrainBackend for CpuBackend {
    fn weight_gradient(&self, x: &Tensor<Self>, dy: &Tensor<Self>) -> Result<[Tensor<Self>; 2]> {
        products::weight_gradient(&self.cpu, x, dy)
    }

    fn activation_backward(
        &self,
        activation: Activation,
        z: &Tensor<Self>,
        dy: &Tensor<Self>,
    ) -> Result<Tensor<Self>> {
        const OP: &str = "activation_backward";
        if activation == Activation::Identity {
            return Ok(dy.clone());
        }
        let (z, dy) = (self.cpu.contiguous(OP, z)?, self.cpu.contiguous(OP, dy)?);
        let (from, gradient) = (dense(OP, &z)?, dense(OP, &dy)?);
        Ok(self.cpu.by_rows(z.shape(), 1, |at, piece| {
            let range = at..at + piece.len();
            activation::backward(self.cpu.isa, activation, &from[range.clone()], &gradient[range], piece);
        }))
    }

    fn layer_norm_backward(
        &self,
        x: &Tensor<Self>,
        layer: &LayerNorm<CpuBuffer>,
        dy: &Tensor<Self>,
    ) -> Result<NormGradients<Tensor<Self>>> {
        const OP: &str = "layer_norm_backward";
        let (rows, hidden) = (x.shape()[0], x.shape()[1]);
        let [x, dy, weight] = [
            self.cpu.contiguous(OP, x)?,
            self.cpu.contiguous(OP, dy)?,
            self.cpu.contiguous(OP, &layer.weight)?,
        ];
        let [from, gradient, weight] = [dense(OP, &x)?, dense(OP, &dy)?, dense(OP, &weight)?];
        assert!(weight.len() == hidden && gradient.len() == from.len());
        let mut input = self.cpu.arena.take::<f32>(rows * hidden);
        // What each chunk of rows contributes to the gradients of weight and bias.
        let mut parts = self.cpu.arena.take::<f32>(rows.div_ceil(ROWS) * 2 * hidden);
        let input_at = Shareable::new(input.as_mut_slice().as_mut_ptr());
        self.cpu.pool.run_pieces(parts.as_mut_slice(), 2 * hidden, |chunk, sums| {
            let range = chunk * ROWS * hidden..rows.min((chunk + 1) * ROWS) * hidden;
            // SAFETY: these rows of the output belong to this task alone.
            let dx = unsafe { std::slice::from_raw_parts_mut(input_at.at(range.start), range.len()) };
            let (x, dy) = (&from[range.clone()], &gradient[range]);
            norm::layer_norm_backward(self.cpu.isa, x, dy, weight, layer.eps as f32, dx, sums);
        });
        let [mut weight, mut bias] = [(); 2].map(|()| self.cpu.arena.take::<f32>(hidden));
        for (chunk, sums) in parts.as_mut_slice().chunks_exact(2 * hidden).enumerate() {
            for (sum, part) in [&mut weight, &mut bias].into_iter().zip(sums.chunks_exact(hidden)) {
                match chunk {
                    0 => sum.as_mut_slice().copy_from_slice(part),
                    _ => elementwise::add_to(self.cpu.isa, sum.as_mut_slice(), part),
                }
            }
        }
        Ok(NormGradients {
            input: Cpu::view(input, DType::F32, [rows, hidden]),
            weight: Cpu::view(weight, DType::F32, [hidden]),
            bias: Cpu::view(bias, DType::F32, [hidden]),
        })
    }

    fn attention_backward(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<CpuBuffer>,
        dy: &Tensor<Self>,
    ) -> Result<Tensor<Self>> {
        const OP: &str = "attention_backward";
        let (qkv, dy) = (self.cpu.contiguous(OP, qkv)?, self.cpu.contiguous(OP, dy)?);
        let mut out = self.cpu.arena.take::<f32>(qkv.shape().elements());
        let attention = AttentionBackward {
            pool: &self.cpu.pool,
            isa: self.cpu.isa,
            qkv: dense(OP, &qkv)?,
            dy: dense(OP, &dy)?,
            heads: spec.heads,
            head_size: spec.head_size,
            scale: spec.scale as f32,
            bounds: &batch.bounds,
            dropout: spec.dropout,
        };
        attention.run(out.as_mut_slice());
        Ok(Cpu::view(out, DType::F32, qkv.shape()))
    }

    fn scatter_rows(&self, x: &Tensor<Self>, indices: &[u32], count: usize) -> Result<Tensor<Self>> {
        const OP: &str = "scatter_rows";
        let width = x.shape()[1];
        let x = self.cpu.contiguous(OP, x)?;
        let from = dense(OP, &x)?;
        // The rows of each index one after another, in their order: those of index `i` begin at `starts[i]`.
        let mut starts = vec![0usize; count + 1];
        indices.iter().for_each(|&index| starts[index as usize + 1] += 1);
        for i in 0..count {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut rows = vec![0u32; indices.len()];
        for (row, &index) in indices.iter().enumerate() {
            let place = &mut next[index as usize];
            rows[*place] = row as u32;
            *place += 1;
        }
        // The rows of a table are a gradient that lasts.
        let mut out = self.cpu.arena.take::<f32>(count * width);
        let each = (PIECE / width.max(1)).max(1);
        self.cpu.pool.run_pieces(out.as_mut_slice(), each * width.max(1), |task, piece| {
            let first = task * each;
            for (i, out) in piece.chunks_exact_mut(width).enumerate() {
                let rows = &rows[starts[first + i]..starts[first + i + 1]];
                let mut rows = rows.iter().map(|&row| &from[row as usize * width..][..width]);
                match rows.next() {
                    Some(row) => out.copy_from_slice(row),
                    None => out.fill(0.0),
                }
                rows.for_each(|row| elementwise::add_to(self.cpu.isa, out, row));
            }
        });
        Ok(Cpu::view(out, DType::F32, [count, width]))
    }

    fn cross_entropy(&self, logits: &Tensor<Self>, targets: &Tensor<Self>) -> Result<[Tensor<Self>; 2]> {
        const OP: &str = "cross_entropy";
        let targets = self.cpu.contiguous(OP, targets)?;
        let wanted = dense(OP, &targets)?;
        self.losses(OP, logits, |row, logits, gradient| {
            let target = &wanted[row * logits.len()..][..logits.len()];
            loss::cross_entropy(self.cpu.isa, logits, target, gradient)
        })
    }

    fn cross_entropy_classes(
        &self,
        logits: &Tensor<Self>,
        targets: &[Option<u32>],
        smoothing: f32,
        factor: f64,
    ) -> Result<[Tensor<Self>; 2]> {
        self.losses("cross_entropy_classes", logits, |row, logits, gradient| match targets[row] {
            Some(class) => {
                let (class, factor) = (class as usize, factor as f32);
                loss::cross_entropy_class(self.cpu.isa, logits, class, smoothing, factor, gradient)
            }
            None => {
                gradient.fill(0.0);
                0.0
            }
        })
    }

    fn add_gradient(&self, sum: &mut Tensor<Self>, gradient: &Tensor<Self>) -> Result<()> {
        const OP: &str = "add_gradient";
        let Some(numbers) = Self::alone(sum) else {
            *sum = self.zip(BinaryOp::Add, sum, gradient)?;
            return Ok(());
        };
        let gradient = self.cpu.contiguous(OP, gradient)?;
        let gradient = dense(OP, &gradient)?;
        assert_eq!(gradient.len(), numbers.len(), "a gradient has the shape of its sum");
        self.cpu.pool.run_pieces(numbers, PIECE, |task, piece| {
            elementwise::add_to(self.cpu.isa, piece, &gradient[task * PIECE..][..piece.len()]);
        });
        Ok(())
    }

    fn squares(&self, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        const OP: &str = "squares";
        let x = self.cpu.contiguous(OP, x)?;
        let from = dense(OP, &x)?;
        let pieces = from.len().div_ceil(PIECE);
        let mut out = self.cpu.arena.take::<f32>(pieces);
        self.cpu.pool.run_pieces(out.as_mut_slice(), 1, |piece, out| {
            let numbers = &from[piece * PIECE..from.len().min((piece + 1) * PIECE)];
            out[0] = optimiser::squares(self.cpu.isa, numbers);
        });
        Ok(Cpu::view(out, DType::F32, [pieces, 1]))
    }

    fn adamw(
        &self,
        options: &AdamW,
        step: &AdamStep,
        decays: bool,
        [parameter, mean, square]: [&mut Tensor<Self>; 3],
        gradient: &Tensor<Self>,
    ) -> Result<()> {
        const OP: &str = "adamw";
        let gradient = self.cpu.contiguous(OP, gradient)?;
        let gradient = dense(OP, &gradient)?;
        let [b1, b2] = options.betas;
        let [c1, c2] = options.corrections(step.number);
        let factors = optimiser::Factors {
            scale: step.scale as f32,
            mean: [b1, 1.0 - b1].map(|x| x as f32),
            square: [b2, 1.0 - b2].map(|x| x as f32),
            correction: c2.recip() as f32,
            eps: options.eps as f32,
            rate: (-step.rate / c1) as f32,
            stays: (1.0 - if decays { step.rate * options.weight_decay } else { 0.0 }) as f32,
        };
        let (mean, square) = (self.own(OP, mean)?, self.own(OP, square)?);
        let parameter = self.own(OP, parameter)?;
        assert!([parameter.len(), mean.len(), square.len()] == [gradient.len(); 3]);
        let (mean, square) = (Shareable::new(mean.as_mut_ptr()), Shareable::new(square.as_mut_ptr()));
        self.cpu.pool.run_pieces(parameter, PIECE, |task, parameter| {
            let (at, length) = (task * PIECE, parameter.len());
            // SAFETY: as many as there are of the parameter, whose piece belongs to this task alone.
            let [mean, square] = [&mean, &square]
                .map(|numbers| unsafe { std::slice::from_raw_parts_mut(numbers.at(at), length) });
            let gradient = &gradient[at..at + length];
            optimiser::adamw(self.cpu.isa, &factors, parameter, mean, square, gradient);
        });
        Ok(())
    }
}

impl CpuBackend {
    /// The losses `[rows, 1]` and the gradients of rows of scores, by a function of one row: `(row, scores, gradient)`.
    fn losses(
        &self,
        op: &'static str,
        logits: &View<CpuBuffer>,
        of: impl Fn(usize, &[f32], &mut [f32]) -> f32 + Sync,
    ) -> Result<[View<CpuBuffer>; 2]> {
        let (rows, classes) = (logits.shape()[0], logits.shape()[1]);
        let logits = self.cpu.contiguous(op, logits)?;
        let from = dense(op, &logits)?;
        let mut losses = self.cpu.arena.take::<f32>(rows);
        let loss_at = Shareable::new(losses.as_mut_slice().as_mut_ptr());
        let gradient = self.cpu.by_rows([rows, classes], classes, |first, piece| {
            for (i, gradient) in piece.chunks_exact_mut(classes).enumerate() {
                let row = first + i;
                let loss = of(row, &from[row * classes..][..classes], gradient);
                // SAFETY: this row belongs to this task alone.
                unsafe { *loss_at.at(row) = loss };
            }
        });
        Ok([Cpu::view(losses, DType::F32, [rows, 1]), gradient])
    }
}
