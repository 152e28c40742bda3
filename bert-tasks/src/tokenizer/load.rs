//! From files to a [`Tokenizer`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::AHashMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, ModelWrapper};

use super::byte_level;
use super::config::{Config, Role};
use super::error::{Result, TokenizerError};
use super::file::{TextFile, json};
use super::model::{LongestMatch, Model};
use super::pipeline::{Pipeline, guard};
use super::template::Template;
use super::{Inner, SpecialIds, Tokenizer};

const CONFIG_JSON: &str = "tokenizer_config.json";
const VOCAB_JSON: &str = "vocab.json";
const MERGES_TXT: &str = "merges.txt";
/// What the SentencePiece models of XLM-RoBERTa, CamemBERT and ALBERT are called.
const SENTENCE_PIECE: [&str; 3] = ["sentencepiece.bpe.model", "spiece.model", "sentencepiece.model"];

impl Tokenizer {
    /// Loads the tokenizer of a checkpoint folder: `tokenizer.json` if there is one, else BERT's `vocab.txt`, else
    /// RoBERTa's `vocab.json` with `merges.txt`.
    ///
    /// `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` are followed where they
    /// exist. Where `tokenizer_config.json` of a BERT tokenizer states `do_lower_case`, `strip_accents` or
    /// `tokenize_chinese_chars`, or one of byte-level BPE `add_prefix_space`, that holds even against
    /// `tokenizer.json`, as in `transformers`. Padding and truncation that a `tokenizer.json` may ask for are ignored: inputs are packed and never cut silently.
    ///
    /// # Errors
    /// When a file is missing, unreadable, broken or contradicts another one; the error names the file.
    /// [`TokenizerError::SentencePiece`] where there is a `sentencepiece.bpe.model` alone, and how to convert it.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        if !folder.is_dir() {
            return Err(TokenizerError::NotAFolder { path: folder.to_owned() });
        }
        from_files(folder, |name| TextFile::read(folder.join(name)), |name| folder.join(name).is_file())
    }

    /// The same for a checkpoint folder whose files are in memory: `read` gives a file by its name, `folder` is
    /// what the folder is called in messages.
    ///
    /// # Errors
    /// As [`from_folder`](Self::from_folder).
    pub fn from_files(
        folder: impl AsRef<Path>,
        read: impl Fn(&'static str) -> Option<Vec<u8>>,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        let file = |name| read(name).map(|bytes| TextFile::from_bytes(folder.join(name), bytes)).transpose();
        from_files(folder, file, |name| read(name).is_some())
    }

    /// Builds a BERT tokenizer from the texts of `vocab.txt` and `tokenizer_config.json`.
    ///
    /// In `vocab` a token's id is the number of its line, counted from 0. Line ends may be `\n` or `\r\n`; an
    /// empty line uses up an id without a token, except at the end; of equal lines the last counts.
    ///
    /// # Errors
    /// When the vocabulary is empty or lacks the unknown, `[CLS]` or `[SEP]` token, when the configuration
    /// is no valid JSON, or when it asks for something that vocab.txt cannot give.
    pub fn from_parts(vocab: &str, config_json: Option<&str>) -> Result<Self> {
        let path = || PathBuf::from(CONFIG_JSON);
        let config = config_json.map(|text| TextFile::from_bytes(path(), text.into())).transpose()?;
        let config = Config::parse(config.as_ref(), None, None)?;
        config.check_for_vocab_txt(&path())?;
        from_vocab(vocab.strip_prefix('\u{feff}').unwrap_or(vocab), &config)
    }

    /// Builds a tokenizer from the bytes of a `tokenizer.json`.
    ///
    /// # Errors
    /// When it is no valid `tokenizer.json`, or one whose parts contradict each other.
    pub fn from_bytes(tokenizer_json: &[u8]) -> Result<Self> {
        let file = TextFile::from_bytes("tokenizer.json".into(), tokenizer_json.to_vec())?;
        from_tokenizer_json(&file, Config::default())
    }
}

