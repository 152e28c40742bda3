//! The words of training: each as a backend has it, against its default body on the `f64` reference. That those are
//! right is shown by central differences, in the tests of bert-core.

use std::fmt;

use bert_core::contract::{
    Activation, AttentionSpec, Backend, DeviceBatch, Dropout, LayerNorm, Linear, Precision, Tensor,
};
use bert_core::random::Random;
use bert_core::reference::Reference;
use bert_core::tensor::HostTensor;
use bert_core::train::{AdamStep, AdamW, TrainBackend};
use fastrand::Rng;
use ndarray::ArrayD;

use crate::check::{catch, same_bits};
use crate::compare::{Scale, compare};
use crate::data::{normal, numbers};
use crate::difference::Difference;
use crate::fault::Fault;
use crate::suite::Suite;
use crate::tolerance::{Tolerance, tolerance};

/// Rows around the widths of tiles and of the chunks whose sums are added up.
const ROWS: [usize; 4] = [1, 17, 65, 200];
/// Sequences of one token, of a few and of more than a block; some share a block.
const LENGTHS: [usize; 5] = [5, 1, 3, 40, 130];

/// A word of training and what it is given besides tensors.
#[derive(Clone, Debug)]
enum Word {
    /// The gradients of a weight and a bias.
    Weight,
    /// The gradient of what goes into a linear layer: the product with a weight on the device, turned round.
    Input,
    Activation(Activation),
    Norm {
        eps: f64,
    },
    Attention(AttentionSpec),
    Scatter {
        indices: Vec<u32>,
        count: usize,
    },
    CrossEntropy,
    Classes {
        targets: Vec<Option<u32>>,
        smoothing: f32,
        factor: f64,
    },
    Dropout(Dropout),
    Add,
    Squares,
    /// Three steps.
    Adam {
        options: AdamW,
        decays: bool,
    },
}

/// A word, the shapes of its tensors, and where their numbers lie.
struct Case {
    word: Word,
    shapes: Vec<Vec<usize>>,
    /// Mean and deviation of the first tensor.
    spread: [f64; 2],
}

