//! Figures in a model card: the `model-index` in the YAML at the top of a README.md, which hubs show beside the model.
//!
//! ```
//! use bert_tasks::evaluation::{CardEntry, CardMetric, add_to_card};
//! let entry = CardEntry {
//!     model: "my-model".into(),
//!     task: "text-classification".into(),
//!     dataset: "dev.tsv".into(),
//!     metrics: vec![CardMetric { kind: "accuracy".into(), name: "accuracy".into(), value: 0.9 }],
//! };
//! let card = add_to_card("---\nlicense: mit\n---\n# My model\n", &entry).unwrap();
//! assert!(card.starts_with("---\nlicense: mit\nmodel-index:\n- name: my-model\n"));
//! assert!(card.ends_with("      value: 0.9\n---\n# My model\n"));
//! ```
//!
//! All other lines stay as they are, byte for byte; of the `model-index`, other tasks, data sets and metrics stay.

use std::ops::Range;
use std::path::Path;

use serde_norway::{Mapping, Value};

use super::EvaluationError;
use super::whole_file::WholeFile;
use crate::existing::existing_text;

/// What a card is to say of one data set.
#[derive(Clone, Debug, PartialEq)]
pub struct CardEntry {
    /// What the model is called, in a card that does not say.
    pub model: String,
    /// The task as hubs call it, such as `text-classification`.
    pub task: String,
    /// What the data set is called.
    pub dataset: String,
    /// The figures.
    pub metrics: Vec<CardMetric>,
}

/// A figure in a card.
#[derive(Clone, Debug, PartialEq)]
pub struct CardMetric {
    /// The kind of figure as hubs call it, such as `f1`.
    pub kind: String,
    /// Its own name, which tells it from others of its kind.
    pub name: String,
    /// Its value.
    pub value: f64,
}

/// Writes figures into a card; the file is made if there is none.
///
/// # Errors
/// A file that cannot be read or written, and what [`add_to_card`] says.
pub fn update_card(path: &Path, entry: &CardEntry) -> Result<(), EvaluationError> {
    let text = existing_text(path)
        .map_err(|source| EvaluationError::Read { path: path.to_owned(), source })?
        .unwrap_or_default();
    let text = add_to_card(&text, entry).map_err(|error| EvaluationError::Card {
        path: path.to_owned(),
        line: error.line,
        reason: error.reason,
    })?;
    let mut file = WholeFile::create(path.to_owned())?;
    file.write(&text)?;
    file.finish()?;
    Ok(())
}

/// What keeps figures out of a card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", line.map_or(String::new(), |line| format!("line {line}: ")))]
pub struct CardError {
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub reason: String,
}

/// The text of a card with figures in it. A figure that is there for the same task and data set gets its new value.
///
/// # Errors
/// YAML at the top that never ends or is none, or a `model-index` of another form than hubs read.
pub fn add_to_card(card: &str, entry: &CardEntry) -> Result<String, CardError> {
    let line_end = if card.contains("\r\n") { "\r\n" } else { "\n" };
    let Some(yaml) = front_matter(card)? else {
        let block = block(Value::Sequence(vec![]), entry)?.replace('\n', line_end);
        return Ok(format!("---{line_end}{block}---{line_end}{card}"));
    };
    parse(&card[yaml.clone()], 2)?;
    let place = key_block(card, yaml.clone());
    let old = match &place {
        Some(place) => {
            let line = card[..place.start].matches('\n').count() + 1;
            match parse(&card[place.clone()], line)? {
                Value::Mapping(mut map) => map.remove(KEY).unwrap_or_default(),
                _ => Value::Null,
            }
        }
        None => Value::Null,
    };
    let block = block(old, entry)?.replace('\n', line_end);
    let place = place.unwrap_or(yaml.end..yaml.end);
    let text = format!("{}{block}{}", &card[..place.start], &card[place.end..]);
    // What was joined has to be as good as its parts.
    let yaml = front_matter(&text)?.unwrap_or(0..0);
    parse(&text[yaml], 2)?;
    Ok(text)
}

const KEY: &str = "model-index";

