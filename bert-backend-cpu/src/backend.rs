//! The words of [`Backend`], cut into tasks for the kernels.

use bert_core::contract::{
    Activation, AttentionSpec, Backend, BackendInfo, BinaryOp, DeviceBatch, Dropout, EmbeddingTables,
    LayerNorm, Linear, PackedCache, Pooling, Precision, ReduceOp, Tensor, UnaryOp, WeightSource,
};
use bert_core::tensor::{DType, HostTensor, Shape, View};
use bert_core::{Error, Result};

use crate::buffer::{CpuBuffer, Storage, dense, indices, rows};
use crate::cache;
use crate::cpu::{Cpu, PIECE};
use crate::kernels::attention::Attention;
use crate::kernels::pack::PackedMatrix;
use crate::kernels::rows::{CHUNK, Rows};
use crate::kernels::{elementwise, norm, rows as row_kernels};
use crate::{CpuError, CpuOptions, SimdLevel, limits, products};

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

/// The CPU of this machine, with one pool of threads. Clones share it, and so do backends with the same
/// number of threads.
#[derive(Clone)]
pub struct CpuBackend {
    pub(crate) cpu: Cpu,
    cache: Option<PackedCache>,
}

impl CpuBackend {
    /// A backend with these options.
    ///
    /// # Errors
    /// [`CpuError`] for an instruction set that this machine does not have, a number of threads that is none,
    /// and environment variables that mean nothing.
    pub fn new(options: CpuOptions) -> Result<Self, CpuError> {
        Ok(Self { cpu: Cpu::new(options)?, cache: None })
    }

    /// How many threads compute, the caller's own counted in.
    pub fn threads(&self) -> usize {
        self.cpu.pool.threads()
    }

    /// The instruction set that the kernels use.
    pub fn simd(&self) -> SimdLevel {
        self.cpu.isa.level()
    }

    /// Measures what this machine can do at best with these threads and instructions: some seconds, half of them
    /// of full load.
    pub fn limits(&self) -> limits::Limits {
        limits::measure(&self.cpu.pool, self.cpu.isa)
    }

    /// `x + residual` (or x alone) into a row-major tensor, each row then normalised.
    fn normalised(
        &self,
        op: &'static str,
        x: &View<CpuBuffer>,
        residual: Option<&View<CpuBuffer>>,
        layer: &LayerNorm<CpuBuffer>,
    ) -> Result<View<CpuBuffer>> {
        let length = x.shape()[x.shape().rank() - 1];
        let x = self.cpu.contiguous(op, x)?;
        let residual = residual.map(|residual| self.cpu.contiguous(op, residual)).transpose()?;
        let (weight, bias) = (self.cpu.contiguous(op, &layer.weight)?, self.cpu.contiguous(op, &layer.bias)?);
        let (weight, bias) = (dense(op, &weight)?, dense(op, &bias)?);
        let from = dense(op, &x)?;
        let residual = residual.as_ref().map(|residual| dense(op, residual)).transpose()?;
        Ok(self.cpu.by_rows(x.shape(), length, |row, piece| {
            let range = row * length..row * length + piece.len();
            match residual {
                Some(residual) => {
                    let (x, residual) = (&from[range.clone()], &residual[range]);
                    elementwise::binary(self.cpu.isa, BinaryOp::Add, x, residual, piece);
                }
                None => piece.copy_from_slice(&from[range]),
            }
            norm::layer_norm(self.cpu.isa, piece, weight, bias, layer.eps as f32);
        }))
    }
}

impl std::fmt::Debug for CpuBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CpuBackend({}, {} threads)", self.simd(), self.threads())
    }
}

impl Backend for CpuBackend {
    type Buffer = CpuBuffer;

    fn info(&self) -> BackendInfo {
        BackendInfo {
            name: "cpu",
            device: limits::cpu_name(),
            features: self.cpu.isa.features().map(str::to_owned).collect(),
            threads: Some(self.threads()),
            software: false,
            precisions: PRECISIONS.to_vec(),
            emulated: if self.cpu.isa.has_bf16() { vec![] } else { vec![Precision::Bf16] },
        }
    }

    /// Tensors of `f32` and `u32` are used where they lie, mapped files too; other floats are widened.
    fn upload(&self, tensor: &HostTensor) -> Result<Tensor<Self>> {
        let in_place = tensor.as_slice::<f32>().is_some() || tensor.as_slice::<u32>().is_some();
        if in_place {
            let buffer = CpuBuffer(Storage::Host(tensor.clone()));
            return Ok(View::contiguous(buffer, tensor.dtype(), tensor.shape()));
        }
        if tensor.dtype() == DType::U32 {
            let mut out = self.cpu.arena.take::<u32>(tensor.shape().elements());
            let numbers = tensor.bytes().as_chunks::<4>().0;
            out.as_mut_slice().iter_mut().zip(numbers).for_each(|(to, &from)| *to = u32::from_le_bytes(from));
            return Ok(Cpu::view(out, DType::U32, tensor.shape()));
        }
        let values = HostTensor::from_array(tensor.to_f32()?.into_owned())?;
        let shape = values.shape();
        Ok(View::contiguous(CpuBuffer(Storage::Host(values)), DType::F32, shape))
    }

