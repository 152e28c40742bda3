//! The words of [`Backend`], as kernels.

use std::sync::Arc;

use bert_core::contract::{
    Activation, AttentionSpec, Backend, BackendInfo, BinaryOp, Counts, DeviceBatch, EmbeddingTables,
    LayerNorm, Linear, Pooling, Precision, ReduceOp, Tensor, UnaryOp, WeightSource, default_attention,
};
use bert_core::tensor::{DType, HostTensor, Shape, View};
use bert_core::train::TrainBackend;
use bert_core::{Error, Result};

use crate::adapter::{AdapterDescription, AdapterKind, WgpuOptions};
use crate::buffer::{Block, Output, WgpuBuffer};
use crate::gemm::{self, Factor, Product};
use crate::gpu::Gpu;
use crate::kernel::{Kernel, Left, Shader};
use crate::{WgpuError, params, transfer};

/// Invocations of a workgroup of the kernels that take an element each.
const LANES: u64 = 128;
/// Rows up to this length are reduced by one invocation each.
const SHORT: usize = 32;
/// Queries that a workgroup of the attention takes.
const QUERIES: usize = 32;
/// Dimensions of a head that it takes at once.
const CHUNK: usize = 32;

/// The largest upload that is joined with others, in bytes: one block has to hold them all.
const SMALL_UPLOAD: usize = 16 << 20;

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Int8];

/// A graphics adapter, opened. Clones share it.
#[derive(Clone)]
pub struct WgpuBackend {
    gpu: Arc<Gpu>,
}

impl WgpuBackend {
    /// Opens an adapter. On native targets the future is ready at once.
    ///
    /// # Errors
    /// [`WgpuError`] if there is no such adapter, or if it does not give a device with these limits.
    pub async fn new(options: &WgpuOptions) -> Result<Self, WgpuError> {
        Ok(Self { gpu: Arc::new(Gpu::open(options).await?) })
    }

    /// The adapter that was opened.
    pub fn adapter(&self) -> &AdapterDescription {
        &self.gpu.adapter
    }

    /// Bytes of device memory in tensors, and bytes that are kept for the next ones.
    pub fn memory(&self) -> (u64, u64) {
        self.gpu.pool.bytes()
    }

    /// Takes the device away, as a reset of its driver does.
    #[cfg(test)]
    pub(crate) fn lose(&self) {
        self.gpu.device.destroy();
    }

    /// Makes the driver refuse a command.
    #[cfg(test)]
    pub(crate) fn ask_too_much(&self) {
        let usage = wgpu::BufferUsages::STORAGE;
        let size = 1 << 62;
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        drop(self.gpu.device.create_buffer(&descriptor));
    }

    /// A new row-major tensor, to be written by a kernel.
    fn output(&self, op: &'static str, dtype: DType, shape: impl Into<Shape>) -> Result<Output> {
        let shape = shape.into();
        let block = self.gpu.allocate(op, 4 * shape.elements() as u64, false)?;
        let buffer = WgpuBuffer::whole(block.clone(), shape.elements(), &self.gpu.pool);
        Ok(Output { view: View::contiguous(buffer, dtype, shape), block })
    }

    /// Runs a kernel that takes an element of the output an invocation.
    fn by_element(
        &self,
        kernel: Kernel,
        inputs: &[&Block],
        output: Output,
        params: &[u32],
    ) -> Result<View<WgpuBuffer>> {
        let groups = (output.view.shape().elements() as u64).div_ceil(LANES);
        self.gpu.run(kernel, inputs, &output.block, params, groups)?;
        Ok(output.view)
    }

    fn copy(&self, x: &View<WgpuBuffer>) -> Result<View<WgpuBuffer>> {
        self.map(UnaryOp::Copy, x)
    }

    fn normalised(
        &self,
        op: &'static str,
        x: &View<WgpuBuffer>,
        residual: Option<&View<WgpuBuffer>>,
        norm: &LayerNorm<WgpuBuffer>,
    ) -> Result<View<WgpuBuffer>> {
        let x = matrix(self, x)?;
        let residual = residual.map(|residual| matrix(self, residual)).transpose()?;
        let rows = x.shape()[0];
        let out = self.output(op, DType::F32, x.shape())?;
        let second = residual.as_ref().unwrap_or(&x);
        let mut words = params::rows(&x).to_vec();
        words.extend(params::rows(second));
        words.extend(params::vector(&norm.weight));
        words.extend(params::vector(&norm.bias));
        words.extend([rows as u32, (norm.eps as f32).to_bits()]);
        let kernel = Kernel::new(Shader::LayerNorm, &[("ADD", residual.is_some().into())]);
        let blocks = [&x, second, &norm.weight, &norm.bias].map(|view| view.buffer().block(op));
        let [x_block, residual, weight, bias] = blocks;
        self.gpu.run(kernel, &[x_block?, residual?, weight?, bias?], &out.block, &words, rows as u64)?;
        Ok(out.view)
    }

