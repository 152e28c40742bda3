//! Mistakes in the words of training. Each word is written out in plain loops, which without a mistake have to give what
//! the default bodies give: another way to see that those are right.

use bert_core::Result;
use bert_core::contract::{AttentionSpec, Backend, DeviceBatch, Dropout, LayerNorm, Tensor};
use bert_core::reference::Reference;
use bert_core::tensor::{DType, Shape, View};
use bert_core::train::{AdamStep, AdamW, NormGradients, TrainBackend};

use super::{Buffer, Mistake, Mistake::*, Mutant, edit};
use crate::suite::{Plan, Verdict};
use crate::training::run_training;

/// The numbers of a view, row-major.
fn numbers(x: &View<Buffer>) -> Result<Vec<f64>> {
    Ok(Reference.map(bert_core::contract::UnaryOp::Copy, x)?.buffer().to_vec())
}

fn tensor(numbers: Vec<f64>, shape: impl Into<Shape>) -> View<Buffer> {
    View::contiguous(numbers.into(), DType::F32, shape)
}

/// `f` of each of so many numbers.
fn make(count: usize, f: impl FnMut(usize) -> f64) -> Vec<f64> {
    (0..count).map(f).collect()
}

fn sum(count: usize, f: impl FnMut(usize) -> f64) -> f64 {
    (0..count).map(f).sum()
}

impl Mutant {
    /// `exp`; where the maximum stays in, of `f32`, which overflows.
    fn exponential(&self, x: f64) -> f64 {
        if self.is(SoftmaxOverflows) { f64::from((x as f32).exp()) } else { x.exp() }
    }

    /// The softmax of a row.
    fn weights(&self, row: &[f64]) -> Vec<f64> {
        let max = if self.is(SoftmaxOverflows) { 0.0 } else { row.iter().copied().fold(f64::MIN, f64::max) };
        let powers: Vec<_> = row.iter().map(|x| self.exponential(x - max)).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|x| x / sum).collect()
    }

    /// The gradients of query, key and value of one head and sequence, `[length, size]` each.
    fn head_backward(
        &self,
        [query, key, value, dy]: [&[f64]; 4],
        [length, size]: [usize; 2],
        scale: f64,
        factor: impl Fn(usize, usize) -> f64,
    ) -> [Vec<f64>; 3] {
        let dot = |a: &[f64], i: usize, b: &[f64], j: usize| sum(size, |k| a[i * size + k] * b[j * size + k]);
        let (mut weights, mut dscores) = (vec![], vec![]);
        for q in 0..length {
            let row = self.weights(&make(length, |k| scale * dot(query, q, key, k)));
            let dweights = make(length, |k| dot(dy, q, value, k) * factor(q, k));
            let along = if self.is(DeltaLost) { 0.0 } else { sum(length, |k| dweights[k] * row[k]) };
            dscores.extend((0..length).map(|k| scale * row[k] * (dweights[k] - along)));
            weights.extend((0..length).map(|k| row[k] * factor(q, k)));
        }
        let place = |i: usize| (i / size, i % size);
        let of_rows = |scores: &[f64], right: &[f64]| {
            make(length * size, |i| {
                let (k, j) = place(i);
                sum(length, |q| scores[q * length + k] * right[q * size + j])
            })
        };
        let dquery = make(length * size, |i| {
            let (q, j) = place(i);
            sum(length, |k| dscores[q * length + k] * key[k * size + j])
        });
        let (dkey, dvalue) = (of_rows(&dscores, query), of_rows(&weights, dy));
        if self.is(KeyForValue) { [dquery, dvalue, dkey] } else { [dquery, dkey, dvalue] }
    }
}

impl TrainBackend for Mutant {
    fn weight_gradient(&self, x: &Tensor<Self>, dy: &Tensor<Self>) -> Result<[Tensor<Self>; 2]> {
        let (rows, inner, outer) = (x.shape()[0], x.shape()[1], dy.shape()[1]);
        let (x, dy) = (numbers(x)?, numbers(dy)?);
        let counted = if self.is(LastRowLost) && rows > 1 { rows - 1 } else { rows };
        let weight = make(outer * inner, |i| {
            let (mut o, mut j) = (i / inner, i % inner);
            if self.is(WeightTransposed) && inner == outer {
                (o, j) = (j, o);
            }
            sum(counted, |row| dy[row * outer + o] * x[row * inner + j])
        });
        let bias = make(outer, |o| match self.0 {
            BiasLost => 0.0,
            _ => sum(rows, |row| dy[row * outer + o]),
        });
        Ok([tensor(weight, [outer, inner]), tensor(bias, [outer])])
    }

