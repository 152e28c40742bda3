//! Training: ten recorded steps on small checkpoints.

use std::fs;
use std::path::Path;

use bert_core::checkpoint::{Checkpoint, stored_name};
use bert_core::contract::{Precision, Tensor};
use bert_core::graph::{Head, Output, ParameterSpec};
use bert_core::tensor::HostTensor;
use bert_core::train::{AdamStep, AdamW, Decay, Schedule, TrainBackend, Trainable, clip, loss};
use bert_core::{ModelConfig, PackedBatch};
use ndarray::{ArrayD, Axis, IxDyn};
use safetensors::SafeTensors;

use crate::check::{catch, same_bits};
use crate::compare::{Scale, compare};
use crate::data::numbers;
use crate::difference::Difference;
use crate::fault::Fault;
use crate::golden::tensor;
use crate::suite::{Plan, Suite, Verdict};
use crate::tolerance::{Tolerance, tolerance};

/// The checkpoints whose training was recorded, by the script `train.py` beside them.
const RECORDED: &[&str] = &[
    "bert-pretraining",
    "bert-sequence-classification",
    "bert-token-classification",
    "bert-question-answering",
    "bert-multiple-choice",
    "distilbert-masked-lm",
    "roberta-sequence-classification",
    "electra-replaced-tokens",
    "roberta-prelayernorm-sequence-classification",
    "albert-pretraining",
];

const STEPS: u64 = 10;
/// A gradient this far below the largest one is nothing but rounding in `f32`, of which an optimiser makes steps of
/// full size.
const ROUNDING: f64 = 1e-6;

/// Compares each word of training with its default body on the reference; then trains the recorded checkpoints on a
/// backend, and compares losses, gradients and weights. Its twins are the same
/// with other threads: they have to give the same bits.
pub fn run_training<B: TrainBackend>(name: &str, backend: &B, twins: &[B], plan: &Plan) -> Vec<Verdict> {
    let mut suite = Suite::new(name, plan);
    suite.gradients(backend, twins);
    for checkpoint in RECORDED {
        let adams: &[(&str, AdamW)] = match *checkpoint {
            "bert-sequence-classification" => &[("", AdamW::default()), ("bert_adamw.", AdamW::bert())],
            _ => &[("", AdamW::default())],
        };
        for (prefix, adam) in adams {
            let operation = format!("training {checkpoint}");
            let case = format!("{operation} {prefix}");
            let case = case.trim_end_matches([' ', '.']).to_owned();
            if !plan.wants(&case) {
                continue;
            }
            let allowed = tolerance("training", None, Precision::F32, name);
            let folder = crate::checkpoint(checkpoint);
            let result = catch(|| {
                let recorded = Recorded::read(&folder, prefix)?;
                let found = recorded.train(&folder, backend, adam)?;
                for twin in twins {
                    found.same(&recorded.train(&folder, twin, adam)?)?;
                }
                recorded.compare(&found, allowed)
            });
            suite.judge_model(&operation, case, Precision::F32, allowed, result);
        }
    }
    suite.verdicts
}

/// What came of ten steps.
struct Trained {
    losses: Vec<f64>,
    norms: Vec<f64>,
    /// Of the first step.
    gradients: Vec<(ParameterSpec, ArrayD<f64>)>,
    weights: Vec<(ParameterSpec, ArrayD<f64>)>,
}

impl Trained {
    fn same(&self, other: &Self) -> Result<(), Fault> {
        for ((spec, one), (_, two)) in self.weights.iter().zip(&other.weights) {
            same_bits(&format!("{} trained with other threads", spec.name), two, one)?;
        }
        Ok(())
    }
}

/// A recorded run.
struct Recorded<'a> {
    file: SafeTensors<'a>,
    prefix: &'a str,
    config: ModelConfig,
    head: Head,
}

impl<'a> Recorded<'a> {
    fn read(folder: &Path, prefix: &'a str) -> Result<Self, Fault> {
        let path = folder.join("training.safetensors");
        let fail = |error: &dyn std::error::Error| Fault::Recorded(format!("{}: {error}", path.display()));
        let bytes = fs::read(&path).map_err(|error| fail(&error))?;
        // Read once a case and small: it lives as long as the program.
        let bytes: &'static [u8] = bytes.leak();
        let file = SafeTensors::deserialize(bytes).map_err(|error| fail(&error))?;
        let config = ModelConfig::from_folder(folder)?;
        let head = Head::of(&config).expect("a recorded checkpoint has a head");
        Ok(Self { file, prefix, config, head })
    }

