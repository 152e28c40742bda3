//! A prompt and its choices as one input: the texts are the prompt, then each choice.

use bert_tasks::data::multiple_choice::{CHOICES, PROMPT, START};
use serde_json::Value;

use super::json::{Json, Object};
use super::layout::{Layout, column, kind, string};
use crate::error::{Error, RecordError, Result};

/// How columns of choices begin, before their number.
const NUMBERED: [&str; 3] = ["ending", "choice", "option"];

/// Where a prompt and its choices are: in the fields that the user chose, or in those of SWAG and its like.
pub struct Choices {
    /// The field of the prompt, and those of the choices; empty if the user chose none.
    chosen: Vec<String>,
    /// The columns of a table that are read, in the order of its rows here.
    read: Vec<String>,
}

impl Choices {
    /// As the user chose.
    ///
    /// # Errors
    /// A prompt without choices.
    pub fn new(columns: &[String]) -> Result<Self> {
        match columns.len() {
            1 => Err(Error::ChoiceColumns { found: 1 }),
            _ => Ok(Self { chosen: columns.to_vec(), read: vec![] }),
        }
    }

    fn object(&self, object: &Object) -> Result<Vec<String>, RecordError> {
        let first_of = |names: &[&str]| names.iter().find(|name| object.has(name)).map(ToString::to_string);
        let (prompt, list, names, start) = match &self.chosen[..] {
            [prompt, list] => (prompt.clone(), Some(list.clone()), vec![], None),
            [prompt, names @ ..] => (prompt.clone(), None, names.to_vec(), None),
            [] => {
                let keys = object.names();
                let names: Vec<String> = numbered(&keys).into_iter().map(|at| keys[at].clone()).collect();
                let prompt = first_of(PROMPT).unwrap_or_else(|| "prompt".to_owned());
                let list = first_of(CHOICES).or(names.is_empty().then(|| "choices".to_owned()));
                (prompt, list, names, first_of(&[START]))
            }
        };
        let choices = match list {
            Some(list) => {
                let expected = || format!("an array of strings in field {list:?}");
                match object.get(&list)? {
                    Value::Array(choices) => choices
                        .into_iter()
                        .map(|choice| string(choice, expected))
                        .collect::<Result<_, _>>()?,
                    other => return Err(RecordError::JsonKind { expected: expected(), found: kind(&other) }),
                }
            }
            None => names.iter().map(|name| text(object, name)).collect::<Result<_, _>>()?,
        };
        let start = start.map(|start| text(object, &start)).transpose()?.unwrap_or_default();
        together(text(object, &prompt)?, &start, choices)
    }
}

impl Layout for Choices {
    fn parse_line(&self, line: String) -> Result<Vec<String>, RecordError> {
        let mut texts = line.split('\t').map(str::to_owned);
        together(texts.next().unwrap_or_default(), "", texts.collect())
    }

    fn parse_json(&self, value: &Json) -> Result<Vec<String>, RecordError> {
        let expected = "an object with the fields \"prompt\" and \"choices\", or an array of strings";
        match value {
            Json::Object(object) => self.object(object),
            Json::Other(Value::Array(texts)) if self.chosen.is_empty() => {
                let texts = texts.iter().map(|text| string(text.clone(), || "strings".to_owned()));
                let mut texts = texts.collect::<Result<Vec<_>, _>>()?.into_iter();
                together(texts.next().unwrap_or_default(), "", texts.collect())
            }
            Json::Other(other) => {
                Err(RecordError::JsonKind { expected: expected.to_owned(), found: kind(other) })
            }
        }
    }

    fn reads(&self, field: &str) -> bool {
        match &self.chosen[..] {
            [] => {
                let known = PROMPT.iter().chain(CHOICES).chain([&START]);
                known.copied().any(|known| known == field) || !numbered(&[field]).is_empty()
            }
            chosen => chosen.iter().any(|name| name.eq_ignore_ascii_case(field)),
        }
    }

    fn columns(&mut self, name: &str, header: &[String]) -> Result<Vec<usize>> {
        let columns = match &self.chosen[..] {
            // A cell holds no list.
            [_, _] => return Err(Error::ChoiceColumns { found: 2 }),
            [] => {
                let is_there = |name: &&&str| header.iter().any(|column| column == **name);
                let prompt = PROMPT.iter().find(is_there).copied().unwrap_or("prompt");
                let mut columns = vec![column(name, header, prompt)?];
                match &numbered(header)[..] {
                    [] => columns.push(column(name, header, "ending0")?),
                    choices => columns.extend(choices),
                }
                if is_there(&&START) {
                    columns.push(column(name, header, START)?);
                }
                columns
            }
            chosen => chosen.iter().map(|wanted| column(name, header, wanted)).collect::<Result<_>>()?,
        };
        self.read = columns.iter().map(|&at| header[at].clone()).collect();
        Ok(columns)
    }

    fn row(&self, fields: Vec<String>) -> Result<Vec<String>, RecordError> {
        // Rows may have fewer choices than the table has columns.
        let fields = self.read.iter().zip(&fields).enumerate();
        let fields = fields.filter(|(at, (_, field))| *at == 0 || !field.is_empty());
        self.object(&Object::of_texts(fields.map(|(_, (name, field))| (name.as_str(), field.as_str()))))
    }
}

