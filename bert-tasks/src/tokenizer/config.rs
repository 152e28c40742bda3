//! `tokenizer_config.json` and the two older files beside it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use tokenizers::AddedToken;

use super::error::{Result, TokenizerError};
use super::file::TextFile;

/// The fields of `tokenizer_config.json` that change ids or offsets. Everything else in it (padding side,
/// truncation, clean-up flags) has no meaning here: nothing is padded and nothing is cut.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    tokenizer_class: Option<String>,
    pub(super) do_lower_case: Option<bool>,
    do_basic_tokenize: Option<bool>,
    pub(super) strip_accents: Option<bool>,
    pub(super) tokenize_chinese_chars: Option<bool>,
    /// Whether a text begins as if there were a blank before it: byte-level BPE.
    pub(super) add_prefix_space: Option<bool>,
    never_split: Option<Vec<String>>,
    model_max_length: Option<f64>,
    /// The name that `model_max_length` had in the first releases.
    max_len: Option<f64>,
    #[serde(skip)]
    names: Names,
    added_tokens_decoder: Option<BTreeMap<u32, TokenSpec>>,
}

/// The part of the file that `special_tokens_map.json` may replace.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names {
    unk_token: Option<TokenSpec>,
    cls_token: Option<TokenSpec>,
    sep_token: Option<TokenSpec>,
    pad_token: Option<TokenSpec>,
    mask_token: Option<TokenSpec>,
    additional_special_tokens: Option<Vec<TokenSpec>>,
}

/// A token by its text, or with the ways in which it is matched.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum TokenSpec {
    Text(String),
    Full {
        content: String,
        #[serde(default)]
        single_word: bool,
        #[serde(default)]
        lstrip: bool,
        #[serde(default)]
        rstrip: bool,
        normalized: Option<bool>,
        special: Option<bool>,
    },
}

impl TokenSpec {
    fn text(&self) -> &str {
        match self {
            Self::Text(content) | Self::Full { content, .. } => content,
        }
    }

    fn to_added(&self, special_by_default: bool) -> AddedToken {
        match self {
            Self::Text(content) => AddedToken::from(content, special_by_default),
            Self::Full { content, single_word, lstrip, rstrip, normalized, special } => {
                let special = special.unwrap_or(special_by_default);
                AddedToken {
                    content: content.clone(),
                    single_word: *single_word,
                    lstrip: *lstrip,
                    rstrip: *rstrip,
                    normalized: normalized.unwrap_or(!special),
                    special,
                }
            }
        }
    }
}

/// The five tokens that a model gives a meaning to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Unk,
    Cls,
    Sep,
    Pad,
    Mask,
}

impl Role {
    pub(super) const ALL: [Self; 5] = [Self::Unk, Self::Cls, Self::Sep, Self::Pad, Self::Mask];

    /// The setting that names the token.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::Unk => "unk_token",
            Self::Cls => "cls_token",
            Self::Sep => "sep_token",
            Self::Pad => "pad_token",
            Self::Mask => "mask_token",
        }
    }

    fn default_token(self) -> &'static str {
        match self {
            Self::Unk => "[UNK]",
            Self::Cls => "[CLS]",
            Self::Sep => "[SEP]",
            Self::Pad => "[PAD]",
            Self::Mask => "[MASK]",
        }
    }

    /// The name that RoBERTa and its relatives have for it.
    pub(super) fn roberta_token(self) -> &'static str {
        match self {
            Self::Unk => "<unk>",
            Self::Cls => "<s>",
            Self::Sep => "</s>",
            Self::Pad => "<pad>",
            Self::Mask => "<mask>",
        }
    }
}

/// Classes whose vocab.json and merges.txt mean RoBERTa's byte-level BPE.
const ROBERTA_CLASSES: [&str; 1] = ["Roberta"];

/// Classes whose vocab.txt means WordPiece after BERT's basic tokenisation.
const BERT_CLASSES: [&str; 6] = ["Bert", "DistilBert", "Electra", "MobileBert", "SqueezeBert", "ConvBert"];

impl Config {
    /// Reads the settings, with the older files where the newest form of the settings is not used.
    ///
    /// A checkpoint that lists `added_tokens_decoder` has everything in `tokenizer_config.json`; the two
    /// other files are then leftovers, and ignored. Else `special_tokens_map.json` overrides the token
    /// names and `added_tokens.json` lists the added tokens. `transformers` reads them in the same way.
    pub(super) fn parse(
        config: Option<&TextFile>,
        special_tokens_map: Option<&TextFile>,
        added_tokens: Option<&TextFile>,
    ) -> Result<Self> {
        let mut parsed = Self::default();
        if let Some(file) = config {
            parsed = file.json()?;
            parsed.names = file.json()?;
        }
        if parsed.added_tokens_decoder.is_none() {
            if let Some(file) = special_tokens_map {
                parsed.names.override_with(file.json()?);
            }
            if let Some(file) = added_tokens {
                parsed.added_tokens_decoder = Some(by_id(file.json()?)?);
            }
        }
        Ok(parsed)
    }

    /// Gives tokens that the files do not name RoBERTa's names, where the vocabulary has these and not BERT's.
    pub(super) fn name_tokens(&mut self, known: impl Fn(&str) -> bool) {
        for role in Role::ALL {
            if self.names.get(role).is_none() && !known(role.default_token()) && known(role.roberta_token()) {
                // A mask takes the blank before it, so that what fills it may bring its own.
                let token = match role {
                    Role::Mask => TokenSpec::Full {
                        content: role.roberta_token().to_owned(),
                        single_word: false,
                        lstrip: true,
                        rstrip: false,
                        normalized: None,
                        special: Some(true),
                    },
                    _ => TokenSpec::Text(role.roberta_token().to_owned()),
                };
                *self.names.get_mut(role) = Some(token);
            }
        }
    }