/// A tokenizer out of the files of a folder.
fn from_files(
    folder: &Path,
    read: impl Fn(&'static str) -> Result<Option<TextFile>>,
    exists: impl Fn(&'static str) -> bool,
) -> Result<Tokenizer> {
    let mut config = Config::parse(
        read(CONFIG_JSON)?.as_ref(),
        read("special_tokens_map.json")?.as_ref(),
        read("added_tokens.json")?.as_ref(),
    )?;
    if let Some(file) = read("tokenizer.json")? {
        return from_tokenizer_json(&file, config);
    }
    if let Some(vocab) = read("vocab.txt")? {
        config.check_for_vocab_txt(&folder.join(CONFIG_JSON))?;
        return from_vocab(&vocab.text, &config);
    }
    match (read(VOCAB_JSON)?, read(MERGES_TXT)?) {
        (Some(vocab), Some(merges)) => {
            config.check_for_merges(&folder.join(CONFIG_JSON))?;
            let (pipeline, processor) = byte_level::pipeline(&vocab, &merges, &mut config)?;
            return assemble(pipeline, Template::new(&processor)?, &config);
        }
        (vocab, merges) if vocab.is_some() != merges.is_some() => {
            let (found, missing) =
                if vocab.is_some() { (VOCAB_JSON, MERGES_TXT) } else { (MERGES_TXT, VOCAB_JSON) };
            return Err(TokenizerError::HalfBpe { folder: folder.to_owned(), found, missing });
        }
        _ => {}
    }
    let folder = folder.to_owned();
    Err(match SENTENCE_PIECE.into_iter().find(|&name| exists(name)) {
        Some(file) => TokenizerError::SentencePiece { folder, file },
        None => TokenizerError::NoTokenizer { folder },
    })
}

fn from_vocab(vocab: &str, config: &Config) -> Result<Tokenizer> {
    let lines = vocab.lines().zip(0u32..).filter(|(token, _)| !token.is_empty());
    let vocab: AHashMap<String, u32> = lines.map(|(token, id)| (token.to_owned(), id)).collect();
    let unk = config.token(Role::Unk).to_owned();
    let model = Model::WordPiece(LongestMatch::new(vocab, unk, "##".to_owned(), 100)?);

    let lowercase = config.do_lower_case.unwrap_or(true);
    let chinese = config.tokenize_chinese_chars.unwrap_or(true);
    let normalizer = BertNormalizer::new(true, chinese, config.strip_accents, lowercase);
    let added = config.added_tokens(|token| model.token_to_id(token).is_some());
    let pipeline = Pipeline::new(
        Some(normalizer.into()),
        Some(BertPreTokenizer.into()),
        model,
        Some(WordPieceDecoder::default().into()),
        added,
    )?;
    let id = |role: Role| {
        let token = config.token(role);
        let missing = || TokenizerError::MissingToken { role: role.setting(), token: token.to_owned() };
        Ok((token.to_owned(), pipeline.token_to_id(token).ok_or_else(missing)?))
    };
    let processor = BertProcessing::new(id(Role::Sep)?, id(Role::Cls)?);
    let template = Template::new(&processor.into())?;
    assemble(pipeline, template, config)
}

/// The parts of `tokenizer.json` that are followed.
#[derive(Deserialize)]
struct TokenizerJson<'a> {
    version: Option<String>,
    #[serde(default)]
    added_tokens: Vec<AddedTokenWithId>,
    normalizer: Option<NormalizerWrapper>,
    pre_tokenizer: Option<PreTokenizerWrapper>,
    post_processor: Option<PostProcessorWrapper>,
    decoder: Option<DecoderWrapper>,
    #[serde(borrow)]
    model: &'a RawValue,
}

#[derive(Deserialize)]
struct AddedTokenWithId {
    id: u32,
    #[serde(flatten)]
    token: AddedToken,
}

/// `model` of `tokenizer.json`. The library reads it by way of a JSON tree, at three times the cost.
#[derive(Deserialize)]
struct WordPieceJson {
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: AHashMap<String, u32>,
}

fn from_tokenizer_json(file: &TextFile, mut config: Config) -> Result<Tokenizer> {
    #[derive(Deserialize)]
    struct Kind {
        r#type: Option<String>,
    }

    let parts: TokenizerJson<'_> = guard("loader", || file.json())??;
    if let Some(version) = parts.version.filter(|version| version != "1.0") {
        let (field, hint) = ("version", "version 1.0 would work");
        return Err(TokenizerError::Unsupported { path: file.path.clone(), field, value: version, hint });
    }
    let model = parts.model.get();
    let model = match json::<Kind>(&file.path, model)?.r#type.as_deref() {
        Some("WordPiece") => {
            let WordPieceJson { unk_token, continuing_subword_prefix, max_input_chars_per_word, vocab } =
                json(&file.path, model)?;
            check_ids(&vocab)?;
            let matcher =
                LongestMatch::new(vocab, unk_token, continuing_subword_prefix, max_input_chars_per_word)?;
            Model::WordPiece(matcher)
        }
        _ => guard("loader", || json::<ModelWrapper>(&file.path, model))??.into(),
    };
    let mut normalizer = parts.normalizer;
    if let Some(NormalizerWrapper::BertNormalizer(bert)) = &mut normalizer
        && config.is_bert_class()
    {
        bert.lowercase = config.do_lower_case.unwrap_or(bert.lowercase);
        bert.strip_accents = config.strip_accents.or(bert.strip_accents);
        bert.handle_chinese_chars = config.tokenize_chinese_chars.unwrap_or(bert.handle_chinese_chars);
    }
    let mut pre_tokenizer = parts.pre_tokenizer;
    if let Some(pre_tokenizer) = &mut pre_tokenizer {
        byte_level::configure(pre_tokenizer, &config);
    }
    let template = parts.post_processor.as_ref().map(Template::new).transpose()?;
    let added = parts.added_tokens.into_iter().map(|added| (Some(added.id), added.token)).collect();
    let pipeline = Pipeline::new(normalizer, pre_tokenizer, model, parts.decoder, added)?;
    config.name_tokens(|token| pipeline.token_to_id(token).is_some());
    assemble(pipeline, template.unwrap_or_else(Template::plain), &config)
}

