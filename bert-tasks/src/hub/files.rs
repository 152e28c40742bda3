//! Which files of a model are needed: chosen from what a hub offers, and looked for in a folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::HubError;
use super::names::is_plain_file_name;

pub(super) const CONFIG: &str = "config.json";
pub(super) const SAFETENSORS: &str = "model.safetensors";
pub(super) const SAFETENSORS_INDEX: &str = "model.safetensors.index.json";
const PYTORCH: &str = "pytorch_model.bin";
const TOKENIZERS: [&str; 2] = ["tokenizer.json", "vocab.txt"];
const MODULES: &str = "modules.json";

/// Taken where a model has them. Everything else (weights for other frameworks, ONNX, images, optimizer
/// states) stays on the hub.
const OPTIONAL: [&str; 6] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    MODULES,
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];

/// The weights to take: safetensors, whole or in shards, before a pickle.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Weights {
    Whole(&'static str),
    Sharded,
}

/// The files to take, the small ones apart from the weights.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) small: Vec<String>,
    pub(super) weights: Weights,
}

/// Chooses from the names that a hub offers; the error is what is missing there, in words.
pub(super) fn select<'a>(offered: impl IntoIterator<Item = &'a str>) -> Result<Selection, String> {
    let offered: BTreeSet<&str> = offered.into_iter().collect();
    let has = |name: &str| offered.contains(name);
    if !has(CONFIG) {
        return Err(CONFIG.to_owned());
    }
    if !TOKENIZERS.into_iter().any(has) {
        return Err(either(&TOKENIZERS));
    }
    let weights = if has(SAFETENSORS) {
        Weights::Whole(SAFETENSORS)
    } else if has(SAFETENSORS_INDEX) {
        Weights::Sharded
    } else if has(PYTORCH) {
        Weights::Whole(PYTORCH)
    } else {
        return Err(either(&[SAFETENSORS, PYTORCH]));
    };
    // The names come from the list above and from nowhere else, whatever a server offers.
    let is_small = |name: &&str| {
        *name == CONFIG || TOKENIZERS.contains(name) || OPTIONAL.contains(name) || is_pooling_config(name)
    };
    Ok(Selection { small: offered.iter().copied().filter(is_small).map(str::to_owned).collect(), weights })
}

/// What a folder lacks to be run as a model, in words; `None` if it is whole.
pub(super) fn missing_from(folder: &Path) -> Option<String> {
    let has = |name: &str| folder.join(name).is_file();
    if !has(CONFIG) {
        return Some(CONFIG.to_owned());
    }
    if !TOKENIZERS.into_iter().any(has) {
        return Some(either(&TOKENIZERS));
    }
    if !has(SAFETENSORS) {
        if has(SAFETENSORS_INDEX) {
            match shards(&folder.join(SAFETENSORS_INDEX)) {
                Ok(shards) => {
                    if let Some(absent) = shards.into_iter().find(|shard| !has(shard)) {
                        return Some(absent);
                    }
                }
                Err(_) => return Some(format!("readable {SAFETENSORS_INDEX}")),
            }
        } else if !has(PYTORCH) {
            return Some(either(&[SAFETENSORS, PYTORCH]));
        }
    }
    pooling_configs(&folder.join(MODULES)).into_iter().find(|config| !has(config))
}

/// The file names in an index of shards.
///
/// # Errors
/// [`HubError::Read`], [`HubError::BadIndex`], and [`HubError::UnsafeName`] for a shard that would lie
/// outside the model's folder.
pub(super) fn shards(index: &Path) -> Result<BTreeSet<String>, HubError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let text = fs::read(index).map_err(|source| HubError::Read { path: index.to_owned(), source })?;
    let parsed: Index = serde_json::from_slice(&text)
        .map_err(|source| HubError::BadIndex { path: index.to_owned(), source })?;
    let shards: BTreeSet<String> = parsed.weight_map.into_values().collect();
    match shards.iter().find(|name| !(is_plain_file_name(name) && name.ends_with(".safetensors"))) {
        Some(name) => Err(HubError::UnsafeName { name: name.clone(), origin: index.display().to_string() }),
        None => Ok(shards),
    }
}

/// The pooling configurations that a sentence-transformers model needs; none for other models.
fn pooling_configs(modules: &Path) -> Vec<String> {
    #[derive(Deserialize)]
    struct Module {
        path: String,
        r#type: String,
    }
    // What is wrong with a modules.json is for the model loader to say.
    let parsed: Vec<Module> =
        fs::read(modules).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    parsed
        .into_iter()
        .filter(|module| module.r#type.ends_with(".Pooling"))
        .map(|module| format!("{}/{CONFIG}", module.path))
        .filter(|config| is_pooling_config(config))
        .collect()
}

/// `1_Pooling/config.json`: sentence-transformers numbers its modules.
fn is_pooling_config(name: &str) -> bool {
    let number = name.strip_suffix("_Pooling/config.json");
    number.is_some_and(|n| (1..=2).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

fn either(names: &[&str]) -> String {
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let selection = select(offered).unwrap();
        let small = ["1_Pooling/config.json", "config.json", "modules.json", "tokenizer.json", "vocab.txt"];
        assert_eq!(
            selection,
            Selection {
                small: small.map(str::to_owned).to_vec(),
                weights: Weights::Whole("model.safetensors"),
            }
        );
    }

    #[test]
    fn safetensors_whole_then_sharded_then_a_pickle() {
        let weights = |names: &[&str]| {
            let offered = names.iter().copied().chain(["config.json", "vocab.txt"]);
            select(offered).map(|selection| selection.weights)
        };
        assert_eq!(weights(&[SAFETENSORS_INDEX, PYTORCH]), Ok(Weights::Sharded));
        assert_eq!(weights(&[PYTORCH]), Ok(Weights::Whole(PYTORCH)));
        assert_eq!(weights(&["tf_model.h5"]), Err("model.safetensors or pytorch_model.bin".to_owned()));
    }

    #[test]
    fn a_folder_says_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let missing = || missing_from(folder.path());
        assert_eq!(missing().as_deref(), Some("config.json"));
        write("config.json", "{}");
        assert_eq!(missing().as_deref(), Some("tokenizer.json or vocab.txt"));
        write("vocab.txt", "[PAD]");
        assert_eq!(missing().as_deref(), Some("model.safetensors or pytorch_model.bin"));
        write(
            SAFETENSORS_INDEX,
            r#"{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}"#,
        );
        write("model-1-of-2.safetensors", "");
        assert_eq!(missing().as_deref(), Some("model-2-of-2.safetensors"));
        write("model-2-of-2.safetensors", "");
        assert_eq!(missing(), None);
        write("modules.json", r#"[{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#);
        assert_eq!(missing().as_deref(), Some("1_Pooling/config.json"));
        write("1_Pooling/config.json", "{}");
        assert_eq!(missing(), None);
        write(SAFETENSORS_INDEX, "{");
        assert_eq!(missing().as_deref(), Some("readable model.safetensors.index.json"));
    }

    #[test]
    fn shards_outside_the_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join(SAFETENSORS_INDEX);
        for hostile in
            ["../evil.safetensors", "/tmp/evil.safetensors", "a/b.safetensors", "evil.bin", ".safetensors"]
        {
            fs::write(&index, format!(r#"{{"weight_map": {{"w": "{hostile}"}}}}"#)).unwrap();
            assert!(matches!(shards(&index), Err(HubError::UnsafeName { name, .. }) if name == hostile));
        }
    }
}
