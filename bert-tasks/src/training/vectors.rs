//! The loss of vectors of texts: what belongs together, and what happens to be alike.

use std::collections::HashMap;

use bert_core::contract::Tensor;
use bert_core::train::TrainBackend;
use bert_core::train::loss::{self, Loss};

use super::engine::Batch;
use super::target::Target;

/// The loss of the vectors of all texts of some batches, in their order.
pub fn vector_loss<B: TrainBackend>(
    backend: &B,
    vectors: &Tensor<B>,
    batches: &[Batch<'_>],
    scale: f64,
) -> bert_core::Result<Loss<B>> {
    let targets = || batches.iter().flat_map(|batch| batch.targets.iter().copied());
    let scores: Vec<f32> = targets()
        .filter_map(|target| match target {
            Target::Similarity(score) => Some(*score),
            _ => None,
        })
        .collect();
    if !scores.is_empty() {
        return loss::cosines(backend, vectors, &scores);
    }
    let texts: Vec<&[u32]> = batches
        .iter()
        .flat_map(|batch| batch.packed.sequence_rows().map(|rows| &batch.packed.ids()[rows]))
        .collect();
    let per_example = texts.len() / targets().count();
    loss::multiple_negatives_ranking(backend, vectors, per_example, scale, &alike(&texts, per_example))
}

/// The texts that are right for another example than their own: a text and its positive may come again, in a step that
/// would otherwise learn to keep them apart. For each of them the example and the place of the text.
fn alike(texts: &[&[u32]], per_example: usize) -> Vec<(usize, usize)> {
    let mut places: HashMap<&[u32], Vec<usize>> = HashMap::new();
    for (place, &text) in texts.iter().enumerate() {
        places.entry(text).or_default().push(place);
    }
    let mut alike = vec![];
    for (example, own) in texts.chunks(per_example).enumerate() {
        let [anchor, positive] = [own[0], own[1]];
        // What is the text itself, or its positive.
        let same = places[anchor].iter().chain(&places[positive]).copied();
        // What is the positive of the same text elsewhere.
        let elsewhere =
            places[anchor].iter().filter(|&&place| place.is_multiple_of(per_example)).map(|place| place + 1);
        let mut found: Vec<usize> = same.chain(elsewhere).collect();
        found.sort_unstable();
        found.dedup();
        let candidate =
            |place: &usize| !place.is_multiple_of(per_example) && *place != example * per_example + 1;
        alike.extend(found.into_iter().filter(candidate).map(|place| (example, place)));
    }
    alike
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_come_again_are_not_kept_apart() {
        let [a, b, c, d, e] = [&[1][..], &[2], &[3], &[4], &[5]];
        assert_eq!(alike(&[a, b, c, d], 2), []);
        // The same positive, and the same anchor.
        assert_eq!(alike(&[a, b, c, b, a, e], 2), [(0, 3), (0, 5), (1, 1), (2, 1)]);
        // A positive that is another's anchor; a pair that comes twice.
        assert_eq!(alike(&[a, b, b, c], 2), [(1, 1)]);
        assert_eq!(alike(&[a, b, a, b], 2), [(0, 3), (1, 1)]);
        // A hard negative of one example that is the positive of another.
        assert_eq!(alike(&[a, b, c, d, c, e], 3), [(1, 2)]);
    }
}
