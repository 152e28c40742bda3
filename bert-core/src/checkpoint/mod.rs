//! Model files on disk, read as named tensors.
