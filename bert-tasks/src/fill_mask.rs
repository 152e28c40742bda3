//! Fill-mask: which words the model expects where a text says `[MASK]`, or `<mask>` to RoBERTa and its relatives.
//!
//! [`FillMask`] is the task. It can be asked about given words only:
//!
//! ```
//! use bert_tasks::fill_mask::FillMaskOptions;
//! use bert_tasks::{Device, FillMask};
//! let model = "path/to/bert-base-uncased";
//! # let model = bert_conformance::checkpoint("bert-masked-lm");
//! # let model = model.to_str().unwrap();
//! let options = FillMaskOptions { targets: vec!["paris".into(), "london".into()], ..FillMaskOptions::default() };
//! let fill_mask = FillMask::load(model, &Device::auto()?)?.with_options(options)?;
//! let filled = fill_mask.predict("The capital of France is [MASK].")?;
//! assert_eq!(filled.masks[0].candidates.len(), 2);
//! # Ok::<(), bert_tasks::Error>(())
//! ```

use std::ops::Range;
use std::sync::Arc;

use bert_core::contract::Precision;
use bert_core::graph::{Head, Output};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use crate::scores::softmax;
use crate::tokenizer::TokenizerKind;
use crate::{Device, Error, Prepared, Pretrained, Request, Result, Rows, Sequence, Session, Task};

/// What to return for each mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillMaskOptions {
    /// How many candidates out of the whole vocabulary, best first.
    pub top_k: usize,
    /// Score only these words, all of them. A score is still a probability among all words.
    ///
    /// Where the vocabulary tells words after a blank from others (RoBERTa, XLM-RoBERTa), they are words after a blank.
    pub targets: Vec<String>,
}

impl Default for FillMaskOptions {
    fn default() -> Self {
        Self { top_k: 5, targets: vec![] }
    }
}

/// A text with its masks filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilledText {
    /// One entry for each mask, in the order of the text.
    pub masks: Vec<FilledMask>,
    /// The bytes of the text that the model did not see, if it was too long.
    pub truncated: Option<Range<usize>>,
}

/// The candidates for one mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilledMask {
    /// The bytes of the mask in the text.
    pub range: Range<usize>,
    /// Best first.
    pub candidates: Vec<Candidate>,
}

/// A word for a mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Its probability among all words of the vocabulary.
    pub score: f32,
    /// Its id.
    pub token: u32,
    /// Its text, as [`Tokenizer::token_text`](crate::tokenizer::Tokenizer::token_text) gives it: BERT's pieces that continue a word
    /// begin with `##`, words of RoBERTa and XLM-RoBERTa that stand after a blank begin with it.
    pub token_str: String,
    /// The whole text with this word in the place of this mask; other masks are left as they are. What continues
    /// a word is joined to it.
    pub sequence: String,
}

/// A masked language model and its tokenizer.
///
/// ```
/// use bert_tasks::{Device, FillMask};
/// let model = "path/to/bert-base-uncased";
/// # let model = bert_conformance::checkpoint("bert-masked-lm");
/// # let model = model.to_str().unwrap();
/// let fill_mask = FillMask::load(model, &Device::auto()?)?;
/// let filled = fill_mask.predict("The capital of France is [MASK].")?;
/// for candidate in &filled.masks[0].candidates {
///     println!("{:.3} {}", candidate.score, candidate.sequence);
/// }
/// assert_eq!(filled.masks[0].candidates.len(), 5);
/// # Ok::<(), bert_tasks::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FillMask {
    session: Session,
    /// The id of the mask token.
    mask: u32,
    wanted: Arc<Wanted>,
}

/// Options as they are used.
#[derive(Debug)]
struct Wanted {
    top_k: usize,
    /// Ids of the target words; empty for the whole vocabulary.
    targets: Vec<u32>,
}

impl FillMask {
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