    fn layer_norm_backward(
        &self,
        x: &Tensor<Self>,
        norm: &LayerNorm<Buffer>,
        dy: &Tensor<Self>,
    ) -> Result<NormGradients<Tensor<Self>>> {
        let (rows, hidden) = (x.shape()[0], x.shape()[1]);
        let (x, dy, scale) = (numbers(x)?, numbers(dy)?, numbers(&norm.weight)?);
        let (mut input, mut weight, mut bias) = (vec![], vec![0.0; hidden], vec![0.0; hidden]);
        for (x, dy) in x.chunks(hidden).zip(dy.chunks(hidden)) {
            let mean_of = |f: &dyn Fn(usize) -> f64| sum(hidden, f) / hidden as f64;
            let mean = mean_of(&|i| x[i]);
            let variance = mean_of(&|i| (x[i] - mean).powi(2));
            let deviation = if self.is(EpsIgnored) { variance } else { variance + norm.eps }.sqrt();
            let normal = make(hidden, |i| (x[i] - mean) / deviation);
            let scaled = make(hidden, |i| if self.is(NormScaleLost) { dy[i] } else { dy[i] * scale[i] });
            let of_mean = if self.is(MeanTermLost) { 0.0 } else { mean_of(&|i| scaled[i]) };
            let along = if self.is(VarianceTermLost) { 0.0 } else { mean_of(&|i| scaled[i] * normal[i]) };
            input.extend((0..hidden).map(|i| (scaled[i] - of_mean - normal[i] * along) / deviation));
            for i in 0..hidden {
                weight[i] += dy[i] * if self.is(NormOfInput) { x[i] } else { normal[i] };
                bias[i] += dy[i];
            }
        }
        if self.is(BiasLost) {
            bias.fill(0.0);
        }
        Ok(NormGradients {
            input: tensor(input, [rows, hidden]),
            weight: tensor(weight, [hidden]),
            bias: tensor(bias, [hidden]),
        })
    }

    fn attention_backward(
        &self,
        qkv: &Tensor<Self>,
        spec: &AttentionSpec,
        batch: &DeviceBatch<Buffer>,
        dy: &Tensor<Self>,
    ) -> Result<Tensor<Self>> {
        let (heads, size) = (spec.heads, spec.head_size);
        let hidden = heads * size;
        let shape = qkv.shape();
        let (qkv, dy) = (numbers(qkv)?, numbers(dy)?);
        let scale = if self.is(ScaleIgnored) { (size as f64).sqrt().recip() } else { spec.scale };
        let mut lengths: Vec<usize> = batch.lengths().collect();
        match self.0 {
            MaskLost => lengths = vec![batch.tokens()],
            MaskOffByOne if lengths.len() > 1 && lengths[0] > 1 => {
                lengths[0] -= 1;
                lengths[1] += 1;
            }
            _ => {}
        }
        let mut gradient = vec![0.0; qkv.len()];
        let mut start = 0;
        for (sequence, length) in lengths.into_iter().enumerate() {
            let stream = if self.is(OneMaskForAll) { 0 } else { sequence as u64 };
            let dropout = spec.dropout.filter(|_| !self.is(DropoutLost));
            let dropout = dropout.map(|x| Dropout { random: x.random.numbered(stream), ..x });
            for head in 0..heads {
                let place = |part: usize, i: usize| {
                    (start + i / size) * 3 * hidden + part * hidden + head * size + i % size
                };
                let part = |part: usize| make(length * size, |i| qkv[place(part, i)]);
                let of_dy = make(length * size, |i| dy[(start + i / size) * hidden + head * size + i % size]);
                let factor = |q: usize, k: usize| {
                    let head = if self.is(OneMaskForAll) { 0 } else { head };
                    let position = (head * length + q) * length + k;
                    dropout.map_or(1.0, |dropout| f64::from(dropout.factor(position as u64)))
                };
                let inputs = [&part(0)[..], &part(1), &part(2), &of_dy];
                let gradients = self.head_backward(inputs, [length, size], scale, factor);
                for (part, numbers) in gradients.iter().enumerate() {
                    numbers.iter().enumerate().for_each(|(i, x)| gradient[place(part, i)] = *x);
                }
            }
            start += length;
        }
        Ok(tensor(gradient, shape))
    }

