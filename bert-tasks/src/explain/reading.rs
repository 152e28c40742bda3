//! How a score is read from the numbers of a model, and its gradient with respect to these.

use ndarray::{Array2, ArrayView2, s};

use crate::Rows;
use crate::embedding::cosine;
use crate::scores::{sigmoid, softmax};

/// How a score is read from the rows of the output, or of both texts' vectors.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// The probability of some columns together, the mean over some rows.
    Softmax { rows: Vec<usize>, columns: Vec<usize> },
    /// The probability of a column by itself, of the first row.
    Sigmoid { column: usize },
    /// The number of a column, of the first row.
    Number { column: usize },
    /// The probability of a start, which is the first column over all rows, times that of an end, which is the second.
    Span { start: usize, end: usize },
    /// The cosine of the vectors of two sequences; of the columns of all outputs.
    Cosine,
}

impl Reading {
    /// What is kept of the rows of one sequence.
    pub fn reduce(&self, rows: Rows) -> Vec<f32> {
        match self {
            Self::Cosine => rows.into_iter().flatten().collect(),
            _ => vec![self.value(&rows[0].view()) as f32],
        }
    }

    /// The score, of what was kept of each sequence.
    pub fn score(&self, pieces: &[Vec<f32>]) -> f64 {
        match self {
            Self::Cosine => f64::from(cosine(&pieces[0], &pieces[1])),
            _ => f64::from(pieces[0][0]),
        }
    }

    fn value(&self, scores: &ArrayView2<'_, f32>) -> f64 {
        match self {
            Self::Softmax { rows, columns } => {
                let of = |&row: &usize| {
                    let probabilities = softmax(scores.row(row));
                    columns.iter().map(|&column| f64::from(probabilities[column])).sum::<f64>()
                };
                rows.iter().map(of).sum::<f64>() / rows.len() as f64
            }
            Self::Sigmoid { column } => f64::from(sigmoid(scores[[0, *column]])),
            Self::Number { column } => f64::from(scores[[0, *column]]),
            Self::Span { start, end } => {
                let of = |column, row: &usize| f64::from(softmax(scores.column(column))[*row]);
                of(0, start) * of(1, end)
            }
            Self::Cosine => unreachable!("it takes two sequences"),
        }
    }

    /// The gradient of the score, `[rows, columns]` as the scores; `None` where it takes more than one sequence.
    pub fn gradient(&self, scores: ArrayView2<'_, f32>) -> Option<Array2<f32>> {
        let mut gradient = Array2::zeros(scores.dim());
        match self {
            Self::Softmax { rows, columns } => {
                for &row in rows {
                    let probabilities = softmax(scores.row(row));
                    let sum: f32 = columns.iter().map(|&column| probabilities[column]).sum();
                    for (column, &p) in probabilities.iter().enumerate() {
                        let own = f32::from(u8::from(columns.contains(&column)));
                        gradient[[row, column]] = p * (own - sum) / rows.len() as f32;
                    }
                }
            }
            Self::Sigmoid { column } => {
                let p = sigmoid(scores[[0, *column]]);
                gradient[[0, *column]] = p * (1.0 - p);
            }
            Self::Number { column } => gradient[[0, *column]] = 1.0,
            Self::Span { start, end } => {
                let value = self.value(&scores) as f32;
                for (column, place) in [(0, *start), (1, *end)] {
                    let probabilities = softmax(scores.column(column));
                    let own = |row| f32::from(u8::from(row == place));
                    let slopes = probabilities.iter().enumerate().map(|(row, p)| value * (own(row) - p));
                    gradient.slice_mut(s![.., column]).iter_mut().zip(slopes).for_each(|(to, x)| *to = x);
                }
            }
            Self::Cosine => return None,
        }
        Some(gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_the_values() {
        let scores =
            Array2::from_shape_fn((3, 4), |(row, column)| (row * 3 + column * 5 % 7) as f32 / 5.0 - 0.7);
        let readings = [
            Reading::Softmax { rows: vec![0, 2], columns: vec![1, 3] },
            Reading::Sigmoid { column: 2 },
            Reading::Number { column: 1 },
            Reading::Span { start: 1, end: 2 },
        ];
        for reading in readings {
            let gradient = reading.gradient(scores.view()).unwrap();
            for index in [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [2, 0], [2, 1], [2, 3]] {
                let at = |by: f32| {
                    let mut moved = scores.clone();
                    moved[index] += by;
                    reading.value(&moved.view())
                };
                let found = (at(0.01) - at(-0.01)) / 0.02;
                assert!((found - f64::from(gradient[index])).abs() < 1e-4, "{reading:?} {index:?} {found}");
            }
        }
        assert_eq!(Reading::Cosine.gradient(scores.view()), None);
    }
}
