//! Kernels: WGSL made of a few pieces, specialised by constants, compiled when first used.

use wgpu::{BindGroupLayout, ComputePipeline, Device, PipelineLayout};

use crate::gpu::PARAMS;

/// A shader and the constants that it is compiled for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Kernel {
    pub shader: Shader,
    /// Names and values of `const`s of type `u32` that the shader leaves open.
    pub constants: Vec<(&'static str, u32)>,
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Shader {
    Map,
    Zip,
    ReduceShort,
    ReduceLong,
    Gather,
    Embed,
    LayerNorm,
    Softmax,
    Pool,
    /// By how the factors lie in memory.
    Attention(Left),
    /// A matrix product, by how its factors lie in memory.
    Gemm(Left, Right),
}

/// How the left factor of a product is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Left {
    /// Number by number, with any strides.
    Strided,
    /// Four at once, from rows that are dense and aligned.
    Dense,
}

/// How the right factor of a product is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    /// Number by number, with any strides.
    Strided,
    /// From a packed weight of `f32`.
    Packed,
    /// From a packed weight of 16-bit floats.
    PackedHalf,
}

macro_rules! piece {
    ($name:literal) => {
        include_str!(concat!("shaders/", $name, ".wgsl"))
    };
}

impl Kernel {
    pub fn new(shader: Shader, constants: &[(&'static str, u32)]) -> Self {
        Self { shader, constants: constants.to_vec() }
    }

    /// How many buffers it reads.
    fn inputs(&self) -> usize {
        match self.shader {
            Shader::Map | Shader::ReduceShort | Shader::ReduceLong | Shader::Softmax => 1,
            Shader::Zip | Shader::Gather | Shader::Pool | Shader::Attention(_) => 2,
            Shader::Gemm(..) => 3,
            Shader::LayerNorm => 4,
            Shader::Embed => 6,
        }
    }

    /// The whole text of the shader.
    pub fn source(&self) -> String {
        let pieces: &[&str] = match self.shader {
            Shader::Map => &[piece!("math"), piece!("map")],
            Shader::Zip => &[piece!("math"), piece!("zip")],
            Shader::ReduceShort => &[piece!("math"), piece!("reduce_short")],
            Shader::ReduceLong => &[piece!("math"), piece!("rows"), piece!("reduce_long")],
            Shader::Gather => &[piece!("gather")],
            Shader::Embed => &[piece!("embed")],
            Shader::LayerNorm => &[piece!("math"), piece!("rows"), piece!("layer_norm")],
            Shader::Softmax => &[piece!("math"), piece!("rows"), piece!("softmax")],
            Shader::Pool => &[piece!("math"), piece!("pool")],
            Shader::Attention(Left::Strided) => {
                &[piece!("math"), piece!("attention"), piece!("attention_strided")]
            }
            Shader::Attention(Left::Dense) => {
                &[piece!("math"), piece!("attention"), piece!("attention_dense")]
            }
            Shader::Gemm(left, right) => &[
                piece!("math"),
                piece!("gemm"),
                match left {
                    Left::Strided => piece!("gemm_left_strided"),
                    Left::Dense => piece!("gemm_left_dense"),
                },
                match right {
                    Right::Strided => piece!("gemm_right_strided"),
                    Right::Packed => piece!("gemm_right_packed"),
                    Right::PackedHalf => piece!("gemm_right_half"),
                },
            ],
        };
        let mut source: String =
            self.constants.iter().map(|(name, value)| format!("const {name}: u32 = {value}u;\n")).collect();
        source += piece!("common");
        pieces.iter().for_each(|piece| source += piece);
        source
    }

    pub fn compile(&self, device: &Device, layouts: &Layouts) -> ComputePipeline {
        let label = format!("{:?} {:?}", self.shader, self.constants);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(self.source().into()),
        });
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&layouts.pipelines[self.inputs()]),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Every kernel writes its shared memory before it reads it.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        })
    }
}

/// What kernels of each number of inputs bind: their parameters, their inputs, their output.
pub(crate) struct Layouts {
    bindings: Vec<BindGroupLayout>,
    pipelines: Vec<PipelineLayout>,
}

/// Bytes of the smallest element that a kernel binds an array of: a quad of floats.
const LEAST: u64 = 16;
/// The most buffers that a kernel reads.
const MOST_INPUTS: usize = 6;

impl Layouts {
    pub fn new(device: &Device) -> Self {
        let entry = |binding: usize, ty, dynamic, bytes| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset: dynamic,
                min_binding_size: wgpu::BufferSize::new(bytes),
            },
            count: None,
        };
        let bindings: Vec<_> = (0..=MOST_INPUTS)
            .map(|inputs| {
                let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform, true, PARAMS as u64)];
                for binding in 1..=inputs + 1 {
                    let read_only = binding <= inputs;
                    entries.push(entry(
                        binding,
                        wgpu::BufferBindingType::Storage { read_only },
                        false,
                        LEAST,
                    ));
                }
                device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                    label: None,
                    entries: &entries,
                })
            })
            .collect();
        let pipelines = bindings
            .iter()
            .map(|layout| {
                device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: None,
                    bind_group_layouts: &[Some(layout)],
                    immediate_size: 0,
                })
            })
            .collect();
        Self { bindings, pipelines }
    }

    pub fn bindings(&self, inputs: usize) -> &BindGroupLayout {
        &self.bindings[inputs]
    }
}
