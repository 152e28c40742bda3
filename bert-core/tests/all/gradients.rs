//! Gradients on the `f64` reference against central differences: every parameter of small models of every family
//! with every head, and every loss.

use bert_core::contract::{Backend, Precision, Tensor};
use bert_core::graph::{self, Head, Initial, Output, ParameterKind, ParameterSource, ParameterSpec};
use bert_core::random::Random;
use bert_core::reference::Reference;
use bert_core::tensor::HostTensor;
use bert_core::train::{AdamStep, AdamW, Gradients, Lora, Trainable, loss};
use bert_core::{ModelConfig, PackedBatch, Result};
use pollster::block_on;

const FAMILIES: &[&str] = &[
    r#""model_type": "bert", "hidden_act": "gelu""#,
    r#""model_type": "bert", "hidden_act": "gelu_new", "tie_word_embeddings": false"#,
    r#""model_type": "distilbert", "activation": "relu""#,
    r#""model_type": "roberta", "type_vocab_size": 1, "hidden_act": "tanh""#,
    r#""model_type": "roberta-prelayernorm", "type_vocab_size": 1"#,
    r#""model_type": "electra", "embedding_size": 6"#,
    r#""model_type": "albert", "embedding_size": 6"#,
    r#""model_type": "albert", "embedding_size": 8, "num_hidden_groups": 2"#,
];

fn config(family: &str) -> ModelConfig {
    let shape = r#""vocab_size": 13, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 10, "max_position_embeddings": 9, "num_labels": 3"#;
    ModelConfig::from_json(&format!("{{{family}, {shape}}}")).unwrap()
}

fn batch() -> PackedBatch {
    let mut batch = PackedBatch::default();
    batch.push_marked(&[2, 5, 7, 5, 3], &[0; 5], &[1, 3]);
    batch.push_marked(&[4], &[0], &[0]);
    batch.push_marked(&[2, 12, 3], &[0; 3], &[1]);
    batch
}

/// How far a number is moved.
const STEP: f64 = 1.0 / 16384.0;

/// Parameters of which one number is moved.
struct Moved<'a> {
    source: &'a Initial,
    name: &'a str,
    index: usize,
    by: f64,
}

impl ParameterSource for Moved<'_> {
    fn parameter(&self, spec: &ParameterSpec) -> Result<HostTensor> {
        let mut values: Vec<f64> = self.source.parameter(spec)?.to_f64()?.iter().copied().collect();
        if spec.name == self.name {
            values[self.index] += self.by;
        }
        Ok(HostTensor::from_vec(values, spec.shape))
    }

    fn optional(&self, spec: &ParameterSpec) -> Result<Option<HostTensor>> {
        if spec.name.starts_with("pooler.") { self.parameter(spec).map(Some) } else { Ok(None) }
    }
}

/// Everything that a head gives and that can be trained.
fn outputs(config: &ModelConfig, head: Head) -> Vec<Output> {
    use bert_core::contract::Pooling;
    match head {
        Head::None => {
            let mut outputs = vec![Output::HiddenState(1), Output::HiddenState(config.num_hidden_layers)];
            outputs.extend([Pooling::Cls, Pooling::Mean, Pooling::MeanSqrtLen].map(Output::Pooled));
            outputs.extend(config.pooler.then_some(Output::PoolerOutput));
            outputs
        }
        head => head.parts().iter().map(|&part| Output::Scores(part)).collect(),
    }
}

/// Random weights of a result, whose weighted sum stands for a loss.
fn weights(name: usize, count: usize) -> Vec<f64> {
    let random = Random::new(5).numbered(name as u64);
    (0..count as u64).map(|i| random.normal(i)).collect()
}

/// A model, with adapters of all its layers if asked for.
fn model(
    source: &dyn ParameterSource,
    config: &ModelConfig,
    head: Head,
    lora: Option<Lora>,
) -> Trainable<Reference> {
    let mut model = Trainable::new(Reference, config.clone(), source, head, Precision::F32).unwrap();
    if let Some(lora) = lora {
        model.adapt(lora, source, |_| true).unwrap();
    }
    model
}

