//! Makes a model from a configuration and a seed, saves it, loads it again, and records what it computes.
//!
//! `cargo run -p bert-core --example initialise -- CONFIG.json BertForMaskedLM 7 FOLDER`
//!
//! The parameters are those that training begins with; after a further argument `spread`, they lie far from there, so
//! that each of them is seen in the outputs. `golden.safetensors` in the folder holds a batch and the outputs in the
//! `f64` reference, under the names that `bert-conformance/checkpoints/check.py` compares with transformers.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use bert_core::checkpoint::{self, Checkpoint};
use bert_core::config::Positions;
use bert_core::contract::{Pooling, Precision};
use bert_core::graph::{Axis, Encoder, Head, Initial, Model, Output, ParameterSource};
use bert_core::random::Random;
use bert_core::reference::Reference;
use bert_core::tensor::HostTensor;
use bert_core::{ModelConfig, PackedBatch};
use safetensors::tensor::{Dtype, TensorView};

/// Of sequences, in tokens, where the positions suffice for it.
const LENGTHS: [usize; 4] = [17, 1, 5, 33];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, class, seed, folder, spread @ ..] = &arguments[..] else {
        return Err("give a config.json, a class, a seed, a folder, and perhaps the word spread".into());
    };
    let (seed, folder) = (seed.parse()?, Path::new(folder));
    let config = ModelConfig::from_json(&std::fs::read_to_string(config)?)?;
    let head = Head::from_class(class).ok_or("no such class")?;
    if head.class(&config) != *class {
        return Err(format!("the configuration is that of a {}", head.class(&config)).into());
    }
    let numbers = match spread {
        [] => Initial::new(seed, config.initializer_range),
        [word] if word == "spread" => Initial::spread(seed),
        _ => return Err(format!("spread, and no more, may follow the folder; found {spread:?}").into()),
    };
    checkpoint::save(folder, &config, head, &numbers)?;

    let batch = batch(&config, Random::new(seed).named("batch"));
    let outputs = outputs(&config, head);
    let made = run(&config, &numbers, head, &batch, &outputs)?;
    let saved = Checkpoint::open(folder)?;
    let loaded = run(&ModelConfig::from_folder(folder)?, &saved, head, &batch, &outputs)?;
    for (((name, _), made), loaded) in outputs.iter().zip(&made).zip(&loaded) {
        assert_eq!(made.bytes(), loaded.bytes(), "{name} of the file");
    }
    assert_eq!(saved.unused(), [], "nothing else is in the file");
    let golden = padded(&config, &batch, &outputs, &loaded)?;
    let views = golden
        .iter()
        .map(|(name, (dtype, shape, bytes))| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    safetensors::serialize_to_file(views, None, &folder.join("golden.safetensors"))?;
    println!("{class} in {}: {}", folder.display(), golden.into_keys().collect::<Vec<_>>().join(", "));
    Ok(())
}

/// Ragged sequences of any tokens, the second half of each in another segment where there is one.
fn batch(config: &ModelConfig, random: Random) -> PackedBatch {
    let mut batch = PackedBatch::default();
    for length in LENGTHS.map(|length| length.min(config.max_tokens())) {
        let places = batch.tokens()..batch.tokens() + length;
        let ids: Vec<_> = places.map(|place| random.below(place as u64, config.vocab_size) as u32).collect();
        let second = u32::from(config.type_vocab_size > 1);
        let segments: Vec<_> = (0..length).map(|i| if i < length.div_ceil(2) { 0 } else { second }).collect();
        batch.push_marked(&ids, &segments, &(0..length as u32).collect::<Vec<_>>());
    }
    batch
}

/// What the model gives, by the names that check.py knows.
fn outputs(config: &ModelConfig, head: Head) -> Vec<(&'static str, Output)> {
    let mut outputs = vec![("last_hidden_state", Output::HiddenState(config.num_hidden_layers))];
    match head {
        Head::None => {
            outputs.push(("mean_pooled", Output::Pooled(Pooling::Mean)));
            outputs.extend(config.pooler.then_some(("pooler_output", Output::PoolerOutput)));
        }
        Head::MaskedLm => outputs.push(("mlm_logits", Output::Scores(head))),
        Head::PreTraining => outputs.extend([
            ("prediction_logits", Output::Scores(Head::MaskedLm)),
            ("seq_relationship_logits", Output::Scores(Head::NextSentence)),
        ]),
        _ => outputs.push(("logits", Output::Scores(head))),
    }
    outputs
}

/// What the model computes on the `f64` reference.
fn run(
    config: &ModelConfig,
    source: &dyn ParameterSource,
    head: Head,
    batch: &PackedBatch,
    outputs: &[(&str, Output)],
) -> bert_core::Result<Vec<HostTensor>> {
    let model = Model::load(Reference, config.clone(), source, head, Precision::F32)?;
    let asked: Vec<_> = outputs.iter().map(|(_, output)| *output).collect();
    pollster::block_on(model.run(batch, &asked))
}

type Tensors<'a> = BTreeMap<&'a str, (Dtype, Vec<usize>, Vec<u8>)>;

/// The batch and the outputs as `[sequences, tokens]` and `[sequences, tokens, n]`, or `[sequences, n]`.
fn padded<'a>(
    config: &ModelConfig,
    batch: &PackedBatch,
    outputs: &[(&'a str, Output)],
    found: &[HostTensor],
) -> bert_core::Result<Tensors<'a>> {
    let padding = match config.positions {
        Positions::FromZero => 0,
        Positions::AfterPadding(id) => id,
    };
    let longest = batch.sequence_rows().map(|rows| rows.len()).max().unwrap_or(0);
    let shape = vec![batch.sequences(), longest];
    let pad = |values: &[u32], padding: u32| {
        let rows = batch.sequence_rows().map(|rows| &values[rows]);
        let rows = rows.flat_map(|row| (0..longest).map(|i| row.get(i).copied().unwrap_or(padding)));
        (Dtype::I64, shape.clone(), rows.flat_map(|x| i64::from(x).to_le_bytes()).collect())
    };
    let mut tensors = Tensors::from([
        ("input_ids", pad(batch.ids(), padding)),
        ("token_type_ids", pad(batch.segments(), 0)),
        ("attention_mask", pad(&vec![1; batch.tokens()], 0)),
    ]);
    for ((name, output), found) in outputs.iter().zip(found) {
        let (found, width) = (found.to_f64()?, found.shape()[1]);
        let mut shape = vec![batch.sequences(), longest, width];
        if output.axis() == Axis::Sequences {
            shape.remove(1);
        }
        let rows = shape[1..shape.len() - 1].iter().product::<usize>();
        let mut bytes = vec![];
        for sequence in 0..batch.sequences() {
            let range = output.axis().rows(batch, sequence);
            let padding = (rows - range.len()) * width;
            let values = range.flat_map(|row| (0..width).map(move |column| [row, column]));
            bytes.extend(values.flat_map(|place| (found[place] as f32).to_le_bytes()));
            bytes.extend(vec![0; padding * size_of::<f32>()]);
        }
        tensors.insert(name, (Dtype::F32, shape, bytes));
    }
    Ok(tensors)
}