    /// The task on a model that was loaded for [`Head::MaskedLm`].
    ///
    /// # Errors
    /// [`Error::NoMaskToken`] for a tokenizer without a mask token.
    pub fn new(session: Session) -> Result<Self> {
        let mask = session.tokenizer().special().mask.ok_or(Error::NoMaskToken)?;
        let wanted = Wanted { top_k: FillMaskOptions::default().top_k, targets: vec![] };
        Ok(Self { session, mask, wanted: Arc::new(wanted) })
    }

    /// The same model with other options.
    ///
    /// # Errors
    /// [`Error::Setting`] if `top_k` is 0; [`Error::Targets`] if a target is not a single token.
    pub fn with_options(self, options: FillMaskOptions) -> Result<Self> {
        Ok(Self { wanted: self.wanted(&options)?, ..self })
    }

    fn wanted(&self, options: &FillMaskOptions) -> Result<Arc<Wanted>> {
        if options.top_k == 0 {
            return Err(Error::Setting { setting: "top_k", found: "0".into(), expected: "at least 1" });
        }
        let tokenizer = self.session.tokenizer();
        let mut targets = vec![];
        let mut refused = vec![];
        for word in &options.targets {
            let encoded = match tokenizer.kind() {
                TokenizerKind::WordPiece | TokenizerKind::WordLevel => {
                    tokenizer.encode_without_special(word)?
                }
                _ => tokenizer.encode_without_special(&format!(" {}", word.trim_start()))?,
            };
            let unknown = tokenizer.special().unk;
            match encoded.ids[..] {
                [id] if Some(id) != unknown => targets.push(id),
                _ => {
                    let pieces = encoded.ids.iter().filter_map(|&id| tokenizer.token_text(id)).collect();
                    refused.push((word.clone(), pieces));
                }
            }
        }
        if !refused.is_empty() {
            return Err(Error::Targets { refused });
        }
        Ok(Arc::new(Wanted { top_k: options.top_k, targets }))
    }

    /// Fills the masks of one text.
    ///
    /// # Errors
    /// [`Error::NoMask`] if it has none; [`Error::MaskCutOff`] if the text is so long that the model does
    /// not see one; [`Error::NotFinite`] from a damaged model; a device that failed.
    pub fn predict(&self, text: &str) -> Result<FilledText> {
        self.predict_one(text)
    }
}

impl Wanted {
    /// The best ids of one row of logits, with their probabilities.
    fn best(&self, logits: ArrayView1<'_, f32>) -> Vec<(u32, f32)> {
        let scores = softmax(logits);
        // Best first; of equals the lower id, so that the order is always the same.
        let order = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
        let mut ids = self.targets.clone();
        if ids.is_empty() {
            ids = (0..logits.len() as u32).collect();
            if self.top_k < ids.len() {
                ids.select_nth_unstable_by(self.top_k - 1, order);
                ids.truncate(self.top_k);
            }
        }
        ids.sort_unstable_by(order);
        ids.into_iter().map(|id| (id, scores[id as usize])).collect()
    }
}

/// What is remembered of a text.
#[doc(hidden)]
pub struct Context {
    wanted: Arc<Wanted>,
    masks: Vec<Range<usize>>,
    truncated: Option<Range<usize>>,
}

impl Task for FillMask {
    type Input = Request<String, FillMaskOptions>;
    type Context = Context;
    /// For each mask, ids and their probabilities.
    type Piece = Vec<Vec<(u32, f32)>>;
    type Answer = FilledText;

    fn session(&self) -> &Session {
        &self.session
    }

    fn outputs(&self) -> Vec<Output> {
        vec![Output::Scores(Head::MaskedLm)]
    }

