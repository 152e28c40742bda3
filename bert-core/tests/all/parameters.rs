//! One list of parameters: what is loaded, initialised and saved is what it says, for every family and head.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use bert_core::checkpoint::{self, Checkpoint, CheckpointError};
use bert_core::config::ModelType;
use bert_core::contract::Precision;
use bert_core::graph::{self, Encoder, Head, Initial, Model, Output, ParameterSource, ParameterSpec};
use bert_core::reference::Reference;
use bert_core::tensor::{HostTensor, Shape};
use bert_core::{Error, ModelConfig, PackedBatch, Result};
use safetensors::SafeTensors;

/// Families, with what only they have.
const FAMILIES: &[&str] = &[
    r#""model_type": "bert""#,
    r#""model_type": "bert", "tie_word_embeddings": false"#,
    r#""model_type": "distilbert""#,
    r#""model_type": "roberta", "type_vocab_size": 1"#,
    r#""model_type": "roberta-prelayernorm""#,
    r#""model_type": "roberta-prelayernorm", "pad_token_id": 0, "tie_word_embeddings": false"#,
    r#""model_type": "electra", "embedding_size": 6"#,
    r#""model_type": "electra", "embedding_size": 12, "summary_activation": null"#,
    r#""model_type": "albert", "embedding_size": 6"#,
    r#""model_type": "albert", "embedding_size": 12, "hidden_act": "relu", "num_hidden_groups": 2"#,
    r#""model_type": "xlm-roberta", "pad_token_id": 3, "tie_word_embeddings": false"#,
];

fn config(family: &str) -> ModelConfig {
    let shape = r#""vocab_size": 30, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 20, "max_position_embeddings": 16, "num_labels": 3"#;
    ModelConfig::from_json(&format!("{{{family}, {shape}}}")).unwrap()
}

/// Every family with every head.
fn models() -> impl Iterator<Item = (ModelConfig, Head)> {
    let models = FAMILIES.iter().flat_map(|family| Head::ALL.iter().map(|&head| (config(family), head)));
    // ELECTRA's class `ForPreTraining` has another head.
    models.filter(|(config, head)| *head != Head::PreTraining || config.model_type != ModelType::Electra)
}

/// Writes down what is asked for.
struct Asked<'a>(&'a Initial, RefCell<BTreeSet<(String, Vec<usize>)>>);

impl ParameterSource for Asked<'_> {
    fn parameter(&self, spec: &ParameterSpec) -> Result<HostTensor> {
        self.1.borrow_mut().insert((spec.name.clone(), spec.shape.to_vec()));
        self.0.parameter(spec)
    }

    fn optional(&self, spec: &ParameterSpec) -> Result<Option<HostTensor>> {
        // The decoder is asked for by `parameter` where it is one.
        if spec.name.ends_with("decoder.weight") { Ok(None) } else { self.parameter(spec).map(Some) }
    }
}

fn batch() -> PackedBatch {
    let mut batch = PackedBatch::default();
    batch.push_marked(&[2, 5, 7, 3], &[0; 4], &[1, 2]);
    batch.push_marked(&[4], &[0], &[0]);
    batch
}

fn outputs(source: &dyn ParameterSource, config: &ModelConfig, head: Head) -> Vec<Vec<u64>> {
    let model = Model::load(Reference, config.clone(), source, head, Precision::F32).unwrap();
    let mut asked = vec![Output::HiddenState(config.num_hidden_layers)];
    asked.extend(head.parts().iter().filter(|&&part| part != Head::None).map(|&part| Output::Scores(part)));
    if head == Head::None && config.pooler {
        asked.push(Output::PoolerOutput);
    }
    let found = pollster::block_on(model.run(&batch(), &asked)).unwrap();
    found.iter().map(|x| x.to_f64().unwrap().iter().map(|x| x.to_bits()).collect()).collect()
}

#[test]
fn a_model_loads_the_parameters_of_the_list_and_no_others() {
    for (config, head) in models() {
        let asked = Asked(&Initial::spread(1), RefCell::default());
        Model::load(Reference, config.clone(), &asked, head, Precision::F32).unwrap();
        let list = graph::parameters(&config, head).unwrap();
        let names: BTreeSet<_> = list.iter().map(|spec| (spec.name.clone(), spec.shape.to_vec())).collect();
        assert_eq!(names.len(), list.len(), "a parameter twice: {head}");
        assert_eq!(asked.1.into_inner(), names, "{} {head}", config.model_type);
    }
}

#[test]
fn a_model_that_is_saved_and_loaded_gives_equal_bits() {
    for (config, head) in models() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = Initial::spread(2);
        checkpoint::save(folder.path(), &config, head, &numbers).unwrap();
        let saved = Checkpoint::open(folder.path()).unwrap();
        let read = ModelConfig::from_folder(folder.path()).unwrap();
        let stored = if head == Head::Sparse { Head::MaskedLm } else { head };
        assert_eq!(Head::of(&read), Some(stored), "{}", head.class(&config));
        assert_eq!(ModelConfig { architectures: vec![], ..read.clone() }, config);
        assert_eq!(outputs(&saved, &read, head), outputs(&numbers, &config, head), "{head}");
        assert!(saved.unused().is_empty(), "{head}: {:?}", saved.unused());
        // Saved again from its own files, over them.
        checkpoint::save(folder.path(), &read, head, &saved).unwrap();
        assert_eq!(
            outputs(&Checkpoint::open(folder.path()).unwrap(), &read, head),
            outputs(&saved, &read, head)
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    }
}