/// The parameters of a model, with those of the adapters of its layers.
fn parameters(config: &ModelConfig, head: Head, lora: Option<Lora>) -> Vec<ParameterSpec> {
    let mut list = graph::parameters(config, head).unwrap();
    if let Some(lora) = lora {
        let adapters: Vec<_> = list.iter().filter_map(|spec| graph::lora(spec, lora.rank)).collect();
        list.extend(adapters.into_iter().flatten());
    }
    list
}

fn weighted_sum(
    source: &dyn ParameterSource,
    config: &ModelConfig,
    head: Head,
    lora: Option<Lora>,
    dropout: Option<Random>,
) -> f64 {
    let model = model(source, config, head, lora);
    let results = model.forward(&batch(), &outputs(config, head), dropout).unwrap();
    let results: Vec<_> = results.iter().map(|result| model.value(result)).collect();
    let results = block_on(Reference.download(&results)).unwrap();
    let sum = |(index, result): (usize, &HostTensor)| -> f64 {
        let values = result.to_f64().unwrap();
        values.iter().zip(weights(index, values.len())).map(|(x, weight)| x * weight).sum()
    };
    results.iter().enumerate().map(sum).sum()
}

/// The gradients of the weighted sum.
fn gradients(
    model: &Trainable<Reference>,
    config: &ModelConfig,
    head: Head,
    dropout: Option<Random>,
) -> Gradients<Reference> {
    let results = model.forward(&batch(), &outputs(config, head), dropout).unwrap();
    let seeds: Vec<_> = results
        .into_iter()
        .enumerate()
        .map(|(index, result)| {
            let weights = weights(index, result.shape().elements());
            let seed = Reference.upload(&HostTensor::from_vec(weights, result.shape())).unwrap();
            (result, seed)
        })
        .collect();
    model.backward(&seeds).unwrap()
}

/// Compares every parameter of a model, at two places each.
fn agree(family: &str, head: Head, lora: Option<Lora>, dropout: Option<Random>) {
    let config = config(family);
    let numbers = Initial::spread(3);
    let whole = Moved { source: &numbers, name: "", index: 0, by: 0.0 };
    let mut model = model(&whole, &config, head, lora);
    let all = gradients(&model, &config, head, dropout);
    let all = block_on(model.download(Some(&all))).unwrap();
    let list = parameters(&config, head, lora);
    assert_eq!(all.len(), list.len(), "{family} {head}");
    if lora.is_some() {
        // The same with everything else frozen, as adapters are trained.
        model.set_rates(|spec| f64::from(u8::from(is_adapter(spec)))).unwrap();
        let alone = gradients(&model, &config, head, dropout);
        let alone = block_on(model.download(Some(&alone))).unwrap();
        for ((spec, one), (_, other)) in all.iter().zip(&alone) {
            assert_eq!(one.bytes() == other.bytes(), is_adapter(spec), "{family} {head} {}", spec.name);
        }
        let trained = block_on(model.trained()).unwrap();
        assert!(!trained.is_empty() && trained.iter().all(|(spec, _)| is_adapter(spec)));
    }
    for (spec, gradient) in all {
        if lora.is_some() && !is_adapter(&spec) {
            continue;
        }
        let gradient: Vec<f64> = gradient.to_f64().unwrap().iter().copied().collect();
        let size = gradient.iter().fold(0f64, |most, x| most.max(x.abs()));
        let random = Random::new(7).named(&spec.name);
        for pick in 0..2 {
            let index = random.below(pick, gradient.len());
            let at = |by| {
                let moved = Moved { source: &numbers, name: &spec.name, index, by };
                weighted_sum(&moved, &config, head, lora, dropout)
            };
            let before = f64::from(numbers.parameter(&spec).unwrap().as_slice::<f32>().unwrap()[index]);
            // Parameters are uploaded as f32: what counts is how far they really moved.
            let slope = |step: f64| {
                let moved = |by: f64| f64::from((before + by) as f32);
                (at(step) - at(-step)) / (moved(step) - moved(-step))
            };
            // Richardson: the error of two steps cancels but for its fourth power.
            let found = (4.0 * slope(STEP) - slope(2.0 * STEP)) / 3.0;
            let error = (found - gradient[index]).abs();
            assert!(
                error <= 1e-5 * size.max(1.0),
                "{family} {head} {}[{index}]: {} but {found} by differences",
                spec.name,
                gradient[index],
            );
        }
    }
}