impl Word {
    fn name(&self) -> &'static str {
        match self {
            Self::Weight => "weight_gradient",
            Self::Input => "input_gradient",
            Self::Activation(_) => "activation_backward",
            Self::Norm { .. } => "layer_norm_backward",
            Self::Attention(_) => "attention_backward",
            Self::Scatter { .. } => "scatter_rows",
            Self::CrossEntropy => "cross_entropy",
            Self::Classes { .. } => "cross_entropy_classes",
            Self::Dropout(_) => "dropout",
            Self::Add => "add_gradient",
            Self::Squares => "squares",
            Self::Adam { .. } => "adamw",
        }
    }

    /// What the word gives.
    fn run<B: TrainBackend>(&self, backend: &B, x: &[Tensor<B>]) -> Result<Vec<Tensor<B>>, Fault> {
        Ok(match self {
            Self::Weight => backend.weight_gradient(&x[0], &x[1])?.into(),
            Self::Input => {
                let (weight, precision) = (&x[1], Precision::F32);
                let [out_features, in_features] = [1, 0].map(|axis| weight.shape()[axis]);
                let weight = backend.prepare_weight((&weight.permute(&[1, 0])?).into(), precision)?;
                let layer = Linear { weight, bias: None, in_features, out_features, precision };
                vec![backend.linear(&x[0], &layer, Activation::Identity)?]
            }
            Self::Activation(activation) => vec![backend.activation_backward(*activation, &x[0], &x[1])?],
            Self::Norm { eps } => {
                let norm = LayerNorm { weight: x[2].clone(), bias: x[3].clone(), eps: *eps };
                let all = backend.layer_norm_backward(&x[0], &norm, &x[1])?;
                vec![all.input, all.weight, all.bias]
            }
            // What was dropped has to be the same both ways.
            Self::Attention(spec) => {
                let batch = batch(backend, &LENGTHS)?;
                let mut results = vec![backend.attention_backward(&x[0], spec, &batch, &x[1])?];
                if spec.dropout.is_some() {
                    results.push(backend.attention(&x[0], spec, &batch)?);
                }
                results
            }
            Self::Scatter { indices, count } => vec![backend.scatter_rows(&x[0], indices, *count)?],
            Self::CrossEntropy => backend.cross_entropy(&x[0], &x[1])?.into(),
            Self::Classes { targets, smoothing, factor } => {
                backend.cross_entropy_classes(&x[0], targets, *smoothing, *factor)?.into()
            }
            Self::Dropout(dropout) => vec![backend.dropout(&x[0], dropout)?],
            Self::Add => {
                // The first sum is somebody else's, the second is not.
                let mut sum = x[0].clone();
                backend.add_gradient(&mut sum, &x[1])?;
                backend.add_gradient(&mut sum, &x[1])?;
                vec![sum]
            }
            Self::Squares => vec![backend.squares(&x[0])?],
            Self::Adam { options, decays } => {
                let [mut parameter, mut mean, mut square] = [0, 1, 2].map(|i| x[i].clone());
                for number in 1..=3 {
                    let step = AdamStep { number, rate: 0.02, scale: 0.7 };
                    let moved = [&mut parameter, &mut mean, &mut square];
                    backend.adamw(options, &step, *decays, moved, &x[2 + number as usize])?;
                }
                vec![parameter, mean, square]
            }
        })
    }

    /// What the host makes of a result before it is compared: how many numbers `squares` gives is the backend's choice.
    fn summary(&self, result: ArrayD<f64>) -> ArrayD<f64> {
        match self {
            Self::Squares => ndarray::arr1(&[result.sum()]).into_dyn(),
            _ => result,
        }
    }

    /// What a tensor has to be like for the word.
    fn fit(&self, index: usize, values: &mut [f32], width: usize) {
        match (self, index) {
            // Distributions, but for one row that does not count.
            (Self::CrossEntropy, 1) => {
                for (row, values) in values.chunks_exact_mut(width).enumerate() {
                    values.iter_mut().for_each(|x| *x = if row == 1 { 0.0 } else { x.abs() + 0.01 });
                    let sum = values.iter().sum::<f32>().max(0.01);
                    values.iter_mut().for_each(|x| *x /= sum);
                }
            }
            // Moments and gradients of three sizes, of which the smallest is beside epsilon.
            (Self::Adam { .. }, 1..) => {
                for (i, x) in values.iter_mut().enumerate() {
                    let size = [1.0, 1e-3, 1e-7][i % 3];
                    *x = if index == 2 { x.abs() * size * size } else { *x * size };
                }
            }
            _ => {}
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gradient {} {:?}", self.word.name(), self.shapes[0])?;
        match &self.word {
            Word::Weight | Word::Input => write!(f, " {:?}", self.shapes[1])?,
            Word::Activation(activation) => write!(f, " {activation:?}")?,
            Word::Norm { eps } => write!(f, " eps {eps:.0e}")?,
            Word::Attention(spec) => {
                write!(f, " {}x{}", spec.heads, spec.head_size)?;
                if let Some(dropout) = spec.dropout {
                    write!(f, " dropout {}", dropout.probability)?;
                }
            }
            Word::Scatter { count, .. } => write!(f, " to {count}")?,
            Word::Classes { smoothing, .. } => write!(f, " smoothing {smoothing}")?,
            Word::Dropout(dropout) => write!(f, " {}", dropout.probability)?,
            Word::Adam { options, decays } => {
                write!(f, "{}", if options.bias_correction { "" } else { " uncorrected" })?;
                write!(f, "{}", if *decays { " decays" } else { "" })?;
            }
            Word::CrossEntropy | Word::Add | Word::Squares => {}
        }
        let [mean, deviation] = self.spread;
        if self.spread == [0.0, 1.0] { Ok(()) } else { write!(f, " around {mean} by {deviation}") }
    }
}

