//! The kernels: loops over slices and pointers, written once for all instruction sets.

pub(crate) mod attention;
pub(crate) mod dot;
pub(crate) mod elementwise;
pub(crate) mod epilogue;
pub(crate) mod gemm;
pub(crate) mod low;
pub(crate) mod math;
pub(crate) mod norm;
pub(crate) mod pack;
pub(crate) mod quantise;
pub(crate) mod rows;
pub(crate) mod train;
pub(crate) mod transpose;