#[test]
fn every_parameter_of_every_family_with_every_head() {
    for family in FAMILIES {
        // The maximum of a sparse embedding has no rule, see below.
        for &head in Head::ALL.iter().filter(|head| **head != Head::Sparse) {
            agree(family, head, None, None);
        }
    }
}

/// The gradient of what the embeddings give: the same results as from the tokens, and central differences.
#[test]
fn the_embeddings_of_every_family() {
    for family in FAMILIES {
        let (config, head) = (config(family), Head::SequenceClassification);
        let mut model = model(&Initial::spread(3), &config, head, None);
        model.set_rates(|_| 0.0).unwrap();
        let outputs = [Output::Scores(head)];
        let numbers =
            |x: &Tensor<Reference>| block_on(Reference.download(std::slice::from_ref(x))).unwrap().remove(0);
        let asked = [Output::HiddenState(0), Output::Scores(head)];
        let plain = model.forward(&batch(), &asked, None).unwrap();
        let [embedded, expected] = [&plain[0], &plain[1]].map(|x| numbers(&model.value(x)));
        let scores = |embedded: &HostTensor| {
            let (_, results) = model.forward_from(&batch(), embedded, &outputs).unwrap();
            numbers(&model.value(&results[0])).to_f64().unwrap().iter().copied().collect::<Vec<f64>>()
        };
        let expected: Vec<f64> = expected.to_f64().unwrap().iter().copied().collect();
        assert_eq!(scores(&embedded), expected, "{family}");
        let weights = weights(0, expected.len());
        let (parameter, mut results) = model.forward_from(&batch(), &embedded, &outputs).unwrap();
        let result = results.remove(0);
        let seed = Reference.upload(&HostTensor::from_vec(weights.clone(), result.shape())).unwrap();
        let gradients = model.backward(&[(result, seed)]).unwrap();
        let gradient = numbers(gradients.of(&parameter).expect("the scores depend on it"));
        let gradient: Vec<f64> = gradient.to_f64().unwrap().iter().copied().collect();
        let values: Vec<f64> = embedded.to_f64().unwrap().iter().copied().collect();
        for index in (0..values.len()).step_by(5) {
            let at = |by: f64| -> f64 {
                let mut moved = values.clone();
                moved[index] += by;
                let scores = scores(&HostTensor::from_vec(moved, embedded.shape()));
                scores.iter().zip(&weights).map(|(x, weight)| x * weight).sum()
            };
            let found = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            assert!(
                (found - gradient[index]).abs() < 1e-5,
                "{family} [{index}]: {} {found}",
                gradient[index]
            );
        }
        let short = HostTensor::from_vec(vec![0f32; 8], [1, 8]);
        let refused = model.forward_from(&batch(), &short, &outputs);
        assert!(matches!(refused, Err(bert_core::Error::Shape { .. })), "{family}");
    }
}

fn is_adapter(spec: &ParameterSpec) -> bool {
    matches!(spec.kind, ParameterKind::LoraA | ParameterKind::LoraB)
}

#[test]
fn every_adapter_of_every_family() {
    let lora = Lora { rank: 2, scale: 1.5, dropout: 0.0 };
    for family in FAMILIES {
        for head in [Head::None, Head::MaskedLm, Head::SequenceClassification, Head::MultipleChoice] {
            agree(family, head, Some(lora), None);
        }
    }
    let lora = Lora { dropout: 0.4, ..lora };
    agree(FAMILIES[0], Head::TokenClassification, Some(lora), Some(Random::new(9)));
    let (config, numbers) = (config(FAMILIES[0]), Initial::spread(3));
    let sum = |dropout| weighted_sum(&numbers, &config, Head::MaskedLm, Some(lora), dropout);
    assert_ne!(sum(Some(Random::new(1))), sum(None));
}