/// All cases. Add one by adding a line.
fn cases() -> Vec<Case> {
    let mut cases = vec![];
    let mut add = |word: Word, shapes: &[&[usize]], spread: [f64; 2]| {
        let shapes = shapes.iter().map(|shape| shape.to_vec()).collect();
        cases.push(Case { word, shapes, spread });
    };
    const PLAIN: [f64; 2] = [0.0, 1.0];
    for rows in ROWS {
        for [inner, outer] in [[1, 1], [3, 17], [33, 8], [24, 24]] {
            add(Word::Weight, &[&[rows, inner], &[rows, outer]], PLAIN);
            add(Word::Input, &[&[rows, outer], &[outer, inner]], PLAIN);
        }
        // Of two numbers that are normalised, nothing is left but their signs, and no gradient.
        for hidden in [5, 17, 64] {
            let shapes: &[&[usize]] = &[&[rows, hidden], &[rows, hidden], &[hidden], &[hidden]];
            add(Word::Norm { eps: 1e-12 }, shapes, PLAIN);
            // So near to one another that epsilon counts, and far from 0.
            add(Word::Norm { eps: 1e-3 }, shapes, [-3.0, 0.05]);
        }
        for classes in [1, 2, 33] {
            // Scores whose exponentials overflow.
            for spread in [PLAIN, [200.0, 30.0]] {
                add(Word::CrossEntropy, &[&[rows, classes], &[rows, classes]], spread);
                for smoothing in [0.0, 0.1] {
                    let of = |row: usize| (row % 3 != 1).then_some((row * 7 % classes) as u32);
                    let targets = (0..rows).map(of).collect();
                    let word = Word::Classes { targets, smoothing, factor: 0.125 };
                    add(word, &[&[rows, classes]], spread);
                }
            }
        }
        // Many rows to few places, some to many, and places at both ends.
        for count in [1, 7, 300] {
            let indices = (0..rows).map(|row| [row * row % count, count - 1, 0][row % 3] as u32).collect();
            add(Word::Scatter { indices, count }, &[&[rows, 5]], PLAIN);
        }
        add(Word::Dropout(dropout(0.3)), &[&[rows, 33]], PLAIN);
        add(Word::Add, &[&[rows, 33], &[rows, 33]], PLAIN);
        add(Word::Squares, &[&[rows, 33]], PLAIN);
    }
    use Activation::{Gelu, GeluTanh, Identity, Relu, Tanh};
    for activation in [Identity, Gelu, GeluTanh, Relu, Tanh] {
        for spread in [PLAIN, [0.0, 8.0]] {
            add(Word::Activation(activation), &[&[40, 33], &[40, 33]], spread);
        }
    }
    let tokens = LENGTHS.iter().sum();
    for (heads, head_size) in [(3, 1), (2, 17), (2, 32)] {
        let hidden = heads * head_size;
        for probability in [None, Some(0.1), Some(0.6)] {
            let mut spec = AttentionSpec::new(heads, head_size, Precision::F32);
            spec.dropout = probability.map(dropout);
            for spread in [PLAIN, [0.0, 3.0]] {
                add(Word::Attention(spec), &[&[tokens, 3 * hidden], &[tokens, hidden]], spread);
            }
        }
    }
    let mut scaled = AttentionSpec::new(2, 8, Precision::F32);
    scaled.scale = 0.7;
    add(Word::Attention(scaled), &[&[tokens, 48], &[tokens, 16]], PLAIN);
    for length in [1, 17, 9_000] {
        let shape = [length];
        let shapes: &[&[usize]] = &[&shape[..]; 6];
        for decays in [false, true] {
            for options in [AdamW::default(), AdamW { weight_decay: 0.3, ..AdamW::bert() }] {
                add(Word::Adam { options, decays }, shapes, PLAIN);
            }
        }
    }
    cases
}

