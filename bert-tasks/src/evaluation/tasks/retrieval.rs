//! Queries, and the documents that a search should find among all.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde_json::json;

use super::super::metrics::ranking::Ranking;
use super::super::run::answer_each;
use super::super::{Judged, Means, Outcome};
use crate::data::DataError;
use crate::data::retrieval::{Relevance, Text};
use crate::embedding::cosine;
use crate::{Embedding, Error};

/// How many documents are ranked for each query.
pub const DEPTH: usize = 100;

/// Evaluates an embedding, as it is used for queries and for documents (which may have prompts of their own), by how
/// it ranks documents for queries: by the cosine to the query; of equals the one that
/// comes first in the file.
///
/// Queries without a relevant document are left out. A document with the id of the query is passed over, as in BEIR,
/// where some collections hold their own queries. What is kept are the vectors of the queries and the best
/// [`DEPTH`] documents of each, so that memory does not grow with the documents.
///
/// # Errors
/// What is wrong with a query or a document; an error of `each`, which sees every query at the end, and of
/// `progress`, which is told of each text whether it was too long for the model.
pub fn evaluate<E: From<Error>>(
    [of_queries, of_documents]: [&Embedding; 2],
    queries: impl IntoIterator<Item = Result<Text, DataError>>,
    documents: impl IntoIterator<Item = Result<Text, DataError>>,
    relevance: &Relevance,
    mut progress: impl FnMut(bool) -> Result<(), E>,
    mut each: impl FnMut(Judged) -> Result<(), E>,
) -> Result<Outcome<Means<6>>, E> {
    let names = ["accuracy@1", "accuracy@5", "accuracy@10", "mrr@10", "ndcg@10", "map@100"];
    let mut outcome = Outcome::new(Means::new(names));
    let asked = queries.into_iter().filter(|query| match query {
        Ok(query) => relevance.contains_key(&query.id),
        Err(_) => true,
    });
    let text = |text: &Text| text.text.clone();
    let place = |text: &Text| Some(text.place.clone());
    let mut searches: Vec<Search> = vec![];
    answer_each(of_queries, asked, text, place, |query, embedding| {
        let (vector, cut) = (embedding.vector, embedding.truncated.is_some());
        searches.push(Search { query, vector, best: BinaryHeap::new(), cut });
        progress(cut)
    })?;
    let mut order = 0;
    answer_each(of_documents, documents, text, place, |document, embedding| {
        for search in searches.iter_mut().filter(|search| search.query.id != document.id) {
            let score = cosine(&search.vector, &embedding.vector);
            search.add(score, order, &document.id);
        }
        order += 1;
        progress(embedding.truncated.is_some())
    })?;
    for Search { query, best, cut, .. } in searches {
        let wanted = &relevance[&query.id];
        let found = best.into_sorted_vec();
        let gain = |hit: &Hit| wanted.get(&hit.id).copied().unwrap_or(0.0);
        let ranking =
            Ranking { found: found.iter().map(gain).collect(), relevant: wanted.values().copied().collect() };
        let mut gold: Vec<&str> = wanted.keys().map(String::as_str).collect();
        gold.sort_unstable();
        let first = found.first();
        let judged = Judged {
            line: Judged::at(&query.place),
            id: Some(query.id),
            input: json!(query.text),
            gold: json!(gold),
            answer: json!(found.iter().take(10).map(|hit| &*hit.id).collect::<Vec<_>>()),
            score: first.map(|hit| f64::from(hit.score)),
            right: Some(ranking.accuracy(1) == 1.0),
            cut,
        };
        let figures = [
            ranking.accuracy(1),
            ranking.accuracy(5),
            ranking.accuracy(10),
            ranking.reciprocal_rank(10),
            ranking.ndcg(10),
            ranking.average_precision(DEPTH),
        ];
        outcome.keep(figures, &judged);
        each(judged)?;
    }
    Ok(outcome)
}

/// A query and the best documents so far; the worst of them is on top.
struct Search {
    query: Text,
    vector: Vec<f32>,
    /// Whether it was too long for the model.
    cut: bool,
    best: BinaryHeap<Hit>,
}

impl Search {
    fn add(&mut self, score: f32, order: u64, id: &str) {
        if self.best.len() == DEPTH {
            if self.best.peek().is_some_and(|worst| score <= worst.score) {
                return;
            }
            self.best.pop();
        }
        self.best.push(Hit { score, order, id: id.to_owned() });
    }
}

/// A document near a query.
struct Hit {
    score: f32,
    /// The order in which documents came.
    order: u64,
    id: String,
}

/// The nearest is the least; of equals, the one that came first.
impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.order.cmp(&other.order))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Hit {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Place;

    #[test]
    fn the_best_documents_are_kept_in_their_order() {
        let query = Text { id: "q".into(), text: String::new(), place: Place::of("q") };
        let mut search = Search { query, vector: vec![], best: BinaryHeap::new(), cut: false };
        // Scores 0, 1, 2, 0, 1, 2, …: the twos come first, by order.
        for order in 0..200 {
            search.add((order % 3) as f32, order, &order.to_string());
        }
        let ids: Vec<String> = search.best.into_sorted_vec().into_iter().map(|hit| hit.id).collect();
        assert_eq!(ids.len(), DEPTH);
        assert_eq!((&*ids[0], &*ids[65], &*ids[66]), ("2", "197", "1"));
    }
}