/// Two layers beside one another of three that are computed as one.
#[test]
fn some_layers_have_adapters_and_others_not() {
    let (config, numbers, head) = (config(FAMILIES[0]), Initial::spread(3), Head::SequenceClassification);
    let mut model = model(&numbers, &config, head, None);
    let before = gradients(&model, &config, head, None);
    let lora = Lora { rank: 3, scale: 0.5, dropout: 0.0 };
    let targets =
        |spec: &ParameterSpec| ["query.weight", "value.weight"].iter().any(|end| spec.name.ends_with(end));
    let adapted = model.adapt(lora, &numbers, targets).unwrap();
    assert_eq!(adapted.len(), 4);
    let after = gradients(&model, &config, head, None);
    let gradients = block_on(model.download(Some(&after))).unwrap();
    let adapters: Vec<_> = gradients.iter().filter(|(spec, _)| is_adapter(spec)).collect();
    assert_eq!(adapters.len(), 8);
    for (spec, gradient) in adapters {
        assert!(gradient.to_f64().unwrap().iter().all(|x| *x != 0.0), "{}", spec.name);
    }
    assert_eq!(block_on(model.download(Some(&before))).unwrap().len(), gradients.len());
}

/// As training begins, an adapter adds nothing.
#[test]
fn a_fresh_adapter_changes_nothing() {
    let config = config(FAMILIES[0]);
    let fresh = Initial::new(1, 0.1);
    let head = Head::SequenceClassification;
    let sum = |lora| weighted_sum(&fresh, &config, head, lora, None);
    let lora = Lora { rank: 4, scale: 2.0, dropout: 0.5 };
    assert_eq!(sum(Some(lora)), sum(None));
    for spec in parameters(&config, head, Some(lora)).iter().filter(|spec| is_adapter(spec)) {
        let numbers = fresh.parameter(spec).unwrap();
        let most = numbers.to_f64().unwrap().iter().fold(0f64, |most, x| most.max(x.abs()));
        let bound = (spec.shape[1] as f64).sqrt().recip();
        let right = if spec.kind == ParameterKind::LoraB {
            most == 0.0
        } else {
            (0.8 * bound..=bound).contains(&most)
        };
        assert!(right, "{} {most}", spec.name);
    }
}

/// Masks are functions of their place, so that differences see the same ones.
#[test]
fn every_parameter_with_dropout() {
    let dropout = Some(Random::new(9).numbered(4));
    for head in [Head::PreTraining, Head::SequenceClassification, Head::TokenClassification] {
        agree(r#""model_type": "bert", "hidden_dropout_prob": 0.3"#, head, None, dropout);
    }
    let config = config(FAMILIES[0]);
    let numbers = Initial::spread(3);
    let sum = |dropout| weighted_sum(&numbers, &config, Head::MaskedLm, None, dropout);
    assert_eq!(sum(dropout), sum(dropout));
    assert_ne!(sum(dropout), sum(None));
    assert_ne!(sum(dropout), sum(Some(Random::new(9).numbered(5))));
}

/// Of what trains, the gradients are the same to the bit; of the rest there are none, and a step leaves it as it is.
#[test]
fn what_is_frozen_stays_and_changes_nothing_else() {
    let frozen: [fn(&str) -> bool; 4] = [
        |name| name.starts_with("embeddings") || name.starts_with("encoder.layer.0."),
        |name| name.contains("LayerNorm") || name.ends_with(".bias"),
        |name| name.starts_with("encoder.layer.1.attention.self") && name.ends_with(".weight"),
        |_| true,
    ];
    let (config, head) = (config(FAMILIES[0]), Head::PreTraining);
    let bits = |tensors: Vec<(ParameterSpec, HostTensor)>| -> Vec<(String, Vec<u8>)> {
        tensors.into_iter().map(|(spec, tensor)| (spec.name, tensor.bytes().to_vec())).collect()
    };
    let new =
        || Trainable::new(Reference, config.clone(), &Initial::spread(3), head, Precision::F32).unwrap();
    let whole = new();
    let wanted = bits(block_on(whole.download(Some(&gradients(&whole, &config, head, None)))).unwrap());
    for frozen in frozen {
        let mut model = new();
        model.set_rates(|spec| if frozen(&spec.name) { 0.0 } else { 1.0 }).unwrap();
        let gradients = gradients(&model, &config, head, None);
        let found = bits(block_on(model.download(Some(&gradients))).unwrap());
        for ((name, found), (_, wanted)) in found.iter().zip(&wanted) {
            let same = if frozen(name) { found.iter().all(|&byte| byte == 0) } else { found == wanted };
            assert!(same, "{name}");
        }
        let before = bits(block_on(model.download(None)).unwrap());
        let step = AdamStep { number: 1, rate: 1e-2, scale: 1.0 };
        model.step(&gradients, &AdamW::default(), &step).unwrap();
        let after = bits(block_on(model.download(None)).unwrap());
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            assert_eq!(before == after, frozen(name), "{name}");
        }
        let [means, _] = block_on(model.moments()).unwrap();
        assert!(means.iter().all(|(spec, _)| !frozen(&spec.name)));
    }
    let apart = new().set_rates(|spec| if spec.name.contains("query") { 1.0 } else { 0.0 }).unwrap_err();
    assert!(apart.to_string().contains("one matrix"), "{apart}");
}

