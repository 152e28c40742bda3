//! Kernels: WGSL made of a few pieces, specialised by constants, compiled when first used.

use wgpu::{BindGroupLayout, ComputePipeline, Device, PipelineLayout};

use crate::ability::Abilities;

/// Bytes of a kernel's parameters, which is also what every device aligns them to.
pub(crate) const PARAMS: usize = 256;

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
    /// Rows in 8 bits, for a product.
    Quantise,
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
    /// From rows that were quantised.
    Int8,
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
    /// From a packed weight of 8-bit numbers.
    PackedInt8,
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
            Shader::Map | Shader::ReduceShort | Shader::ReduceLong | Shader::Softmax | Shader::Quantise => 1,
            Shader::Zip | Shader::Gather | Shader::Pool | Shader::Attention(_) => 2,
            Shader::Gemm(..) => 3,
            Shader::LayerNorm => 4,
            Shader::Embed => 6,
        }
    }

    /// The whole text of the shader, for a device that can do this.
    pub fn source(&self, abilities: Abilities) -> String {
        let rows = if abilities.subgroups { piece!("rows_subgroups") } else { piece!("rows") };
        let mut enabled = vec![];
        let mut by_subgroup = false;
        let pieces: Vec<&str> = match self.shader {
            Shader::Map => vec![piece!("math"), piece!("map")],
            Shader::Zip => vec![piece!("math"), piece!("zip")],
            Shader::ReduceShort => vec![piece!("math"), piece!("reduce_short")],
            Shader::Gather => vec![piece!("gather")],
            Shader::Embed => vec![piece!("embed")],
            Shader::Pool => vec![piece!("math"), piece!("pool")],
            Shader::ReduceLong | Shader::LayerNorm | Shader::Softmax | Shader::Quantise => {
                by_subgroup = abilities.subgroups;
                let kernel = match self.shader {
                    Shader::ReduceLong => piece!("reduce_long"),
                    Shader::LayerNorm => piece!("layer_norm"),
                    Shader::Softmax => piece!("softmax"),
                    _ => piece!("quantise"),
                };
                vec![piece!("math"), rows, kernel]
            }
            Shader::Attention(left) => {
                by_subgroup = abilities.octets;
                let load = match left {
                    Left::Dense => piece!("attention_dense"),
                    _ => piece!("attention_strided"),
                };
                let meet = match by_subgroup {
                    true => piece!("attention_subgroups"),
                    false => piece!("attention_shared"),
                };
                vec![piece!("math"), piece!("attention"), load, meet]
            }
            Shader::Gemm(_, Right::PackedInt8) => {
                let dot = if abilities.packed_dot { piece!("dot_packed") } else { piece!("dot_plain") };
                vec![piece!("math"), piece!("gemm"), piece!("gemm_int8"), dot]
            }
            Shader::Gemm(left, right) => {
                let load_left = match left {
                    Left::Dense => piece!("gemm_left_dense"),
                    _ => piece!("gemm_left_strided"),
                };
                let load_right = match right {
                    Right::Packed => piece!("gemm_right_packed"),
                    Right::PackedHalf if abilities.half => {
                        enabled.push("f16");
                        piece!("gemm_right_half_native")
                    }
                    Right::PackedHalf => piece!("gemm_right_half"),
                    _ => piece!("gemm_right_strided"),
                };
                vec![piece!("math"), piece!("gemm"), piece!("gemm_floats"), load_left, load_right]
            }
        };
        // The translator of native targets takes subgroup operations without the word, and rejects the word.
        if by_subgroup && cfg!(target_family = "wasm") {
            enabled.push("subgroups");
        }
        let mut source: String = enabled.iter().map(|word| format!("enable {word};\n")).collect();
        source.extend(self.constants.iter().map(|(name, value)| format!("const {name}: u32 = {value}u;\n")));
        source += piece!("common");
        source.extend(pieces);
        source
    }

    /// Compiled, or taken from the cache.
    pub fn compile(
        &self,
        device: &Device,
        layouts: &Layouts,
        abilities: Abilities,
        cache: Option<&wgpu::PipelineCache>,
    ) -> ComputePipeline {
        let label = format!("{:?} {:?}", self.shader, self.constants);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(self.source(abilities).into()),
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
            cache,
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