/// The bytes between the lines `---` at the top; `None` if there are none.
fn front_matter(card: &str) -> Result<Option<Range<usize>>, CardError> {
    let mut lines = card.split_inclusive('\n');
    let Some(first) = lines.next().filter(|line| line.trim_start_matches('\u{feff}').trim_end() == "---")
    else {
        return Ok(None);
    };
    let start = first.len();
    let mut end = start;
    for line in lines {
        if line.trim_end() == "---" {
            return Ok(Some(start..end));
        }
        end += line.len();
    }
    let reason = "the YAML block that begins here is not closed: add a second line of ---".to_owned();
    Err(CardError { line: Some(1), reason })
}

/// The bytes of the `model-index` with its key, if it is there. It ends where another key begins, or a comment in
/// front of one.
fn key_block(card: &str, yaml: Range<usize>) -> Option<Range<usize>> {
    let mut at = yaml.start;
    let mut block: Option<Range<usize>> = None;
    for line in card[yaml].split_inclusive('\n') {
        let own = line.strip_prefix(KEY).is_some_and(|rest| rest.trim_start().starts_with(':'));
        match &mut block {
            None if own => block = Some(at..at + line.len()),
            None => {}
            Some(_) if !line.starts_with([' ', '\t', '-', '#', '\n', '\r']) => break,
            // Comments and blank lines at its end belong to what follows.
            Some(block) if !line.starts_with('#') && !line.trim().is_empty() => block.end = at + line.len(),
            Some(_) => {}
        }
        at += line.len();
    }
    block
}

fn parse(yaml: &str, first_line: usize) -> Result<Value, CardError> {
    serde_norway::from_str(yaml).map_err(|error| CardError {
        line: error.location().map(|place| place.line() + first_line - 1),
        reason: format!("not valid YAML: {error}"),
    })
}

