//! Which special tokens stand around the texts, and which segment each part belongs to.

use tokenizers::processors::PostProcessorWrapper;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{Encoding, PostProcessor as _, Token};

use super::encoded::{Encoded, Source};
use super::error::{Result, TokenizerError};
use super::pipeline::run;

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
    /// The layout that the library's `post_processor` gives an input.
    ///
    /// It is read off two inputs of one token a text. The layout itself is needed: windows over a long text put special
    /// tokens around tokens that exist already, and the library can only do that to its own encodings.
    pub(super) fn new(processor: &PostProcessorWrapper) -> Result<Self> {
        if let PostProcessorWrapper::Template(template) = processor {
            check(template)?;
        }
        Ok(Self { single: layout(processor, Layout::Single)?, pair: layout(processor, Layout::Pair)? })
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

/// Checks what the library only checks of templates that are built: that every special token is defined.
fn check(template: &TemplateProcessing) -> Result<()> {
    let mut builder = TemplateProcessing::builder();
    builder.single(template.single.clone()).pair(template.get_pair().clone());
    let built = builder.special_tokens(template.get_special_tokens().clone()).build();
    match built {
        Ok(_) => Ok(()),
        Err(error) => Err(TokenizerError::Template { source: error.into() }),
    }
}

/// An input of one text, or of two.
#[derive(Clone, Copy)]
enum Layout {
    Single,
    Pair,
}

/// The layout of an input, which must hold each text once.
fn layout(processor: &PostProcessorWrapper, layout: Layout) -> Result<Vec<Part>> {
    let (name, step, texts) = match layout {
        Layout::Single => ("single", "single post-processor", 1),
        Layout::Pair => ("pair", "pair post-processor", 2),
    };
    // The id of a text's one token is the number of the text.
    let text = |number: u32| Encoding::from_tokens(vec![Token::new(number, String::new(), (0, 0))], number);
    let processed = run(step, || processor.process_encodings((0..texts).map(text).collect(), true))?;
    let mut parts = vec![];
    for encoding in &processed {
        let columns = encoding.get_ids().iter().zip(encoding.get_type_ids());
        for ((&id, &segment), &special) in columns.zip(encoding.get_special_tokens_mask()) {
            parts.push(match special {
                0 => Part::Text { sequence: id as u8, segment },
                _ => Part::Special { id, segment },
            });
        }
    }
    for (number, text) in (0..texts as u8).zip(['A', 'B']) {
        let holds = |part: &&Part| matches!(part, Part::Text { sequence, .. } if *sequence == number);
        let count = parts.iter().filter(holds).count();
        if count != 1 {
            return Err(TokenizerError::TemplateText { layout: name, text, count });
        }
    }
    Ok(parts)
}
