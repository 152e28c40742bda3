//! Labels that no model was trained for, by a model of entailment.

use std::sync::Arc;

use axum::response::Response;
use serde_json::json;

use super::Asked;
use crate::Refusal;
use crate::api::tei::labels;
use crate::ask::ask_all;
use crate::models::Served;
use crate::reader::{Notes, check_count};

/// `[{"label", "score"}]`, best first: how surely a text entails a hypothesis about each label, by a model that was
/// trained on entailment.
pub async fn zero_shot(served: &Arc<Served>, mut asked: Asked) -> Result<Response, Refusal> {
    let Some(text) = asked.inputs.as_str() else {
        return Err(Refusal::invalid("inputs must be one text for zero-shot classification"));
    };
    let labels_asked: Vec<String> = asked.parameters.need("candidate_labels")?;
    check_count(labels_asked.len(), asked.most)?;
    let several: bool = asked.parameters.take("multi_label")?.unwrap_or(false);
    let template: String =
        asked.parameters.take("hypothesis_template")?.unwrap_or_else(|| "This example is {}.".to_owned());
    if !template.contains("{}") {
        return Err(Refusal::invalid("hypothesis_template needs a {} in the place of the label"));
    }
    let known = &served.session().config().labels;
    let named =
        |beginning: &str| known.iter().find(|label| label.to_lowercase().starts_with(beginning)).cloned();
    let (Some(entails), Some(contradicts)) = (named("entail"), named("contra")) else {
        let message = format!(
            "zero-shot classification takes a model of entailment; this one's labels are {}",
            known.join(", ")
        );
        return Err(Refusal::invalid(message));
    };
    // Scores before any softmax: labels are compared with each other.
    let input =
        |label: &String| json!({"text": text, "pair": template.replace("{}", label), "scores": "regression"});
    let answers = ask_all(served, labels_asked.iter().map(input).collect()).await?;
    let mut logits = Vec::with_capacity(answers.len());
    for answer in &answers {
        let scores = labels(answer)?;
        let score = |name: &str| {
            scores.iter().find(|label| label.label == name).map_or(0.0, |label| f64::from(label.score))
        };
        logits.push((score(&entails), score(&contradicts)));
    }
    let scores = zero_shot_scores(&logits, several);
    let mut scored: Vec<_> = labels_asked.iter().zip(scores).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    let list: Vec<_> =
        scored.into_iter().map(|(label, score)| json!({"label": label, "score": score})).collect();
    Ok(asked.notes(Notes::of(&answers)).with(&list))
}

/// From the scores of entailment and contradiction: each label by itself, or all of them against each other.
fn zero_shot_scores(logits: &[(f64, f64)], several: bool) -> Vec<f64> {
    if several {
        return logits
            .iter()
            .map(|(entails, contradicts)| 1.0 / (1.0 + (contradicts - entails).exp()))
            .collect();
    }
    let most = logits.iter().map(|(entails, _)| *entails).fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|(entails, _)| (entails - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_compete_or_stand_alone() {
        let scores = zero_shot_scores(&[(2.0, 0.0), (0.0, 0.0), (1000.0, 0.0)], false);
        assert_eq!(scores, [0.0, 0.0, 1.0]);
        let scores = zero_shot_scores(&[(0.0, 0.0), (1000.0, -1000.0), (-1000.0, 1000.0)], true);
        assert_eq!(scores, [0.5, 1.0, 0.0]);
        assert!(zero_shot_scores(&[], false).is_empty());
    }
}
