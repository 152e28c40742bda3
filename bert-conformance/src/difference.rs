//! What a comparison finds.

use std::fmt;

/// The distance between two tensors of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The largest error, absolute or relative to the scale, whichever is smaller.
    pub max_abs: f64,
    /// The mean square error, normalised by the mean square of what was expected.
    pub nmse: f64,
    /// The first number outside the tolerance: its index, what was expected and what was found.
    pub first: Option<(Vec<usize>, f64, f64)>,
    /// How many numbers are outside the tolerance, of how many.
    pub outside: (usize, usize),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outside, all) = self.outside;
        match &self.first {
            Some((index, want, got)) => write!(
                f,
                "{outside} of {all} numbers are wrong, the first at {index:?}: expected {want:e}, found {got:e}; "
            )?,
            None => f.write_str("no single number is wrong, but all of them together are; ")?,
        }
        write!(f, "max abs {:.2e}, NMSE {:.2e}", self.max_abs, self.nmse)
    }
}
