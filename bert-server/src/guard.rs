//! What happens to every request before and after it is answered: who may ask, how long it may take, what is counted
//! and written down.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::api::RELOAD;
use crate::log::Line;
use crate::reader::{Truncated, essence, has_lines};
use crate::server::Shared;
use crate::{Kind, Refusal};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What can be had without a key: whether the server lives, the pages, and the description of all paths.
const OPEN: [&str; 7] =
    ["/", "/docs", "/health", "/health/live", "/health/ready", "/openapi.json", "/favicon.ico"];

/// Names of requests, which differ between runs of the server.
pub struct Ids {
    run: u64,
    next: AtomicU64,
}

impl Default for Ids {
    fn default() -> Self {
        Self { run: RandomState::new().hash_one(0), next: AtomicU64::new(0) }
    }
}

impl Ids {
    /// The client's name for the request, if it is short and plain, or else a new one.
    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let plain = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            (1..=64).contains(&bytes.len())
                && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        };
        if let Some(own) = headers.get(REQUEST_ID).filter(plain) {
            return own.clone();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:08x}-{number:x}", self.run as u32);
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }
}

/// The place of a request among those that are worked on; an answer that comes in parts holds it to its end.
#[derive(Clone)]
pub struct Permit {
    _place: Arc<OwnedSemaphorePermit>,
}

/// Lets a request pass, or refuses it; writes down how it went.
pub async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = shared.ids.of(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", |path| path.as_str()).to_owned();
    #[cfg(feature = "otel")]
    let parent = crate::otel::Traces::parent(request.headers());
    let mut response = match pass(&shared, request, next).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    let refusal = response.extensions_mut().remove::<Refusal>();
    if let Some(refusal) = &refusal {
        response = refusal.response_for(&path);
    }
    let took = started.elapsed();
    let truncated = response.extensions().get::<Truncated>().map_or(0, |truncated| truncated.0);
    shared.metrics.count(&route, refusal.as_ref().map(|refusal| refusal.kind), took, truncated);
    let line = Line {
        id: id.to_str().unwrap_or_default(),
        method: if known(&method) { method.as_str() } else { "OTHER" },
        route: &route,
        status: response.status().as_u16(),
        took,
        error: refusal.as_ref().map(|refusal| refusal.message.as_str()),
    };
    shared.options.log.write(&line);
    #[cfg(feature = "otel")]
    if let Some(traces) = shared.traces.get() {
        traces.record(&parent, &line);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn known(method: &Method) -> bool {
    [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::PATCH]
        .contains(method)
}

async fn pass(shared: &Shared, mut request: Request, next: Next) -> Result<Response, Refusal> {
    let headers = request.headers();
    check_host(shared, request.uri().host(), headers)?;
    if !OPEN.contains(&request.uri().path()) || request.method() == Method::POST {
        check_key(&shared.options.api_keys, headers)?;
    }
    let limit = shared.options.timeout;
    let answer = timeout(limit, async {
        if request.method() != Method::POST {
            return Ok(next.run(request).await);
        }
        // A key is asked for there, which a web page of another origin does not have.
        if request.uri().path() != RELOAD {
            check_media_type(request.headers())?;
        }
        let Ok(place) = shared.permits.clone().try_acquire_owned() else {
            let message = format!("{} requests are being worked on already", shared.options.max_concurrent);
            return Err(Refusal::new(Kind::Overloaded, message));
        };
        let permit = Permit { _place: Arc::new(place) };
        request.extensions_mut().insert(permit.clone());
        let response = next.run(request).await;
        drop(permit);
        Ok(response)
    });
    answer.await.unwrap_or_else(|_| {
        let message = format!("no answer within {} seconds; send less at once", limit.as_secs_f64());
        Err(Refusal::new(Kind::TimedOut, message))
    })
}

/// Refuses names that are not this server's: a web page may let its own name point to a loopback address, and so use
/// what only this machine can reach.
fn check_host(shared: &Shared, in_target: Option<&str>, headers: &HeaderMap) -> Result<(), Refusal> {
    let allowed = &shared.options.allowed_hosts;
    if allowed.is_empty() && !shared.is_loopback() {
        return Ok(());
    }
    let refuse = || {
        let message = "this server does not answer to that host name; allow it with --allow-host";
        Err(Refusal::new(Kind::Forbidden, message))
    };
    let host = match (headers.get(header::HOST).map(HeaderValue::to_str), in_target) {
        (Some(Ok(host)), _) => host,
        (Some(Err(_)), _) => return refuse(),
        (None, Some(host)) => host,
        // Only HTTP/1.0, which no browser speaks.
        (None, None) => return Ok(()),
    };
    let name = without_port(host);
    let is_loopback = name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let is_allowed = allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
    if is_allowed || (shared.is_loopback() && is_loopback) { Ok(()) } else { refuse() }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // Not the colons of an IPv6 address.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Compares with every key in full, so that the time tells nothing of how much was right.
fn check_key(keys: &[String], headers: &HeaderMap) -> Result<(), Refusal> {
    if keys.is_empty() {
        return Ok(());
    }
    let sent = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let sent = match sent.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => key,
        _ => &[],
    };
    let mut right = subtle::Choice::from(0);
    for key in keys {
        right |= key.as_bytes().ct_eq(sent);
    }
    match right.into() {
        true => Ok(()),
        false => Err(Refusal::new(
            Kind::Unauthorized,
            match sent {
                [] => "a key is needed: send it as Authorization: Bearer KEY",
                _ => "the key is wrong; it is sent as Authorization: Bearer KEY",
            },
        )),
    }
}

/// Takes JSON alone. That a web page of another origin cannot send without asking first, which other media types can.
fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let known = |value: &HeaderValue| {
        ["identity", "gzip"].iter().any(|name| value.as_bytes().eq_ignore_ascii_case(name.as_bytes()))
    };
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| !known(value)) {
        return Err(Refusal::new(Kind::MediaType, "send the body as it is, or packed by gzip"));
    }
    let sent = headers.get(header::CONTENT_TYPE).map(essence).unwrap_or_default().to_ascii_lowercase();
    match sent == "application/json"
        || (sent.starts_with("application/") && sent.ends_with("+json"))
        || has_lines(headers)
    {
        true => Ok(()),
        false => {
            Err(Refusal::new(Kind::MediaType, "send JSON, with the header Content-Type: application/json"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_cut_off() {
        for (host, name) in
            [("localhost:80", "localhost"), ("a.b", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn keys_are_compared_in_full() {
        let keys = ["first".to_owned(), "second".to_owned()];
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            check_key(&keys, &headers).is_ok()
        };
        assert!(check("Bearer first") && check("bearer second"));
        for wrong in ["Bearer ", "Bearer firs", "Bearer firstt", "first", "Basic first", "Bearer First", ""] {
            assert!(!check(wrong), "{wrong}");
        }
        assert!(check_key(&keys, &HeaderMap::new()).is_err() && check_key(&[], &HeaderMap::new()).is_ok());
    }
}
