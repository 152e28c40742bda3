//! Text classification as an objective: single labels, several labels, numbers; texts and pairs.

use bert_core::ModelConfig;
use bert_core::config::ProblemType;
use bert_core::graph::{Head, Output};

use super::target::{Target, TrainingExample};
use super::{Evaluation, Objective, Scorer, TrainingError};
use crate::data::LabelSet;
use crate::data::classification::{Example, Label};
use crate::evaluation::metrics::Counts;
use crate::evaluation::metrics::classification::Confusion;
use crate::evaluation::metrics::correlation::pearson;
use crate::fit::fit;
use crate::tokenizer::{Encoded, Tokenizer};
use crate::{Pretrained, Result, Sequence};

/// Labelled texts to train on, and some to evaluate on.
pub struct Classification {
    tokenizer: Tokenizer,
    labels: Vec<String>,
    problem: ProblemType,
    train: Vec<(Example, Target)>,
    eval: Vec<(Example, Target)>,
}

impl Classification {
    /// The labels are those of the examples to train on; what kind they are says the first of these.
    ///
    /// # Errors
    /// [`TrainingError::NoExamples`], [`TrainingError::OneLabel`]; a label to evaluate on that training has not seen.
    pub fn new(base: &Pretrained, train: Vec<Example>, eval: Vec<Example>) -> Result<Self> {
        let Some(first) = train.first() else { return Err(TrainingError::NoExamples.into()) };
        let problem = match first.label {
            Label::One(_) => ProblemType::SingleLabelClassification,
            Label::Many(_) => ProblemType::MultiLabelClassification,
            Label::Score(_) => ProblemType::Regression,
        };
        let set = match problem {
            ProblemType::Regression => None,
            _ => Some(LabelSet::collect(train.iter().flat_map(|example| example.label.names()))?),
        };
        if let Some(set) = &set
            && set.len() == 1
            && problem == ProblemType::SingleLabelClassification
        {
            let label = set.names()[0].clone();
            return Err(TrainingError::OneLabel { label, count: train.len() }.into());
        }
        let ready = |examples: Vec<Example>| -> Result<Vec<_>> {
            let ready = |example: Example| Ok((target(&example, set.as_ref())?, example));
            let ready =
                examples.into_iter().map(|example| ready(example).map(|(target, example)| (example, target)));
            ready.collect()
        };
        let (train, eval) = (ready(train)?, ready(eval)?);
        // A regression has one output, which has to have a name.
        let labels = set.map_or_else(|| vec!["LABEL_0".to_owned()], |set| set.names().to_vec());
        Ok(Self { tokenizer: base.tokenizer().clone(), labels, problem, train, eval })
    }

    /// How many of all examples have more tokens, so that a run which takes no more than these cuts their ends.
    ///
    /// # Errors
    /// A text that cannot be tokenised.
    pub fn longer_than(&self, max_length: usize) -> Result<usize> {
        let mut longer = 0;
        for (example, _) in self.train.iter().chain(&self.eval) {
            longer += usize::from(self.encode(example)?.len() > max_length);
        }
        Ok(longer)
    }

    fn encode(&self, example: &Example) -> Result<Encoded> {
        Ok(match &example.second {
            Some(second) => self.tokenizer.encode_pair(&example.text, second)?,
            None => self.tokenizer.encode(&example.text)?,
        })
    }

    /// The tokens that fit, and whether texts are longer.
    fn sequence(&self, example: &Example, max_length: usize) -> Result<(Sequence, bool)> {
        let fitted = fit(self.encode(example)?, max_length);
        let truncated = fitted.truncated.iter().any(Option::is_some);
        Ok((fitted.encoded.into(), truncated))
    }
}

/// What an example should lead to.
fn target(example: &Example, labels: Option<&LabelSet>) -> Result<Target> {
    Ok(match (&example.label, labels) {
        (Label::Score(score), _) => Target::Number(*score as f32),
        (_, None) => Target::Number(0.0), // the reader gives one kind of labels a file
        (Label::One(_), Some(labels)) => Target::Class(example.targets(labels)?[0] as u32),
        (Label::Many(_), Some(labels)) => {
            let mut wanted = vec![0.0; labels.len()];
            for index in example.targets(labels)? {
                wanted[index] = 1.0;
            }
            Target::Labels(wanted)
        }
    })
}

impl Objective for Classification {
    fn head(&self) -> Head {
        Head::SequenceClassification
    }

    fn configure(&self, base: &ModelConfig) -> ModelConfig {
        ModelConfig { labels: self.labels.clone(), problem_type: Some(self.problem), ..base.clone() }
    }

    fn examples(&self) -> usize {
        self.train.len()
    }

    fn example(&self, _: u64, index: usize, max_length: usize) -> Result<TrainingExample> {
        let (example, target) = &self.train[index];
        let (sequence, truncated) = self.sequence(example, max_length)?;
        Ok(TrainingExample { sequences: vec![sequence], target: target.clone(), truncated })
    }

    fn evaluate(&self, model: &Scorer<'_>) -> Result<Option<Evaluation>> {
        if self.eval.is_empty() {
            return Ok(None);
        }
        let sequences =
            self.eval.iter().map(|(example, _)| Ok(self.sequence(example, model.max_length())?.0));
        let sequences = sequences.collect::<Result<Vec<_>>>()?;
        let scored = model.score(&sequences, &[Output::Scores(self.head())])?;
        let rows = scored.iter().map(|rows| rows[0].row(0));
        let (metric, value) = match self.problem {
            ProblemType::SingleLabelClassification => {
                let mut confusion = Confusion::new(self.labels.len());
                for (row, (_, target)) in rows.zip(&self.eval) {
                    let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a)));
                    let (Target::Class(class), Some(best)) = (target, best) else { continue };
                    confusion.add(*class as usize, best);
                }
                ("accuracy", confusion.accuracy())
            }
            ProblemType::MultiLabelClassification => {
                let mut counts = Counts::default();
                for (row, (_, target)) in rows.zip(&self.eval) {
                    let Target::Labels(labels) = target else { continue };
                    for (score, label) in row.iter().zip(labels) {
                        let (score, label) = (*score > 0.0, *label > 0.5);
                        counts.correct += usize::from(score && label);
                        counts.predicted += usize::from(score);
                        counts.expected += usize::from(label);
                    }
                }
                // With no label to find and none found, all is right.
                ("f1", if counts.expected + counts.predicted == 0 { 1.0 } else { counts.f1() })
            }
            ProblemType::Regression => {
                let (mut answers, mut gold) = (vec![], vec![]);
                for (row, (_, target)) in rows.zip(&self.eval) {
                    let Target::Number(number) = target else { unreachable!("one kind a file") };
                    answers.push(f64::from(row[0]));
                    gold.push(f64::from(*number));
                }
                // A model whose answers never vary has learnt nothing.
                ("pearson", pearson(&gold, &answers).unwrap_or(0.0))
            }
        };
        Ok(Some(Evaluation::new(metric, value, self.eval.len())))
    }
}
