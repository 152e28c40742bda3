//! One line on standard error for each request.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

/// What is written for each request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Nothing.
    #[default]
    Off,
    /// A line for people.
    Text,
    /// A JSON object in one line.
    Json,
}

/// What is known of a request that was answered or refused. No texts of clients.
pub struct Line<'a> {
    pub id: &'a str,
    pub method: &'a str,
    /// The pattern of the path: what a client writes into a path cannot reach the log.
    pub route: &'a str,
    pub status: u16,
    pub took: Duration,
    /// Why it was refused.
    pub error: Option<&'a str>,
}

impl LogFormat {
    /// Writes a line. With standard error gone there is nobody left to tell.
    pub fn write(self, line: &Line<'_>) {
        if self != Self::Off {
            let _ = io::stderr().lock().write_all(self.format(line, now()).as_bytes());
        }
    }

    /// Writes down what happened beside requests: an operator wants to know it, whatever is written of those.
    pub fn event(self, message: &str, failed: bool) {
        let level = if failed { "warning" } else { "note" };
        let line = match self {
            Self::Json => format!("{}\n", json!({"time": now(), "level": level, "event": message})),
            Self::Text | Self::Off => format!("{level}: {}\n", message.escape_debug()),
        };
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }

    fn format(self, line: &Line<'_>, now: f64) -> String {
        let Line { id, method, route, status, took, error } = line;
        let ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        match self {
            Self::Off => String::new(),
            Self::Json => {
                let mut object = json!({
                    "time": now, "id": id, "method": method, "route": route, "status": status, "ms": ms,
                });
                if let Some(error) = error {
                    object["error"] = json!(error);
                }
                format!("{object}\n")
            }
            Self::Text => {
                // Messages may quote a client: nothing of it may look like another line, or move the cursor.
                let error = error.map_or(String::new(), |error| format!("  {}", error.escape_debug()));
                format!("{method} {route} {status} {ms} ms id={id}{error}\n")
            }
        }
    }
}

/// Seconds since 1970, to the millisecond.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: Line<'static> = Line {
        id: "a1",
        method: "POST",
        route: "/v1/{task}",
        status: 400,
        took: Duration::from_micros(1500),
        error: Some("no field \"a\nb\""),
    };

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(
            LogFormat::Text.format(&LINE, 1.5),
            "POST /v1/{task} 400 1.5 ms id=a1  no field \\\"a\\nb\\\"\n"
        );
        let json = LogFormat::Json.format(&LINE, 1.5);
        assert_eq!(json.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&value["time"], &value["ms"], &value["status"]), (&json!(1.5), &json!(1.5), &json!(400)));
        assert_eq!(LogFormat::Off.format(&LINE, 0.0), "");
    }
}
