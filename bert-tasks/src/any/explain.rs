//! The fields of the tasks that show what a model looks at.

use super::fields::Fields;
use super::task::JsonTask;
use crate::explain::{Attention, Polysemy, PolysemyOptions, TextAttention, WordInTexts, WordUses};
use crate::records::PolysemyRecord;
use crate::text_classification::Text;
use crate::{Pretrained, Result, Session};

/// The longest text whose attention is told, in tokens: the weights of all layers grow with the square of its length.
const LONGEST: usize = 128;

/// How many tokens a batch of such texts holds.
const TOKEN_BUDGET: usize = 512;

/// Whose weights are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The layer, counted from 1, or from the last one with -1.
    layer: i64,
    /// The head, counted from 1; all of them if not given.
    head: Option<usize>,
}

impl JsonTask for Attention {
    type Options = Shown;
    type Record = TextAttention;

    fn default_options() -> Shown {
        Shown { layer: -1, head: None }
    }

    fn on(session: Session, _: &Pretrained) -> Result<Self> {
        let longest = session.max_length().min(LONGEST);
        Self::new(session.with_max_length(longest).with_token_budget(TOKEN_BUDGET))
    }

    fn configure(self, options: Shown) -> Result<Self> {
        self.showing(options.layer, options.head)
    }

    fn read_options(fields: &mut Fields<'_>, options: &mut Shown) {
        fields.set("layer", &mut options.layer);
        fields.set_some("head", &mut options.head);
    }

    fn read_input(fields: &mut Fields<'_>) -> Text {
        Text { text: fields.required("text"), pair: fields.optional("pair") }
    }

    fn record(&self, _: Text, answer: TextAttention) -> TextAttention {
        answer
    }
}

impl JsonTask for Polysemy {
    type Options = PolysemyOptions;
    type Record = PolysemyRecord;

    fn default_options() -> PolysemyOptions {
        PolysemyOptions::default()
    }

    fn on(session: Session, _: &Pretrained) -> Result<Self> {
        Ok(Self::new(session))
    }

    fn configure(self, options: PolysemyOptions) -> Result<Self> {
        self.with_options(options)
    }

    fn read_options(fields: &mut Fields<'_>, options: &mut PolysemyOptions) {
        fields.set("layer", &mut options.layer);
    }

    fn read_input(fields: &mut Fields<'_>) -> WordInTexts {
        WordInTexts { word: fields.required("word"), texts: fields.required("texts") }
    }

    fn record(&self, input: WordInTexts, answer: WordUses) -> PolysemyRecord {
        PolysemyRecord { input, answer }
    }
}
