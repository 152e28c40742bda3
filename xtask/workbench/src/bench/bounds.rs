//! What a precision may cost at most.

use super::results::Accuracy;

/// Spearman's correlation of all-MiniLM-L6-v2 on STS-B dev in `f32`, and how far `f32` may be from it.
const SPEARMAN: (f64, f64) = (0.8672, 0.0001);

/// A measure, what was found, and whether it is within its bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    pub measure: &'static str,
    /// In words: `0.8668, 0.0004 from 0.8672 where 0.003 may be`.
    pub words: String,
    pub held: bool,
}

/// Holds a row against the bounds of its precision.
pub fn check(row: &Accuracy) -> Vec<Held> {
    let (spearman, most, least) = match row.precision.as_str() {
        // Sums in another order may turn a label that is as likely as the next.
        "f32" => (Some(SPEARMAN.0), SPEARMAN.1, 0.9999),
        "bf16" | "f16" => (row.sts_spearman_f32, 0.001, 0.998),
        "int8" => (row.sts_spearman_f32, 0.003, 0.99),
        _ => return vec![],
    };
    let mut held = vec![];
    if let (Some(found), Some(spearman)) = (row.sts_spearman, spearman) {
        let distance = (found - spearman).abs();
        let words = format!("{found:.4}, {distance:.4} from {spearman:.4}; at most {most} is allowed");
        held.push(Held { measure: "STS-B", words, held: distance <= most });
    }
    if let Some(found) = row.ner_agreement {
        let words = format!("{:.2} % as in f32; at least {} % is required", 100.0 * found, 100.0 * least);
        held.push(Held { measure: "labels", words, held: found >= least });
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(precision: &str, spearman: f64, agreement: f64) -> Vec<bool> {
        let row = Accuracy {
            precision: precision.into(),
            simd: "portable".into(),
            sts_spearman: Some(spearman),
            sts_spearman_f32: Some(0.8672),
            ner_agreement: Some(agreement),
            ner_tokens: 1000,
            cosine_mean: None,
            cosine_min: None,
        };
        check(&row).iter().map(|held| held.held).collect()
    }

    #[test]
    fn each_precision_has_bounds_of_its_own() {
        assert_eq!(held("f32", 0.86725, 1.0), [true, true]);
        assert_eq!(held("f32", 0.8669, 0.9997), [false, false]);
        assert_eq!(held("bf16", 0.8665, 0.9985), [true, true]);
        assert_eq!(held("bf16", 0.8655, 0.9975), [false, false]);
        assert_eq!(held("int8", 0.8655, 0.9975), [true, true]);
        assert_eq!(held("int8", 0.8705, 0.9899), [false, false]);
        assert_eq!(held("int4", 0.8, 0.9), [false; 0]);
    }
}
