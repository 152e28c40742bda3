//! The inputs of a source, whatever it is written in.

use std::collections::VecDeque;

use bert_tasks::data::Source;

use super::args::InputArgs;
use super::document::Values;
use super::format::InputFormat;
use super::kept::Kept;
use super::layout::Layout;
use super::lines::Lines;
use super::open::Origin;
use super::records::Records;
use super::table::Rows;
use super::{BadItem, Item, Place};
use crate::error::Result;

/// What reads inputs.
pub enum Reader {
    /// They are there already.
    Items(VecDeque<Item>),
    /// A text a line.
    Text(Lines, Box<dyn Layout>),
    /// A JSON value a line.
    JsonLines(Records<Lines>),
    /// The values of a JSON document.
    Document(Records<Values>),
    /// The rows of a table.
    Table(Rows),
}

impl Reader {
    /// The inputs of a source, and what was found out about it. What can be wrong with all of them is found out now,
    /// unless a person would be waited for.
    ///
    /// # Errors
    /// A source that cannot be read, is no text, or lacks the columns or fields that are asked for.
    pub fn open(
        name: &str,
        (source, origin): (Source, Origin),
        format: InputFormat,
        args: &InputArgs,
        layout: Box<dyn Layout>,
    ) -> Result<(Self, Option<String>)> {
        let mut notice = None;
        let reader = match format {
            InputFormat::Txt => Self::Text(Lines::new(name, source, args.lossy), layout),
            InputFormat::Jsonl => {
                let lines = Lines::new(name, source, args.lossy);
                Self::JsonLines(Records::open(name, lines, args, layout, origin)?)
            }
            InputFormat::Json => {
                let values = Values::open(name, source)?;
                Self::Document(Records::open(name, values, args, layout, origin)?)
            }
            InputFormat::Csv | InputFormat::Tsv => {
                let rows;
                (rows, notice) = Rows::open(name, source, format, args, layout)?;
                Self::Table(rows)
            }
        };
        Ok((reader, notice))
    }

    /// Whether the next input is there already.
    pub fn ready(&self) -> bool {
        match self {
            Self::Items(_) => true,
            Self::Text(lines, _) => lines.ready(),
            Self::JsonLines(records) => records.ready(),
            Self::Document(records) => records.ready(),
            Self::Table(rows) => rows.ready(),
        }
    }

    /// Whether lines of text, once the first has been read, begin as JSON does.
    pub fn looks_like_json(&self) -> bool {
        matches!(self, Self::Text(lines, _) if lines.looks_like_json())
    }

    /// The next input; `None` at the end.
    ///
    /// # Errors
    /// The outer error ends the input; the inner one is of this input alone.
    pub fn next(&mut self) -> Result<Option<Result<Item, BadItem>>> {
        match self {
            Self::Items(items) => Ok(items.pop_front().map(Ok)),
            Self::Text(lines, layout) => next_line(lines, &**layout),
            Self::JsonLines(records) => records.next(),
            Self::Document(records) => records.next(),
            Self::Table(rows) => rows.next(),
        }
    }
}

fn next_line(lines: &mut Lines, layout: &dyn Layout) -> Result<Option<Result<Item, BadItem>>> {
    let Some(line) = lines.next()? else { return Ok(None) };
    let place = Place::Line(lines.number());
    Ok(Some(match line.and_then(|line| layout.parse_line(line)) {
        Ok(texts) => Ok(Item { place, texts, kept: Kept::default(), end: lines.offset() }),
        Err(error) => Err(BadItem { place, error }),
    }))
}
