//! The byte-level BPE of RoBERTa, from `vocab.json` and `merges.txt` as its first releases have them.

use ahash::AHashMap;
use tokenizers::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::processors::roberta::RobertaProcessing;

use super::config::{Config, Role};
use super::error::{Result, TokenizerError};
use super::file::TextFile;
use super::load::check_ids;
use super::model::Model;
use super::pipeline::{Pipeline, run};

/// What texts go through, and what is put around them. Tokens that `config` does not name get RoBERTa's names.
pub(super) fn pipeline(
    vocab: &TextFile,
    merges: &TextFile,
    config: &mut Config,
) -> Result<(Pipeline, PostProcessorWrapper)> {
    let vocab: AHashMap<String, u32> = vocab.json()?;
    if vocab.is_empty() {
        return Err(TokenizerError::EmptyVocab);
    }
    check_ids(&vocab)?;
    let merges = pairs(merges)?;
    let bpe = run("merges", || BPE::builder().vocab_and_merges(vocab, merges).build())?;
    let model = Model::from(ModelWrapper::BPE(bpe));
    config.name_tokens(|token| model.token_to_id(token).is_some());

    let mut words = ByteLevel::default().add_prefix_space(false).into();
    configure(&mut words, config);
    let added = config.added_tokens(|token| model.token_to_id(token).is_some());
    let pipeline = Pipeline::new(None, Some(words), model, Some(ByteLevel::default().into()), added)?;
    let end = |role: Role| {
        // A name that only the files state may be wrong; without one it is RoBERTa's that is missing.
        let name = config.named(role).unwrap_or(role.roberta_token());
        let missing = || TokenizerError::MissingToken { role: role.setting(), token: name.to_owned() };
        Ok((name.to_owned(), pipeline.token_to_id(name).ok_or_else(missing)?))
    };
    let processor = RobertaProcessing::new(end(Role::Sep)?, end(Role::Cls)?);
    Ok((pipeline, processor.into()))
}

/// Sets what `tokenizer_config.json` states, wherever the step stands.
pub(super) fn configure(pre_tokenizer: &mut PreTokenizerWrapper, config: &Config) {
    match pre_tokenizer {
        PreTokenizerWrapper::ByteLevel(bytes) => {
            bytes.add_prefix_space = config.add_prefix_space.unwrap_or(bytes.add_prefix_space);
        }
        PreTokenizerWrapper::Sequence(steps) => {
            steps.as_mut().iter_mut().for_each(|step| configure(step, config));
        }
        _ => {}
    }
}

/// The pairs of merges.txt, in order: the first is merged first. A first line that begins with `#version` is none.
fn pairs(merges: &TextFile) -> Result<Vec<(String, String)>> {
    let lines = merges.text.lines().zip(1..);
    let lines = lines.filter(|(text, line)| !(text.is_empty() || *line == 1 && text.starts_with("#version")));
    let pair = |(text, line): (&str, usize)| match text.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok((left.to_owned(), right.to_owned()))
        }
        _ => Err(TokenizerError::Merge { path: merges.path.clone(), line, found: text.to_owned() }),
    };
    lines.map(pair).collect()
}
