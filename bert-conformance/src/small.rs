//! Small checkpoints for tests: folders as published ones are laid out, with random numbers.
//!
//! What a model consists of is what [`graph::parameters`](bert_core::graph::parameters) lists, so that no test has a list of its own.
//!
//! ```
//! use bert_conformance::small::{self, Small};
//! use bert_core::checkpoint::Checkpoint;
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let config = Small::new("BertForTokenClassification").labels(&["O", "B-PER", "I-PER"]).save(folder);
//! assert_eq!((config.hidden_size, config.labels.len()), (32, 3));
//!
//! // A head without effect: its weights are made zero.
//! small::edit(folder, |tensors| tensors.get_mut("classifier.weight").unwrap().1.fill(0.0));
//! let numbers = Checkpoint::open(folder)?.tensor("classifier.weight", &[3, 32])?;
//! assert!(numbers.to_f32()?.iter().all(|&x| x == 0.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! All of this panics where something is wrong: it is for tests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use bert_core::ModelConfig;
use bert_core::checkpoint;
use bert_core::config::ModelType;
use bert_core::graph::{Head, Initial};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

/// The words that every small model knows, beside all letters and digits alone and as continuations: any ASCII
/// word can be spelled.
const WORDS: &str = "[PAD] [UNK] [CLS] [SEP] [MASK] the a of is in and to [unused0] paris london france england \
    capital river bank money good bad movie not very i you he she it this that live lives work works at for with \
    . , ! ? ' \" - : ;";

/// By this seed a tagger gives several labels to the words of a text; by most it gives one label to all of them, and
/// tests of what lies side by side would see little.
const SEED: u64 = 3;

/// The tensors of a file: shapes and numbers, by the names in the file.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A checkpoint that is to be made.
///
/// Unless fields say otherwise: BERT, 2 layers of 32 numbers, 4 heads, 64 positions, and as many words as there are.
#[derive(Clone, Debug)]
pub struct Small {
    head: Head,
    class: String,
    fields: Map<String, Value>,
    words: String,
    more: Vec<Head>,
    seed: u64,
    untrained: bool,
}

impl Small {
    /// A model of a class such as `BertForMaskedLM`. Classes of other families need the field `model_type`.
    pub fn new(class: &str) -> Self {
        let head = Head::from_class(class).unwrap_or_else(|| panic!("no class is called {class}"));
        let fields = json!({
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
            "max_position_embeddings": 64,
        });
        let fields = fields.as_object().expect("made as an object").clone();
        Self {
            head,
            class: class.to_owned(),
            fields,
            words: WORDS.to_owned(),
            more: vec![],
            seed: SEED,
            untrained: false,
        }
    }

    /// Fields of `config.json`, by the names that BERT has for them, that are to have these values.
    #[must_use]
    pub fn fields(mut self, fields: &Value) -> Self {
        self.fields.extend(fields.as_object().expect("an object").clone());
        self
    }

    /// The labels of a classifier.
    #[must_use]
    pub fn labels(self, labels: &[&str]) -> Self {
        let names = labels.iter().enumerate().map(|(id, label)| (id.to_string(), json!(label)));
        self.fields(&json!({ "id2label": names.collect::<Map<_, _>>() }))
    }

    /// More words, separated by spaces.
    #[must_use]
    pub fn words(mut self, words: &str) -> Self {
        self.words = format!("{} {words}", self.words);
        self
    }

    /// What these heads consist of is in the file, too, beside the class's own: nobody asks for it.
    #[must_use]
    pub fn more(mut self, heads: &[Head]) -> Self {
        assert!(
            heads.is_empty() || self.head != Head::None,
            "{} has no prefixes, and heads have",
            self.class
        );
        self.more.extend(heads);
        self
    }

    /// Where all numbers come from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The numbers are those that training begins with, by the `initializer_range` of the fields; else they lie far
    /// from there, so that a parameter that is left out is seen.
    #[must_use]
    pub fn untrained(mut self) -> Self {
        self.untrained = true;
        self
    }

