//! Text from a masked language model: the next words of an unfinished text, or some sentences behind a prompt.
//!
//! ```
//! use bert_tasks::generation::{CompletionOptions, GenerationOptions, Method};
//! use bert_tasks::{Device, Generation};
//! let model = "path/to/bert-base-uncased";
//! # let model = bert_conformance::checkpoint("bert-masked-lm");
//! # let model = model.to_str().unwrap();
//! let generation = Generation::load(model, &Device::auto()?)?;
//!
//! let found = generation.complete("Thank you for", &CompletionOptions::default())?;
//! assert_eq!(found.suggestions.len(), 3);
//!
//! let options = GenerationOptions { length: 8, method: Method::Gibbs, ..GenerationOptions::default() };
//! let found = generation.generate("The old man", &options)?;
//! assert!(found.texts[0].text.starts_with("The old man"));
//! # Ok::<(), bert_tasks::Error>(())
//! ```
//!
//! Such a model learnt to fill gaps, not to write. A few words are often good; sentences are grammatical more often than
//! they make sense, and they lose their thread. For texts that are to be read, a generative model is the right one.
//!
//! The same seed gives the same text, for any number of threads and however candidates are batched.

mod canvas;
mod choose;
mod complete;
mod methods;
mod spacing;

use std::ops::Range;
use std::str::FromStr;

use bert_core::contract::Precision;
use bert_core::graph::Head;
use serde::{Deserialize, Serialize};

pub use complete::{CompletionOptions, Suggestion, Suggestions};

use crate::tokenizer::TokenizerKind;
use crate::{Device, Error, Pretrained, Result, Session};
use choose::Choice;
use spacing::continuation;

/// How masks are filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// From left to right, with some masks ahead. It reads best.
    #[default]
    Blocks,
    /// All at once, then the least sure again, fewer in each pass (Ghazvininejad et al., 2019). It is fastest.
    MaskPredict,
    /// One at a time, at random places, many times over (Wang and Cho, 2019). It varies most.
    Gibbs,
}

impl Method {
    /// The words for them.
    pub const WORDS: [(&'static str, Self); 3] =
        [("blocks", Self::Blocks), ("mask-predict", Self::MaskPredict), ("gibbs", Self::Gibbs)];
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|&(_, method)| method).ok_or_else(|| Error::Setting {
            setting: "method",
            found: format!("{word:?}"),
            expected: "blocks, mask-predict or gibbs",
        })
    }
}

/// How text is made. The defaults were chosen by reading texts of the English model of the command.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationOptions {
    /// How masks are filled.
    pub method: Method,
    /// How many tokens are made, the end of the last sentence not counted.
    pub length: usize,
    /// How many passes of the model: if not given one a token for blocks, 10 for mask-predict, 6 a token for Gibbs
    /// sampling.
    pub steps: Option<usize>,
    /// How bold the choice of tokens is: 0 always takes the best, 1 draws by their probabilities.
    pub temperature: f64,
    /// Draws only among so many of the best tokens; 0 for all.
    pub top_k: usize,
    /// Draws only among the best tokens that together have this probability.
    pub top_p: f64,
    /// No run of so many tokens is said twice, and no token beside itself; 0 to allow both.
    pub no_repeat_ngram: usize,
    /// Whether apostrophes, quotation marks and brackets are left out: such a model seldom closes or uses them well.
    pub plain: bool,
    /// How many masks blocks have ahead of them.
    pub lookahead: usize,
    /// How many texts are made side by side; the one that the model finds likeliest comes first.
    pub candidates: usize,
    /// What the draws depend on.
    pub seed: u64,
    /// Whether the text after each pass is kept.
    pub keep_steps: bool,
}

impl Default for GenerationOptions {
    fn default() -> Self {
        Self {
            method: Method::default(),
            length: 24,
            steps: None,
            temperature: 0.7,
            top_k: 20,
            top_p: 0.95,
            no_repeat_ngram: 2,
            plain: true,
            lookahead: 8,
            candidates: 8,
            seed: 0,
            keep_steps: false,
        }
    }
}

impl GenerationOptions {
    fn choice(&self, factor: f64) -> Choice {
        Choice { temperature: self.temperature * factor, top_k: self.top_k, top_p: self.top_p }
    }

    fn check(&self) -> Result<()> {
        let wrong = |setting, found: String, expected| Err(Error::Setting { setting, found, expected });
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return wrong("temperature", self.temperature.to_string(), "a finite number from 0 on");
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return wrong("top_p", self.top_p.to_string(), "above 0 and at most 1");
        }
        if self.steps == Some(0) {
            return wrong("steps", "0".into(), "at least 1");
        }
        if self.candidates == 0 || self.candidates > 1000 {
            return wrong("candidates", self.candidates.to_string(), "from 1 to 1000");
        }
        Ok(())
    }
}

/// A text that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratedText {
    /// The prompt and what was made.
    pub text: String,
    /// The mean logarithm (base e) of the probability of a token that was made, each masked in turn.
    pub score: f64,
    /// The text after each pass, `_` for masks, if they were to be kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

/// The texts of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratedTexts {
    /// The likeliest first.
    pub texts: Vec<GeneratedText>,
    /// The bytes of the prompt, from its beginning, that the model did not see because the prompt was too long.
    pub truncated: Option<Range<usize>>,
}

/// A masked language model that writes.
#[derive(Clone, Debug)]
pub struct Generation {
    session: Session,
    mask: u32,
    /// What ends a sentence.
    end: Option<u32>,
    /// By the id of each token, what it is.
    kinds: Vec<Kind>,
    /// Whether the vocabulary knows no capitals.
    uncased: bool,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Never written: special and unused tokens.
    Never,
    /// A piece that continues a word.
    Piece,
    /// A mark that ends a sentence.
    End,
    /// An apostrophe, a quotation mark or a bracket.
    Paired,
    /// Any other token without a letter or a digit.
    Mark,
    /// A word, or its beginning.
    Word,
}

