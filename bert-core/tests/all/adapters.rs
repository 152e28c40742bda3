//! Adapters that PEFT made: an adapted model computes what PEFT computes, and one that cannot be used is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bert_core::checkpoint::{self, Adapted, Adapter, Checkpoint, save_adapter};
use bert_core::contract::Precision;
use bert_core::graph::{self, Encoder, Head, Initial, Model, Output, ParameterSource};
use bert_core::reference::Reference;
use bert_core::tensor::HostTensor;
use bert_core::{ModelConfig, PackedBatch};
use pollster::block_on;
use safetensors::SafeTensors;

/// The small checkpoints of the workspace, or a printed reason why there are none: they are no part of this package.
fn checkpoints() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert-conformance/checkpoints");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no checkpoints at {}; run the tests of the workspace", folder.display());
        return None;
    }
    Some(folder)
}

/// The numbers of a tensor of a file, and its extents.
fn numbers(file: &SafeTensors<'_>, name: &str) -> (Vec<f64>, Vec<usize>) {
    let tensor = file.tensor(name).unwrap();
    let bytes = tensor.data();
    let numbers = match tensor.dtype() {
        safetensors::Dtype::F32 => {
            bytes.as_chunks().0.iter().map(|&x| f64::from(f32::from_le_bytes(x))).collect()
        }
        _ => bytes.as_chunks().0.iter().map(|&x| i64::from_le_bytes(x) as f64).collect(),
    };
    (numbers, tensor.shape().to_vec())
}

/// A model that is adapted, and its configuration.
fn adapted(base: &Path, folder: &Path) -> (Adapted, ModelConfig, Head) {
    let adapter = Arc::new(Adapter::open(folder).unwrap());
    let config = adapter.configure(&ModelConfig::from_folder(base).unwrap()).unwrap();
    let head = adapter.config().head.unwrap();
    let adapted = Adapted::new(Arc::new(Checkpoint::open(base).unwrap()), adapter, &config).unwrap();
    (adapted, config, head)
}

#[test]
fn an_adapter_of_peft_gives_what_peft_computes() {
    let Some(checkpoints) = checkpoints() else { return };
    for (name, head, labels) in [
        ("bert", Head::SequenceClassification, 3),
        ("distilbert", Head::MaskedLm, 0),
        ("roberta", Head::SequenceClassification, 5),
    ] {
        let folder = checkpoints.join("adapters").join(name);
        let base = Adapter::open(&folder).unwrap().config().base.clone().unwrap();
        let base = checkpoints.join(base);
        let (adapted, config, found) = adapted(&base, &folder);
        assert_eq!(found, head, "{name}");
        if labels > 0 {
            assert_eq!(config.labels.len(), labels, "{name}");
        }
        let model = Model::load(Reference, config, &adapted, head, Precision::F32).unwrap();

        let golden = fs::read(folder.join("golden.safetensors")).unwrap();
        let golden = SafeTensors::deserialize(&golden).unwrap();
        let ids = |name| numbers(&golden, name).0.into_iter().map(|id| id as u32).collect::<Vec<_>>();
        let (mask, shape) = numbers(&golden, "attention_mask");
        let [input, segments] = ["input_ids", "token_type_ids"].map(ids);
        let (wanted, wanted_shape) = match head {
            Head::MaskedLm => numbers(&golden, "mlm_logits"),
            _ => numbers(&golden, "logits"),
        };
        let mut batch = PackedBatch::default();
        let mut kept = vec![];
        for row in 0..shape[0] {
            let of = row * shape[1]..(row + 1) * shape[1];
            let length = mask[of.clone()].iter().filter(|&&there| there > 0.0).count();
            let part = of.start..of.start + length;
            // DistilBERT has no segments.
            let segments = if name == "bert" { segments[part.clone()].to_vec() } else { vec![0; length] };
            let marked: Vec<u32> = match head {
                Head::MaskedLm => (0..length.min(wanted_shape[1]) as u32).collect(),
                _ => vec![],
            };
            batch.push_marked(&input[part], &segments, &marked);
            let width = *wanted_shape.last().unwrap();
            let rows = if head == Head::MaskedLm { wanted_shape[1] } else { 1 };
            let count = if head == Head::MaskedLm { marked.len() } else { 1 };
            kept.extend_from_slice(&wanted[row * rows * width..][..count * width]);
        }
        let result = block_on(model.run(&batch, &[Output::Scores(head)])).unwrap().remove(0);
        let result = result.to_f64().unwrap();
        assert_eq!(result.len(), kept.len(), "{name}");
        let scale = (kept.iter().map(|x| x * x).sum::<f64>() / kept.len() as f64).sqrt();
        let most = result.iter().zip(&kept).fold(0f64, |most, (a, b)| most.max((a - b).abs()));
        println!("{name}: {:.1e}", most / scale);
        assert!(most < 2e-6 * scale, "{name}: {most} of {scale}");

        // Without the adapter it would be something else.
        let plain = Checkpoint::open(&base).unwrap();
        let spec = graph::parameters(&ModelConfig::from_folder(&base).unwrap(), Head::None).unwrap();
        let spec = spec.iter().find(|spec| spec.name.ends_with("layer.0.intermediate.dense.weight")).unwrap();
        let [before, after] = [&plain as &dyn ParameterSource, &adapted].map(|x| x.parameter(spec).unwrap());
        assert_ne!(before.to_f32().unwrap(), after.to_f32().unwrap());
    }
}

