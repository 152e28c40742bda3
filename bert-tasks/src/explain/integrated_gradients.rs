//! Integrated gradients. Source: "Axiomatic Attribution for Deep Networks" (Sundararajan et al., 2017).

use bert_core::PackedBatch;
use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use bert_core::tensor::HostTensor;
use ndarray::{Array2, ArrayView2, Axis, Ix2, s};

use super::{ExplainError, Explanation, Method, Subject};
use crate::training::engine::Engine;
use crate::{Device, Error, Pretrained, Result};

/// Scores each word by its part in the way from a text whose words are all masked to the text itself: the gradient of the
/// score with respect to what the embeddings give, summed up along the straight line between the two. The scores of all
/// words add up to what the score gained on that way, but for the error of the sum ([`Explanation::gap`]).
///
/// It holds a second copy of the model, which has gradients, and computes in `f32`.
///
/// ```
/// use bert_tasks::explain::{IntegratedGradients, Subject};
/// use bert_tasks::{Device, Head, Precision, Pretrained, TextClassification};
/// let model = "path/to/a-sentiment-model";
/// # let model = bert_conformance::checkpoint("bert-sequence-classification");
/// # let model = model.to_str().unwrap();
/// let (files, device) = (Pretrained::open(model)?, Device::auto()?);
/// let classifier = TextClassification::from_pretrained(&files, &device, Precision::F32)?;
/// let gradients = IntegratedGradients::load(&files, Head::SequenceClassification, &device)?;
/// let subject = Subject::label(&classifier, "A gorgeous, witty film.", None)?;
/// let explanation = gradients.explain(&subject)?;
/// let sum: f64 = explanation.words.iter().map(|word| word.score).sum();
/// let gained = explanation.score - explanation.baseline;
/// assert!((sum - gained).abs() < 1e-3);
/// # Ok::<(), bert_tasks::Error>(())
/// ```
pub struct IntegratedGradients {
    engine: Box<dyn Engine>,
    head: Head,
    steps: usize,
}

impl IntegratedGradients {
    /// The most steps that are taken: far more than change anything.
    pub const MOST_STEPS: usize = 10_000;

    /// Loads a model for its gradients. `head` is the one of the task whose scores are explained.
    ///
    /// # Errors
    /// A model that has no such head, or is damaged; a device without room.
    pub fn load(files: &Pretrained, head: Head, device: &Device) -> Result<Self> {
        let mut engine =
            device.load_for_training(files.config().clone(), files.parameters(), head, Precision::F32)?;
        engine.freeze()?;
        Ok(Self { engine, head, steps: 64 })
    }

    /// The same with another number of steps on the way; 64 if not given. More take longer and are more exact.
    ///
    /// # Errors
    /// [`Error::Setting`] for none, and for more than [`MOST_STEPS`](Self::MOST_STEPS).
    pub fn with_steps(self, steps: usize) -> Result<Self> {
        match steps {
            1..=Self::MOST_STEPS => Ok(Self { steps, ..self }),
            _ => Err(Error::Setting {
                setting: "steps",
                found: steps.to_string(),
                expected: "between 1 and 10000",
            }),
        }
    }

    /// Scores the words of a subject.
    ///
    /// # Errors
    /// [`ExplainError::NoGradient`] for a subject of two passes; [`ExplainError::OtherHead`]; as [`Subject::score`].
    pub fn explain(&self, subject: &Subject) -> Result<Explanation> {
        let [sequence] = &subject.sequences[..] else {
            return Err(ExplainError::NoGradient { task: subject.task }.into());
        };
        if !self.head.serves(subject.head) {
            return Err(ExplainError::OtherHead { loaded: self.head, asked: subject.head }.into());
        }
        let all: Vec<usize> = (0..subject.words.len()).collect();
        let ends = subject.scores(vec![vec![], all.clone()])?;
        let masked = subject.masked(&all).remove(0);
        let mut both = PackedBatch::default();
        both.push(&sequence.ids, &sequence.segments);
        both.push(&masked.ids, &masked.segments);
        let embedded = subject.session.run(&both, &[Output::HiddenState(0)])?.remove(0);
        let embedded = matrix(&embedded)?;
        let (text, baseline) = embedded.view().split_at(Axis(0), sequence.ids.len());
        let difference = &text - &baseline;

        let output = subject.outputs[0];
        let at_once = (subject.session.token_budget() / sequence.ids.len()).clamp(1, self.steps);
        let mut sum = Array2::<f64>::zeros(text.dim());
        for first in (0..self.steps).step_by(at_once) {
            let steps = first..(first + at_once).min(self.steps);
            let mut batch = PackedBatch::default();
            let mut points = Vec::with_capacity(steps.len() * text.len());
            for step in steps {
                batch.push_marked(&sequence.ids, &sequence.segments, &sequence.masked);
                // In the middle of each part of the way, where the sum is most exact.
                let along = (step as f32 + 0.5) / self.steps as f32;
                points.extend(baseline.iter().zip(&difference).map(|(from, by)| from + along * by));
            }
            let points = HostTensor::from_vec(points, [batch.tokens(), text.ncols()]);
            let seed = |scores: &HostTensor| seed(subject, &batch, output, scores);
            let gradient = matrix(&self.engine.input_gradient(&batch, &points, output, &seed)?)?;
            if !gradient.iter().all(|x| x.is_finite()) {
                return Err(Error::NotFinite { output: "gradients" });
            }
            for step in gradient.axis_chunks_iter(Axis(0), text.nrows()) {
                sum.zip_mut_with(&step, |sum, x| *sum += f64::from(*x));
                subject.progress.passed();
            }
        }
        let tokens = sum.outer_iter().zip(difference.outer_iter()).map(|(slopes, by)| {
            slopes.iter().zip(by).map(|(slope, by)| slope * f64::from(*by)).sum::<f64>() / self.steps as f64
        });
        let scores = subject.sum_by_word(&[tokens.collect()]);
        let gap = scores.iter().sum::<f64>() - (ends[0] - ends[1]);
        let explanation = Explanation::new(subject, Method::IntegratedGradients, [ends[0], ends[1]], &scores);
        Ok(Explanation { gap: Some(gap), ..explanation })
    }
}

/// The gradient of the score of each sequence with respect to the scores of the model.
fn seed(subject: &Subject, batch: &PackedBatch, output: Output, scores: &HostTensor) -> Result<HostTensor> {
    let scores = matrix(scores)?;
    let mut seed = Array2::<f32>::zeros(scores.dim());
    for sequence in 0..batch.sequences() {
        let rows = output.axis().rows(batch, sequence);
        let part: ArrayView2<'_, f32> = scores.slice(s![rows.clone(), ..]);
        let gradient =
            subject.reading.gradient(part).ok_or(ExplainError::NoGradient { task: subject.task })?;
        seed.slice_mut(s![rows, ..]).assign(&gradient);
    }
    let shape = [seed.nrows(), seed.ncols()];
    Ok(HostTensor::from_vec(seed.into_raw_vec_and_offset().0, shape))
}

fn matrix(tensor: &HostTensor) -> Result<Array2<f32>> {
    let array = tensor.to_f32()?;
    Ok(array.view().into_dimensionality::<Ix2>().expect("outputs are matrices").to_owned())
}