    /// A linear layer whose weight lies as training left it.
    fn plain_linear(
        &self,
        x: &View<WgpuBuffer>,
        layer: &Linear<WgpuBuffer>,
        activation: Activation,
    ) -> Result<View<WgpuBuffer>> {
        let weight =
            View::contiguous(layer.weight.clone(), DType::F32, [layer.out_features, layer.in_features]);
        let mut y = self.matmul(x, &weight.permute(&[1, 0])?)?;
        if let Some(bias) = &layer.bias {
            y = self.zip(BinaryOp::Add, &y, &bias.broadcast_to(y.shape())?)?;
        }
        activation.as_unary().map_or(Ok(y.clone()), |op| self.map(op, &y))
    }

    /// Rows of words: four 8-bit numbers each, then the length of the row's step.
    fn quantised(&self, x: &View<WgpuBuffer>) -> Result<Output> {
        let (rows, words) = (x.shape()[0], gemm::int8_words(x.shape()[1]));
        let out = self.output("linear", DType::U32, [rows, words + gemm::INT8_STEP])?;
        let params = [&params::rows(x)[..], &[rows as u32, words as u32]].concat();
        let block = x.buffer().block("linear")?;
        self.gpu.run(Kernel::new(Shader::Quantise, &[]), &[block], &out.block, &params, rows as u64)?;
        Ok(out)
    }

    /// The rows of a table, whose parts each give those that they have.
    fn gathered(&self, table: &View<WgpuBuffer>, ids: &View<WgpuBuffer>) -> Result<View<WgpuBuffer>> {
        const OP: &str = "gather_rows";
        let count = ids.shape().elements();
        let out = self.output(OP, table.dtype(), [count, table.shape()[1]])?;
        let kernel = Kernel::new(Shader::Gather, &[]);
        let ids_block = ids.buffer().block(OP)?;
        let parts = table.buffer().parts(OP)?;
        let groups = (out.view.shape().elements() as u64).div_ceil(LANES);
        let [offset, stride] = params::vector(ids);
        let mut rows = params::rows(table);
        if let [whole] = parts {
            let words = [&rows[..], &[offset, stride, count as u32, 0, 0, table.shape()[0] as u32]].concat();
            self.gpu.run(kernel, &[&whole.block, ids_block], &out.block, &words, groups)?;
            return Ok(out.view);
        }
        let length = table.buffer().row_length();
        if table.strides()[0] != length {
            return Err(table.buffer().block(OP).expect_err("a table in parts").into());
        }
        let first_row = (table.offset() / length) as u32;
        rows[0] = (table.offset() % length) as u32;
        for part in parts {
            // Ids count from the first row of the view; before and after the part they wrap beyond its rows.
            let first = (part.rows.start as u32).wrapping_sub(first_row);
            let words =
                [&rows[..], &[offset, stride, count as u32, 0, first, part.rows.len() as u32]].concat();
            self.gpu.run(kernel.clone(), &[&part.block, ids_block], &out.block, &words, groups)?;
        }
        Ok(out.view)
    }
}

/// A view of rows as a matrix; what has more axes is joined, by a copy where it has gaps.
fn matrix(backend: &WgpuBackend, x: &View<WgpuBuffer>) -> Result<View<WgpuBuffer>> {
    let shape = x.shape();
    if shape.rank() == 2 {
        return Ok(x.clone());
    }
    let columns = shape[shape.rank() - 1];
    let x = if x.is_contiguous() { x.clone() } else { backend.copy(x)? };
    x.reshape([shape.elements() / columns, columns])
}

impl std::fmt::Debug for WgpuBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WgpuBackend({})", self.gpu.adapter)
    }
}

impl Backend for WgpuBackend {
    type Buffer = WgpuBuffer;