/// The `model-index` with its key, as lines.
fn block(old: Value, entry: &CardEntry) -> Result<String, CardError> {
    let wrong = |what: &str| CardError { line: None, reason: format!("{KEY}: {what}") };
    let mut models = match old {
        Value::Null => vec![],
        Value::Sequence(models) => models,
        _ => return Err(wrong("it is not a list of models")),
    };
    if models.is_empty() {
        let fields = [("name", entry.model.as_str().into()), ("results", Value::Sequence(vec![]))];
        models.push(map(fields));
    }
    // A card is about one model, whatever it is called there.
    let named =
        models.iter().position(|model| model.get("name").and_then(Value::as_str) == Some(&entry.model));
    let model =
        models[named.unwrap_or(0)].as_mapping_mut().ok_or_else(|| wrong("a model is not an object"))?;
    let results = model.entry("results".into()).or_insert(Value::Sequence(vec![]));
    if results.is_null() {
        *results = Value::Sequence(vec![]);
    }
    let results = results.as_sequence_mut().ok_or_else(|| wrong("the results are not a list"))?;
    let says = |result: &Value, field: &str, key: &str, text: &str| {
        result.get(field).and_then(|field| field.get(key)).and_then(Value::as_str) == Some(text)
    };
    let same = |result: &Value| {
        let dataset = ["type", "name"].iter().any(|key| says(result, "dataset", key, &entry.dataset));
        dataset && says(result, "task", "type", &entry.task)
    };
    let at = results.iter().position(same).unwrap_or_else(|| {
        let dataset = map([("name", entry.dataset.as_str().into()), ("type", entry.dataset.as_str().into())]);
        let task = map([("type", entry.task.as_str().into())]);
        results.push(map([("task", task), ("dataset", dataset), ("metrics", Value::Sequence(vec![]))]));
        results.len() - 1
    });
    let result = results[at].as_mapping_mut().ok_or_else(|| wrong("a result is not an object"))?;
    let metrics = result.entry("metrics".into()).or_insert(Value::Sequence(vec![]));
    let metrics = metrics.as_sequence_mut().ok_or_else(|| wrong("the metrics are not a list"))?;
    for CardMetric { kind, name, value } in &entry.metrics {
        let of = |metric: &Value, key: &str| metric.get(key).and_then(Value::as_str).map(str::to_owned);
        let same = |metric: &&mut Value| {
            of(metric, "type").as_ref() == Some(kind) && of(metric, "name").is_none_or(|found| found == *name)
        };
        match metrics.iter_mut().find(same).and_then(Value::as_mapping_mut) {
            Some(metric) => drop(metric.insert("value".into(), (*value).into())),
            None => metrics.push(map([
                ("type", kind.as_str().into()),
                ("name", name.as_str().into()),
                ("value", (*value).into()),
            ])),
        }
    }
    let whole = map([(KEY, Value::Sequence(models))]);
    serde_norway::to_string(&whole).map_err(|error| wrong(&error.to_string()))
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Mapping(Mapping::from_iter(fields.map(|(key, value)| (key.into(), value))))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(value: f64) -> CardEntry {
        CardEntry {
            model: "me".to_owned(),
            task: "question-answering".to_owned(),
            dataset: "squad: dev".to_owned(),
            metrics: vec![
                CardMetric { kind: "exact_match".to_owned(), name: "exact".to_owned(), value },
                CardMetric { kind: "f1".to_owned(), name: "f1".to_owned(), value: 76.5 },
            ],
        }
    }

    const BLOCK: &str = "model-index:\n- name: me\n  results:\n  - task:\n      type: question-answering\n    \
        dataset:\n      name: 'squad: dev'\n      type: 'squad: dev'\n    metrics:\n    - type: exact_match\n      \
        name: exact\n      value: 72.25\n    - type: f1\n      name: f1\n      value: 76.5\n";

    #[test]
    fn a_card_without_an_index_gets_one() {
        for (card, expected) in [
            ("", format!("---\n{BLOCK}---\n")),
            ("# Me\n", format!("---\n{BLOCK}---\n# Me\n")),
            (
                "---\nlicense: mit # x\ntags: [a,  b]\n---\n\n# Me\n---\n",
                format!("---\nlicense: mit # x\ntags: [a,  b]\n{BLOCK}---\n\n# Me\n---\n"),
            ),
            (
                "---\r\nlicense: mit\r\n---\r\n# Me",
                format!("---\r\nlicense: mit\r\n{}---\r\n# Me", BLOCK.replace('\n', "\r\n")),
            ),
        ] {
            assert_eq!(add_to_card(card, &entry(72.25)).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_there_is_updated_and_the_rest_stays() {
        let first = format!("---\n# mine\nlicense: 'mit'\n{BLOCK}\n# more\ntags:\n- a\n---\nText\n");
        let second = add_to_card(&first, &entry(80.0)).unwrap();
        assert_eq!(second, first.replace("72.25", "80.0"));
        assert_eq!(add_to_card(&second, &entry(72.25)).unwrap(), first);

        // Another data set is another result, and what others wrote of the first stays.
        let theirs = "---\nmodel-index:\n  - name: other\n    results:\n      - task: {type: fill-mask}\n        \
            dataset: {type: wiki, name: W}\n        metrics:\n          - {type: loss, value: 2, verified: true}\n---\n";
        let card = add_to_card(theirs, &entry(1.0)).unwrap();
        let index = parse(&card[front_matter(&card).unwrap().unwrap()], 2).unwrap();
        let results = index[KEY][0]["results"].as_sequence().unwrap();
        assert_eq!((results.len(), index[KEY].as_sequence().unwrap().len()), (2, 1));
        assert_eq!(results[0]["metrics"][0]["verified"], Value::Bool(true));
        assert_eq!(results[1]["metrics"][0]["value"], Value::from(1.0));
    }

    #[test]
    fn what_cannot_be_added_to_is_refused() {
        for (card, line, reason) in [
            ("---\nlicense: mit\n", Some(1), "not closed"),
            ("---\na: 1\nb: [\n---\n", Some(4), "YAML"),
            ("---\nmodel-index: 7\n---\n", None, "not a list"),
            ("---\nmodel-index:\n- 7\n---\n", None, "not an object"),
            ("---\nmodel-index:\n- name: me\n  results: 7\n---\n", None, "the results"),
        ] {
            let error = add_to_card(card, &entry(1.0)).unwrap_err();
            assert!(error.reason.contains(reason), "{error}");
            if line.is_some() {
                assert!(error.line.is_some(), "{error}");
            }
        }
    }

    #[test]
    fn a_file_is_made_or_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("README.md");
        update_card(&path, &entry(72.25)).unwrap();
        update_card(&path, &entry(72.25)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("---\n{BLOCK}---\n"));
        fs::write(&path, "---\n").unwrap();
        let error = update_card(&path, &entry(1.0)).unwrap_err().to_string();
        assert!(error.contains("README.md:1: the YAML"), "{error}");
    }
}
