//! Occlusion: how a score changes when a word is masked. Source: "Visualizing and Understanding Convolutional Networks"
//! (Zeiler and Fergus, 2014), which covers parts of a picture; of texts, "Understanding Neural Networks through
//! Representation Erasure" (Li et al., 2016).

use super::{Explanation, Method, Subject};
use crate::Result;

/// Scores each word by what the score loses when the word is masked. It takes a pass for each word, and works for any
/// subject. What two words say together, either of which would do, it does not see.
///
/// ```
/// use bert_tasks::explain::{Occlusion, Subject};
/// use bert_tasks::{Device, TokenClassification};
/// let model = "path/to/an-ner-model";
/// # let model = bert_conformance::checkpoint("bert-token-classification");
/// # let model = model.to_str().unwrap();
/// let tagger = TokenClassification::load(model, &Device::auto()?)?;
/// let text = "My name is Sarah Connor and I live in Los Angeles.";
/// let subject = Subject::entity(&tagger, text, None)?;
/// let explanation = Occlusion::default().explain(&subject)?.measured(&subject)?;
/// println!("{}: {:.3}", explanation.target, explanation.score);
/// assert!(explanation.faithfulness.is_some());
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Occlusion {}

impl Occlusion {
    /// Scores the words of a subject.
    ///
    /// # Errors
    /// As [`Subject::score`].
    pub fn explain(&self, subject: &Subject) -> Result<Explanation> {
        let count = subject.words.len();
        let mut masked: Vec<Vec<usize>> = (0..count).map(|word| vec![word]).collect();
        masked.push(vec![]);
        masked.push((0..count).collect());
        let mut scores = subject.scores(masked)?;
        let ends = scores.split_off(count);
        let losses: Vec<f64> = scores.into_iter().map(|without| ends[0] - without).collect();
        Ok(Explanation::new(subject, Method::Occlusion, [ends[0], ends[1]], &losses))
    }
}