impl Generation {
    /// Loads a model from a folder or by its id on the model hub.
    ///
    /// # Errors
    /// A model that is not there, not a masked language model, or damaged.
    pub fn load(name: &str, device: &Device) -> Result<Self> {
        Self::from_pretrained(&Pretrained::open_for(name, Head::MaskedLm)?, device, Precision::F32)
    }

    /// Loads a model whose files are open.
    ///
    /// # Errors
    /// A model that is not a masked language model, or damaged; a tokenizer without a mask token.
    pub fn from_pretrained(files: &Pretrained, device: &Device, precision: Precision) -> Result<Self> {
        Self::new(files.load(Head::MaskedLm, device, precision)?)
    }

    /// On a model that was loaded for [`Head::MaskedLm`].
    ///
    /// # Errors
    /// [`Error::NoMaskToken`] for a tokenizer without a mask token.
    pub fn new(session: Session) -> Result<Self> {
        let tokenizer = session.tokenizer();
        let mask = tokenizer.special().mask.ok_or(Error::NoMaskToken)?;
        let kinds: Vec<Kind> = (0..session.config().vocab_size as u32).map(|id| kind(&session, id)).collect();
        let end = match tokenizer.encode_without_special(".")?.ids[..] {
            [id] if kinds.get(id as usize) == Some(&Kind::End) => Some(id),
            _ => None,
        };
        let ids = |text: &str| tokenizer.encode_without_special(text).map(|encoded| encoded.ids);
        let uncased = ids("The")? == ids("the")?;
        Ok(Self { mask, end, kinds, uncased, session })
    }

    /// Makes texts that begin with a prompt, which may be empty.
    ///
    /// # Errors
    /// [`Error::Setting`] for options that make no sense, or a length without room for the prompt; a device that failed.
    pub fn generate(&self, prompt: &str, options: &GenerationOptions) -> Result<GeneratedTexts> {
        options.check()?;
        let start = self.start(prompt, options.length)?;
        let mut canvases = vec![start.canvas; options.candidates];
        let mut steps = vec![vec![]; options.candidates];
        self.fill(&mut canvases, options, &mut |canvases| {
            if options.keep_steps {
                for (steps, canvas) in steps.iter_mut().zip(canvases) {
                    steps.push(self.text(prompt, canvas)?);
                }
            }
            Ok(())
        })?;
        let scores = self.rate(&canvases)?;
        let mut texts = vec![];
        for ((canvas, steps), score) in canvases.iter().zip(steps).zip(scores) {
            texts.push(GeneratedText { text: self.text(prompt, canvas)?, score, steps });
        }
        // Equal texts are one.
        texts.sort_by(|a, b| b.score.total_cmp(&a.score));
        texts.dedup_by(|a, b| a.text == b.text);
        Ok(GeneratedTexts { texts, truncated: start.truncated })
    }

    /// The text that a candidate stands for.
    fn text(&self, prompt: &str, canvas: &canvas::Canvas) -> Result<String> {
        let tokenizer = self.session.tokenizer();
        let free = &canvas.ids[canvas.free.clone()];
        let ended = free.last().is_some_and(|&id| self.ends_sentence(id));
        let end = self.end.filter(|_| !ended);
        let mut text = prompt.to_owned();
        // Masks are shown between the runs of tokens.
        let ids: Vec<u32> = free.iter().copied().chain(end).collect();
        for run in ids.chunk_by(|&a, &b| (a == self.mask) == (b == self.mask)) {
            if run[0] == self.mask {
                text.push_str(&" _".repeat(run.len()));
            } else {
                text += &continuation(tokenizer, &text, run, self.uncased)?;
            }
        }
        Ok(text)
    }

    fn kind(&self, id: u32) -> Kind {
        self.kinds.get(id as usize).copied().unwrap_or(Kind::Never)
    }

    /// Whether a token may be written: nothing continues the last word of the prompt.
    fn may_stand(&self, id: u32, first: bool) -> bool {
        match self.kind(id) {
            Kind::Never => false,
            Kind::Piece => !first,
            _ => true,
        }
    }

    fn continues(&self, id: u32) -> bool {
        self.kind(id) == Kind::Piece
    }

    fn is_mark(&self, id: u32) -> bool {
        matches!(self.kind(id), Kind::Paired | Kind::Mark | Kind::End)
    }

    fn ends_sentence(&self, id: u32) -> bool {
        self.kind(id) == Kind::End
    }
}

fn kind(session: &Session, id: u32) -> Kind {
    let tokenizer = session.tokenizer();
    let Some(text) = tokenizer.token_text(id) else { return Kind::Never };
    let unused = text.len() > 2 && text.starts_with(['[', '<']) && text.ends_with([']', '>']);
    if tokenizer.is_special(id) || unused || text.contains(char::REPLACEMENT_CHARACTER) {
        return Kind::Never;
    }
    let word = text.trim_start();
    let has_word = word.chars().any(char::is_alphanumeric);
    match tokenizer.kind() {
        TokenizerKind::WordPiece if text.len() > 2 && text.starts_with("##") => Kind::Piece,
        TokenizerKind::WordPiece | TokenizerKind::WordLevel if has_word => Kind::Word,
        _ if matches!(word, "." | "!" | "?") => Kind::End,
        _ if word.chars().any(|c| "'\"’‘“”()[]{}".contains(c)) && !has_word => Kind::Paired,
        _ if !has_word => Kind::Mark,
        // Words begin with a blank here.
        _ if text.starts_with(' ') => Kind::Word,
        _ => Kind::Piece,
    }
}
