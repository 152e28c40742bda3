//! JSON values that hold inputs: lines, or the values of a document.

use std::collections::VecDeque;
use std::sync::Arc;

use super::args::InputArgs;
use super::document::Values;
use super::json::{Json, Object};
use super::kept::{Cell, Kept};
use super::layout::Layout;
use super::lines::Lines;
use super::open::Origin;
use super::record::decode;
use super::{ALL, BadItem, Item, Place};
use crate::error::{Error, RecordError, Result};

/// How many records are read ahead to find out whether any has the fields that are asked for, and which others
/// there are.
const AHEAD: usize = 100;

/// How many records of a pipe tell what is wrong with all of them.
const ENOUGH: usize = 10;

/// How many bytes of records are read ahead at most.
const AHEAD_BYTES: u64 = 1 << 20;

/// What has a JSON value for each input.
pub trait JsonSource {
    /// Whether a value may go over several lines.
    const IS_DOCUMENT: bool;

    /// The next value as text, with its line; `None` at the end.
    ///
    /// # Errors
    /// The outer error ends the source; the inner one is of this value alone.
    fn next_value(&mut self, lossy: bool) -> Result<Option<(u64, Result<String, RecordError>)>>;

    /// Whether the next value is there already.
    fn is_ready(&self) -> bool;

    /// How many bytes have been read.
    fn read(&self) -> u64;
}

impl JsonSource for Lines {
    const IS_DOCUMENT: bool = false;

    fn next_value(&mut self, _: bool) -> Result<Option<(u64, Result<String, RecordError>)>> {
        loop {
            match self.next()? {
                None => return Ok(None),
                Some(Ok(line)) if line.trim().is_empty() => {}
                Some(line) => return Ok(Some((self.number(), line))),
            }
        }
    }

    fn is_ready(&self) -> bool {
        self.ready()
    }

    fn read(&self) -> u64 {
        self.offset()
    }
}

impl JsonSource for Values {
    const IS_DOCUMENT: bool = true;

    fn next_value(&mut self, lossy: bool) -> Result<Option<(u64, Result<String, RecordError>)>> {
        let next = self.next()?;
        Ok(next.map(|(line, value)| (line, value.and_then(|bytes| decode(bytes, lossy)))))
    }

    fn is_ready(&self) -> bool {
        self.ready()
    }

    fn read(&self) -> u64 {
        self.offset()
    }
}

/// JSON values that hold inputs.
pub struct Records<S> {
    name: String,
    source: S,
    layout: Box<dyn Layout>,
    lossy: bool,
    /// The fields that travel along.
    keep: Arc<[String]>,
    /// Those that have been read ahead.
    ahead: VecDeque<Ahead>,
}

/// A value that has been read ahead.
struct Ahead {
    line: u64,
    end: u64,
    value: Result<Json, RecordError>,
}

impl<S: JsonSource> Records<S> {
    /// The inputs that a source holds. What is wrong with all of them is told now, unless a person would be waited for.
    ///
    /// # Errors
    /// A source that cannot be read, or whose records lack the fields that are asked for.
    pub fn open(
        name: &str,
        source: S,
        args: &InputArgs,
        layout: Box<dyn Layout>,
        origin: Origin,
    ) -> Result<Self> {
        let (name, lossy) = (name.to_owned(), args.lossy);
        let keep = args.keep.iter().cloned().collect();
        let mut records = Self { name, source, layout, lossy, keep, ahead: VecDeque::new() };
        if origin != Origin::Person || !args.keep.is_empty() {
            records.look_ahead(&args.keep, origin)?;
        }
        Ok(records)
    }

    /// Whether the next input is there already.
    pub fn ready(&self) -> bool {
        !self.ahead.is_empty() || self.source.is_ready()
    }

    fn read(&mut self) -> Result<Option<Ahead>> {
        let Some((line, text)) = self.source.next_value(self.lossy)? else { return Ok(None) };
        let start = S::IS_DOCUMENT.then_some(line);
        let value = text.and_then(|text| Json::parse(&text, start));
        Ok(Some(Ahead { line, end: self.source.read(), value }))
    }

    /// Reads the first records, to tell at once what is wrong with all of them.
    fn look_ahead(&mut self, keep: &[String], origin: Origin) -> Result<()> {
        // Those of a pipe that are there may be too few to tell.
        let mut enough = origin == Origin::File;
        while self.ahead.len() < AHEAD {
            let Some(record) = self.read()? else {
                enough = true;
                break;
            };
            let read = record.end;
            self.ahead.push_back(record);
            // Nobody should be waited for longer than for the first of them.
            if read > AHEAD_BYTES || !(origin == Origin::File || self.source.is_ready()) {
                break;
            }
        }
        let missing = self.ahead.iter().map(|record| {
            match record.value.as_ref().map(|value| self.layout.parse_json(value)) {
                Ok(Err(error @ RecordError::NoField { .. })) => Some((record.line, error)),
                _ => None,
            }
        });
        enough |= self.ahead.len() >= ENOUGH;
        if enough
            && let Some(missing) = missing.collect::<Option<Vec<_>>>()
            && let Some((line, error)) = missing.into_iter().next()
        {
            return Err(Error::BadRecord { name: self.name.clone(), line, error });
        }
        self.keep = self.resolve(keep, enough)?;
        Ok(())
    }

    /// The fields that travel along: those that are named, or all of the records read ahead that hold no text.
    fn resolve(&self, keep: &[String], enough: bool) -> Result<Arc<[String]>> {
        let objects = self.ahead.iter().filter_map(|record| match &record.value {
            Ok(Json::Object(object)) => Some(object),
            _ => None,
        });
        let objects: Vec<&Object> = objects.collect();
        let mut names: Vec<String> = vec![];
        let mut add = |name: &str| {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        };
        for wanted in keep {
            if wanted == ALL {
                let fields = objects.iter().flat_map(|object| object.names());
                fields.filter(|field| !self.layout.reads(field)).for_each(|field| add(&field));
                continue;
            }
            let has = |object: &&Object| object.find(wanted).is_ok_and(|found| found.is_some());
            if let Some(object) = objects.first().filter(|_| enough && !objects.iter().any(has)) {
                let (name, column, found) = (self.name.clone(), wanted.clone(), object.names());
                return Err(Error::Column { name, column, twice: false, found });
            }
            add(wanted);
        }
        Ok(names.into())
    }

    /// The next input; `None` at the end.
    ///
    /// # Errors
    /// The outer error ends the input; the inner one is of this input alone.
    pub fn next(&mut self) -> Result<Option<Result<Item, BadItem>>> {
        let next = match self.ahead.pop_front() {
            Some(record) => Some(record),
            None => self.read()?,
        };
        let Some(Ahead { line, end, value }) = next else { return Ok(None) };
        let place = Place::Line(line);
        let item = value.and_then(|value| {
            let kept = self.kept(&value)?;
            Ok(Item { place, texts: self.layout.parse_json(&value)?, kept, end })
        });
        Ok(Some(item.map_err(|error| BadItem { place, error })))
    }

    fn kept(&self, value: &Json) -> Result<Kept, RecordError> {
        let cell = |name: &String| match value {
            Json::Object(object) => Ok(object.find(name)?.map_or(Cell::Missing, |value| Cell::json(&value))),
            Json::Other(_) => Ok(Cell::Missing),
        };
        Ok(Kept { names: self.keep.clone(), cells: self.keep.iter().map(cell).collect::<Result<_, _>>()? })
    }
}