/// A rate of its own is a factor of the rate of the step.
#[test]
fn a_parameter_moves_by_its_own_rate() {
    let (config, head) = (config(FAMILIES[0]), Head::SequenceClassification);
    let moved = |factor: f64, rate: f64| {
        let numbers = Initial::spread(3);
        let mut model = Trainable::new(Reference, config.clone(), &numbers, head, Precision::F32).unwrap();
        model.set_rates(|spec| if spec.name.starts_with("classifier") { factor } else { 1.0 }).unwrap();
        let gradients = gradients(&model, &config, head, None);
        model.step(&gradients, &AdamW::default(), &AdamStep { number: 1, rate, scale: 1.0 }).unwrap();
        block_on(model.download(None)).unwrap()
    };
    for ((spec, fast), (_, slow)) in moved(8.0, 1e-3).iter().zip(&moved(1.0, 8e-3)) {
        assert_eq!(fast.bytes() == slow.bytes(), spec.name.starts_with("classifier"), "{}", spec.name);
    }
}

/// The gradients of all parameters, as they lie in memory.
fn bits_of_gradients(family: &str, head: Head, recompute: bool) -> Vec<u8> {
    let config = config(family);
    let numbers = Initial::spread(3);
    let mut model = Trainable::new(Reference, config.clone(), &numbers, head, Precision::F32).unwrap();
    model.set_recompute(recompute);
    let mut gradients = None;
    // Two batches of a step: what was made again of the first is not left for the second.
    for step in 0..2 {
        let dropout = Some(Random::new(9).numbered(step));
        let results = model.forward(&batch(), &outputs(&config, head), dropout).unwrap();
        let seeds: Vec<_> =
            results.into_iter().map(|result| (result.clone(), model.value(&result))).collect();
        gradients = Some(model.accumulate(&seeds, gradients).unwrap());
    }
    let gradients = block_on(model.download(gradients.as_ref())).unwrap();
    gradients.iter().flat_map(|(_, gradient)| gradient.bytes().to_vec()).collect()
}

#[test]
fn what_is_made_again_has_the_same_bits() {
    let dropped = r#""model_type": "bert", "hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2"#;
    for family in FAMILIES.iter().chain([&dropped]) {
        for &head in Head::ALL.iter().filter(|head| **head != Head::Sparse) {
            let again = bits_of_gradients(family, head, true);
            assert!(again == bits_of_gradients(family, head, false), "{family} {head}");
        }
    }
}

/// Two batches of a step have the sum of their gradients, whether they are added up on the way or afterwards.
#[test]
fn gradients_of_batches_are_added_up() {
    let (config, head) = (config(FAMILIES[0]), Head::MaskedLm);
    let model = Trainable::new(Reference, config.clone(), &Initial::spread(3), head, Precision::F32).unwrap();
    let backward = |step: u64, before| {
        let dropout = Some(Random::new(9).numbered(step));
        let scores = model.forward(&batch(), &outputs(&config, head), dropout).unwrap().remove(0);
        let seed = model.value(&scores);
        model.accumulate(&[(scores, seed)], before).unwrap()
    };
    let download = |gradients| -> Vec<f64> {
        let named = block_on(model.download(Some(&gradients))).unwrap();
        named.iter().flat_map(|(_, x)| x.to_f64().unwrap().iter().copied().collect::<Vec<_>>()).collect()
    };
    let both = download(backward(2, Some(backward(1, None))));
    let (first, second) = (download(backward(1, None)), download(backward(2, None)));
    assert_ne!(first, second);
    for ((both, first), second) in both.iter().zip(&first).zip(&second) {
        assert!((both - first - second).abs() <= 1e-12 * (1.0 + both.abs()), "{both} but {first} + {second}");
    }
}

