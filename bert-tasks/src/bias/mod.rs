//! Bias: what a masked language model expects of one group of people and not of another.
//!
//! ```
//! use bert_tasks::bias::TemplateSet;
//! use bert_tasks::evaluation::Bootstrap;
//! use bert_tasks::{Bias, Device};
//! let model = "path/to/bert-base-uncased";
//! # let model = bert_conformance::checkpoint("bert-masked-lm");
//! # let model = model.to_str().unwrap();
//! let bias = Bias::load(model, &Device::auto()?)?;
//!
//! // Two texts, side by side.
//! let found = bias.compare(["The man worked as a [MASK].", "The woman worked as a [MASK]."], 5)?;
//! assert_eq!(found.words[0].len(), 5);
//!
//! // Two groups over many sentences, with an interval.
//! let set = TemplateSet {
//!     name: "jobs".into(),
//!     labels: ["men".into(), "women".into()],
//!     first: vec!["man".into(), "boy".into()],
//!     second: vec!["woman".into(), "girl".into()],
//!     templates: vec!["The {} worked as a [MASK].".into()],
//!     words: vec!["river".into(), "bank".into(), "money".into()],
//! };
//! let report = bias.groups(&set, 3, &Bootstrap::default())?;
//! println!("{} {:.2}", report.figures[0].name, report.figures[0].value);
//! # assert_eq!(report.words, 3);
//! # Ok::<(), bert_tasks::Error>(())
//! ```
//!
//! * [`Bias::compare`] sets the words for two texts side by side;
//! * [`Bias::groups`] scores given words over the templates of a [`TemplateSet`];
//! * [`Bias::pairs`] counts how often a stereotype is preferred, in pairs that [`data::stereotypes`] reads.
//!
//! No figure here says that a model is fair. [`WEAKNESSES`] are what such measures are known for.
//!
//! [`data::stereotypes`]: crate::data::stereotypes

mod compare;
mod error;
mod groups;
mod pairs;
mod templates;
mod words;

use bert_core::contract::Precision;
use bert_core::graph::Head;

pub use compare::{ScoredWord, SideBySide, WordDifference};
pub use error::BiasError;
pub use groups::GroupReport;
pub use pairs::{PairReport, ScoredPair};
pub use templates::TemplateSet;
pub use words::SkippedWord;

use crate::{Device, Error, Pretrained, Result, Session};

/// What a reader of such figures has to know.
pub struct Weaknesses {
    /// Of templates.
    pub templates: &'static str,
    /// Of pairs of sentences.
    pub pairs: &'static str,
}

/// What such measures are known for.
///
/// Source for pairs: "Stereotyping Norwegian Salmon: An Inventory of Pitfalls in Fairness Benchmark Datasets" (Blodgett
/// et al., 2021).
pub const WEAKNESSES: Weaknesses = Weaknesses {
    templates: "figures of templates depend on the sentences and words that are chosen; any two words differ somewhat \
                (a set of two words for one group says how much), and a low figure is no proof of fairness",
    pairs: "many pairs of CrowS-Pairs are flawed: unclear stereotypes, groups that do not correspond, changes of more \
            than the group (Blodgett et al., 2021), and WinoBias knows two genders and the jobs of one country; 50 % is \
            no proof of fairness",
};

/// A masked language model whose expectations are compared.
#[derive(Clone, Debug)]
pub struct Bias {
    session: Session,
    mask: u32,
    /// How the model writes its mask.
    written: String,
}

impl Bias {
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
        let mask = session.tokenizer().special().mask.ok_or(Error::NoMaskToken)?;
        let written = session.tokenizer().id_to_token(mask).ok_or(Error::NoMaskToken)?;
        Ok(Self { session, mask, written })
    }

    /// A text with `[MASK]`s as this model writes them.
    fn with_own_mask(&self, text: &str) -> String {
        text.replace(templates::MASK, &self.written)
    }
}
