//! What the tests of several tasks share: a tiny checkpoint of any class, made on the spot, and the paths
//! of the optional trained ones.
#![allow(dead_code)] // each test program uses its own part

use std::path::{Path, PathBuf};

use bert_tasks::{Device, ModelSource, Pretrained};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

/// A few words, and all letters and digits alone and as continuations: any ASCII word can be spelled.
const WORDS: &str = "the a of is in and to [unused0] paris london france england capital river bank money \
    good bad movie not very i you he she it this that live lives work works at for with . , ! ? ' - : ;";

/// The checkpoint folder of a random model: 2 layers, 32 hidden features, 64 positions.
pub struct Tiny {
    pub folder: TempDir,
}

impl Tiny {
    /// A model of a class such as `BertForMaskedLM`, with the given labels where the class has some.
    pub fn new(class: &str, labels: &[&str]) -> Self {
        Self::with_config(class, labels, serde_json::json!({}))
    }

    /// The same with fields of `config.json` set to other values.
    pub fn with_config(class: &str, labels: &[&str], fields: serde_json::Value) -> Self {
        let folder = TempDir::new().unwrap();
        let mut vocab: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            .iter()
            .chain(&WORDS.split_whitespace().collect::<Vec<_>>())
            .map(|&w| w.to_owned())
            .collect();
        for letter in ('a'..='z').chain('0'..='9') {
            for token in [letter.to_string(), format!("##{letter}")] {
                if !vocab.contains(&token) {
                    vocab.push(token);
                }
            }
        }
        let (hidden, positions) = (32, 64);
        let mut config = serde_json::json!({
            "model_type": "bert", "architectures": [class], "vocab_size": vocab.len(), "hidden_size": hidden,
            "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
            "max_position_embeddings": positions, "type_vocab_size": 2,
        });
        if !labels.is_empty() {
            let names = labels.iter().enumerate().map(|(i, name)| (i.to_string(), (*name).into()));
            config["id2label"] = serde_json::Value::Object(names.collect());
        }
        for (field, value) in fields.as_object().unwrap() {
            config[field] = value.clone();
        }
        let write = |file: &str, text: String| std::fs::write(folder.path().join(file), text).unwrap();
        write("config.json", config.to_string());
        write("vocab.txt", vocab.join("\n") + "\n");
        write("tokenizer_config.json", r#"{"do_lower_case": true}"#.into());

        let mut weights = Weights::default();
        let (vocab, inner) = (vocab.len(), 64);
        weights.add("bert.embeddings.word_embeddings.weight", &[vocab, hidden], 0.0);
        weights.add("bert.embeddings.position_embeddings.weight", &[positions, hidden], 0.0);
        weights.add("bert.embeddings.token_type_embeddings.weight", &[2, hidden], 0.0);
        weights.norm("bert.embeddings.LayerNorm", hidden);
        for layer in 0..2 {
            let name = |part: &str| format!("bert.encoder.layer.{layer}.{part}");
            for part in [
                "attention.self.query",
                "attention.self.key",
                "attention.self.value",
                "attention.output.dense",
            ] {
                weights.linear(&name(part), hidden, hidden);
            }
            weights.norm(&name("attention.output.LayerNorm"), hidden);
            weights.linear(&name("intermediate.dense"), inner, hidden);
            weights.linear(&name("output.dense"), hidden, inner);
            weights.norm(&name("output.LayerNorm"), hidden);
        }
        weights.linear("bert.pooler.dense", hidden, hidden);
        match class {
            "BertForMaskedLM" => weights.masked_lm(vocab, hidden),
            "BertForNextSentencePrediction" => weights.linear("cls.seq_relationship", 2, hidden),
            "BertForPreTraining" => {
                weights.masked_lm(vocab, hidden);
                weights.linear("cls.seq_relationship", 2, hidden);
            }
            "BertForTokenClassification" | "BertForSequenceClassification" => {
                weights.linear("classifier", labels.len(), hidden);
            }
            "BertForQuestionAnswering" => weights.linear("qa_outputs", 2, hidden),
            "BertForMultipleChoice" => weights.linear("classifier", 1, hidden),
            "BertModel" => {}
            other => panic!("no weights for {other}"),
        }
        weights.write(&folder.path().join("model.safetensors"));
        Self { folder }
    }

    /// The folder, as a user would name it.
    pub fn name(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub fn open(&self) -> Pretrained {
        Pretrained::from_source(ModelSource::Folder(self.folder.path().to_owned())).unwrap()
    }
}

/// Named random tensors. The numbers are the same on every run.
#[derive(Default)]
struct Weights {
    tensors: Vec<(String, Vec<usize>, Vec<u8>)>,
    state: u64,
}

impl Weights {
    fn add(&mut self, name: &str, shape: &[usize], centre: f32) {
        let count: usize = shape.iter().product();
        let bytes = (0..count).flat_map(|_| {
            // SplitMix64, folded to the interval -1 .. 1
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let unit = ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
            (centre + 0.3 * unit).to_le_bytes()
        });
        self.tensors.push((name.to_owned(), shape.to_vec(), bytes.collect()));
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) {
        self.add(&format!("{name}.weight"), &[outputs, inputs], 0.0);
        self.add(&format!("{name}.bias"), &[outputs], 0.0);
    }

    fn norm(&mut self, name: &str, hidden: usize) {
        self.add(&format!("{name}.weight"), &[hidden], 1.0);
        self.add(&format!("{name}.bias"), &[hidden], 0.0);
    }

    fn masked_lm(&mut self, vocab: usize, hidden: usize) {
        self.linear("cls.predictions.transform.dense", hidden, hidden);
        self.norm("cls.predictions.transform.LayerNorm", hidden);
        self.add("cls.predictions.bias", &[vocab], 0.0);
    }

    fn write(&self, path: &Path) {
        let views = self.tensors.iter().map(|(name, shape, bytes)| {
            (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize_to_file(views.collect::<Vec<_>>(), None, path).unwrap();
    }
}

/// The device that tests run on.
pub fn device() -> Device {
    Device::auto().unwrap()
}

/// A trained checkpoint that `cargo xtask models` brought, or a printed reason why there is none.
pub fn trained(name: &str) -> Option<PathBuf> {
    let folder = root().join("target/models").join(name);
    if !folder.is_dir() {
        eprintln!("SKIPPED: no checkpoint at {}; run cargo xtask models", folder.display());
        return None;
    }
    Some(folder)
}

/// A file of the optional folder of datasets and reference outputs, or a printed reason why there is none.
pub fn shared(path: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("BERT_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let path = shared.join(path);
    if !path.exists() {
        eprintln!("SKIPPED: nothing at {}; set BERT_SHARED to the folder of datasets", path.display());
        return None;
    }
    Some(path)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace root").to_owned()
}