    fn info(&self) -> BackendInfo {
        let adapter = &self.gpu.adapter;
        let kind = match adapter.kind {
            AdapterKind::Software => "software adapter".to_owned(),
            kind => kind.to_string(),
        };
        let mut features = vec![adapter.api.clone(), kind];
        if !adapter.driver.is_empty() {
            features.push(adapter.driver.clone());
        }
        features.push(format!("buffers of {} MiB", self.gpu.most_bytes() >> 20));
        let limits = &self.gpu.limits;
        features.push(format!("{} workgroups a dimension", limits.max_compute_workgroups_per_dimension));
        features.push(format!("{} KiB of workgroup memory", limits.max_compute_workgroup_storage_size >> 10));
        features.extend(self.gpu.abilities.names().into_iter().map(str::to_owned));
        BackendInfo {
            name: crate::NAME,
            device: adapter.name.clone(),
            features,
            threads: None,
            software: adapter.kind == AdapterKind::Software,
            precisions: PRECISIONS.to_vec(),
            emulated: if self.gpu.abilities.packed_dot { vec![] } else { vec![Precision::Int8] },
        }
    }

    /// Floats of other widths are made `f32`.
    fn upload(&self, tensor: &HostTensor) -> Result<Tensor<Self>> {
        let (shape, dtype) = (tensor.shape(), tensor.dtype());
        if [DType::F32, DType::U32].contains(&dtype) {
            let buffer = transfer::upload(&self.gpu, tensor.bytes(), &shape)?;
            return Ok(View::contiguous(buffer, dtype, shape));
        }
        let values = HostTensor::from_array(tensor.to_f32()?.into_owned())?;
        let buffer = transfer::upload(&self.gpu, values.bytes(), &shape)?;
        Ok(View::contiguous(buffer, DType::F32, shape))
    }

    /// One block of the device for all of them, where they hold 32-bit numbers.
    fn upload_all(&self, tensors: &[HostTensor]) -> Result<Vec<Tensor<Self>>> {
        let bytes: usize = tensors.iter().map(|tensor| tensor.bytes().len()).sum();
        let small = bytes <= SMALL_UPLOAD && tensors.iter().all(|tensor| tensor.dtype() == DType::U32);
        if !small {
            return tensors.iter().map(|tensor| self.upload(tensor)).collect();
        }
        let all: Vec<u8> = tensors.iter().flat_map(|tensor| tensor.bytes()).copied().collect();
        let length = bytes / size_of::<u32>();
        let whole = View::contiguous(transfer::upload(&self.gpu, &all, &[length])?, DType::U32, [length]);
        let mut start = 0;
        tensors
            .iter()
            .map(|tensor| {
                let end = start + tensor.shape().elements();
                let view = whole.slice(0, start..end)?.reshape(tensor.shape());
                start = end;
                view
            })
            .collect()
    }

    async fn download(&self, tensors: &[Tensor<Self>]) -> Result<Vec<HostTensor>> {
        let views: Vec<_> = tensors
            .iter()
            .map(|x| if x.is_contiguous() { Ok(x.clone()) } else { self.copy(x) })
            .collect::<Result<_>>()?;
        Ok(transfer::download(&self.gpu, &views).await?)
    }

    fn gather_rows(&self, table: &Tensor<Self>, indices: &Tensor<Self>) -> Result<Tensor<Self>> {
        self.gathered(table, indices)
    }

    fn matmul(&self, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        const OP: &str = "matmul";
        let mut shape = a.shape().to_vec();
        *shape.last_mut().expect("a matrix has axes") = b.shape()[b.shape().rank() - 1];
        let out = self.output(OP, DType::F32, Shape::new(&shape)?)?;
        gemm::matmul(&self.gpu, a, b, &out)?;
        Ok(out.view)
    }

    fn map(&self, op: UnaryOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        const OP: &str = "map";
        let mut dtype = x.dtype();
        let (function, operand) = match op {
            UnaryOp::Copy => (0, 0.0),
            UnaryOp::Cast(to) => {
                let from = std::mem::replace(&mut dtype, to);
                match (from, to) {
                    (DType::U32, DType::F32) => (1, 0.0),
                    (DType::F32, DType::U32) => (2, 0.0),
                    (from, to) if from == to => (0, 0.0),
                    (_, found) => return Err(Error::DType { op: "cast", expected: "f32 or u32", found }),
                }
            }
            UnaryOp::Scale(factor) => (3, factor as f32),
            UnaryOp::Offset(offset) => (4, offset as f32),
            UnaryOp::Exp => (5, 0.0),
            UnaryOp::Log => (6, 0.0),
            UnaryOp::Sqrt => (7, 0.0),
            UnaryOp::Reciprocal => (8, 0.0),
            UnaryOp::Tanh => (9, 0.0),
            UnaryOp::Sigmoid => (10, 0.0),
            UnaryOp::Relu => (11, 0.0),
            UnaryOp::Gelu => (12, 0.0),
            UnaryOp::GeluTanh => (13, 0.0),
        };
        let words = [&params::view(OP, x)?[..], &[operand.to_bits()]].concat();
        let out = self.output(OP, dtype, x.shape())?;
        let kernel = Kernel::new(Shader::Map, &[("OP", function)]);
        self.by_element(kernel, &[x.buffer().block(OP)?], out, &words)
    }