    async fn download(&self, tensors: &[Tensor<Self>]) -> Result<Vec<HostTensor>> {
        const OP: &str = "download";
        tensors
            .iter()
            .map(|x| {
                let length = x.shape().elements();
                Ok(match x.dtype() {
                    DType::U32 => {
                        let mut values = vec![0u32; length];
                        Rows::joined(x, x.buffer().u32(OP)?).copy(0, &mut values);
                        HostTensor::from_vec(values, x.shape())
                    }
                    _ => {
                        let mut values = vec![0f32; length];
                        Rows::joined(x, x.buffer().f32(OP)?).copy(0, &mut values);
                        HostTensor::from_vec(values, x.shape())
                    }
                })
            })
            .collect()
    }

    fn gather_rows(&self, table: &Tensor<Self>, indices: &Tensor<Self>) -> Result<Tensor<Self>> {
        const OP: &str = "gather_rows";
        let length = table.shape()[1];
        let table = rows(OP, table)?;
        let indices = self::indices(OP, indices)?;
        let shape = [indices.len(), length];
        Ok(self.cpu.by_rows(shape, length, |row, piece| {
            for (i, out) in piece.chunks_exact_mut(length).enumerate() {
                table.copy(indices[row + i] as usize * length, out);
            }
        }))
    }

    fn matmul(&self, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        products::matmul(&self.cpu, a, b)
    }

    fn map(&self, op: UnaryOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        const OP: &str = "map";
        match (op, x.dtype()) {
            (UnaryOp::Copy, DType::U32) => return Ok(self.cpu.copy(x, x.buffer().u32(OP)?)),
            (UnaryOp::Copy, _) => return Ok(self.cpu.copy(x, x.buffer().f32(OP)?)),
            (UnaryOp::Cast(to), from) if to != from => {
                let mut values = match (from, to) {
                    (DType::U32, DType::F32) => {
                        let mut out = self.cpu.arena.take::<f32>(x.shape().elements());
                        let mut ids = self.cpu.arena.take::<u32>(x.shape().elements());
                        Rows::joined(x, x.buffer().u32(OP)?).copy(0, ids.as_mut_slice());
                        let pairs = out.as_mut_slice().iter_mut().zip(ids.as_mut_slice());
                        pairs.for_each(|(to, from)| *to = *from as f32);
                        return Ok(Cpu::view(out, to, x.shape()));
                    }
                    (DType::F32, DType::U32) => self.cpu.arena.take::<u32>(x.shape().elements()),
                    _ => return Err(Error::DType { op: "cast", expected: "f32 or u32", found: to }),
                };
                let mut from = self.cpu.arena.take::<f32>(x.shape().elements());
                Rows::joined(x, x.buffer().f32(OP)?).copy(0, from.as_mut_slice());
                let pairs = values.as_mut_slice().iter_mut().zip(from.as_mut_slice());
                pairs.for_each(|(to, from)| *to = *from as u32);
                return Ok(Cpu::view(values, to, x.shape()));
            }
            _ => (),
        }
        let from = Rows::joined(x, x.buffer().f32(OP)?);
        let mut out = self.cpu.arena.take::<f32>(x.shape().elements());
        self.cpu.within_rows(out.as_mut_slice(), from.length, |row, column, piece| {
            let mut space = [0.0; CHUNK];
            for (i, piece) in piece.chunks_mut(from.chunk()).enumerate() {
                let x = from.piece(row, column + i * from.chunk(), piece.len(), &mut space);
                elementwise::unary(self.cpu.isa, op, x, piece);
            }
        });
        Ok(Cpu::view(out, DType::F32, x.shape()))
    }

