//! Arrays as NumPy stores them: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

/// The length of the header, which is written anew when the number of rows is known.
pub const HEADER: usize = 128;

/// The header of a matrix of little-endian `f32`.
pub fn header(rows: u64, columns: usize) -> [u8; HEADER] {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let mut header = [b' '; HEADER];
    header[..MAGIC.len()].copy_from_slice(MAGIC);
    let start = MAGIC.len() + 2;
    header[MAGIC.len()..start].copy_from_slice(&((HEADER - start) as u16).to_le_bytes());
    let facts = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    // The longest numbers leave room.
    header[start..start + facts.len()].copy_from_slice(facts.as_bytes());
    header[HEADER - 1] = b'\n';
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that `numpy.save` writes for an array of this shape.
    #[test]
    fn the_header_is_that_of_numpy() {
        let expected = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 384), }");
        let header = header(2, 384);
        assert_eq!(&header[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!(&header[10..], expected.as_bytes());
        assert_eq!(super::header(u64::MAX, usize::MAX)[HEADER - 1], b'\n');
    }
}