    fn zip(&self, op: BinaryOp, a: &Tensor<Self>, b: &Tensor<Self>) -> Result<Tensor<Self>> {
        const OP: &str = "zip";
        let function = match op {
            BinaryOp::Add => 0,
            BinaryOp::Sub => 1,
            BinaryOp::Mul => 2,
            BinaryOp::Div => 3,
            BinaryOp::Max => 4,
        };
        let words = [params::view(OP, a)?, params::view(OP, b)?].concat();
        let out = self.output(OP, DType::F32, a.shape())?;
        let kernel = Kernel::new(Shader::Zip, &[("OP", function)]);
        self.by_element(kernel, &[a.buffer().block(OP)?, b.buffer().block(OP)?], out, &words)
    }

    fn reduce(&self, op: ReduceOp, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        const OP: &str = "reduce";
        let mut shape = x.shape().to_vec();
        let length = std::mem::replace(shape.last_mut().expect("a tensor to reduce has an axis"), 1);
        let words = params::view(OP, x)?;
        let out = self.output(OP, DType::F32, Shape::new(&shape)?)?;
        let max = ("MAX", (op == ReduceOp::Max).into());
        let block = x.buffer().block(OP)?;
        if length <= SHORT {
            return self.by_element(Kernel::new(Shader::ReduceShort, &[max]), &[block], out, &words);
        }
        let rows = out.view.shape().elements() as u64;
        self.gpu.run(Kernel::new(Shader::ReduceLong, &[max]), &[block], &out.block, &words, rows)?;
        Ok(out.view)
    }

    /// In [`Precision::F16`] weights are stored as 16-bit floats; activations stay `f32`. In
    /// [`Precision::Int8`] both are numbers from -127 to 127, weights by the largest of their output channel,
    /// activations by the largest of their row; sums are exact until they are scaled.
    ///
    /// A weight on the device is kept as it is, in [`Precision::F32`] alone.
    fn prepare_weight(
        &self,
        weight: WeightSource<'_, WgpuBuffer>,
        precision: Precision,
    ) -> Result<WgpuBuffer> {
        let weight = match weight {
            WeightSource::Host(weight) if PRECISIONS.contains(&precision) => weight,
            WeightSource::Device(view) if precision == Precision::F32 => {
                return Ok(self.copy(view)?.buffer().clone());
            }
            _ => return Err(self.info().lacks(precision)),
        };
        let shape = [weight.shape()[0], weight.shape()[1]];
        let values = weight.to_f32()?;
        let values = values.as_slice().expect("a host tensor is row-major");
        let packed = transfer::pack(&self.gpu, values, shape, precision)?;
        // What was read from a file is not needed in memory twice.
        weight.release();
        Ok(packed)
    }

    fn linear(
        &self,
        x: &Tensor<Self>,
        layer: &Linear<WgpuBuffer>,
        activation: Activation,
    ) -> Result<Tensor<Self>> {
        if layer.precision == Precision::F32 && !layer.weight.is_packed() {
            return self.plain_linear(x, layer, activation);
        }
        let out = self.output("linear", DType::F32, [x.shape()[0], layer.out_features])?;
        let product = Product { gpu: &self.gpu, activation, bias: layer.bias.as_ref() };
        if layer.precision == Precision::Int8 {
            product.linear(&Factor::int8(&self.quantised(x)?), layer, &out)?;
        } else {
            product.linear(&Factor::floats(x)?, layer, &out)?;
        }
        Ok(out.view)
    }

    fn embed(
        &self,
        tables: &EmbeddingTables<WgpuBuffer>,
        batch: &DeviceBatch<WgpuBuffer>,
    ) -> Result<Tensor<Self>> {
        const OP: &str = "embed";
        let (tokens, hidden) = (batch.tokens(), tables.word.shape()[1]);
        let out = self.output(OP, DType::F32, [tokens, hidden])?;
        // A table in parts is gathered first, each part giving its rows.
        let gathered = tables.word.buffer().parts(OP)?.len() > 1;
        let word = if gathered { self.gathered(&tables.word, &batch.ids)? } else { tables.word.clone() };
        let types = tables.token_type.as_ref();
        let token_type = types.unwrap_or(&tables.position);
        let mut words = params::rows(&word).to_vec();
        words.extend(params::rows(&tables.position));
        words.extend(params::rows(token_type));
        for ids in [&batch.ids, &batch.positions, &batch.segments] {
            words.extend(params::vector(ids));
        }
        words.push(tokens as u32);
        let kernel =
            Kernel::new(Shader::Embed, &[("GATHERED", gathered.into()), ("TYPES", types.is_some().into())]);
        let views = [&word, &tables.position, token_type, &batch.ids, &batch.positions, &batch.segments];
        let blocks = views.into_iter().map(|view| view.buffer().block(OP)).collect::<Result<Vec<_>, _>>()?;
        let sum = self.by_element(kernel, &blocks, out, &words)?;
        self.normalised(OP, &sum, None, &tables.norm)
    }