#[test]
fn what_has_no_rule_is_an_error_that_names_it() {
    let config = config(FAMILIES[0]);
    let model = Trainable::new(Reference, config, &Initial::spread(1), Head::Sparse, Precision::F32).unwrap();
    let scores = model.forward(&batch(), &[Output::Scores(Head::Sparse)], None).unwrap().remove(0);
    let seed = model.value(&scores);
    let error = model.backward(&[(scores, seed)]).err().unwrap();
    assert!(error.to_string().contains("cannot compute the gradient of pool"), "{error}");
}

/// A loss as a function of its scores.
fn check_loss(
    name: &str,
    shape: [usize; 2],
    of: impl Fn(&Tensor<Reference>) -> Result<loss::Loss<Reference>>,
) -> f64 {
    let random = Random::new(11).named(name);
    let scores: Vec<f64> = (0..(shape[0] * shape[1]) as u64).map(|i| 2.0 * random.normal(i)).collect();
    let at = |scores: Vec<f64>| of(&Reference.upload(&HostTensor::from_vec(scores, shape)).unwrap()).unwrap();
    let whole = at(scores.clone());
    let gradient = block_on(Reference.download(std::slice::from_ref(&whole.gradient))).unwrap().remove(0);
    assert_eq!(gradient.shape()[..], shape, "{name}");
    for (index, gradient) in gradient.to_f64().unwrap().iter().enumerate() {
        let moved = |by: f64| {
            let mut scores = scores.clone();
            scores[index] += by;
            block_on(at(scores).value(&Reference)).unwrap()
        };
        let found = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((found - gradient).abs() < 1e-8, "{name}[{index}]: {gradient} but {found} by differences");
    }
    block_on(whole.value(&Reference)).unwrap()
}