    fn zip(&self, op: BinaryOp, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        const OP: &str = "zip";
        let shape = a.shape();
        let both = a.is_contiguous() && b.is_contiguous();
        let of = if both { Rows::joined } else { Rows::new };
        let (a, b) = (of(a, a.buffer().f32(OP)?), of(b, b.buffer().f32(OP)?));
        let chunk = a.chunk().min(b.chunk());
        let mut out = self.cpu.arena.take::<f32>(shape.elements());
        self.cpu.within_rows(out.as_mut_slice(), a.length, |row, column, piece| {
            let (mut a_space, mut b_space) = ([0.0; CHUNK], [0.0; CHUNK]);
            for (i, piece) in piece.chunks_mut(chunk).enumerate() {
                let a = a.piece(row, column + i * chunk, piece.len(), &mut a_space);
                let b = b.piece(row, column + i * chunk, piece.len(), &mut b_space);
                elementwise::binary(self.cpu.isa, op, a, b, piece);
            }
        });
        Ok(Cpu::view(out, DType::F32, shape))
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        const OP: &str = "reduce";
        let x =
            if x.strides()[x.shape().rank() - 1] == 1 { x.clone() } else { self.cpu.contiguous(OP, x)? };
        let from = rows(OP, &x)?;
        let mut shape = x.shape().to_vec();
        *shape.last_mut().expect("a tensor to reduce has an axis") = 1;
        let mut out = self.cpu.arena.take::<f32>(from.count());
        let each = (PIECE / from.length).max(1);
        self.cpu.pool.run_pieces(out.as_mut_slice(), each, |task, piece| {
            for (i, out) in piece.iter_mut().enumerate() {
                *out = row_kernels::reduce(self.cpu.isa, op, from.row(task * each + i));
            }
        });
        Ok(Cpu::view(out, DType::F32, Shape::new(&shape)?))
    }

    fn prepare_weight(&self, weight: WeightSource<'_, CpuBuffer>, precision: Precision) -> Result<CpuBuffer> {
        const OP: &str = "prepare_weight";
        if !PRECISIONS.contains(&precision) {
            return Err(self.info().lacks(precision));
        }
        let (pool, isa, shape) = (&self.cpu.pool, self.cpu.isa, weight.shape());
        let matrix = match (weight, &self.cache) {
            (WeightSource::Host(weight), Some(cache)) if precision == Precision::Int8 => {
                cache::prepare(cache, pool, isa, weight)
            }
            (WeightSource::Host(weight), _) => PackedMatrix::new(pool, isa, weight, precision),
            (WeightSource::Device(view), _) if precision == Precision::F32 => {
                let (data, strides) = (&view.buffer().f32(OP)?[view.offset()..], view.strides());
                let strides = [strides[0], strides[1]];
                Ok(PackedMatrix::from_strided(
                    pool,
                    isa,
                    &self.cpu.arena,
                    data,
                    [shape[0], shape[1]],
                    strides,
                ))
            }
            (WeightSource::Device(view), _) => {
                let rows = self.cpu.contiguous(OP, view)?;
                PackedMatrix::from_rows(pool, isa, dense(OP, &rows)?, [shape[0], shape[1]], precision)
            }
        };
        Ok(CpuBuffer(Storage::Packed(matrix?)))
    }

    /// Weights of [`Precision::Int8`] are kept. Those of other precisions are packed as fast as a file would be read
    /// and checked.
    fn with_packed_cache(&self, cache: &PackedCache) -> Option<Self> {
        Some(Self { cache: Some(cache.clone()), ..self.clone() })
    }

    fn linear(
        &self,
        x: &Tensor<Self>,
        layer: &Linear<CpuBuffer>,
        activation: Activation,
    ) -> Result<Tensor<Self>> {
        products::linear(&self.cpu, x, layer, activation)
    }

    fn embed(
        &self,
        tables: &EmbeddingTables<CpuBuffer>,
        batch: &DeviceBatch<CpuBuffer>,
    ) -> Result<Tensor<Self>> {
        const OP: &str = "embed";
        let length = tables.word.shape()[1];
        let word = self.cpu.contiguous(OP, &tables.word)?;
        let position = self.cpu.contiguous(OP, &tables.position)?;
        let token_type =
            tables.token_type.as_ref().map(|table| self.cpu.contiguous(OP, table)).transpose()?;
        let (weight, bias) =
            (self.cpu.contiguous(OP, &tables.norm.weight)?, self.cpu.contiguous(OP, &tables.norm.bias)?);
        let (word, position) = (dense(OP, &word)?, dense(OP, &position)?);
        let token_type = token_type.as_ref().map(|table| dense(OP, table)).transpose()?;
        let (weight, bias) = (dense(OP, &weight)?, dense(OP, &bias)?);
        let (words, positions) = (indices(OP, &batch.ids)?, indices(OP, &batch.positions)?);
        let segments = indices(OP, &batch.segments)?;
        let entry = |index: u32| index as usize * length..(index as usize + 1) * length;
        Ok(self.cpu.by_rows([words.len(), length], length, |row, piece| {
            for (i, out) in piece.chunks_exact_mut(length).enumerate() {
                let token = row + i;
                out.copy_from_slice(&word[entry(words[token])]);
                if let Some(table) = token_type {
                    elementwise::add_to(self.cpu.isa, out, &table[entry(segments[token])]);
                }
                elementwise::add_to(self.cpu.isa, out, &position[entry(positions[token])]);
            }
            norm::layer_norm(self.cpu.isa, piece, weight, bias, tables.norm.eps as f32);
        }))
    }

