//! Vectors side by side, and the nearest of them to a query.

use ndarray::{ArrayView1, ArrayView2};
use serde::Serialize;

/// The cosine of the angle between two vectors of one length; 0 where one of them is zero.
///
/// # Panics
/// If their lengths differ.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "vectors of one model have one length");
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { (dot(a, b) / lengths) as f32 } else { 0.0 }
}

/// A vector near a query.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// Which vector, in the order of [`Index::push`].
    pub index: usize,
    /// The cosine of the angle to the query.
    pub score: f32,
}

/// Vectors of one length, searched exhaustively: exact, and a million of them take a fraction of a second.
///
/// ```
/// use bert_tasks::embedding::Index;
/// let mut index = Index::new(2);
/// index.push(&[1.0, 0.0]);
/// index.push(&[0.0, 2.0]);
/// let hits = index.search(&[0.1, 0.9], 1);
/// assert_eq!(hits[0].index, 1);
/// ```
#[derive(Clone, Debug)]
pub struct Index {
    dimensions: usize,
    /// `[vectors, dimensions]`, each scaled to length 1.
    vectors: Vec<f32>,
}

impl Index {
    /// An index of vectors of this length.
    ///
    /// # Panics
    /// If the length is 0.
    pub fn new(dimensions: usize) -> Self {
        assert!(dimensions > 0, "a vector has at least one number");
        Self { dimensions, vectors: vec![] }
    }

    /// How many vectors there are.
    pub fn len(&self) -> usize {
        self.vectors.len() / self.dimensions
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// Adds a vector.
    ///
    /// # Panics
    /// If its length is another than the index was made for.
    pub fn push(&mut self, vector: &[f32]) {
        assert_eq!(vector.len(), self.dimensions, "vectors of one model have one length");
        self.vectors.extend(unit(vector));
    }

    /// The `k` nearest vectors, nearest first; of equals the one added first.
    ///
    /// # Panics
    /// If the query's length is another than the index was made for.
    pub fn search(&self, query: &[f32], k: usize) -> Vec<Hit> {
        assert_eq!(query.len(), self.dimensions, "vectors of one model have one length");
        let query: Vec<f32> = unit(query).collect();
        let shape = (self.len(), self.dimensions);
        let vectors = ArrayView2::from_shape(shape, &self.vectors).expect("every push adds one row");
        let scores = vectors.dot(&ArrayView1::from(&query));
        let mut hits: Vec<Hit> =
            scores.iter().enumerate().map(|(index, &score)| Hit { index, score }).collect();
        let order = |a: &Hit, b: &Hit| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index));
        if k == 0 {
            return vec![];
        }
        if k < hits.len() {
            hits.select_nth_unstable_by(k - 1, order);
            hits.truncate(k);
        }
        hits.sort_unstable_by(order);
        hits
    }
}

fn unit(vector: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let length = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt().max(1e-12);
    vector.iter().map(move |&x| (f64::from(x) / length) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn search_is_the_sorted_list_of_all_cosines(
            vectors in prop::collection::vec(prop::array::uniform3(-1.0f32..1.0), 0..40),
            query in prop::array::uniform3(-1.0f32..1.0),
            k in 0usize..50,
        ) {
            let mut index = Index::new(3);
            vectors.iter().for_each(|vector| index.push(vector));
            let hits = index.search(&query, k);
            prop_assert_eq!(hits.len(), k.min(vectors.len()));
            prop_assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
            for hit in &hits {
                prop_assert!((hit.score - cosine(&vectors[hit.index], &query)).abs() < 1e-5);
            }
            let left_out = (0..vectors.len()).filter(|i| hits.iter().all(|hit| hit.index != *i));
            let worst = hits.last().map_or(f32::INFINITY, |hit| hit.score);
            for i in left_out {
                prop_assert!(k == 0 || cosine(&vectors[i], &query) <= worst + 1e-5);
            }
        }
    }

    #[test]
    fn a_zero_vector_is_near_to_nothing() {
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
        let mut index = Index::new(2);
        index.push(&[0.0, 0.0]);
        assert_eq!(index.search(&[1.0, 1.0], 5)[0].score, 0.0);
    }
}