    fn scatter_rows(&self, x: &Tensor<Self>, indices: &[u32], count: usize) -> Result<Tensor<Self>> {
        let width = x.shape()[1];
        let x = numbers(x)?;
        let mut table = vec![0.0; count * width];
        for (row, &index) in x.chunks(width).zip(indices) {
            let index = if self.is(NextRow) { (index as usize + 1).min(count - 1) } else { index as usize };
            for (sum, x) in table[index * width..][..width].iter_mut().zip(row) {
                *sum = if self.is(LastWriteWins) { *x } else { *sum + x };
            }
        }
        Ok(tensor(table, [count, width]))
    }

    fn cross_entropy(&self, logits: &Tensor<Self>, targets: &Tensor<Self>) -> Result<[Tensor<Self>; 2]> {
        let (rows, classes) = (logits.shape()[0], logits.shape()[1]);
        let (logits, targets) = (numbers(logits)?, numbers(targets)?);
        let (mut losses, mut gradient) = (vec![], vec![]);
        for (logits, targets) in logits.chunks(classes).zip(targets.chunks(classes)) {
            let max = logits.iter().copied().fold(f64::MIN, f64::max);
            let max = if self.is(SoftmaxOverflows) { 0.0 } else { max };
            let logarithm = max + sum(classes, |i| self.exponential(logits[i] - max)).ln();
            let total = if self.is(TotalOfOne) { 1.0 } else { targets.iter().sum() };
            let weights = self.weights(logits);
            losses.push(sum(classes, |i| targets[i] * (logarithm - logits[i])));
            gradient.extend((0..classes).map(|i| weights[i] * total - targets[i]));
        }
        Ok([tensor(losses, [rows, 1]), tensor(gradient, [rows, classes])])
    }

    fn cross_entropy_classes(
        &self,
        logits: &Tensor<Self>,
        targets: &[Option<u32>],
        smoothing: f32,
        factor: f64,
    ) -> Result<[Tensor<Self>; 2]> {
        let (rows, classes) = (logits.shape()[0], logits.shape()[1]);
        let smoothing = if self.is(SmoothingIgnored) { 0.0 } else { smoothing };
        let wanted = make(rows * classes, |i| {
            let target = targets[i / classes].or(self.is(NoneIsClass).then_some(0));
            let own = f32::from(u8::from(target == Some((i % classes) as u32)));
            let spread = if target.is_some() { smoothing / classes as f32 } else { 0.0 };
            f64::from(spread + own * (1.0 - smoothing))
        });
        let [losses, gradient] = self.cross_entropy(logits, &tensor(wanted, [rows, classes]))?;
        let scaled = |x: &View<Buffer>, factor: f64| edit(x, |_, x| factor * x);
        let of_gradient = if self.is(SumForMean) { 1.0 } else { factor };
        Ok([scaled(&losses, factor)?, scaled(&gradient, of_gradient)?])
    }

    fn add_gradient(&self, sum: &mut Tensor<Self>, gradient: &Tensor<Self>) -> Result<()> {
        *sum = match self.0 {
            LastWriteWins => gradient.clone(),
            _ => Reference.zip(bert_core::contract::BinaryOp::Add, sum, gradient)?,
        };
        Ok(())
    }

    fn squares(&self, x: &Tensor<Self>) -> Result<Tensor<Self>> {
        let x = numbers(x)?;
        let counted = if self.is(LastRowLost) { x.len() - 1 } else { x.len() };
        Ok(tensor(vec![sum(counted, |i| x[i] * x[i])], [1, 1]))
    }

