//! Why a request is not answered, in the form that its clients expect.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bert_tasks::Error;
use serde_json::{Value, json};

/// The longest message. Some errors quote what a client has sent.
const LONGEST: usize = 400;

/// What kind of thing went wrong. Each has one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request makes no sense: 400.
    Invalid,
    /// No key, or a wrong one: 401.
    Unauthorized,
    /// A host name that this server does not answer to: 403.
    Forbidden,
    /// No such path, model or task: 404.
    NotFound,
    /// A path that takes another method: 405.
    Method,
    /// A body or a batch above the limit: 413.
    TooLarge,
    /// A body that is not said to be JSON: 415.
    MediaType,
    /// As much waits as may: 429.
    Overloaded,
    /// The model or the server failed: 500.
    Internal,
    /// The server is about to end: 503.
    Unavailable,
    /// The request took longer than requests may: 504.
    TimedOut,
}

impl Kind {
    /// The status of the response.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The word for it under `/v1`, as OpenAI's clients read it.
    fn word(self) -> &'static str {
        match self {
            Self::Invalid | Self::TooLarge | Self::MediaType | Self::Method => "invalid_request_error",
            Self::Unauthorized => "authentication_error",
            Self::Forbidden => "permission_error",
            Self::NotFound => "not_found_error",
            Self::Overloaded => "rate_limit_error",
            Self::Internal => "server_error",
            Self::Unavailable => "unavailable_error",
            Self::TimedOut => "timeout_error",
        }
    }

    /// The word that text-embeddings-inference has for it.
    pub(crate) fn tei_word(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::Internal | Self::TimedOut => "backend",
            Self::Unavailable => "unhealthy",
            _ => "validation",
        }
    }
}

/// A request that is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of thing went wrong.
    pub kind: Kind,
    /// What was asked, what was found, what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal with a message, which is shortened if it is very long.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
            message.push('…');
        }
        Self { kind, message }
    }

    /// The request makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// The same about one input of several.
    #[must_use]
    pub(crate) fn at(self, index: usize, count: usize) -> Self {
        match count {
            1 => self,
            _ => Self::new(self.kind, format!("input {index}: {}", self.message)),
        }
    }

    /// As an object: `{"message": …, "type": …}`, with the fields that OpenAI's clients read.
    pub(crate) fn object(&self) -> Value {
        json!({"message": self.message, "type": self.kind.word(), "param": null, "code": self.kind.status().as_u16()})
    }

    /// The response for a path: under `/v1` the error is an object, elsewhere a text with a type, as the clients of
    /// Hugging Face's services read it.
    pub(crate) fn response_for(&self, path: &str) -> Response {
        let body = match path.starts_with("/v1/") || path == "/v1" {
            true => json!({"error": self.object()}),
            false => json!({"error": self.message, "error_type": self.kind.tei_word()}),
        };
        let mut response = (self.kind.status(), body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.kind {
            Kind::Overloaded | Kind::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Kind::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => (),
        }
        response
    }
}

/// The guard writes the body, since it knows the path.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::QueueFull { .. } => Kind::Overloaded,
            Error::BatcherEnded => Kind::Unavailable,
            Error::Request(_)
            | Error::Explain(_)
            | Error::Tokenizer(_)
            | Error::NoMask { .. }
            | Error::MaskCutOff { .. }
            | Error::Targets { .. }
            | Error::Layer { .. }
            | Error::UnknownLabel { .. }
            | Error::Setting { .. } => Kind::Invalid,
            _ => Kind::Internal,
        };
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            let text = error.to_string();
            // Some libraries put the cause into their message too.
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self::new(kind, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_short() {
        let refusal = Refusal::invalid("ü".repeat(1_000_000));
        assert_eq!(refusal.message.chars().count(), LONGEST + 1);
    }

    #[test]
    fn the_reasons_of_the_library_have_a_status() {
        for (error, status) in [
            (Error::QueueFull { capacity: 3 }, 429),
            (Error::BatcherEnded, 503),
            (Error::NoMask { mask: "[MASK]".to_owned() }, 400),
            (Error::Panicked { message: "out of order".to_owned() }, 500),
            (Error::NotFinite { output: "label scores" }, 500),
        ] {
            assert_eq!(Refusal::from(error).kind.status(), status);
        }
    }
}
