//! Training of a part of a model: adapters learn beside a base that stays, are loaded over it, and resume to equal bits;
//! frozen layers stay what they were.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::common::Tiny;
use bert_core::checkpoint::{self, AdapterConfig, Checkpoint};
use bert_core::graph::{self, Head};
use bert_tasks::data::classification::{Example, Options, read};
use bert_tasks::training::{Classification, LoraOptions, Report, Summary, TrainOptions, Trainer};
use bert_tasks::{Device, DeviceOptions, Precision, Pretrained, TextClassification};
use tempfile::TempDir;

const TEXTS: [&str; 4] = ["paris good work", "live bad river", "the bank", "a good a"];

/// A base, examples, and a place for the result.
struct Setting {
    base: Tiny,
    folder: TempDir,
}

impl Setting {
    fn new(base: Tiny) -> Self {
        let folder = TempDir::new().unwrap();
        let words = ["bank", "river", "paris", "money", "live", "work", "the", "a"];
        let line = |index: usize| {
            let label = if index.is_multiple_of(3) { "good" } else { "bad" };
            format!("{} {label} {}\t{label}\n", words[index % 8], words[index / 8 % 8])
        };
        let lines: String = (0..60).map(line).collect();
        fs::write(folder.path().join("examples.tsv"), "text\tlabel\n".to_owned() + &lines).unwrap();
        Self { base, folder }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn examples(&self) -> Vec<Example> {
        let examples = read(self.out("examples.tsv"), &Options::default()).unwrap();
        examples.collect::<Result<_, _>>().unwrap()
    }

    fn run(&self, out: &Path, options: &TrainOptions, stop_after: Option<u64>) -> (Summary, Vec<f64>) {
        let base = self.base.open();
        let device = device();
        let trainer = Trainer::new(&base, &device, options.clone());
        let stop = trainer.stop_switch();
        let mut losses = vec![];
        let watch = |report: &Report| {
            if let Report::Step { step, loss, .. } = report {
                losses.push(*loss);
                if stop_after.is_some_and(|after| *step >= after) {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        };
        let mut train = self.examples();
        let eval = train.split_off(48);
        let task = Classification::new(&base, train, eval).unwrap();
        let summary = match Trainer::can_resume(out) {
            true => trainer.resume(&task, out, watch),
            false => trainer.run(&task, out, watch),
        };
        (summary.unwrap(), losses)
    }
}

fn device() -> Device {
    Device::open("cpu", DeviceOptions { threads: Some(2) }).unwrap()
}

fn options(lora: Option<LoraOptions>) -> TrainOptions {
    TrainOptions { epochs: 8, batch_size: 8, learning_rate: 1e-2, lora, ..TrainOptions::default() }
}

fn lora(targets: &[&str]) -> LoraOptions {
    LoraOptions { targets: targets.iter().map(|name| (*name).to_owned()).collect(), ..LoraOptions::default() }
}

/// The bits of the answers of a model.
fn answers(files: &Pretrained) -> Vec<u32> {
    let model = TextClassification::from_pretrained(files, &device(), Precision::F32).unwrap();
    let scores = TEXTS.map(|text| model.predict(text).unwrap().scores);
    scores.iter().flatten().map(|label| label.score.to_bits()).collect()
}

fn open(folder: &Path) -> Pretrained {
    Pretrained::open(folder.to_str().unwrap()).unwrap()
}

#[test]
fn an_adapter_learns_and_is_loaded_over_its_base() {
    let setting = Setting::new(Tiny::untrained());
    let out = setting.out("adapter");
    let before = fs::read(setting.base.folder.path().join("model.safetensors")).unwrap();
    let options = options(Some(LoraOptions { rank: 4, dropout: 0.1, ..lora(&["all-linear"]) }));
    let (summary, losses) = setting.run(&out, &options, None);
    assert!(summary.best.unwrap().value > 0.9);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[36..]) < 0.5 * mean(&losses[..6]), "{losses:?}");
    assert_eq!(fs::read(setting.base.folder.path().join("model.safetensors")).unwrap(), before);

    // A folder of an adapter, and a state of what trains.
    assert!(!out.join("model.safetensors").exists());
    for file in ["adapter_config.json", "adapter_model.safetensors", "config.json", "vocab.txt"] {
        assert!(out.join(file).exists(), "{file}");
    }
    let config = fs::read_to_string(out.join("adapter_config.json")).unwrap();
    let config = AdapterConfig::from_json(&config).unwrap();
    assert_eq!((config.rank, config.head), (4, Some(Head::SequenceClassification)));
    assert_eq!(config.targets, ["dense", "key", "query", "value"]);
    assert_eq!(config.modules_to_save, ["classifier", "pooler"], "the base has no pooler");
    let state = Checkpoint::open(out.join("state.safetensors")).unwrap();
    // Matrices of 6 layers in each of 2, and two linear layers of the head: masters and two moments.
    assert_eq!(state.names().count(), 3 * (2 * 6 * 2 + 4));

    // By its own name, and over a base that is open.
    let alone = open(&out);
    assert_eq!(alone.adapter().unwrap().config(), &config);
    assert_eq!(alone.config().labels, ["bad", "good"]);
    let base = setting.base.open();
    let over = base.with_adapter(&out).unwrap();
    assert_eq!(answers(&alone), answers(&over));
    let model = TextClassification::from_pretrained(&over, &device(), Precision::F32).unwrap();
    for (text, label) in [(TEXTS[0], "good"), (TEXTS[1], "bad")] {
        assert_eq!(model.predict(text).unwrap().scores[0].label, label, "{text}");
    }

    // Merged into a checkpoint, it has the same bits.
    let merged = setting.out("merged");
    let head = Head::SequenceClassification;
    checkpoint::save(&merged, over.config(), head, over.parameters()).unwrap();
    fs::copy(out.join("vocab.txt"), merged.join("vocab.txt")).unwrap();
    fs::copy(out.join("tokenizer_config.json"), merged.join("tokenizer_config.json")).unwrap();
    let merged = open(&merged);
    assert!(merged.adapter().is_none());
    assert_eq!(answers(&merged), answers(&over));

    // Another one over the same files.
    let second = setting.out("second");
    setting.run(&second, &TrainOptions { seed: 2, ..options }, None);
    let second = over.with_adapter(&second).unwrap();
    assert_ne!(answers(&second), answers(&over));
    assert!(std::ptr::eq(second.checkpoint(), base.checkpoint()));
}

#[test]
fn a_run_of_adapters_that_was_stopped_goes_on_to_equal_bits() {
    let setting = Setting::new(Tiny::untrained());
    let lora = LoraOptions { dropout: 0.2, ..lora(&["query", "value"]) };
    let options = TrainOptions { dropout: true, ..options(Some(lora)) };
    let (whole, broken) = (setting.out("whole"), setting.out("broken"));
    setting.run(&whole, &options, None);
    for after in [Some(3), Some(17), None] {
        setting.run(&broken, &options, after);
    }
    for file in ["adapter_model.safetensors", "adapter_config.json", "config.json", "state.safetensors"] {
        let [whole, broken] = [&whole, &broken].map(|folder| fs::read(folder.join(file)).unwrap());
        assert!(whole == broken, "{file}");
    }
}

#[test]
fn frozen_layers_stay_and_others_learn() {
    let setting = Setting::new(Tiny::untrained());
    let (whole, broken) = (setting.out("whole"), setting.out("broken"));
    let options =
        TrainOptions { freeze_layers: Some(1), head_rate_factor: 3.0, layer_decay: 0.9, ..options(None) };
    setting.run(&whole, &options, None);
    for after in [Some(5), None] {
        setting.run(&broken, &options, after);
    }
    for file in ["model.safetensors", "state.safetensors"] {
        let [whole, broken] = [&whole, &broken].map(|folder| fs::read(folder.join(file)).unwrap());
        assert!(whole == broken, "{file}");
    }
    let (base, trained) = (setting.base.open(), open(&whole));
    for spec in graph::parameters(base.config(), Head::None).unwrap() {
        if spec.name.starts_with("pooler") {
            continue;
        }
        let [was, is] = [&base, &trained].map(|files| files.parameters().parameter(&spec).unwrap());
        let frozen = spec.name.starts_with("embeddings") || spec.name.starts_with("encoder.layer.0.");
        assert_eq!(was.bytes() == is.bytes(), frozen, "{}", spec.name);
    }
}

/// A base whose head is the one that is asked for keeps it, unless it is named; other families have their own names.
#[test]
fn what_trains_beside_adapters_is_what_is_fresh_or_named() {
    let labels = ["bad", "good"];
    let bert = || Tiny::new("BertForSequenceClassification", &labels);
    let distilbert =
        Tiny::with_config("DistilBertForMaskedLM", &[], serde_json::json!({"model_type": "distilbert"}));
    let named = LoraOptions { modules_to_save: vec!["classifier".to_owned()], ..lora(&["all-linear"]) };
    for (base, lora, targets, saved) in [
        (bert(), lora(&["query"]), &["query"][..], &[][..]),
        (bert(), named, &["dense", "key", "query", "value"], &["classifier"]),
        (distilbert, lora(&["query", "lin1"]), &["lin1", "q_lin"], &["classifier", "pre_classifier"]),
    ] {
        let setting = Setting::new(base);
        let out = setting.out("adapter");
        setting.run(&out, &TrainOptions { epochs: 1, ..options(Some(lora)) }, None);
        let config = fs::read_to_string(out.join("adapter_config.json")).unwrap();
        let config = AdapterConfig::from_json(&config).unwrap();
        assert_eq!(
            (&config.targets[..], &config.modules_to_save[..]),
            (
                &targets.iter().map(|x| (*x).to_owned()).collect::<Vec<_>>()[..],
                &saved.iter().map(|x| (*x).to_owned()).collect::<Vec<_>>()[..],
            )
        );
        assert_eq!(answers(&open(&out)), answers(&setting.base.open().with_adapter(&out).unwrap()));
    }
}

#[test]
fn what_goes_wrong_is_said() {
    let setting = Setting::new(Tiny::untrained());
    let base = setting.base.open();
    let out = setting.out("adapter");
    let device = device();
    let refused = |base: &Pretrained, options: TrainOptions, out: &Path| {
        let task = Classification::new(base, setting.examples(), vec![]).unwrap();
        Trainer::new(base, &device, options).run(&task, out, |_| ()).unwrap_err().to_string()
    };
    let one = TrainOptions { epochs: 1, ..options(Some(lora(&["query"]))) };
    setting.run(&out, &one, None);
    for (lora, part) in [
        (lora(&["quary"]), "no layer is called \"quary\"; the known ones are dense, key, query, value"),
        (
            LoraOptions { modules_to_save: vec!["head".into()], ..lora(&["query"]) },
            "no layer is called \"head\"",
        ),
        (LoraOptions { rank: 0, ..lora(&["query"]) }, "lora rank is 0"),
        (LoraOptions { dropout: 1.0, ..lora(&["query"]) }, "lora dropout is 1"),
        (lora(&[]), "lora targets is empty"),
    ] {
        let error = refused(&base, options(Some(lora)), &setting.out("wrong"));
        assert!(error.contains(part), "{error}");
    }
    let both = TrainOptions { freeze_layers: Some(1), ..one.clone() };
    assert!(refused(&base, both, &setting.out("wrong")).contains("freeze_layers is 1"));
    assert!(refused(&base, one.clone(), &out).contains("holds a run already"));
    let adapted = refused(&open(&out), one, &setting.out("wrong"));
    assert!(adapted.contains("a model that has an adapter already"), "{adapted}");

    let fails = |base: &Pretrained, folder: &Path| base.with_adapter(folder).err().unwrap().to_string();
    assert!(fails(&base, &setting.out("none")).contains("adapter_config.json"));
    // Of a model with more layers.
    let other = Tiny::with_config("BertForMaskedLM", &[], serde_json::json!({"num_hidden_layers": 1}));
    let stray = fails(&other.open(), &out);
    assert!(stray.contains("encoder.layer.1.attention.self.query.lora_"), "{stray}");
    let narrow = Tiny::with_config("BertForMaskedLM", &[], serde_json::json!({"hidden_size": 16}));
    let narrow = narrow.open().with_adapter(&out).unwrap();
    let error = TextClassification::from_pretrained(&narrow, &device, Precision::F32).err().unwrap();
    assert!(error.to_string().contains("query.lora_B"), "{error}");

    // One that does not say what it belongs to.
    let path = out.join("adapter_config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config["base_model_name_or_path"] = serde_json::Value::Null;
    fs::write(&path, config.to_string()).unwrap();
    let error = Pretrained::open(out.to_str().unwrap()).err().unwrap();
    assert!(error.to_string().contains("does not name its model"), "{error}");
    assert!(base.with_adapter(&out).is_ok());
}
