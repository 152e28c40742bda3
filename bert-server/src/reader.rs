//! From the bodies of requests to values, and what is to be said beside an answer.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ask::Answer;
use crate::{Kind, Refusal};

/// The media type of lines that are JSON objects.
pub const LINES: &str = "application/x-ndjson";

/// Whether a body is such lines.
pub fn has_lines(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| is_lines(essence(value)))
}

/// Whether a client wants such lines.
pub fn wants_lines(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|list| list.split(',')).any(|range| is_lines(range.split(';').next().unwrap_or_default()))
}

/// The media type in a header, without parameters.
pub fn essence(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// Programs call them by several names.
fn is_lines(media_type: &str) -> bool {
    [LINES, "application/ndjson", "application/jsonl"]
        .iter()
        .any(|name| media_type.trim().eq_ignore_ascii_case(name))
}

/// The body of a request.
pub struct Body(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if has_lines(request.headers()) {
            let message = "this path takes one JSON value; lines of JSON are taken by /v1/{task}";
            return Err(Refusal::new(Kind::MediaType, message));
        }
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let message = "the body is larger than this server takes; send the texts in several requests";
                Err(Refusal::new(Kind::TooLarge, message))
            }
            Err(_) => Err(Refusal::invalid("the body of the request ended early, or cannot be unpacked")),
        }
    }
}

impl Body {
    /// The value in it.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.0)
            .map_err(|error| Refusal::invalid(format!("the body is not as expected: {error}")))
    }

    /// The object in it.
    pub fn object(&self) -> Result<Fields, Refusal> {
        match self.read()? {
            Value::Object(object) => Ok(Fields(object)),
            _ => Err(Refusal::invalid("the body must be a JSON object")),
        }
    }
}

/// The fields of an object, taken one by one; what is left is unknown.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Map<String, Value>);

impl Fields {
    /// Takes a field; null counts as not there.
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|error| Refusal::invalid(format!("the field {name:?} cannot be used: {error}"))),
        }
    }

    /// Takes a field that has to be there.
    pub fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Refusal> {
        self.take(name)?.ok_or_else(|| Refusal::invalid(format!("the field {name:?} is missing")))
    }

    /// Takes an object; an empty one if it is not there.
    pub fn inner(&mut self, name: &str) -> Result<Self, Refusal> {
        Ok(Self(self.take(name)?.unwrap_or_default()))
    }

    /// Takes a field to be passed on under another name, as it is.
    pub fn pass(&mut self, name: &str, to: &mut Map<String, Value>, as_name: &str) {
        if let Some(value) = self.0.remove(name).filter(|value| !value.is_null()) {
            to.insert(as_name.to_owned(), value);
        }
    }
}

/// Refuses a request with more inputs than one may have.
pub fn check_count(count: usize, most: usize) -> Result<(), Refusal> {
    match count > most {
        true => {
            let message =
                format!("{count} inputs in one request; at most {most} may be. Send several requests");
            Err(Refusal::new(Kind::TooLarge, message))
        }
        false => Ok(()),
    }
}

/// What is to be said beside an answer, where its form has no place for it.
#[derive(Default)]
pub struct Notes {
    /// How many inputs were too long for the model.
    pub truncated: usize,
    /// Fields that mean nothing here.
    pub ignored: Vec<String>,
}

impl Notes {
    /// Notes which answers are about a part of a text.
    pub fn of(answers: &[Answer]) -> Self {
        let truncated = answers.iter().filter(|answer| answer.is_truncated()).count();
        Self { truncated, ignored: vec![] }
    }

    /// Fields that were not read.
    #[must_use]
    pub fn and_ignored(mut self, fields: &Fields) -> Self {
        self.ignored.extend(fields.0.keys().cloned());
        self
    }

    /// The answer with its notes: a `warning` header, and how many texts were truncated for the metrics.
    pub fn with(self, body: &impl Serialize) -> Response {
        let mut response = json(body);
        let mut notes = vec![];
        if self.truncated > 0 {
            notes.push(format!(
                "{} too long for the model: it saw only their beginnings",
                texts(self.truncated)
            ));
            response.extensions_mut().insert(Truncated(self.truncated));
        }
        if !self.ignored.is_empty() {
            // Names come from the client: what a header cannot hold is left out.
            let clean = |name: &String| {
                name.chars()
                    .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
                    .take(40)
                    .collect::<String>()
            };
            let names: Vec<_> = self.ignored.iter().take(8).map(clean).collect();
            notes.push(format!("fields that mean nothing here were ignored: {}", names.join(", ")));
        }
        if !notes.is_empty()
            && let Ok(value) = HeaderValue::from_str(&format!("199 bert \"{}\"", notes.join("; ")))
        {
            response.headers_mut().insert(header::WARNING, value);
        }
        response
    }
}

fn texts(count: usize) -> String {
    match count {
        1 => "1 text was".to_owned(),
        _ => format!("{count} texts were"),
    }
}

/// How many texts of a request the model did not see to their ends.
#[derive(Clone, Copy)]
pub struct Truncated(pub usize);

/// A response in JSON.
pub fn json(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => {
            Refusal::new(Kind::Internal, format!("the answer cannot be written: {error}")).into_response()
        }
    }
}