/// Merged into a checkpoint, a model is the same to the bit.
#[test]
fn a_merged_checkpoint_has_the_same_numbers() {
    let Some(checkpoints) = checkpoints() else { return };
    let folder = checkpoints.join("adapters/bert");
    let (adapted, config, head) = adapted(&checkpoints.join("bert-sequence-classification"), &folder);
    let merged = tempfile::tempdir().unwrap();
    checkpoint::save(merged.path(), &config, head, &adapted).unwrap();
    let merged = Checkpoint::open(merged.path()).unwrap();
    for spec in graph::parameters(&config, head).unwrap() {
        let [one, other] = [&merged as &dyn ParameterSource, &adapted].map(|x| x.parameter(&spec).unwrap());
        assert_eq!(one.bytes(), other.bytes(), "{}", spec.name);
    }
}

/// Also a decoder that its base ties to the word embeddings.
#[test]
fn what_is_saved_is_what_is_read() {
    let config = r#"{"vocab_size": 20, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
        "intermediate_size": 16, "max_position_embeddings": 8}"#;
    let config = ModelConfig::from_json(config).unwrap();
    let (head, numbers) = (Head::MaskedLm, Initial::spread(1));
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [base, out] = [folders[0].path(), folders[1].path()];
    checkpoint::save(base, &config, head, &numbers).unwrap();
    let untied = ModelConfig { tie_word_embeddings: false, ..config.clone() };
    let list = graph::parameters(&untied, head).unwrap();
    let of = |end: &str| list.iter().find(|spec| spec.name.ends_with(end)).unwrap();
    let weights = [of("layer.0.output.dense.weight"), of("decoder.weight")];
    let matrices = weights.map(|weight| graph::lora(weight, 2).unwrap());
    let text = r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "auto_mapping": {"base_model_class": "BertForMaskedLM"}}"#;
    let adapter = checkpoint::AdapterConfig::from_json(text).unwrap();
    let parameters: Vec<_> =
        matrices.iter().flatten().map(|spec| (spec.clone(), numbers.parameter(spec).unwrap())).collect();
    save_adapter(out, &config, head, &adapter, &parameters).unwrap();

    let (adapted, read, found) = adapted(base, out);
    assert_eq!((found, read.architectures), (head, vec!["BertForMaskedLM".to_owned()]));
    let matrix = |tensor: HostTensor| {
        tensor.to_f32().unwrap().into_owned().into_dimensionality::<ndarray::Ix2>().unwrap()
    };
    for (weight, [a, b]) in weights.into_iter().zip(&matrices) {
        let [a, b] = [a, b].map(|spec| matrix(numbers.parameter(spec).unwrap()));
        let plain = match weight.name.ends_with("decoder.weight") {
            true => of("word_embeddings.weight"),
            false => weight,
        };
        let wanted = matrix(numbers.parameter(plain).unwrap()) + 2.0 * b.dot(&a);
        let merged = matrix(adapted.optional(weight).unwrap().unwrap());
        assert!((merged - wanted).iter().all(|x| x.abs() < 1e-6), "{}", weight.name);
    }
    let words = of("word_embeddings.weight");
    assert_eq!(adapted.parameter(words).unwrap().bytes(), numbers.parameter(words).unwrap().bytes());

    // One of the two matrices alone.
    save_adapter(out, &config, head, &adapter, &parameters[..3]).unwrap();
    let base = Arc::new(Checkpoint::open(base).unwrap());
    let error = Adapted::new(base, Arc::new(Adapter::open(out).unwrap()), &config).unwrap_err();
    assert!(error.to_string().contains("do not match"), "{error}");
}