#[test]
fn losses() {
    let b = &Reference;
    check_loss("classes", [3, 4], |x| loss::classes(b, x, &[Some(2), None, Some(0)], 0.0));
    check_loss("smoothed", [2, 3], |x| loss::classes(b, x, &[Some(2), Some(1)], 0.1));
    check_loss("labels", [2, 3], |x| {
        loss::labels(b, x, &[Some(1.0), Some(0.0), None, Some(0.0), Some(1.0), Some(0.25)])
    });
    check_loss("squares", [3, 1], |x| loss::squares(b, x, &[0.5, -1.0, 2.0]));
    check_loss("spans", [6, 2], |x| loss::spans(b, x, &[0, 4, 6], &[[1, 3], [0, 0]]));
    check_loss("choices", [4, 1], |x| loss::choices(b, x, 2, &[1, 0]));
    check_loss("ranking of pairs", [6, 4], |x| loss::multiple_negatives_ranking(b, x, 2, 20.0, &[]));
    check_loss("ranking of triplets", [6, 4], |x| loss::multiple_negatives_ranking(b, x, 3, 5.0, &[]));
    let some = [(0, 3), (2, 1)];
    check_loss("some left out", [6, 4], |x| loss::multiple_negatives_ranking(b, x, 2, 5.0, &some));
    check_loss("cosines", [4, 3], |x| loss::cosines(b, x, &[0.25, 1.0]));
    let soft = b.upload(&HostTensor::from_vec(vec![0.2f64, 0.8, 0.5, 0.5], [2, 2])).unwrap();
    check_loss("distributions", [2, 2], |x| loss::distributions(b, x, &soft, 2));

    let numbers = |count: usize| (0..count).map(|i| (i as f64 * 1.7).sin() * 2.0).collect::<Vec<_>>();
    let teacher =
        |shape: [usize; 2]| b.upload(&HostTensor::from_vec(numbers(shape[0] * shape[1]), shape)).unwrap();
    let (some, all) = ([true, false, true], [true; 3]);
    for temperature in [1.0, 2.5] {
        let of = |counts: &'static [bool]| {
            move |x: &Tensor<Reference>| loss::soft_targets(b, x, &teacher([3, 4]), counts, temperature)
        };
        check_loss("soft targets", [3, 4], of(&[true; 3]));
        check_loss("some soft targets", [3, 4], of(&[true, false, true]));
    }
    check_loss("soft spans", [6, 2], |x| loss::soft_spans(b, x, &teacher([6, 2]), &[0, 4, 6], 2.0));
    check_loss("soft choices", [4, 1], |x| loss::soft_choices(b, x, &teacher([4, 1]), 2, 2.0));
    check_loss("hidden states", [3, 4], |x| loss::hidden_state_cosine(b, x, &teacher([3, 4])));
    // Who agrees with the teacher has nothing to learn: no loss, no gradient.
    let same = teacher([3, 4]);
    for agreed in [
        loss::soft_targets(b, &same, &same, &some, 2.0).unwrap(),
        loss::soft_targets(b, &same, &same, &all, 1.0).unwrap(),
        loss::hidden_state_cosine(b, &same, &same).unwrap(),
    ] {
        assert!(block_on(agreed.value(b)).unwrap().abs() < 1e-12);
        let gradient = block_on(b.download(&[agreed.gradient])).unwrap().remove(0);
        assert!(gradient.to_f64().unwrap().iter().all(|x| x.abs() < 1e-12));
    }
    // By hand: distributions of (0.8, 0.2) and (0.5, 0.5).
    let [sure, unsure] = [vec![4f64.ln(), 0.0], vec![0.0; 2]]
        .map(|scores| b.upload(&HostTensor::from_vec(scores, [1, 2])).unwrap());
    let value = block_on(loss::soft_targets(b, &unsure, &sure, &[true], 1.0).unwrap().value(b)).unwrap();
    assert!((value - (0.8 * 1.6f64.ln() + 0.2 * 0.4f64.ln())).abs() < 1e-12, "{value}");
    assert!(loss::soft_targets(b, &unsure, &sure, &[false], 1.0).is_err());

    // Vectors whose directions are the axes: two texts that belong together point the same way.
    let axes = [[2.0, 0.0], [0.5, 0.0], [0.0, 3.0], [0.0, 1.0]].concat();
    let axes = b.upload(&HostTensor::from_vec(axes, [4, 2])).unwrap();
    let ranked = loss::multiple_negatives_ranking(b, &axes, 2, 20.0, &[]).unwrap();
    let value = block_on(ranked.value(b)).unwrap();
    let alone = loss::multiple_negatives_ranking(b, &axes, 2, 20.0, &[(0, 3), (1, 1)]).unwrap();
    assert_eq!(block_on(alone.value(b)).unwrap(), 0.0);
    assert!((value - (-20f64).exp().ln_1p()).abs() < 1e-12, "{value}");
    let value = block_on(loss::cosines(b, &axes, &[1.0, 0.0]).unwrap().value(b)).unwrap();
    assert!((value - 0.5).abs() < 1e-12, "{value}");
    // A row of zeros has no direction, and no gradient that is not a number.
    let none = b.upload(&HostTensor::from_vec(vec![0f64, 0.0, 1.0, 0.0], [2, 2])).unwrap();
    let value = block_on(loss::cosines(b, &none, &[1.0]).unwrap().value(b)).unwrap();
    assert!((value - 1.0).abs() < 1e-12, "{value}");

    // Equal scores: the logarithm of the count.
    let flat = b.upload(&HostTensor::from_vec(vec![1f64; 8], [2, 4])).unwrap();
    let value = block_on(loss::classes(b, &flat, &[Some(0), Some(3)], 0.0).unwrap().value(b)).unwrap();
    assert!((value - 4f64.ln()).abs() < 1e-12);
    let far = b.upload(&HostTensor::from_vec(vec![1e4f64, -1e4], [1, 2])).unwrap();
    let value = block_on(loss::labels(b, &far, &[Some(1.0), Some(1.0)]).unwrap().value(b)).unwrap();
    assert!((value - 5e3).abs() < 1e-6, "{value}");

    for error in [
        loss::classes(b, &flat, &[Some(4), None], 0.0).err().unwrap(),
        loss::classes(b, &flat, &[None, None], 0.0).err().unwrap(),
        loss::spans(b, &flat.reshape([4, 2]).unwrap(), &[0, 4], &[[1, 4]]).err().unwrap(),
    ] {
        assert!(!error.to_string().is_empty());
    }
}
