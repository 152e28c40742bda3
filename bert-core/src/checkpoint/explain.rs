//! Likely causes and near names for a tensor that is missing or has another shape.

use super::error::{MissingCause, Near, ShapeCause};
use super::layout::{Family, Layout};

/// How many near names a message lists.
const SHOWN: usize = 5;
/// Names beyond these limits are not compared: the time must stay small whatever the file holds.
const COMPARED_NAMES: usize = 4096;
const COMPARED_BYTES: usize = 160;

/// A name in the file, as far as an explanation needs it.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) canonical: &'a str,
    pub(super) stored: &'a str,
    pub(super) shape: &'a [usize],
}

/// The names most like `wanted`, the nearest first.
pub(super) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = Known<'a>>) -> Vec<Near> {
    if wanted.len() > COMPARED_BYTES {
        return Vec::new();
    }
    let mut scored: Vec<_> = known
        .take(COMPARED_NAMES)
        .filter(|known| known.canonical.len() <= COMPARED_BYTES)
        .map(|known| (distance(wanted, known.canonical), known))
        .filter(|(distance, _)| distance * 2 < wanted.len())
        .collect();
    scored.sort_by_key(|&(distance, known)| (distance, known.canonical));
    scored
        .into_iter()
        .take(SHOWN)
        .map(|(_, known)| Near { name: known.stored.to_owned(), shape: known.shape.to_vec() })
        .collect()
}

/// How unlike two names are: the Levenshtein distance, but a name that ends in the other one is as near as
/// can be, however long its prefix.
fn distance(wanted: &str, found: &str) -> usize {
    if wanted.ends_with(found) || found.ends_with(wanted) {
        return 0;
    }
    strsim::levenshtein(wanted, found)
}

/// Why `wanted` may be missing from a file with these canonical names.
pub(super) fn missing<'a>(
    wanted: &str,
    family: Family,
    layout: &Layout,
    canonical: impl Iterator<Item = &'a str> + Clone,
) -> Option<MissingCause> {
    if layout.lacks(wanted) {
        return Some(MissingCause::NotInFamily { family });
    }
    let suffix = format!(".{wanted}");
    if let Some(prefix) = canonical.clone().find_map(|name| name.strip_suffix(&suffix)) {
        return Some(MissingCause::Prefix { prefix: format!("{prefix}.") });
    }
    if let Some(layer) = layer(wanted) {
        let found = canonical.filter_map(self::layer).max().map_or(0, |last| last.saturating_add(1));
        return (family != Family::UNKNOWN && layer >= found).then_some(MissingCause::FewerLayers { found });
    }
    let heads = [
        "pooler",
        "cls.predictions",
        "cls.seq_relationship",
        "pre_classifier",
        "classifier",
        "qa_outputs",
        "discriminator_predictions",
        "sequence_summary",
    ];
    let head = heads.into_iter().find(|head| wanted.starts_with(head))?;
    let has_head = canonical.into_iter().any(|name| name.starts_with(head));
    (!has_head).then(|| MissingCause::NoHead { head: head.to_owned() })
}

/// The number of the layer that a tensor belongs to.
fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("encoder.layer.")?.split('.').next()?.parse().ok()
}