    /// What the files call the token with this role, if they do.
    pub(super) fn named(&self, role: Role) -> Option<&str> {
        self.names.get(role).map(TokenSpec::text)
    }

    /// The text of the token with this role.
    pub(super) fn token(&self, role: Role) -> &str {
        self.names.get(role).map_or(role.default_token(), TokenSpec::text)
    }

    /// The greatest number of tokens that the tokenizer's author trained for. Absurdly great numbers,
    /// which some files use for "unlimited", are no limit.
    pub(super) fn max_length(&self) -> Option<usize> {
        let length = self.model_max_length.or(self.max_len)?;
        (1.0..1e9).contains(&length).then_some(length as usize)
    }

    /// Whether the files describe one of BERT's own tokenizers (or say nothing).
    pub(super) fn is_bert_class(&self) -> bool {
        self.is_of(&BERT_CLASSES)
    }

    fn is_of(&self, classes: &[&str]) -> bool {
        self.tokenizer_class.as_deref().is_none_or(|class| {
            let class = class.strip_suffix("Fast").unwrap_or(class);
            class.strip_suffix("Tokenizer").is_some_and(|name| classes.contains(&name))
        })
    }

    /// Refuses classes for which vocab.json and merges.txt mean something else.
    pub(super) fn check_for_merges(&self, path: &Path) -> Result<()> {
        if self.is_of(&ROBERTA_CLASSES) {
            return Ok(());
        }
        Err(TokenizerError::Unsupported {
            path: path.to_owned(),
            field: "tokenizer_class",
            value: self.tokenizer_class.clone().unwrap_or_default(),
            hint: "a checkpoint with tokenizer.json would work",
        })
    }

    /// Refuses settings under which vocab.txt would be used in another way than this crate does.
    pub(super) fn check_for_vocab_txt(&self, path: &Path) -> Result<()> {
        let unsupported = |field, value: String, hint| {
            Err(TokenizerError::Unsupported { path: path.to_owned(), field, value, hint })
        };
        let with_json = "a checkpoint with tokenizer.json would work";
        if !self.is_bert_class() {
            return unsupported(
                "tokenizer_class",
                self.tokenizer_class.clone().unwrap_or_default(),
                with_json,
            );
        }
        if self.do_basic_tokenize == Some(false) {
            return unsupported("do_basic_tokenize", "false".into(), with_json);
        }
        match &self.never_split {
            Some(tokens) if !tokens.is_empty() => {
                unsupported("never_split", format!("{tokens:?}"), "list these tokens in added_tokens_decoder")
            }
            _ => Ok(()),
        }
    }

    /// Tokens that are matched in the text before anything else, with their ids where the files state them;
    /// in the order of these ids.
    ///
    /// `known` tells whether the vocabulary has a token: a mask or padding token that it lacks is no token.
    pub(super) fn added_tokens(&self, known: impl Fn(&str) -> bool) -> Vec<(Option<u32>, AddedToken)> {
        let roles = Role::ALL.map(|role| self.names.get(role).cloned().unwrap_or_else(|| role.into()));
        let more = self.names.additional_special_tokens.as_deref().unwrap_or_default();
        let mut tokens: Vec<(Option<u32>, AddedToken)> = Vec::new();
        for (&id, token) in self.added_tokens_decoder.iter().flatten() {
            let special = roles.iter().chain(more).any(|special| special.text() == token.text());
            tokens.push((Some(id), token.to_added(special)));
        }
        for token in roles.iter().filter(|token| known(token.text())).chain(more) {
            if tokens.iter().all(|(_, listed)| listed.content != token.text()) {
                tokens.push((None, token.to_added(true)));
            }
        }
        tokens
    }
}

/// Turns `added_tokens.json` around.
fn by_id(ids: BTreeMap<String, u32>) -> Result<BTreeMap<u32, TokenSpec>> {
    let mut tokens = BTreeMap::new();
    for (token, id) in ids {
        if let Some(first) = tokens.insert(id, TokenSpec::Text(token.clone())) {
            return Err(TokenizerError::SharedId { id, first: first.text().to_owned(), second: token });
        }
    }
    Ok(tokens)
}

impl From<Role> for TokenSpec {
    fn from(role: Role) -> Self {
        Self::Text(role.default_token().to_owned())
    }
}

impl Names {
    fn get(&self, role: Role) -> Option<&TokenSpec> {
        match role {
            Role::Unk => self.unk_token.as_ref(),
            Role::Cls => self.cls_token.as_ref(),
            Role::Sep => self.sep_token.as_ref(),
            Role::Pad => self.pad_token.as_ref(),
            Role::Mask => self.mask_token.as_ref(),
        }
    }

    fn get_mut(&mut self, role: Role) -> &mut Option<TokenSpec> {
        match role {
            Role::Unk => &mut self.unk_token,
            Role::Cls => &mut self.cls_token,
            Role::Sep => &mut self.sep_token,
            Role::Pad => &mut self.pad_token,
            Role::Mask => &mut self.mask_token,
        }
    }

    fn override_with(&mut self, other: Self) {
        let take = |mine: &mut Option<TokenSpec>, theirs: Option<TokenSpec>| {
            if theirs.is_some() {
                *mine = theirs;
            }
        };
        take(&mut self.unk_token, other.unk_token);
        take(&mut self.cls_token, other.cls_token);
        take(&mut self.sep_token, other.sep_token);
        take(&mut self.pad_token, other.pad_token);
        take(&mut self.mask_token, other.mask_token);
        if other.additional_special_tokens.is_some() {
            self.additional_special_tokens = other.additional_special_tokens;
        }
    }
}