    fn tensor(&self, name: &str) -> Result<ArrayD<f64>, Fault> {
        tensor(&self.file, name)
    }

    /// A row of each step.
    fn of_step(&self, name: &str, step: usize) -> Result<ArrayD<f64>, Fault> {
        Ok(self.tensor(name)?.index_axis(Axis(0), step).to_owned())
    }

    fn train<B: TrainBackend>(&self, folder: &Path, backend: &B, adam: &AdamW) -> Result<Trained, Fault> {
        let checkpoint = Checkpoint::open(folder)?;
        let mut model =
            Trainable::new(backend.clone(), self.config.clone(), &checkpoint, self.head, Precision::F32)?;
        let schedule = Schedule { rate: 1e-3, warm_up: 3, steps: STEPS, decay: Decay::Linear };
        let (mut losses, mut norms, mut gradients_of_first) = (vec![], vec![], vec![]);
        for step in 0..STEPS {
            let batch = Batch::read(self, step as usize)?;
            let outputs: Vec<_> = self.head.parts().iter().map(|&part| Output::Scores(part)).collect();
            let scores = model.forward(&batch.packed, &outputs, None)?;
            let (mut seeds, mut sum) = (vec![], 0.0);
            for (output, scores) in outputs.iter().zip(scores) {
                let loss = batch.loss(self, backend, *output, &model.value(&scores))?;
                sum += pollster::block_on(loss.value(backend))?;
                seeds.push((scores, loss.gradient));
            }
            let gradients = model.backward(&seeds)?;
            let norm = pollster::block_on(model.gradient_norm(&gradients))?;
            if step == 0 {
                gradients_of_first = named(pollster::block_on(model.download(Some(&gradients)))?)?;
            }
            let step = AdamStep { number: step + 1, rate: schedule.rate(step), scale: clip(norm, 1.0) };
            model.step(&gradients, adam, &step)?;
            losses.push(sum);
            norms.push(norm);
        }
        let weights = named(pollster::block_on(model.download(None))?)?;
        Ok(Trained { losses, norms, gradients: gradients_of_first, weights })
    }

    fn compare(&self, found: &Trained, allowed: Tolerance) -> Result<Difference, Fault> {
        let prefix = self.prefix;
        let row =
            |values: &[f64]| ArrayD::from_shape_vec(IxDyn(&[values.len()]), values.to_vec()).expect("a row");
        let mut worst = Worst::default();
        let losses = self.tensor(&format!("{prefix}loss"))?;
        worst.add("the losses", compare(&row(&found.losses), &losses, Scale::Element, 0.1, allowed))?;
        let norms = self.tensor(&format!("{prefix}gradient_norm"))?;
        worst.add("the norms", compare(&row(&found.norms), &norms, Scale::Element, 0.1, allowed))?;

        let stored = |spec: &ParameterSpec| stored_name(&self.config, &spec.name, true);
        let largest = found.norms[0];
        let mut compared = 0;
        for ((spec, gradient), (_, weight)) in found.gradients.iter().zip(&found.weights) {
            let name = stored(spec);
            let recorded = self.tensor(&format!("gradient.{name}"))?;
            let flat = |x: &ArrayD<f64>| x.to_shape(IxDyn(&[x.len()])).expect("row-major").to_owned();
            // Beside the norm of all gradients, so that small ones are not held to more digits than they have.
            let of_norm = |x: &ArrayD<f64>| flat(x) / largest;
            let result = compare(&of_norm(gradient), &of_norm(&recorded), Scale::Row, 0.1, allowed);
            worst.add(&format!("the gradient of {name}"), result)?;
            if recorded.iter().all(|x| x.abs() < ROUNDING * largest) {
                continue;
            }
            let Ok(recorded) = self.tensor(&format!("{prefix}final.{name}")) else { continue };
            let result = compare(&flat(weight), &flat(&recorded), Scale::Row, 0.1, allowed);
            worst.add(&format!("the trained {name}"), result)?;
            compared += 1;
        }
        assert!(compared >= 10, "only {compared} parameters were recorded");
        Ok(worst.0.expect("something was compared"))
    }
}