/// Every id must stand for one token.
pub(super) fn check_ids(vocab: &AHashMap<String, u32>) -> Result<()> {
    let mut tokens = AHashMap::with_capacity(vocab.len());
    for (token, &id) in vocab {
        if let Some(other) = tokens.insert(id, token) {
            let (first, second) = (other.min(token).clone(), other.max(token).clone());
            return Err(TokenizerError::SharedId { id, first, second });
        }
    }
    Ok(())
}

/// Puts a tokenizer together.
fn assemble(pipeline: Pipeline, template: Template, config: &Config) -> Result<Tokenizer> {
    let id = |role| pipeline.token_to_id(config.token(role));
    let require = |role: Role, id: Option<u32>| {
        let token = || config.token(role).to_owned();
        id.ok_or_else(|| TokenizerError::MissingToken { role: role.setting(), token: token() })
    };
    let (first, last) = template.ends();
    let special = SpecialIds {
        unk: pipeline.unk().or_else(|| id(Role::Unk)),
        cls: require(Role::Cls, id(Role::Cls).or(first))?,
        sep: require(Role::Sep, id(Role::Sep).or(last))?,
        pad: id(Role::Pad),
        mask: id(Role::Mask),
    };
    let template_rows = template.ids().max().map_or(0, |id| id as usize + 1);
    let vocab_size = pipeline.rows().max(template_rows);
    let max_length = config.max_length();
    Ok(Tokenizer { inner: Arc::new(Inner { pipeline, template, special, vocab_size, max_length }) })
}