    /// Writes the files of the model into a folder, which is made if need be: `config.json`, `model.safetensors`,
    /// and `vocab.txt` and `tokenizer_config.json` where the family has WordPiece.
    pub fn save(&self, folder: &Path) -> ModelConfig {
        let vocabulary = self.vocabulary();
        let mut fields = self.fields.clone();
        fields.entry("vocab_size").or_insert(vocabulary.lines().count().into());
        let config =
            ModelConfig::from_json(&Value::from(fields).to_string()).expect("fields of a configuration");
        assert_eq!(self.class, self.head.class(&config), "a class of the family that `model_type` names");

        let numbers = match self.untrained {
            true => Initial::new(self.seed, config.initializer_range),
            false => Initial::spread(self.seed),
        };
        let save = |head| checkpoint::save(folder, &config, head, &numbers).expect("a folder for tests");
        let mut more = Tensors::new();
        for &head in self.more.iter().rev() {
            save(head);
            more.extend(read(folder));
        }
        save(self.head);
        if !more.is_empty() {
            edit(folder, |own| {
                more.append(own);
                *own = more;
            });
        }
        if matches!(config.model_type, ModelType::Bert | ModelType::DistilBert | ModelType::Electra) {
            write(folder, "vocab.txt", vocabulary.as_bytes());
            write(folder, "tokenizer_config.json", br#"{"do_lower_case": true}"#);
        }
        config
    }

    /// A token a line, each of them once.
    fn vocabulary(&self) -> String {
        let letters =
            ('a'..='z').chain('0'..='9').flat_map(|letter| [letter.to_string(), format!("##{letter}")]);
        let mut seen = BTreeSet::new();
        let tokens = self.words.split_whitespace().map(str::to_owned).chain(letters);
        tokens.filter(|token| seen.insert(token.clone())).map(|token| token + "\n").collect()
    }
}

/// Changes the fields of `config.json`.
pub fn configure(folder: &Path, change: impl FnOnce(&mut Map<String, Value>)) {
    let text = fs::read(folder.join("config.json")).expect("config.json");
    let mut config = serde_json::from_slice(&text).expect("an object");
    change(&mut config);
    write(folder, "config.json", Value::from(config).to_string().as_bytes());
}

/// Changes the tensors of `model.safetensors`, all of which are to be `f32`.
pub fn edit(folder: &Path, change: impl FnOnce(&mut Tensors)) {
    let mut tensors = read(folder);
    change(&mut tensors);
    let bytes = |numbers: &[f32]| numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
    let tensors: Vec<_> =
        tensors.into_iter().map(|(name, (shape, numbers))| (name, shape, bytes(&numbers))).collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many numbers as the shape says"))
    });
    // As it was saved, so that a file whose numbers alone are changed keeps its length.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = safetensors::serialize(views, Some(metadata)).expect("names and shapes");
    write(folder, "model.safetensors", &file);
}

fn read(folder: &Path) -> Tensors {
    let file = fs::read(folder.join("model.safetensors")).expect("model.safetensors");
    let file = SafeTensors::deserialize(&file).expect("a whole file");
    let tensor = |(name, tensor): (&str, TensorView<'_>)| {
        assert_eq!(tensor.dtype(), Dtype::F32, "{name}");
        let numbers = tensor.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        (name.to_owned(), (tensor.shape().to_vec(), numbers))
    };
    file.iter().map(tensor).collect()
}

fn write(folder: &Path, file: &str, content: &[u8]) {
    fs::write(folder.join(file), content).expect("a folder for tests");
}

#[cfg(test)]
mod tests {
    use bert_core::graph;

    use super::*;

    #[test]
    fn a_file_holds_what_the_class_consists_of_and_more_where_asked() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let config =
            Small::new("ElectraForPreTraining").fields(&json!({"model_type": "electra"})).save(folder);
        let count = graph::parameters(&config, Head::ReplacedTokens).unwrap().len();
        let plain = read(folder);
        assert_eq!(plain.len(), count);
        assert_eq!(ModelConfig::from_folder(folder).unwrap().architectures, ["ElectraForPreTraining"]);

        let small = Small::new("BertForMaskedLM").words("rome").labels(&["a", "b", "c"]);
        small.more(&[Head::NextSentence, Head::MultipleChoice, Head::TokenClassification]).save(folder);
        let tensors = read(folder);
        assert_eq!(tensors["cls.seq_relationship.weight"].0, [2, 32]);
        assert_eq!(tensors["classifier.weight"].0, [1, 32], "the first of that name");
        assert!(!tensors.contains_key("cls.predictions.decoder.weight"), "it is tied");
        let vocabulary = fs::read_to_string(folder.join("vocab.txt")).unwrap();
        assert_eq!(tensors["bert.embeddings.word_embeddings.weight"].0, [vocabulary.lines().count(), 32]);
        assert!(vocabulary.lines().any(|word| word == "rome"));
    }

    #[test]
    fn changes_are_in_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        Small::new("BertModel").seed(2).save(folder);
        let (before, length) = (read(folder), fs::metadata(folder.join("model.safetensors")).unwrap().len());
        edit(folder, |tensors| tensors.values_mut().for_each(|(_, numbers)| numbers.fill(0.5)));
        assert_eq!(fs::metadata(folder.join("model.safetensors")).unwrap().len(), length);
        edit(folder, |tensors| tensors.clone_from(&before));
        edit(folder, |tensors| drop(tensors.remove("pooler.dense.bias").unwrap()));
        assert_eq!(read(folder).len(), before.len() - 1);
        assert_eq!(read(folder)["pooler.dense.weight"], before["pooler.dense.weight"]);
        assert!(before["pooler.dense.bias"].1[0] != 0.0);
        Small::new("BertModel").untrained().save(folder);
        assert!(read(folder)["pooler.dense.bias"].1[0] == 0.0);
        configure(folder, |config| drop(config.insert("hidden_act".to_owned(), "relu".into())));
        let config = ModelConfig::from_folder(folder).unwrap();
        assert_eq!(config.hidden_act, bert_core::contract::Activation::Relu);
    }
}
