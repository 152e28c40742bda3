//! What the kernels make use of where a device has it. Each of these has a plain way around it.

use wgpu::{Adapter, Features, WgslLanguageFeatures};

/// What a device can do beyond what all can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Subgroups that divide the 128 invocations of a row.
    pub subgroups: bool,
    /// Subgroups of at least eight, whose invocations can be counted.
    pub octets: bool,
    /// 16-bit floats in shaders.
    pub half: bool,
    /// Dot products of words of four 8-bit numbers.
    pub packed_dot: bool,
    /// Compiled kernels can be stored.
    pub pipeline_cache: bool,
}

/// Names of abilities, in WebGPU's words.
const NAMES: [&str; 4] = ["subgroups", "shader-f16", "packed_4x8_integer_dot_product", "pipeline-cache"];

impl Abilities {
    pub fn of(adapter: &Adapter, language: &WgslLanguageFeatures) -> Self {
        let offered = adapter.features();
        let info = adapter.get_info();
        // 128 invocations are then whole subgroups, however large the device makes these.
        let subgroups = offered.contains(Features::SUBGROUP)
            && info.subgroup_min_size.is_power_of_two()
            && info.subgroup_max_size.is_power_of_two()
            && info.subgroup_max_size <= 128;
        // `subgroup_id` is no part of WebGPU.
        let native = !cfg!(target_family = "wasm");
        Self {
            subgroups,
            octets: subgroups && native && info.subgroup_min_size >= 8,
            half: offered.contains(Features::SHADER_F16),
            packed_dot: language.contains(WgslLanguageFeatures::Packed4x8IntegerDotProduct),
            pipeline_cache: offered.contains(Features::PIPELINE_CACHE),
        }
    }

    /// What has to be asked of the device.
    pub fn features(self) -> Features {
        let mut features = Features::empty();
        features.set(Features::SUBGROUP, self.subgroups);
        features.set(Features::SHADER_F16, self.half);
        features.set(Features::PIPELINE_CACHE, self.pipeline_cache);
        features
    }

    /// In words.
    pub fn names(self) -> Vec<&'static str> {
        let have = [self.subgroups, self.half, self.packed_dot, self.pipeline_cache];
        NAMES.into_iter().zip(have).filter_map(|(name, has)| has.then_some(name)).collect()
    }
}