    fn layer_norm(&self, x: &Tensor<Self>, layer: &LayerNorm<CpuBuffer>) -> Result<Tensor<Self>> {
        self.normalised("layer_norm", x, None, layer)
    }

    fn add_layer_norm(
        &self,
        x: &Tensor<Self>,
        residual: &Tensor<Self>,
        layer: &LayerNorm<CpuBuffer>,
    ) -> Result<Tensor<Self>> {
        self.normalised("add_layer_norm", x, Some(residual), layer)
    }

    fn attention(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<CpuBuffer>,
    ) -> Result<Tensor<Self>> {
        const OP: &str = "attention";
        let qkv = self.cpu.contiguous(OP, qkv)?;
        let hidden = spec.heads * spec.head_size;
        let mut out = self.cpu.arena.take::<f32>(batch.tokens() * hidden);
        let attention = Attention {
            pool: &self.cpu.pool,
            isa: self.cpu.isa,
            qkv: dense(OP, &qkv)?,
            heads: spec.heads,
            head_size: spec.head_size,
            scale: spec.scale as f32,
            bounds: &batch.bounds,
            rounded: spec.precision != Precision::F32,
            dropout: spec.dropout,
        };
        attention.run(out.as_mut_slice());
        Ok(Cpu::view(out, DType::F32, [batch.tokens(), hidden]))
    }

    fn dropout(&self, x: &Tensor<Self>, dropout: &Dropout) -> Result<Tensor<Self>> {
        const OP: &str = "dropout";
        let x = self.cpu.contiguous(OP, x)?;
        let from = dense(OP, &x)?;
        Ok(self.cpu.by_rows(x.shape(), 1, |at, piece| {
            piece.copy_from_slice(&from[at..at + piece.len()]);
            dropout.apply(at as u64, piece);
        }))
    }

    fn concat(&self, parts: &[Tensor<Self>]) -> Result<Tensor<Self>> {
        const OP: &str = "concat";
        let width = parts[0].shape()[1];
        let rows = parts.iter().map(|part| part.shape()[0]).sum::<usize>();
        let mut out = self.cpu.arena.take::<f32>(rows * width);
        let mut rest = out.as_mut_slice();
        for part in parts {
            let (piece, later) = rest.split_at_mut(part.shape().elements());
            let from = Rows::joined(part, part.buffer().f32(OP)?);
            self.cpu.pool.run_pieces(piece, PIECE, |task, piece| from.copy(task * PIECE, piece));
            rest = later;
        }
        Ok(Cpu::view(out, DType::F32, [rows, width]))
    }

    fn softmax(&self, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let length = x.shape()[x.shape().rank() - 1];
        let x = self.cpu.contiguous("softmax", x)?;
        let from = dense("softmax", &x)?;
        Ok(self.cpu.by_rows(x.shape(), length, |row, piece| {
            piece.copy_from_slice(&from[row * length..][..piece.len()]);
            norm::softmax(self.cpu.isa, piece, length);
        }))
    }

    fn pool(
        &self,
        x: &Tensor<Self>,
        batch: &DeviceBatch<CpuBuffer>,
        pooling: Pooling,
    ) -> Result<Tensor<Self>> {
        let hidden = x.shape()[1];
        let x = self.cpu.contiguous("pool", x)?;
        let from = dense("pool", &x)?;
        let mut out = self.cpu.arena.take::<f32>(batch.sequences() * hidden);
        self.cpu.pool.run_pieces(out.as_mut_slice(), hidden, |sequence, out| {
            let (start, end) = (batch.bounds[sequence] as usize, batch.bounds[sequence + 1] as usize);
            let mut tokens = from[start * hidden..end * hidden].chunks_exact(hidden);
            match tokens.next() {
                Some(first) => out.copy_from_slice(first),
                None => return out.fill(0.0),
            }
            match pooling {
                Pooling::Cls => (),
                Pooling::Max => tokens.for_each(|token| elementwise::max_to(self.cpu.isa, out, token)),
                Pooling::Mean | Pooling::MeanSqrtLen => {
                    tokens.for_each(|token| elementwise::add_to(self.cpu.isa, out, token));
                    let length = (end - start) as f32;
                    let divisor = if pooling == Pooling::Mean { length } else { length.sqrt() };
                    elementwise::scale(self.cpu.isa, out, 1.0 / divisor);
                }
            }
        });
        Ok(Cpu::view(out, DType::F32, [batch.sequences(), hidden]))
    }
}