    fn adamw(
        &self,
        options: &AdamW,
        step: &AdamStep,
        decays: bool,
        [parameter, mean, square]: [&mut Tensor<Self>; 3],
        gradient: &Tensor<Self>,
    ) -> Result<()> {
        let shape = parameter.shape();
        let [b1, b2] = options.betas;
        let [c1, c2] = match self.0 {
            CorrectionForgotten => [1.0; 2],
            CorrectionOfFirst => options.corrections(1),
            _ => options.corrections(step.number),
        };
        let decay = if decays || self.is(AllDecays) { options.weight_decay } else { 0.0 };
        let scale = if self.is(ScaleLost) { 1.0 } else { step.scale };
        let (p, m, v) = (numbers(parameter)?, numbers(mean)?, numbers(square)?);
        let gradient = numbers(gradient)?;
        let coupled = |i: usize| if self.is(DecayCoupled) { decay * p[i] } else { 0.0 };
        let g = make(p.len(), |i| scale * gradient[i] + coupled(i));
        let m = make(p.len(), |i| b1 * m[i] + (1.0 - b1) * g[i]);
        let v = make(p.len(), |i| b2 * v[i] + (1.0 - b2) * g[i] * g[i]);
        let root = |v: f64| match self.0 {
            EpsInside => (v / c2 + options.eps).sqrt(),
            EpsIgnored => (v / c2).sqrt(),
            _ => (v / c2).sqrt() + options.eps,
        };
        let stays = if self.is(DecayCoupled) { 1.0 } else { 1.0 - step.rate * decay };
        let moved = make(p.len(), |i| stays * p[i] - step.rate * m[i] / c1 / root(v[i]));
        [*parameter, *mean, *square] = [moved, m, v].map(|numbers| tensor(numbers, shape));
        Ok(())
    }
}

/// Every mistake in training, and the word whose cases have to see it.
const SEEN_BY: &[(Mistake, &str)] = &[
    (BiasLost, "weight_gradient"),
    (WeightTransposed, "weight_gradient"),
    (LastRowLost, "weight_gradient"),
    (DeviceWeightTransposed, "input_gradient"),
    (LastRowLost, "input_gradient"),
    (TanhForErf, "activation_backward"),
    (MeanTermLost, "layer_norm_backward"),
    (VarianceTermLost, "layer_norm_backward"),
    (EpsIgnored, "layer_norm_backward"),
    (NormScaleLost, "layer_norm_backward"),
    (NormOfInput, "layer_norm_backward"),
    (BiasLost, "layer_norm_backward"),
    (KeyForValue, "attention_backward"),
    (DeltaLost, "attention_backward"),
    (MaskOffByOne, "attention_backward"),
    (MaskLost, "attention_backward"),
    (ScaleIgnored, "attention_backward"),
    (DropoutLost, "attention_backward"),
    (OneMaskForAll, "attention_backward"),
    (LastWriteWins, "scatter_rows"),
    (NextRow, "scatter_rows"),
    (SoftmaxOverflows, "cross_entropy"),
    (TotalOfOne, "cross_entropy"),
    (SmoothingIgnored, "cross_entropy_classes"),
    (SumForMean, "cross_entropy_classes"),
    (NoneIsClass, "cross_entropy_classes"),
    (SoftmaxOverflows, "cross_entropy_classes"),
    (LastWriteWins, "add_gradient"),
    (LastRowLost, "squares"),
    (CorrectionForgotten, "adamw"),
    (CorrectionOfFirst, "adamw"),
    (DecayCoupled, "adamw"),
    (AllDecays, "adamw"),
    (EpsInside, "adamw"),
    (EpsIgnored, "adamw"),
    (ScaleLost, "adamw"),
];

fn run_with(mistake: Mistake, filter: &str) -> Vec<Verdict> {
    run_training("mutant", &Mutant(mistake), &[], &Plan { filter: filter.to_owned(), ..Plan::all(7) })
}

#[test]
fn plain_loops_train_as_the_default_bodies_do() {
    let verdicts = run_with(Nothing, "gradient ");
    assert!(verdicts.len() > 100, "{} cases", verdicts.len());
    let wrong: Vec<_> = verdicts.iter().filter(|v| v.is_error()).map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_in_training_is_seen_where_it_is_made() {
    for &(mistake, word) in SEEN_BY {
        let verdicts = run_with(mistake, &format!("gradient {word} "));
        let seen = verdicts.iter().any(|verdict| verdict.operation == word && verdict.is_error());
        assert!(seen, "{mistake:?} passes all cases of {word}");
    }
}
