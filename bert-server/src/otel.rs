//! Traces: a span for each request, sent to a collector of OpenTelemetry by OTLP over HTTP.

use std::time::SystemTime;

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::ServerError;
use crate::log::Line;

/// Where spans go. A thread of its own sends them, some at a time.
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Spans for a collector: at this address, or else where the variables `OTEL_EXPORTER_OTLP_ENDPOINT` and its like
    /// say. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say what the server is called there.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(endpoint: Option<&str>) -> Result<Self, ServerError> {
        let mut builder = SpanExporter::builder().with_http();
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let exporter = builder.build().map_err(|source| ServerError::Traces { source: Box::new(source) })?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("bert");
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("bert-server");
        Ok(Self { provider, tracer })
    }

    /// The span that a client says its request is a part of.
    pub fn parent(headers: &HeaderMap) -> Context {
        TraceContextPropagator::new().extract(&Headers(headers))
    }

    /// Writes down how a request went. As in the log, nothing of its texts.
    pub fn record(&self, parent: &Context, line: &Line<'_>) {
        let end = SystemTime::now();
        let mut attributes = vec![
            KeyValue::new("http.request.method", line.method.to_owned()),
            KeyValue::new("http.route", line.route.to_owned()),
            KeyValue::new("http.response.status_code", i64::from(line.status)),
            KeyValue::new("http.request.header.x-request-id", line.id.to_owned()),
        ];
        let failed = line.status >= 500;
        if failed {
            attributes.push(KeyValue::new("error.type", line.status.to_string()));
        }
        let span = SpanBuilder::from_name(format!("{} {}", line.method, line.route))
            .with_kind(SpanKind::Server)
            .with_start_time(end.checked_sub(line.took).unwrap_or(end))
            .with_attributes(attributes);
        let mut span = self.tracer.build_with_context(span, parent);
        if failed {
            span.set_status(Status::error(line.error.unwrap_or_default().to_owned()));
        }
        span.end_with_timestamp(end);
    }
}

/// What was not sent yet is sent at the end.
impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that is gone is no reason to fail.
        let _ = self.provider.shutdown();
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_collector_is_told_of_requests() {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/v1/traces", collector.local_addr().unwrap());
        let received = std::thread::spawn(move || {
            let (mut stream, _) = collector.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let mut bytes = vec![];
            let _ = stream.read_to_end(&mut bytes);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let traces = Traces::new(Some(&address)).unwrap();
        let mut headers = HeaderMap::new();
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", parent.parse().unwrap());
        let line = Line {
            id: "a1",
            method: "POST",
            route: "/v1/{task}",
            status: 500,
            took: Duration::from_millis(3),
            error: Some("out of order"),
        };
        traces.record(&Traces::parent(&headers), &line);
        drop(traces);
        let received = received.join().unwrap();
        for part in ["POST /v1/traces", "POST /v1/{task}", "http.route", "out of order", "bert"] {
            assert!(received.contains(part), "{part}: {received}");
        }
    }
}