/// The largest of several differences.
#[derive(Default)]
struct Worst(Option<Difference>);

impl Worst {
    fn add(&mut self, what: &str, result: Result<Difference, Fault>) -> Result<(), Fault> {
        let difference = result.map_err(|fault| Fault::Recorded(format!("{what}: {fault}")))?;
        let larger = |worst: &Difference| worst.max_abs >= difference.max_abs;
        if !self.0.as_ref().is_some_and(larger) {
            self.0 = Some(difference);
        }
        Ok(())
    }
}

fn named(tensors: Vec<(ParameterSpec, HostTensor)>) -> Result<Vec<(ParameterSpec, ArrayD<f64>)>, Fault> {
    tensors.into_iter().map(|(spec, tensor)| Ok((spec, numbers(&tensor)?))).collect()
}

/// The batch of a step, and its labels.
struct Batch {
    packed: PackedBatch,
    /// Of each token that there is; negative where there is none.
    token_labels: Vec<i64>,
    step: usize,
}

impl Batch {
    fn read(recorded: &Recorded<'_>, step: usize) -> Result<Self, Fault> {
        let [ids, segments, mask] =
            ["input_ids", "token_type_ids", "attention_mask"].map(|name| recorded.of_step(name, step));
        let (ids, segments, mask) = (ids?, segments?, mask?);
        let labels = recorded.of_step("labels", step).ok().filter(|labels| labels.shape() == ids.shape());
        let (mut packed, mut token_labels) = (PackedBatch::default(), vec![]);
        for (row, mask) in mask.outer_iter().enumerate() {
            let length = mask.sum() as usize;
            let cut = |x: &ArrayD<f64>| -> Vec<i64> {
                x.index_axis(Axis(0), row).iter().take(length).map(|&x| x as i64).collect()
            };
            let of_row = labels.as_ref().map_or_else(|| vec![-1; length], cut);
            let marked = (0..length as u32).filter(|&token| of_row[token as usize] >= 0).collect::<Vec<_>>();
            let words = |x| cut(x).into_iter().map(|x| x as u32).collect::<Vec<_>>();
            packed.push_marked(&words(&ids), &words(&segments), &marked);
            token_labels.extend(of_row);
        }
        Ok(Self { packed, token_labels, step })
    }

    fn loss<B: TrainBackend>(
        &self,
        recorded: &Recorded<'_>,
        backend: &B,
        output: Output,
        scores: &Tensor<B>,
    ) -> Result<loss::Loss<B>, Fault> {
        let list = |name: &str| -> Result<Vec<u32>, Fault> {
            Ok(recorded.of_step(name, self.step)?.iter().map(|&x| x as u32).collect())
        };
        let some = |labels: Vec<u32>| labels.into_iter().map(Some).collect::<Vec<_>>();
        let Output::Scores(head) = output else { unreachable!("heads give scores") };
        let tokens = || self.token_labels.iter().map(|&label| u32::try_from(label).ok());
        Ok(match head {
            Head::MaskedLm => loss::classes(backend, scores, &some(tokens().flatten().collect()), 0.0)?,
            Head::NextSentence => loss::classes(backend, scores, &some(list("next_sentence_label")?), 0.0)?,
            Head::TokenClassification => loss::classes(backend, scores, &tokens().collect::<Vec<_>>(), 0.0)?,
            Head::SequenceClassification => loss::classes(backend, scores, &some(list("labels")?), 0.0)?,
            Head::ReplacedTokens => {
                let labels: Vec<_> = tokens().map(|label| label.map(|label| label as f32)).collect();
                loss::labels(backend, scores, &labels)?
            }
            Head::QuestionAnswering => {
                let ends = list("start_positions")?.into_iter().zip(list("end_positions")?);
                let answers: Vec<_> = ends.map(|(start, end)| [start, end]).collect();
                loss::spans(backend, scores, self.packed.bounds(), &answers)?
            }
            Head::MultipleChoice => loss::choices(backend, scores, 2, &list("labels")?)?,
            other => unreachable!("no training of {other} was recorded"),
        })
    }
}