fn text(object: &Object, name: &str) -> Result<String, RecordError> {
    string(object.get(name)?, || format!("a string in field {name:?}"))
}

/// The places of the names that are a word for a choice and a number, in the order of the numbers.
fn numbered<S: AsRef<str>>(names: &[S]) -> Vec<usize> {
    let places = |word: &str| {
        let number = |name: &S| name.as_ref().strip_prefix(word)?.parse::<u32>().ok();
        let mut places: Vec<_> =
            names.iter().enumerate().filter_map(|(at, name)| Some((number(name)?, at))).collect();
        places.sort_unstable();
        places.into_iter().map(|(_, at)| at).collect::<Vec<_>>()
    };
    NUMBERED.iter().map(|word| places(word)).find(|places| !places.is_empty()).unwrap_or_default()
}

/// One input, with what every choice continues put before it.
fn together(prompt: String, start: &str, choices: Vec<String>) -> Result<Vec<String>, RecordError> {
    if choices.len() < 2 {
        return Err(RecordError::TooFewChoices { found: choices.len() });
    }
    let choice = |choice: String| if start.is_empty() { choice } else { format!("{start} {choice}") };
    Ok(std::iter::once(prompt).chain(choices.into_iter().map(choice)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn choices(columns: &[&str]) -> Choices {
        Choices::new(&columns.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    fn read(value: Value) -> Json {
        Json::parse(&value.to_string(), None).unwrap()
    }

    fn table(header: &str, row: &str, columns: &[&str]) -> Result<Vec<String>, String> {
        let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut choices = choices(columns);
        let columns = choices.columns("a.csv", &cells(header)).map_err(|error| error.to_string())?;
        let row = cells(row);
        choices
            .row(columns.into_iter().map(|at| row[at].clone()).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn json_in_its_usual_forms() {
        for (value, columns) in [
            (json!(["p", "a", "b"]), &[][..]),
            (json!({"prompt": "p", "choices": ["a", "b"]}), &[]),
            (json!({"ctx": "p", "endings": ["a", "b"], "label": 1}), &[]),
            (json!({"startphrase": "p", "ending0": "a", "ending1": "b", "label": 0}), &[]),
            (json!({"q": "p", "list": ["a", "b"], "prompt": "x"}), &["q", "list"]),
            (json!({"q": "p", "y": "a", "x": "b"}), &["q", "y", "x"]),
        ] {
            assert_eq!(choices(columns).parse_json(&read(value)).unwrap(), ["p", "a", "b"]);
        }
        let swag = json!({"sent1": "p", "sent2": "He", "startphrase": "p He", "ending0": "sits.", "ending1": "runs."});
        assert_eq!(choices(&[]).parse_json(&read(swag)).unwrap(), ["p", "He sits.", "He runs."]);
        // By their numbers, not by their letters.
        let many: Map<_, _> = (0..11).map(|n| (format!("choice{n}"), json!(n.to_string()))).collect();
        let mut many = Value::Object(many);
        many["prompt"] = json!("p");
        assert_eq!(choices(&[]).parse_json(&read(many)).unwrap()[11], "10");
        for (value, part) in [
            (json!("p"), "an array of strings"),
            (json!(["p", "a"]), "two choices"),
            (json!(["p", "a", 3]), "a number"),
            (json!({"choices": ["a", "b"]}), "\"prompt\""),
            (json!({"prompt": "p"}), "\"choices\""),
            (json!({"prompt": "p", "choices": "ab"}), "an array of strings in field \"choices\""),
            (json!({"prompt": "p", "choices": ["a", null]}), "null"),
            (json!({"prompt": 3, "choices": ["a", "b"]}), "a string in field \"prompt\""),
            (json!({"prompt": "p", "choices": []}), "two choices"),
        ] {
            let error = choices(&[]).parse_json(&read(value)).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn tables_and_lines() {
        let swag = "id,startphrase,sent1,sent2,ending0,ending1,ending2,label";
        assert_eq!(table(swag, "0,x,p,He,a,b,c,2", &[]).unwrap(), ["p", "He a", "He b", "He c"]);
        assert_eq!(table(swag, "0,x,p,,a,b,,2", &[]).unwrap(), ["p", "a", "b"]);
        assert!(table(swag, "0,x,p,He,a,,,2", &[]).unwrap_err().contains("two choices"));
        assert_eq!(table("x,y,q", "a,b,p", &["q", "x", "y"]).unwrap(), ["p", "a", "b"]);
        assert!(table("prompt,label", "p,1", &[]).unwrap_err().contains("ending0"));
        assert!(table("text,ending0,ending1", "p,a,b", &[]).unwrap_err().contains("prompt"));
        assert!(table("x,y,q", "a,b,p", &["q", "x"]).unwrap_err().contains("--column"));
        assert!(Choices::new(&["q".to_owned()]).is_err());
        assert_eq!(choices(&[]).parse_line("p\ta\tb".to_owned()).unwrap(), ["p", "a", "b"]);
        assert!(choices(&[]).parse_line("p\ta".to_owned()).is_err());
    }
}
