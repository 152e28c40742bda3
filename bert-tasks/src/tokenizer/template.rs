//! Which special tokens stand around the texts, and which segment each part belongs to.

use std::collections::HashMap;

use serde::Deserialize;

use super::encoded::{Encoded, Source};
use super::error::{Result, TokenizerError};

/// One part of an input: a special token, or one of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Special { id: u32, segment: u32 },
    Text { sequence: u8, segment: u32 },
}

/// The layout of an input with one text and of an input with two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    single: Vec<Part>,
    pair: Vec<Part>,
}

impl Template {
    /// BERT's own: `[CLS] A [SEP]` in segment 0, then `B [SEP]` in segment 1.
    pub(super) fn bert(cls: u32, sep: u32) -> Self {
        let special = |id, segment| Part::Special { id, segment };
        let text = |sequence| Part::Text { sequence, segment: sequence.into() };
        Self {
            single: vec![special(cls, 0), text(0), special(sep, 0)],
            pair: vec![special(cls, 0), text(0), special(sep, 0), text(1), special(sep, 1)],
        }
    }

    /// RoBERTa's: `<s> A </s>` or `<s> A </s> </s> B </s>`, all of it in segment 0.
    fn roberta(cls: u32, sep: u32) -> Self {
        let special = |id| Part::Special { id, segment: 0 };
        let text = |sequence| Part::Text { sequence, segment: 0 };
        Self {
            single: vec![special(cls), text(0), special(sep)],
            pair: vec![special(cls), text(0), special(sep), special(sep), text(1), special(sep)],
        }
    }

    /// No special tokens.
    pub(super) fn plain() -> Self {
        let text = |sequence| Part::Text { sequence, segment: sequence.into() };
        Self { single: vec![text(0)], pair: vec![text(0), text(1)] }
    }

    /// `[CLS]` and `[SEP]` as the layout has them: the first special token before a text, the last after it.
    pub(super) fn ends(&self) -> (Option<u32>, Option<u32>) {
        let special = |part: Option<&Part>| match part {
            Some(&Part::Special { id, .. }) => Some(id),
            _ => None,
        };
        (special(self.single.first()), special(self.single.last()))
    }

    /// The ids of all special tokens in it.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.single.iter().chain(&self.pair).filter_map(|part| match *part {
            Part::Special { id, .. } => Some(id),
            Part::Text { .. } => None,
        })
    }

    /// How many special tokens come with one text, or with two.
    pub(super) fn added(&self, pair: bool) -> usize {
        let parts = if pair { &self.pair } else { &self.single };
        parts.iter().filter(|part| matches!(part, Part::Special { .. })).count()
    }

    /// Puts the special tokens around one text or two.
    pub(super) fn apply(&self, first: &Encoded, second: Option<&Encoded>) -> Encoded {
        let parts = if second.is_some() { &self.pair } else { &self.single };
        let texts = [Some(first), second];
        let len = first.len() + second.map_or(0, Encoded::len) + self.added(second.is_some());
        let mut input = Encoded::with_capacity(len);
        for part in parts {
            match *part {
                Part::Special { id, segment } => input.push(id, segment, None),
                Part::Text { sequence, segment } => {
                    let Some(text) = texts[usize::from(sequence)] else { continue };
                    for (&id, &source) in text.ids.iter().zip(&text.sources) {
                        input.push(id, segment, source.map(|source| Source { sequence, ..source }));
                    }
                }
            }
        }
        input
    }
}

/// `post_processor` of tokenizer.json.
///
/// It is read here and not by the library because the layout itself is needed: windows over a long text
/// put special tokens around tokens that exist already, and the library can only do that to a text.
#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum PostProcessor {
    BertProcessing { cls: (String, u32), sep: (String, u32) },
    RobertaProcessing { cls: (String, u32), sep: (String, u32) },
    TemplateProcessing { single: Vec<Piece>, pair: Vec<Piece>, special_tokens: HashMap<String, SpecialToken> },
    Sequence { processors: Vec<PostProcessor> },
    ByteLevel {},
}

#[derive(Deserialize)]
pub(super) enum Piece {
    Sequence { id: Letter, type_id: u32 },
    SpecialToken { id: String, type_id: u32 },
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
pub(super) enum Letter {
    A,
    B,
}

#[derive(Deserialize)]
pub(super) struct SpecialToken {
    ids: Vec<u32>,
}

impl PostProcessor {
    /// The layout that it describes; `None` when it adds nothing.
    pub(super) fn template(&self) -> Result<Option<Template>> {
        Ok(match self {
            Self::BertProcessing { cls, sep } => Some(Template::bert(cls.1, sep.1)),
            Self::RobertaProcessing { cls, sep } => Some(Template::roberta(cls.1, sep.1)),
            Self::TemplateProcessing { single, pair, special_tokens } => Some(Template {
                single: layout("single", single, [1, 0], special_tokens)?,
                pair: layout("pair", pair, [1, 1], special_tokens)?,
            }),
            Self::Sequence { processors } => {
                let mut found = None;
                for processor in processors {
                    found = processor.template()?.or(found);
                }
                found
            }
            Self::ByteLevel {} => None,
        })
    }
}

/// Checks one layout: it must hold each text as often as `expected` says, and only defined tokens.
fn layout(
    name: &'static str,
    pieces: &[Piece],
    expected: [usize; 2],
    special_tokens: &HashMap<String, SpecialToken>,
) -> Result<Vec<Part>> {
    for (letter, text, expected) in [(Letter::A, 'A', expected[0]), (Letter::B, 'B', expected[1])] {
        let count =
            pieces.iter().filter(|p| matches!(p, Piece::Sequence { id, .. } if *id == letter)).count();
        if count != expected {
            return Err(TokenizerError::TemplateText { layout: name, text, count, expected });
        }
    }
    let mut parts = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            Piece::Sequence { id, type_id } => {
                parts.push(Part::Text { sequence: u8::from(*id == Letter::B), segment: *type_id });
            }
            Piece::SpecialToken { id, type_id } => {
                let token = special_tokens
                    .get(id)
                    .ok_or_else(|| TokenizerError::TemplateToken { token: id.clone() })?;
                parts.extend(token.ids.iter().map(|&id| Part::Special { id, segment: *type_id }));
            }
        }
    }
    Ok(parts)
}
