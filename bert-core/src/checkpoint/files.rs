//! Which files make a model: their names, in one place for all who read a folder or bring one from elsewhere.
//!
//! ```
//! use bert_core::checkpoint::files::{self, MissingFile};
//!
//! let offered = ["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "vocab.txt"];
//! let chosen = files::select(offered)?;
//! assert_eq!(chosen.weights, "model.safetensors");
//! assert_eq!(chosen.small, ["config.json", "vocab.txt"]);
//!
//! let missing = files::select(["config.json", "tf_model.h5", "vocab.txt"]).unwrap_err();
//! assert!(missing.to_string().starts_with("model.safetensors or "));
//! # Ok::<(), MissingFile>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Component, Path};

use serde::Deserialize;

use super::error::{Advice, IndexError};

/// The shape of the model.
pub const CONFIG: &str = "config.json";

/// The files that hold all weights, or the list of the files that do (an index). The first that is there counts.
pub const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// The files that a tokenizer is made of, of which one is needed; beside `vocab.json` that is [`MERGES`], too.
pub const TOKENIZERS: [&str; 3] = ["tokenizer.json", "vocab.txt", VOCABULARY];

/// The tokens of a byte-level BPE.
const VOCABULARY: &str = "vocab.json";

/// Which tokens of a byte-level BPE become one, beside `vocab.json`.
pub const MERGES: &str = "merges.txt";

/// The list of the modules of a sentence-transformers model.
pub const MODULES: &str = "modules.json";

/// The files that are used where a model has them, beside the modules' own (see [`is_pooling_config`]). Everything
/// else in a model's folder (weights for other programs, images, states of optimisers) is of no use here.
pub const OPTIONAL: [&str; 7] = [
    MERGES,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    MODULES,
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];

/// The largest index that is read, in bytes; one of 10 000 tensors takes 1 MB.
pub const MAX_INDEX: u64 = 64 << 20;

/// The files of one model, by their names in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// All but the weights, sorted. They say whether the model can be run at all.
    pub small: Vec<String>,
    /// The weights: one of [`WEIGHTS`]. If it [is an index](is_index), the [`parts`] that it lists hold them.
    pub weights: &'static str,
}

/// What a folder lacks to be a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct MissingFile {
    /// The files of which one is needed.
    pub any_of: Vec<String>,
    /// What to do about it, if weights are missing.
    pub advice: Advice,
}

impl MissingFile {
    fn new(any_of: &[&str]) -> Self {
        Self { any_of: any_of.iter().map(|&name| name.to_owned()).collect(), advice: Advice::NotWeights }
    }
}

impl fmt::Display for MissingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.any_of.join(" or "), self.advice)
    }
}

/// Chooses the files of a model from the names that are offered.
///
/// Every name that is chosen is one of the constants here or that of a pooling configuration, whatever is offered.
///
/// # Errors
/// [`MissingFile`] if they make no model.
pub fn select<'a>(offered: impl IntoIterator<Item = &'a str>) -> Result<ModelFiles, MissingFile> {
    let offered: BTreeSet<&str> = offered.into_iter().collect();
    let weights = check(|name| offered.contains(name), || Advice::from_names(offered.iter().copied()))?;
    let small = offered.iter().filter(|name| is_small(name)).map(|&name| name.to_owned()).collect();
    Ok(ModelFiles { small, weights })
}

/// What a folder on disk lacks to be a model; `None` if it is whole: all parts of its weights are there, and the
/// configurations of its pooling.
pub fn missing_from(folder: &Path) -> Option<MissingFile> {
    let has = |name: &str| folder.join(name).is_file();
    let weights = match check(has, || Advice::NotWeights) {
        Ok(weights) => weights,
        Err(missing) => return Some(missing),
    };
    let mut needed = pooling_configs(&folder.join(MODULES));
    if is_index(weights) {
        match fs::read(folder.join(weights)).ok().and_then(|text| parts(&text).ok()) {
            Some(parts) => needed.extend(parts),
            None => return Some(MissingFile::new(&[&format!("readable {weights}")])),
        }
    }
    needed.iter().find(|name| !has(name)).map(|name| MissingFile::new(&[name]))
}

/// Whether the file of this name lists the files that hold weights, and holds none itself.
pub fn is_index(name: &str) -> bool {
    name.ends_with(".json")
}

/// The names of the files that an index lists.
///
/// # Errors
/// [`IndexError`] for a text that is not an index, and for a name that is more than a file name: it could lie outside of
/// the model's folder.
pub fn parts(index: &[u8]) -> Result<BTreeSet<String>, IndexError> {
    Ok(Index::read(index)?.weight_map.into_values().collect())
}