    fn layer_norm(&self, x: &Tensor<Self>, norm: &LayerNorm<WgpuBuffer>) -> Result<Tensor<Self>> {
        let out = self.normalised("layer_norm", x, None, norm)?;
        out.reshape(x.shape())
    }

    fn add_layer_norm(
        &self,
        x: &Tensor<Self>,
        residual: &Tensor<Self>,
        norm: &LayerNorm<WgpuBuffer>,
    ) -> Result<Tensor<Self>> {
        let out = self.normalised("add_layer_norm", x, Some(residual), norm)?;
        out.reshape(x.shape())
    }

    fn attention(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<WgpuBuffer>,
    ) -> Result<Tensor<Self>> {
        const OP: &str = "attention";
        if spec.dropout.is_some() {
            return default_attention(self, qkv, spec, batch);
        }
        let AttentionSpec { heads, head_size, scale, .. } = *spec;
        let hidden = heads * head_size;
        let blocks = batch.lengths().max().unwrap_or(0).div_ceil(QUERIES);
        let dense = params::is_dense(qkv) && head_size.is_multiple_of(4);
        let mut words = params::rows(qkv).to_vec();
        words.extend(params::vector(&batch.device_bounds));
        words.extend([heads, head_size, blocks, batch.sequences()].map(|number| number as u32));
        words.push((scale as f32).to_bits());
        let left = if dense { Left::Dense } else { Left::Strided };
        let chunks = head_size.div_ceil(CHUNK) as u32;
        let kernel = Kernel::new(Shader::Attention(left), &[("CHUNKS", chunks)]);
        let inputs = [qkv.buffer().block(OP)?, batch.device_bounds.buffer().block(OP)?];
        let out = self.output(OP, DType::F32, [batch.tokens(), hidden])?;
        let groups = (batch.sequences() * heads * blocks) as u64;
        self.gpu.run(kernel, &inputs, &out.block, &words, groups)?;
        Ok(out.view)
    }

    fn softmax(&self, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        const OP: &str = "softmax";
        let words = params::view(OP, x)?;
        let out = self.output(OP, DType::F32, x.shape())?;
        let rows = x.shape().elements() / x.shape()[x.shape().rank() - 1];
        let block = x.buffer().block(OP)?;
        self.gpu.run(Kernel::new(Shader::Softmax, &[]), &[block], &out.block, &words, rows as u64)?;
        Ok(out.view)
    }

    fn pool(
        &self,
        x: &Tensor<Self>,
        batch: &DeviceBatch<WgpuBuffer>,
        pooling: Pooling,
    ) -> Result<Tensor<Self>> {
        const OP: &str = "pool";
        let sequences = batch.sequences();
        let mut words = params::rows(x).to_vec();
        words.extend(params::vector(&batch.device_bounds));
        words.push(sequences as u32);
        let pooling = match pooling {
            Pooling::Cls => 0,
            Pooling::Mean => 1,
            Pooling::Max => 2,
            Pooling::MeanSqrtLen => 3,
        };
        let out = self.output(OP, DType::F32, [sequences, x.shape()[1]])?;
        let inputs = [x.buffer().block(OP)?, batch.device_bounds.buffer().block(OP)?];
        self.by_element(Kernel::new(Shader::Pool, &[("POOLING", pooling)]), &inputs, out, &words)
    }

    async fn sync(&self) -> Result<()> {
        Ok(transfer::finish(&self.gpu).await?)
    }

    fn counts(&self) -> Option<Counts> {
        Some(self.gpu.counts())
    }

    /// Compiles the kernels that every model uses.
    fn warm_up(&self) -> Result<()> {
        let activations = [Activation::Identity, Activation::Gelu];
        for kernel in gemm::usual_kernels(&activations) {
            self.gpu.pipeline(&kernel)?;
        }
        for add in [0, 1] {
            self.gpu.pipeline(&Kernel::new(Shader::LayerNorm, &[("ADD", add)]))?;
        }
        Ok(())
    }
}

/// Trains by the default bodies, on the kernels of the words.
impl TrainBackend for WgpuBackend {}