#[test]
fn initial_numbers_follow_from_the_seed_and_the_name() {
    let config = config(FAMILIES[0]);
    let of = |seed, head| -> Vec<(String, Vec<u8>)> {
        let numbers = Initial::new(seed, config.initializer_range);
        let list = graph::parameters(&config, head).unwrap();
        list.iter()
            .map(|spec| (spec.name.clone(), numbers.parameter(spec).unwrap().bytes().to_vec()))
            .collect()
    };
    let (encoder, with_head) = (of(1, Head::None), of(1, Head::PreTraining));
    assert_eq!(encoder[..], with_head[..encoder.len()]);
    assert_ne!(of(1, Head::None), of(2, Head::None));
    for (spec, (_, bytes)) in graph::parameters(&config, Head::PreTraining).unwrap().iter().zip(&with_head) {
        let values: Vec<f32> = bytemuck::allocation::pod_collect_to_vec(bytes);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        let (wanted, deviation) = spec.initial(config.initializer_range);
        assert!((mean - wanted as f32).abs() <= deviation as f32, "{}", spec.name);
        assert_eq!(values.iter().all(|x| *x == values[0]), deviation == 0.0, "{}", spec.name);
        assert_eq!(spec.kind.decays(), spec.shape.rank() == 2, "{}", spec.name);
    }
}

#[test]
fn an_untied_decoder_is_kept_and_a_missing_one_is_told() {
    let tied = config(FAMILIES[0]);
    let untied = config(FAMILIES[1]);
    let folder = tempfile::tempdir().unwrap();
    let numbers = Initial::spread(3);
    checkpoint::save(folder.path(), &untied, Head::MaskedLm, &numbers).unwrap();
    let saved = Checkpoint::open(folder.path()).unwrap();
    // A decoder of its own counts, as in transformers, whatever the configuration says of it.
    assert_eq!(outputs(&saved, &tied, Head::MaskedLm), outputs(&numbers, &untied, Head::MaskedLm));
    // transformers reads the bias of a tied decoder by one name, and of another by the other.
    let spellings = |folder: &Path| {
        let file = std::fs::read(folder.join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&file).unwrap();
        let is_bias = |name: &str| name.ends_with("predictions.bias") || name.ends_with("decoder.bias");
        file.names().into_iter().filter(|name| is_bias(name)).count()
    };
    assert_eq!(spellings(folder.path()), 2);
    let again = tempfile::tempdir().unwrap();
    checkpoint::save(again.path(), &tied, Head::MaskedLm, &saved).unwrap();
    assert!(!ModelConfig::from_folder(again.path()).unwrap().tie_word_embeddings);

    let bare = tempfile::tempdir().unwrap();
    checkpoint::save(bare.path(), &tied, Head::MaskedLm, &numbers).unwrap();
    assert_eq!(spellings(bare.path()), 1);
    let bare = Checkpoint::open(bare.path()).unwrap();
    let error = Model::load(Reference, untied, &bare, Head::MaskedLm, Precision::F32).unwrap_err();
    assert!(error.to_string().contains("cls.predictions.decoder.weight"), "{error}");
}

#[test]
fn what_goes_wrong_while_saving_leaves_what_was_there() {
    struct Broken;
    impl ParameterSource for Broken {
        fn parameter(&self, spec: &ParameterSpec) -> Result<HostTensor> {
            match spec.name.contains("layer.1.output.dense.weight") {
                // The type is asked for first, the numbers when they are written.
                true if std::mem::replace(&mut *ASKED.lock().unwrap(), true) => {
                    Err(Error::Empty { what: "test" })
                }
                _ => Ok(HostTensor::from_vec(vec![0f32; spec.shape.elements()], Shape::new(&spec.shape)?)),
            }
        }

        fn optional(&self, _: &ParameterSpec) -> Result<Option<HostTensor>> {
            Ok(None)
        }
    }
    static ASKED: std::sync::Mutex<bool> = std::sync::Mutex::new(false);

    let config = config(FAMILIES[0]);
    let folder = tempfile::tempdir().unwrap();
    checkpoint::save(folder.path(), &config, Head::MaskedLm, &Initial::new(1, 0.02)).unwrap();
    let before = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let error = checkpoint::save(folder.path(), &config, Head::MaskedLm, &Broken).unwrap_err();
    assert!(matches!(error, Error::Empty { .. }), "{error}");
    assert_eq!(std::fs::read(folder.path().join("model.safetensors")).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);

    let file = folder.path().join("config.json/model");
    let error = checkpoint::save(&file, &config, Head::MaskedLm, &Initial::new(1, 0.02)).unwrap_err();
    assert!(matches!(error, Error::Checkpoint(CheckpointError::Write { .. })), "{error}");
}