/// Why a tensor may have shape `found` instead of `expected`.
pub(super) fn misshapen(name: &str, expected: &[usize], found: &[usize]) -> ShapeCause {
    let rows_alike = expected.iter().skip(1).eq(found.iter().skip(1));
    if expected.len() == 2 && expected.iter().eq(found.iter().rev()) {
        return ShapeCause::Transposed;
    }
    let table = [
        ("embeddings.word_embeddings", "vocab_size"),
        ("cls.predictions.decoder", "vocab_size"),
        ("cls.predictions.bias", "vocab_size"),
        ("embeddings.position_embeddings", "max_position_embeddings"),
        ("embeddings.token_type_embeddings", "type_vocab_size"),
        ("classifier", "id2label"),
        ("qa_outputs", "id2label"),
    ];
    let first_axis = table.into_iter().find(|(part, _)| rows_alike && name.starts_with(part));
    ShapeCause::Config(match first_axis {
        Some((_, field)) => field,
        None if name.contains(".intermediate.") => "intermediate_size",
        None => "hidden_size and intermediate_size",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelType;

    fn known(canonical: &str) -> Known<'_> {
        Known { canonical, stored: canonical, shape: &[3] }
    }

    #[test]
    fn near_names_come_nearest_first() {
        let names = [
            "pooler.dense.bias",
            "cls.predictions.bias",
            "encoder.layer.0.output.dense.weight",
            "encoder.layer.1.output.dense.weight",
            "encoder.layer.0.output.dens.weight",
            "other.encoder.layer.0.output.dense.wight",
            "wrapper.encoder.layer.0.output.dense.weights",
            "x.encoder.layer.0.output.dense.weight",
        ];
        let found = nearest("encoder.layer.0.output.dense.weight", names.iter().map(|name| known(name)));
        let found: Vec<_> = found.iter().map(|near| near.name.as_str()).collect();
        assert_eq!(found, [names[2], names[7], names[4], names[3], names[5]]);
        assert_eq!(nearest("pooler.dense.weight", [known("a"), known("qa_outputs.bias")].into_iter()), []);
        assert_eq!(nearest("pooler.dense.weight", std::iter::empty()), []);
        assert_eq!(nearest(&"x".repeat(1 << 20), names.iter().map(|name| known(name))), []);
    }

    #[test]
    fn distances() {
        let table = [
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("abc", "acb", 2),
            ("kitten", "sitting", 3),
            ("ab", "xab", 0),
        ];
        for (a, b, expected) in table {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn causes_of_a_missing_tensor() {
        let bert = [
            "embeddings.word_embeddings.weight",
            "encoder.layer.0.a",
            "encoder.layer.1.a",
            "pooler.dense.bias",
        ];
        let cause = |wanted, family, names: &[&'static str]| {
            let model_type =
                if family == Family::DISTILBERT { ModelType::DistilBert } else { ModelType::Bert };
            missing(wanted, family, Layout::of(model_type), names.iter().copied())
        };
        assert_eq!(
            cause("pooler.dense.weight", Family::DISTILBERT, &bert),
            Some(MissingCause::NotInFamily { family: Family::DISTILBERT })
        );
        assert_eq!(cause("pooler.dense.weight", Family::BERT, &bert), None);
        assert_eq!(
            cause("encoder.layer.2.a", Family::BERT, &bert),
            Some(MissingCause::FewerLayers { found: 2 })
        );
        assert_eq!(cause("encoder.layer.1.b", Family::BERT, &bert), None);
        let head = MissingCause::NoHead { head: "classifier".into() };
        assert_eq!(cause("classifier.weight", Family::BERT, &bert), Some(head));
        let prefix = MissingCause::Prefix { prefix: "deberta.".into() };
        assert_eq!(cause("pooler.dense.bias", Family::UNKNOWN, &["deberta.pooler.dense.bias"]), Some(prefix));
        assert_eq!(cause("encoder.layer.0.a", Family::UNKNOWN, &[]), None);
    }

    #[test]
    fn causes_of_another_shape() {
        let cases: [(&str, &[usize], &[usize], ShapeCause); 6] = [
            ("encoder.layer.0.intermediate.dense.weight", &[8, 2], &[2, 8], ShapeCause::Transposed),
            ("embeddings.word_embeddings.weight", &[9, 2], &[8, 2], ShapeCause::Config("vocab_size")),
            (
                "embeddings.word_embeddings.weight",
                &[9, 2],
                &[9, 3],
                ShapeCause::Config("hidden_size and intermediate_size"),
            ),
            ("encoder.layer.0.intermediate.dense.bias", &[8], &[9], ShapeCause::Config("intermediate_size")),
            ("classifier.bias", &[3], &[2], ShapeCause::Config("id2label")),
            ("classifier.bias", &[3], &[], ShapeCause::Config("id2label")),
        ];
        for (name, expected, found, cause) in cases {
            assert_eq!(misshapen(name, expected, found), cause, "{name} {expected:?} {found:?}");
        }
    }
}
