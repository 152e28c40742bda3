//! All that is to be said of an evaluation.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{CardMetric, Difference, Figure};

/// The figures of a model, where they are from, and how another model compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The kind of evaluation, such as `squad`.
    pub task: String,
    /// What the data set is called.
    pub data: String,
    /// The model; `None` of predictions that were there already.
    pub model: Option<Contestant>,
    /// How many examples have figures.
    pub examples: usize,
    /// How many texts were longer than the model's input, so that it did not see all of them.
    pub cut: u64,
    /// The figures, by name.
    #[serde(serialize_with = "by_name")]
    pub figures: Vec<Figure>,
    /// How another model compares.
    pub comparison: Option<Comparison>,
    /// How long the model took for the examples, without loading.
    pub seconds: f64,
    /// How many texts it answered in a second: examples, or queries and documents.
    pub texts_per_second: f64,
}

/// A model, and how it was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contestant {
    /// What the user calls it.
    pub name: String,
    /// The numbers that its linear layers computed with.
    pub precision: String,
    /// Where it ran.
    pub device: String,
}

/// How a second model compares with the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The second model.
    pub model: Contestant,
    /// The differences, by the names of the figures.
    #[serde(serialize_with = "differences_by_name")]
    pub figures: Vec<Difference>,
    /// How many answers are other ones; `None` where answers are numbers.
    pub changed: Option<usize>,
}

fn by_name<S: Serializer>(figures: &[Figure], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Value {
        value: f64,
        low: Option<f64>,
        high: Option<f64>,
    }
    let mut map = to.serialize_map(Some(figures.len()))?;
    for Figure { name, value, interval } in figures {
        let (low, high) = (interval.map(|it| it.low), interval.map(|it| it.high));
        map.serialize_entry(name, &Value { value: *value, low, high })?;
    }
    map.end()
}

fn differences_by_name<S: Serializer>(figures: &[Difference], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Value {
        value: f64,
        difference: f64,
        low: Option<f64>,
        high: Option<f64>,
    }
    let mut map = to.serialize_map(Some(figures.len()))?;
    for Difference { name, second, difference, interval, .. } in figures {
        let (low, high) = (interval.map(|it| it.low), interval.map(|it| it.high));
        map.serialize_entry(name, &Value { value: *second, difference: *difference, low, high })?;
    }
    map.end()
}

impl Report {
    /// The figures that a model card shows: those of all examples together, without thresholds and those that are
    /// not defined.
    pub fn card_metrics(&self) -> Vec<CardMetric> {
        let overall = |figure: &&Figure| {
            !figure.name.contains('[') && !figure.name.ends_with("_thresh") && figure.value.is_finite()
        };
        let metric = |Figure { name, value, .. }: &Figure| CardMetric {
            kind: kind(name).to_owned(),
            name: name.clone(),
            value: *value,
        };
        self.figures.iter().filter(overall).map(metric).collect()
    }
}

/// What hubs call the kind of a figure.
fn kind(name: &str) -> &str {
    const KINDS: [(&str, &str); 11] = [
        ("exact", "exact_match"),
        ("matthews_correlation", "matthews_correlation"),
        ("f1", "f1"),
        ("precision", "precision"),
        ("recall", "recall"),
        ("accuracy", "accuracy"),
        ("pearson", "pearsonr"),
        ("spearman", "spearmanr"),
        ("perplexity", "perplexity"),
        ("rouge", "rouge"),
        ("loss", "loss"),
    ];
    KINDS.iter().find(|(part, _)| name.contains(part)).map_or(name, |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::Interval;

    #[test]
    fn figures_are_found_by_name_and_nothing_is_lost() {
        let figure = |name: &str, value| Figure {
            name: name.to_owned(),
            value,
            interval: Some(Interval { low: 0.1, high: 0.30000000000000004 }),
        };
        let report = Report {
            task: "squad".to_owned(),
            data: "dev".to_owned(),
            model: None,
            examples: 2,
            cut: 0,
            figures: vec![
                figure("HasAns_exact", 72.77064823955249),
                figure("NoAns_f1", f64::NAN),
                figure("best_f1_thresh", -1.5),
                figure("lenient_f1[PER]", 1.0),
            ],
            comparison: None,
            seconds: 1.0,
            texts_per_second: 2.0,
        };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["figures"]["HasAns_exact"]["value"], 72.77064823955249);
        assert_eq!(json["figures"]["HasAns_exact"]["high"], 0.30000000000000004);
        assert!(json["figures"]["NoAns_f1"]["value"].is_null());
        let metrics = report.card_metrics();
        assert_eq!(metrics.len(), 1);
        assert_eq!((metrics[0].kind.as_str(), metrics[0].name.as_str()), ("exact_match", "HasAns_exact"));
    }
}