fn dropout(probability: f64) -> Dropout {
    Dropout { probability, random: Random::new(5).numbered(9) }
}

/// Sequences of these lengths, of which nothing is asked but where they end.
fn batch<B: Backend>(backend: &B, lengths: &[usize]) -> Result<DeviceBatch<B::Buffer>, Fault> {
    let mut bounds = vec![0u32];
    lengths.iter().for_each(|&length| bounds.push(bounds[bounds.len() - 1] + length as u32));
    let zeros = vec![0u32; lengths.iter().sum()];
    let upload = |ids: Vec<u32>| backend.upload(&HostTensor::from_vec(ids.clone(), [ids.len()]));
    let ids = upload(zeros)?;
    let (segments, positions) = (ids.clone(), ids.clone());
    let device_bounds = upload(bounds.clone())?;
    Ok(DeviceBatch { ids, segments, positions, device_bounds, bounds: bounds.into(), marked: None })
}

impl Case {
    fn inputs(&self, rng: &mut Rng) -> Result<Vec<HostTensor>, Fault> {
        let mut inputs = vec![];
        for (index, shape) in self.shapes.iter().enumerate() {
            let [mean, deviation] = if index == 0 { self.spread } else { [0.0, 1.0] };
            let count = shape.iter().product();
            let mut values: Vec<f32> = (0..count).map(|_| (mean + deviation * normal(rng)) as f32).collect();
            self.word.fit(index, &mut values, shape[shape.len() - 1]);
            inputs.push(HostTensor::from_vec(values, bert_core::tensor::Shape::new(shape)?));
        }
        Ok(inputs)
    }

    /// The results on a backend, which has to leave the inputs as they are.
    fn results<B: TrainBackend>(
        &self,
        backend: &B,
        inputs: &[HostTensor],
    ) -> Result<Vec<ArrayD<f64>>, Fault> {
        let uploaded = inputs.iter().map(|x| backend.upload(x)).collect::<Result<Vec<_>, _>>()?;
        let results = self.word.run(backend, &uploaded)?;
        let after = pollster::block_on(backend.download(&uploaded))?;
        for (index, (before, after)) in inputs.iter().zip(&after).enumerate() {
            if numbers(before)? != numbers(after)? {
                return Err(Fault::InputChanged { input: format!("tensor {index} of {self}") });
            }
        }
        let results = pollster::block_on(backend.download(&results))?;
        results.iter().map(|result| Ok(self.word.summary(numbers(result)?))).collect()
    }

    fn check<B: TrainBackend>(
        &self,
        backend: &B,
        twins: &[B],
        mut rng: Rng,
        allowed: Tolerance,
    ) -> Result<Difference, Fault> {
        let inputs = self.inputs(&mut rng)?;
        let (found, wanted) = (self.results(backend, &inputs)?, self.results(&Reference, &inputs)?);
        let mut worst: Option<Difference> = None;
        for (found, wanted) in found.iter().zip(&wanted) {
            let difference = compare(found, wanted, Scale::Row, 1e-6, allowed)?;
            if worst.as_ref().is_none_or(|worst| worst.max_abs < difference.max_abs) {
                worst = Some(difference);
            }
        }
        for twin in twins {
            for (one, two) in found.iter().zip(self.results(twin, &inputs)?) {
                same_bits("the result with other threads", &two, one)?;
            }
        }
        Ok(worst.expect("every word gives something"))
    }
}

impl Suite<'_> {
    /// Each word of training.
    pub fn gradients<B: TrainBackend>(&mut self, backend: &B, twins: &[B]) {
        for case in cases() {
            let name = case.to_string();
            if !self.plan.wants(&name) {
                continue;
            }
            let allowed = tolerance(case.word.name(), None, Precision::F32, self.name);
            let rng = self.plan.rng(&name);
            let result = catch(|| case.check(backend, twins, rng, allowed));
            self.judge_model(case.word.name(), name, Precision::F32, allowed, result);
        }
    }
}