    fn prepare(&self, Request { input: text, options }: &Self::Input) -> Result<Prepared<Context>> {
        let wanted =
            options.as_ref().map_or_else(|| Ok(self.wanted.clone()), |options| self.wanted(options))?;
        let tokenizer = self.session.tokenizer();
        let encoded = tokenizer.encode(text)?;
        let written = || tokenizer.id_to_token(self.mask).unwrap_or_default();
        let last = encoded.positions(self.mask).filter_map(|position| encoded.range(position)).last();
        let Some(last) = last else { return Err(Error::NoMask { mask: written() }) };

        let fitted = self.session.fit(encoded);
        let [truncated, _] = fitted.truncated;
        if truncated.as_ref().is_some_and(|cut| cut.start <= last.start) {
            let max_length = self.session.max_length();
            return Err(Error::MaskCutOff { mask: written(), at: last.start, max_length });
        }
        let encoded = fitted.encoded;
        let masked: Vec<u32> = encoded.positions(self.mask).map(|position| position as u32).collect();
        let masks = masked.iter().filter_map(|&position| encoded.range(position as usize)).collect();
        let sequence = Sequence { masked, ..encoded.into() };
        Ok(Prepared { sequences: vec![sequence], context: Context { wanted, masks, truncated } })
    }

    fn reduce(&self, context: &Context, _: usize, rows: Rows) -> Result<Self::Piece> {
        Ok(rows[0].outer_iter().map(|logits| context.wanted.best(logits)).collect())
    }

    fn finish(
        &self,
        request: &Self::Input,
        context: Context,
        pieces: Vec<Self::Piece>,
    ) -> Result<FilledText> {
        let (text, tokenizer) = (&request.input, self.session.tokenizer());
        let fill = |(range, best): (Range<usize>, Vec<(u32, f32)>)| {
            let candidate = |(token, score)| {
                let token_str = tokenizer.token_text(token).unwrap_or_default();
                let takes_blanks = tokenizer.takes_blanks_before(self.mask);
                let sequence = filled(text, range.clone(), &token_str, tokenizer.kind(), takes_blanks);
                Candidate { score, token, token_str, sequence }
            };
            FilledMask { candidates: best.into_iter().map(candidate).collect(), range: range.clone() }
        };
        let masks = context.masks.into_iter().zip(pieces.into_iter().flatten()).map(fill).collect();
        Ok(FilledText { masks, truncated: context.truncated })
    }
}

/// A text with a token in the place of a mask. What continues a word is joined to it: a piece with `##`; or one without
/// a blank, if the mask took the blanks before it. Between two words the blanks are the text's, or else the token's.
fn filled(text: &str, mask: Range<usize>, token: &str, kind: TokenizerKind, takes_blanks: bool) -> String {
    let (before, after) = (&text[..mask.start], &text[mask.end..]);
    // A line end is no such blank: it is a token of its own.
    let word = token.strip_prefix(' ').unwrap_or(token);
    match (kind, token.strip_prefix("##")) {
        (TokenizerKind::WordPiece, Some(rest)) => [before.trim_end(), rest, after].concat(),
        (TokenizerKind::WordPiece, None) => [before, token, after].concat(),
        _ if takes_blanks && word.len() == token.len() => [before.trim_end(), word, after].concat(),
        _ if before.is_empty() || before.ends_with(char::is_whitespace) => [before, word, after].concat(),
        _ => [before, token, after].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_pieces_take_the_place_of_a_mask() {
        use TokenizerKind::{ByteLevelBpe, WordPiece};
        for (text, mask, token, kind, takes_blanks, expected) in [
            ("a [MASK].", "[MASK]", "dog", WordPiece, false, "a dog."),
            ("a [MASK].", "[MASK]", "##s", WordPiece, false, "as."),
            ("a  <mask>.", "<mask>", " dog", ByteLevelBpe, true, "a  dog."),
            ("a<mask>.", "<mask>", " dog", ByteLevelBpe, true, "a dog."),
            ("a <mask>.", "<mask>", "s", ByteLevelBpe, true, "as."),
            ("a <mask>.", "<mask>", "s", ByteLevelBpe, false, "a s."),
            ("a <mask>.", "<mask>", "\n", ByteLevelBpe, true, "a\n."),
            ("a <mask>.", "<mask>", "##", ByteLevelBpe, true, "a##."),
            ("<mask> dog", "<mask>", " a", ByteLevelBpe, true, "a dog"),
        ] {
            let start = text.find(mask).unwrap();
            let found = filled(text, start..start + mask.len(), token, kind, takes_blanks);
            assert_eq!(found, expected, "{text} {token}");
        }
    }
}
