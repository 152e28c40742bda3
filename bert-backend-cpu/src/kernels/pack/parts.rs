//! A weight of bytes as a file keeps it.

use bert_core::Result;
use bert_core::contract::Precision;
use bert_core::tensor::HostTensor;

use super::{Columns, Numbers, PackedMatrix, Source};
use crate::memory::Filling;
use crate::simd::Isa;

impl PackedMatrix {
    /// All numbers as they lie in memory: the panels, and what belongs to columns of bytes, their scales and sums.
    pub fn parts(&self) -> [&[u8]; 3] {
        match &self.numbers {
            Numbers::Int8(columns) => [self.panels(), columns.scales.as_slice(), columns.sums.as_slice()],
            Numbers::F32 | Numbers::Bf16 => [self.panels(), &[], &[]],
        }
    }

    /// What [`new`](Self::new) makes of this weight for [`Precision::Int8`], once `fill` has written its parts.
    /// Wrong bytes give wrong products, and do no other harm.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), or else those of `fill`.
    pub fn from_parts<E>(
        isa: Isa,
        weight: &HostTensor,
        fill: impl FnOnce([&mut [u8]; 3]) -> Result<(), E>,
    ) -> Result<Result<Self, E>> {
        let Source { in_features, out_features, .. } = Source::new(weight)?;
        let layout = Self::layout(isa, in_features, Precision::Int8)?;
        let width = layout.width;
        let stride = layout.depth(in_features) * width;
        let count = out_features.div_ceil(width);
        let column_bytes = count * width * size_of::<f32>();
        let [mut panels, mut scales, mut sums] =
            [count * stride, column_bytes, column_bytes].map(Filling::<u8>::permanent);
        let filled = fill([panels.as_mut_slice(), scales.as_mut_slice(), sums.as_mut_slice()]);
        Ok(filled.map(|()| {
            let numbers = Numbers::Int8(Columns { scales: scales.share(), sums: sums.share() });
            Self { panels: panels.share(), numbers, in_features, out_features, width, stride }
        }))
    }
}
