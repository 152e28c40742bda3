//! The files that sentence-transformers puts beside a checkpoint: which modules follow the encoder, how
//! hidden states are pooled, how long a text may be. Source: sentence-transformers, `SentenceTransformer`.

use bert_core::contract::Pooling;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{Error, Pretrained, Result};

/// How a folder wants its hidden states pooled.
pub struct Recipe {
    pub pooling: Vec<Pooling>,
    pub normalize: bool,
    pub max_length: Option<usize>,
    pub prompt: String,
}

/// `modules.json`: the stages of a model, in order.
#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

/// `1_Pooling/config.json`. Several modes are put end to end in the order of these fields.
#[derive(Deserialize)]
struct PoolingFile {
    pooling_mode_cls_token: Option<bool>,
    pooling_mode_max_tokens: Option<bool>,
    pooling_mode_mean_tokens: Option<bool>,
    pooling_mode_mean_sqrt_len_tokens: Option<bool>,
    pooling_mode_weightedmean_tokens: Option<bool>,
    pooling_mode_lasttoken: Option<bool>,
    /// The newer spelling: one name, or several.
    pooling_mode: Option<Modes>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Modes {
    One(String),
    Many(Vec<String>),
}

/// `sentence_bert_config.json`
#[derive(Default, Deserialize)]
struct TransformerFile {
    max_seq_length: Option<usize>,
}

/// `config_sentence_transformers.json`
#[derive(Default, Deserialize)]
struct PromptFile {
    #[serde(default)]
    prompts: std::collections::BTreeMap<String, String>,
    default_prompt_name: Option<String>,
}

/// Reads what is there. A folder without `modules.json` is a plain encoder: the mean, not normalised.
///
/// # Errors
/// [`Error::Json`] for a broken file, [`Error::Module`] for a stage that is not known here: leaving it out
/// would give other vectors than the model was trained for.
pub fn read(files: &Pretrained) -> Result<Recipe> {
    let transformer: TransformerFile = read_json(files, "sentence_bert_config.json")?.unwrap_or_default();
    let mut prompts: PromptFile = read_json(files, "config_sentence_transformers.json")?.unwrap_or_default();
    let prompt = prompts.default_prompt_name.and_then(|name| prompts.prompts.remove(&name));
    let mut recipe = Recipe {
        pooling: vec![],
        normalize: false,
        max_length: transformer.max_seq_length.filter(|&length| length > 0),
        prompt: prompt.unwrap_or_default(),
    };
    let modules: Vec<Module> = read_json(files, "modules.json")?.unwrap_or_default();
    for module in modules {
        match module.class.rsplit('.').next() {
            Some("Transformer") if module.path.is_empty() => {}
            Some("Pooling") => recipe.pooling = pooling(files, &format!("{}/config.json", module.path))?,
            Some("Normalize") => recipe.normalize = true,
            _ => return Err(Error::Module { class: module.class, path: module.path }),
        }
    }
    if recipe.pooling.is_empty() {
        recipe.pooling.push(Pooling::Mean);
    }
    Ok(recipe)
}

/// The files of a folder that has `modules.json`, by their names, for a model that was made from it.
///
/// # Errors
/// One that cannot be read.
pub fn copy(from: &Pretrained) -> Result<Vec<(String, String)>> {
    let modules: Vec<Module> = read_json(from, "modules.json")?.unwrap_or_default();
    let of_modules = modules.iter().filter(|module| !module.path.is_empty());
    let names = ["modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"];
    let names = names.map(str::to_owned).into_iter();
    let mut files = vec![];
    for name in names.chain(of_modules.map(|module| format!("{}/config.json", module.path))) {
        if let Some(text) = from.read(&name)? {
            files.push((name, text));
        }
    }
    Ok(files)
}

/// The files that say how a model made from `from` pools its hidden states.
///
/// # Errors
/// One of `from` that cannot be read.
pub fn describe(from: &Pretrained, recipe: &Recipe, pooling: Pooling) -> Result<Vec<(String, String)>> {
    let mut stages = vec![("", "Transformer"), ("1_Pooling", "Pooling")];
    if recipe.normalize {
        stages.push(("2_Normalize", "Normalize"));
    }
    let modules = stages.iter().enumerate().map(|(index, (path, class))| {
        let class = format!("sentence_transformers.models.{class}");
        json!({ "idx": index, "name": index.to_string(), "path": path, "type": class })
    });
    let length = from.tokenizer().max_length().unwrap_or(usize::MAX).min(from.config().max_tokens());
    let transformer = json!({
        "max_seq_length": recipe.max_length.unwrap_or(usize::MAX).min(length),
        "do_lower_case": false,
    });
    let mode = |name, of| (format!("pooling_mode_{name}"), Value::Bool(pooling == of));
    let mut pooling_file: Map<String, Value> = [
        mode("cls_token", Pooling::Cls),
        mode("mean_tokens", Pooling::Mean),
        mode("max_tokens", Pooling::Max),
        mode("mean_sqrt_len_tokens", Pooling::MeanSqrtLen),
    ]
    .into_iter()
    .collect();
    pooling_file.insert("word_embedding_dimension".to_owned(), from.config().hidden_size.into());
    let text = |value: &Value| format!("{value:#}\n");
    let mut files = vec![
        ("modules.json".to_owned(), text(&modules.collect())),
        ("sentence_bert_config.json".to_owned(), text(&transformer)),
        ("1_Pooling/config.json".to_owned(), text(&Value::Object(pooling_file))),
    ];
    let prompts = "config_sentence_transformers.json";
    files.extend(from.read(prompts)?.map(|text| (prompts.to_owned(), text)));
    Ok(files)
}

fn pooling(files: &Pretrained, path: &str) -> Result<Vec<Pooling>> {
    let Some(file) = read_json::<PoolingFile>(files, path)? else {
        return Ok(vec![Pooling::Mean]);
    };
    let names: Vec<String> = match file.pooling_mode {
        Some(Modes::One(name)) => vec![name],
        Some(Modes::Many(names)) => names,
        None => [
            ("cls", file.pooling_mode_cls_token),
            ("max", file.pooling_mode_max_tokens),
            ("mean", file.pooling_mode_mean_tokens),
            ("mean_sqrt_len_tokens", file.pooling_mode_mean_sqrt_len_tokens),
            ("weightedmean", file.pooling_mode_weightedmean_tokens),
            ("lasttoken", file.pooling_mode_lasttoken),
        ]
        .into_iter()
        .filter(|&(_, chosen)| chosen == Some(true))
        .map(|(name, _)| name.to_owned())
        .collect(),
    };
    names
        .into_iter()
        .map(|name| match name.as_str() {
            "cls" => Ok(Pooling::Cls),
            "max" => Ok(Pooling::Max),
            "mean" => Ok(Pooling::Mean),
            "mean_sqrt_len_tokens" => Ok(Pooling::MeanSqrtLen),
            _ => Err(Error::Module { class: format!("Pooling with mode {name}"), path: path.to_owned() }),
        })
        .collect()
}

fn read_json<T: DeserializeOwned>(files: &Pretrained, file: &str) -> Result<Option<T>> {
    let Some(text) = files.read(file)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|source| Error::Json { file: file.to_owned(), source })
}
