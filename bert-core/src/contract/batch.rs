//! A batch on a device.

use std::sync::Arc;

use crate::tensor::View;

/// A [`PackedBatch`](crate::PackedBatch) on a device. The bounds are kept on the host too, since loops over
/// sequences are driven from there.
#[derive(Clone, Debug)]
pub struct DeviceBatch<Buf> {
    /// `[tokens]` of `u32`
    pub ids: View<Buf>,
    /// `[tokens]` of `u32`
    pub segments: View<Buf>,
    /// `[tokens]` of `u32`, rows of the table of positions
    pub positions: View<Buf>,
    /// `[sequences + 1]` of `u32`
    pub device_bounds: View<Buf>,
    /// The same numbers on the host.
    pub bounds: Arc<[u32]>,
    /// `[marked]` of `u32`, the rows of the marked tokens; `None` if there are none.
    pub marked: Option<View<Buf>>,
}

impl<Buf> DeviceBatch<Buf> {
    /// Rows in all.
    pub fn tokens(&self) -> usize {
        self.bounds[self.sequences()] as usize
    }

    /// How many sequences there are.
    pub fn sequences(&self) -> usize {
        self.bounds.len() - 1
    }

    /// The lengths of the sequences, in tokens.
    pub fn lengths(&self) -> impl Iterator<Item = usize> + '_ {
        self.bounds.windows(2).map(|pair| (pair[1] - pair[0]) as usize)
    }
}
