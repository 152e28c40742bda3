//! How far a result is from what it should be.

use ndarray::ArrayD;

use crate::difference::Difference;
use crate::fault::Fault;
use crate::tolerance::Tolerance;

/// What an error is measured against, where that is larger than 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The number that it is an error of: for functions of single numbers.
    Element,
    /// The largest number of its row: for sums, whose terms can cancel.
    Row,
}

/// Compares. The mean square error is normalised by nothing smaller than the square of `floor`. Infinities and NaNs have to be where they are expected; other numbers are compared as `f32`
/// sees them.
pub fn compare(
    got: &ArrayD<f64>,
    want: &ArrayD<f64>,
    scale: Scale,
    floor: f64,
    tolerance: Tolerance,
) -> Result<Difference, Fault> {
    if got.shape() != want.shape() {
        return Err(Fault::Shape { expected: want.shape().to_vec(), found: got.shape().to_vec() });
    }
    let mut difference = Difference { max_abs: 0.0, nmse: 0.0, first: None, outside: (0, want.len()) };
    let (mut error_square, mut square) = (0.0, 0.0);
    let shape = want.shape();
    let columns = shape.last().copied().unwrap_or(1).max(1);
    let (got_values, want_values) = (got.as_standard_layout(), want.as_standard_layout());
    let rows = got_values.as_slice().expect("row-major").chunks(columns);
    let rows = rows.zip(want_values.as_slice().expect("row-major").chunks(columns));
    for (row, (got_row, want_row)) in rows.enumerate() {
        let largest = want_row.iter().filter(|x| x.is_finite()).fold(1f64, |max, x| max.max(x.abs()));
        for (column, (&got, &want)) in got_row.iter().zip(want_row).enumerate() {
            let unit = if scale == Scale::Row { largest } else { want.abs().max(1.0) };
            let error = match (got as f32, want as f32) {
                (got, want) if got.is_nan() && want.is_nan() => 0.0,
                (got, want) if !got.is_finite() || !want.is_finite() => {
                    if got == want {
                        0.0
                    } else {
                        f64::INFINITY
                    }
                }
                _ => {
                    error_square += (got - want).powi(2);
                    square += want.powi(2);
                    (got - want).abs() / unit
                }
            };
            difference.max_abs = difference.max_abs.max(error);
            if error > tolerance.max_abs {
                difference.outside.0 += 1;
                difference.first.get_or_insert_with(|| (index_of(row * columns + column, shape), want, got));
            }
        }
    }
    difference.nmse = error_square / square.max(want.len() as f64 * floor.powi(2));
    if difference.outside.0 > 0 || difference.nmse > tolerance.nmse {
        return Err(Fault::Values(difference));
    }
    Ok(difference)
}

/// The indices of the element at a row-major position.
pub fn index_of(mut position: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (axis, &extent) in shape.iter().enumerate().rev() {
        index[axis] = position % extent;
        position /= extent;
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIGHT: Tolerance = Tolerance { max_abs: 1e-6, nmse: 1e-12, reason: "exact enough to tell" };

    fn of(got: &[f64], want: &[f64], scale: Scale) -> Result<Difference, Fault> {
        let array = |x: &[f64]| ArrayD::from_shape_vec(vec![1, x.len()], x.to_vec()).unwrap();
        compare(&array(got), &array(want), scale, 1e-30, TIGHT)
    }

    fn wrong(result: Result<Difference, Fault>) -> Difference {
        match result {
            Err(Fault::Values(difference)) => difference,
            other => panic!("{other:?} should be a difference of values"),
        }
    }

    #[test]
    fn the_scale_is_the_row_or_the_element() {
        assert!(of(&[1e6, 0.5], &[1e6, 0.0], Scale::Row).is_ok());
        let found = wrong(of(&[1e6, 0.5], &[1e6, 0.0], Scale::Element));
        assert_eq!(found.first, Some((vec![0, 1], 0.0, 0.5)));
    }

    #[test]
    fn what_is_not_finite_has_to_be_expected() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert!(of(&[inf, nan, -inf, 1.0], &[inf, nan, -inf, 1.0], Scale::Row).is_ok());
        assert!(of(&[1e39], &[inf], Scale::Row).is_ok(), "f32 cannot tell them apart");
        for (got, want) in [(nan, 1.0), (1.0, nan), (inf, -inf), (inf, 1.0), (1.0, inf), (nan, inf)] {
            assert_eq!(wrong(of(&[got], &[want], Scale::Row)).max_abs, inf, "{got} for {want}");
        }
    }

    #[test]
    fn small_numbers_are_wrong_by_their_mean_square() {
        // Zeros instead of 1e-7 pass as absolute errors.
        let found = wrong(of(&[0.0, 0.0], &[1e-7, 1e-7], Scale::Row));
        assert_eq!((found.nmse, found.first), (1.0, None));
        assert!(of(&[0.0], &[1e-39], Scale::Row).is_ok(), "a denormal may be flushed to zero");
    }
}