/// Whether this is the configuration of a pooling, such as `1_Pooling/config.json`: sentence-transformers numbers its
/// modules.
pub fn is_pooling_config(name: &str) -> bool {
    let number = name.strip_suffix("_Pooling/config.json");
    number.is_some_and(|n| (1..=2).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The parts of a checkpoint: which file holds which tensor.
#[derive(Deserialize)]
pub(super) struct Index {
    /// Stored names of tensors to file names.
    pub(super) weight_map: BTreeMap<String, String>,
}

impl Index {
    /// Reads an index. Its names are nothing but file names.
    pub(super) fn read(text: &[u8]) -> Result<Self, IndexError> {
        if text.len() as u64 > MAX_INDEX {
            return Err(IndexError::TooLarge { limit: MAX_INDEX });
        }
        let index: Self = serde_json::from_slice(text).map_err(IndexError::Json)?;
        match index.weight_map.values().find(|part| !is_plain(part)) {
            Some(part) => Err(IndexError::Escapes { part: part.clone() }),
            None => Ok(index),
        }
    }
}

/// The weights that a model has, if it has all that it needs.
fn check(has: impl Fn(&str) -> bool, advice: impl FnOnce() -> Advice) -> Result<&'static str, MissingFile> {
    if !has(CONFIG) {
        return Err(MissingFile::new(&[CONFIG]));
    }
    if !TOKENIZERS.iter().any(|name| has(name)) {
        return Err(MissingFile::new(&TOKENIZERS));
    }
    let needs_merges = !TOKENIZERS.iter().any(|&name| name != VOCABULARY && has(name));
    if needs_merges && !has(MERGES) {
        return Err(MissingFile::new(&[MERGES]));
    }
    let weights = WEIGHTS.into_iter().find(|name| has(name));
    weights.ok_or_else(|| MissingFile { advice: advice(), ..MissingFile::new(&WEIGHTS) })
}

fn is_small(name: &str) -> bool {
    name == CONFIG || TOKENIZERS.contains(&name) || OPTIONAL.contains(&name) || is_pooling_config(name)
}

/// The pooling configurations that a sentence-transformers model needs; none for other models.
fn pooling_configs(modules: &Path) -> Vec<String> {
    #[derive(Deserialize)]
    struct Module {
        path: String,
        r#type: String,
    }
    // What is wrong with a modules.json is for the loader of the model to say.
    let parsed: Vec<Module> =
        fs::read(modules).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    parsed
        .into_iter()
        .filter(|module| module.r#type.ends_with(".Pooling"))
        .map(|module| format!("{}/{CONFIG}", module.path))
        .filter(|config| is_pooling_config(config))
        .collect()
}

/// Whether a name from a file is nothing but a file name, on any system.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let single = matches!(components.next(), Some(Component::Normal(_))) && components.next().is_none();
    single && !name.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vocabulary_of_byte_level_bpe_needs_its_merges() {
        let weights = "model.safetensors";
        let both = select([CONFIG, "merges.txt", "vocab.json", weights]).unwrap();
        assert_eq!(both.small, ["config.json", "merges.txt", "vocab.json"]);
        let alone = select([CONFIG, "vocab.json", weights]).unwrap_err();
        assert_eq!(alone.to_string(), "merges.txt");
        assert!(select([CONFIG, "tokenizer.json", "vocab.json", weights]).is_ok());
    }

    #[test]
    fn only_what_a_model_needs_is_selected() {
        let offered = [
            ".gitattributes",
            "1_Pooling/config.json",
            "README.md",
            "config.json",
            "flax_model.msgpack",
            "model.safetensors",
            "modules.json",
            "onnx/model.onnx",
            "pytorch_model.bin",
            "tokenizer.json",
            "training_args.bin",
            "vocab.txt",
            "../1_Pooling/config.json",
            "/etc/config.json",
        ];
        let small = ["1_Pooling/config.json", "config.json", "modules.json", "tokenizer.json", "vocab.txt"];
        assert_eq!(
            select(offered),
            Ok(ModelFiles { small: small.map(str::to_owned).to_vec(), weights: "model.safetensors" })
        );
    }

    #[test]
    fn safetensors_whole_then_in_parts_then_pickles() {
        let select = |names: &[&str]| {
            let offered = names.iter().copied().chain([CONFIG, "vocab.txt"]);
            super::select(offered).map(|files| files.weights)
        };
        for (i, best) in WEIGHTS.into_iter().enumerate() {
            assert_eq!(select(&WEIGHTS[i..]), Ok(best));
        }
        let missing = select(&["tf_model.h5"]).unwrap_err();
        assert_eq!(
            (&missing.any_of[..], missing.advice),
            (&WEIGHTS.map(str::to_owned)[..], Advice::TensorFlow)
        );
    }

    #[test]
    fn a_folder_says_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let missing = || missing_from(folder.path()).map(|missing| missing.to_string());
        assert_eq!(missing().as_deref(), Some("config.json"));
        write("config.json", "{}");
        assert_eq!(missing().as_deref(), Some("tokenizer.json or vocab.txt or vocab.json"));
        write("vocab.txt", "[PAD]");
        assert_eq!(missing(), Some(WEIGHTS.join(" or ")));
        for (index, extension) in [(WEIGHTS[3], "bin"), (WEIGHTS[1], "safetensors")] {
            let [one, two] = [1, 2].map(|part| format!("model-{part}-of-2.{extension}"));
            write(index, &format!(r#"{{"weight_map": {{"a": "{one}", "b": "{two}"}}}}"#));
            write(&one, "");
            assert_eq!(missing(), Some(two.clone()));
            write(&two, "");
            assert_eq!(missing(), None);
        }
        write("modules.json", r#"[{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#);
        assert_eq!(missing().as_deref(), Some("1_Pooling/config.json"));
        write("1_Pooling/config.json", "{}");
        assert_eq!(missing(), None);
        write(WEIGHTS[1], "{");
        assert_eq!(missing().as_deref(), Some("readable model.safetensors.index.json"));
    }

    #[test]
    fn parts_outside_of_the_folder_are_refused() {
        for hostile in ["../evil", "/tmp/evil", "a/b", "a:b", "..", "."] {
            let index = format!(r#"{{"weight_map": {{"w": "{hostile}"}}}}"#);
            assert!(matches!(parts(index.as_bytes()), Err(IndexError::Escapes { part }) if part == hostile));
        }
    }
}
