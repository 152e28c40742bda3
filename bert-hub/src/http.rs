//! Requests to the hub: its list of a model's files, its word about one file, and the file itself.
//!
//! Redirects are followed here and not by the HTTP client, because the token may only go to the hub, and
//! because what the hub says about a file is in the headers of its redirect.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, ETAG, LOCATION, RANGE};
use ureq::http::uri::Authority;
use ureq::http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use ureq::{Agent, Body, Proxy, Timeout};

use crate::names::{ModelId, encode_segment, is_commit, is_plain_file_name, is_sha256};
use crate::{HubError, Settings};

const MAX_REDIRECTS: u32 = 5;

/// The longest list of files that is read: a thousand times that of a usual model.
const MAX_LISTING_BYTES: u64 = 32 << 20;

/// What a hub says about one revision of a model.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Offer>,
}

/// What the list says about one file; hubs other than the public one may leave parts out.
#[derive(Debug)]
pub(crate) struct Offer {
    size: Option<u64>,
    etag: Option<String>,
}

/// The content of a file, as the cache stores it.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    /// The name in `blobs`: the SHA-256 of a large file, the hash that git gives to a small one.
    pub(crate) etag: String,
    /// Bytes.
    pub(crate) size: u64,
}

impl Blob {
    /// The SHA-256 of the content, where it is known.
    pub(crate) fn sha256(&self) -> Option<&str> {
        is_sha256(&self.etag).then_some(&self.etag)
    }
}

/// A connection to one hub.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    endpoint: Uri,
    base: String,
    authorization: Option<HeaderValue>,
    pub(crate) retries: u32,
    backoff: Duration,
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Result<Self, HubError> {
        let invalid = || HubError::InvalidEndpoint { endpoint: settings.endpoint.clone() };
        let base = settings.endpoint.trim().trim_end_matches('/').to_owned();
        let endpoint: Uri = base.parse().map_err(|_| invalid())?;
        let usable = matches!(endpoint.scheme_str(), Some("http" | "https"))
            && endpoint.host().is_some_and(|host| !host.is_empty())
            && endpoint.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && endpoint.query().is_none();
        if !usable {
            return Err(invalid());
        }
        let authorization = match &settings.token {
            Some(token) => {
                let bearer = token.bearer().ok_or(HubError::InvalidToken)?;
                let mut value = HeaderValue::from_str(&bearer).map_err(|_| HubError::InvalidToken)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let proxy = if settings.env_proxy { Proxy::try_from_env() } else { None };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .timeout_resolve(Some(settings.connect_timeout))
            .timeout_connect(Some(settings.connect_timeout))
            .timeout_per_read(Some(settings.silence_timeout))
            .timeout_per_write(Some(settings.silence_timeout))
            .build()
            .into();
        Ok(Self {
            agent,
            endpoint,
            base,
            authorization,
            retries: settings.retries,
            backoff: settings.backoff,
        })
    }

    /// The address of a file.
    pub(crate) fn file_url(&self, id: &ModelId, commit: &str, name: &str) -> String {
        format!("{}/{id}/resolve/{commit}/{name}", self.base)
    }

    /// Asks for the commit of a revision, and for its files with their sizes and hashes.
    pub(crate) fn listing(&self, id: &ModelId, revision: &str, retries: u32) -> Result<Listing, HubError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            sha: String,
            #[serde(default)]
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Sibling {
            rfilename: String,
            size: Option<u64>,
            blob_id: Option<String>,
            lfs: Option<Lfs>,
        }
        #[derive(Deserialize)]
        struct Lfs {
            sha256: Option<String>,
            size: Option<u64>,
        }

        let url = format!("{}/api/models/{id}/revision/{}?blobs=true", self.base, encode_segment(revision));
        let text = self.retrying(retries, || {
            let response = self.send(Method::GET, &url, 0)?.last;
            match (response.status().as_u16(), text_of(response.headers(), "x-error-code")) {
                (404, Some("RevisionNotFound")) => Err(HubError::RevisionNotFound {
                    id: id.to_string(),
                    revision: revision.to_owned(),
                    endpoint: self.base.clone(),
                }),
                (404, _) => Err(HubError::ModelNotFound { id: id.to_string(), endpoint: self.base.clone() }),
                _ => {
                    let body = self.accept(id, &url, response)?.into_body();
                    let mut text = Vec::new();
                    let mut reader = body.into_reader().take(MAX_LISTING_BYTES);
                    reader.read_to_end(&mut text).map_err(|source| interrupted(&url, source))?;
                    Ok(text)
                }
            }
        })?;

        let answer: Answer = serde_json::from_slice(&text)
            .map_err(|source| HubError::BadListing { url: url.clone(), source })?;
        if !is_commit(&answer.sha) {
            return Err(HubError::MissingMetadata { url, what: "a commit hash" });
        }
        let files = answer.siblings.into_iter().map(|file| {
            let offer = match file.lfs {
                // The `blobId` of a large file is that of its pointer in git.
                Some(lfs) => Offer { size: lfs.size, etag: lfs.sha256 },
                None => Offer { size: file.size, etag: file.blob_id },
            };
            (file.rfilename, offer)
        });
        Ok(Listing { commit: answer.sha, files: files.collect() })
    }

    /// The content that an offer stands for; where the list leaves it open, the file's own headers tell.
    pub(crate) fn blob(&self, id: &ModelId, url: &str, offer: &Offer) -> Result<Blob, HubError> {
        let (size, etag) = match (offer.size, &offer.etag) {
            (Some(size), Some(etag)) => (Some(size), Some(etag.clone())),
            (size, etag) => {
                let head = self.retrying(self.retries, || {
                    let answer = self.send(Method::HEAD, url, 0)?;
                    self.accept(id, url, answer.last)?;
                    Ok((answer.size, answer.etag))
                })?;
                (size.or(head.0), etag.clone().or(head.1))
            }
        };
        let missing = |what| HubError::MissingMetadata { url: url.to_owned(), what };
        let (size, etag) = (size.ok_or_else(|| missing("a size"))?, etag.ok_or_else(|| missing("an ETag"))?);
        if !is_plain_file_name(&etag) {
            return Err(HubError::UnsafeName { name: etag, origin: format!("the ETag of {url}") });
        }
        Ok(Blob { etag, size })
    }

    /// Opens a file, from byte `start` on if the server can do that.
    pub(crate) fn open(&self, id: &ModelId, url: &str, start: u64) -> Result<Response<Body>, HubError> {
        let response = self.send(Method::GET, url, start)?.last;
        if start > 0 && response.status() == 416 {
            return Ok(response);
        }
        self.accept(id, url, response)
    }

    /// Repeats a request while it fails in a way that may pass, with growing pauses.
    fn retrying<T>(
        &self,
        retries: u32,
        mut request: impl FnMut() -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        let mut failures = 0;
        loop {
            match request() {
                Err(error) if failures < retries && error.is_transient() => self.pause(failures),
                result => return result.map_err(|error| error.after(failures + 1)),
            }
            failures += 1;
        }
    }

    /// Waits before the next try: twice as long after each failure.
    pub(crate) fn pause(&self, failures: u32) {
        sleep(self.backoff.saturating_mul(1 << failures.min(5)));
    }

    /// Turns every status that is no success into its error.
    fn accept(&self, id: &ModelId, url: &str, response: Response<Body>) -> Result<Response<Body>, HubError> {
        match response.status().as_u16() {
            200 | 206 => Ok(response),
            status @ (401 | 403) => Err(HubError::AccessDenied {
                id: id.to_string(),
                endpoint: self.base.clone(),
                status,
                token_sent: self.authorization.is_some(),
            }),
            status => Err(HubError::Status { url: url.to_owned(), status, tries: 1 }),
        }
    }

    /// Sends one request and follows its redirects.
    fn send(&self, method: Method, url: &str, start: u64) -> Result<Answer, HubError> {
        let bad_redirect =
            |target: &str| HubError::BadRedirect { url: url.to_owned(), target: target.to_owned() };
        let mut uri: Uri = url.parse().map_err(|_| bad_redirect("itself"))?;
        let (mut etag, mut size) = (None, None);
        for _ in 0..=MAX_REDIRECTS {
            let at_hub = same_origin(&uri, &self.endpoint);
            // A compressed transfer would make sizes and ranges meaningless.
            let mut request =
                Request::builder().method(method.clone()).uri(&uri).header(ACCEPT_ENCODING, "identity");
            if start > 0 {
                request = request.header(RANGE, format!("bytes={start}-"));
            }
            if let Some(authorization) = self.authorization.as_ref().filter(|_| at_hub) {
                request = request.header(AUTHORIZATION, authorization);
            }
            let request = request.body(()).map_err(|_| bad_redirect(&uri.to_string()))?;
            let last = self.agent.run(request).map_err(|error| transport_error(url, error))?;

            let headers = last.headers();
            let redirects = matches!(last.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            if at_hub {
                // Past the hub, an ETag is the storage's own, and says nothing about the content.
                let named = text_of(headers, "x-linked-etag").or_else(|| text_of(headers, ETAG.as_str()));
                etag = named.map(normalize_etag).or(etag);
                size = number_of(headers, "x-linked-size").or(size);
            }
            if !redirects {
                let size = size.or_else(|| number_of(headers, CONTENT_LENGTH.as_str()));
                return Ok(Answer { last, etag, size });
            }
            let target = headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let next = resolve(&uri, target).ok_or_else(|| bad_redirect(&format!("`{target}`")))?;
            if uri.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(bad_redirect(&next.to_string()));
            }
            uri = next;
        }
        Err(bad_redirect(&format!("other addresses more than {MAX_REDIRECTS} times")))
    }
}

/// A response behind its redirects, and what the hub said about the file on the way.
struct Answer {
    last: Response<Body>,
    etag: Option<String>,
    size: Option<u64>,
}

/// The first byte and the whole size that a partial answer declares.
pub(crate) fn content_range(response: &Response<Body>) -> Option<(u64, u64)> {
    let range = text_of(response.headers(), "content-range")?.strip_prefix("bytes ")?;
    let (bounds, size) = range.split_once('/')?;
    let (start, _) = bounds.split_once('-')?;
    Some((start.parse().ok()?, size.parse().ok()?))
}

/// The size of the body that an answer declares, in bytes.
pub(crate) fn content_length(response: &Response<Body>) -> Option<u64> {
    number_of(response.headers(), CONTENT_LENGTH.as_str())
}

pub(crate) fn interrupted(url: &str, source: io::Error) -> HubError {
    HubError::Interrupted { url: url.to_owned(), tries: 1, source }
}

/// Tells a connection that was lost, which may be taken up again, from one that never came about. A name
/// that cannot be resolved has no kind of error to itself, so the kinds of a lost connection are listed.
fn transport_error(url: &str, error: ureq::Error) -> HubError {
    let lost = match &error {
        ureq::Error::Io(source) => matches!(
            source.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::TimedOut
        ),
        ureq::Error::Timeout(timeout) => !matches!(timeout, Timeout::Connect | Timeout::Resolve),
        ureq::Error::Protocol(_) => true,
        _ => false,
    };
    if lost {
        interrupted(url, error.into_io())
    } else {
        HubError::Unreachable { url: url.to_owned(), source: Box::new(error) }
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number_of(headers: &HeaderMap, name: &str) -> Option<u64> {
    text_of(headers, name)?.parse().ok()
}

/// `W/"x"` and `"x"` both name the blob `x`.
fn normalize_etag(etag: &str) -> String {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_owned()
}

fn same_origin(a: &Uri, b: &Uri) -> bool {
    let origin = |uri: &Uri| {
        let port = uri.port_u16().or(match uri.scheme_str() {
            Some("https") => Some(443),
            Some("http") => Some(80),
            _ => None,
        });
        Some((uri.scheme_str()?.to_owned(), uri.host()?.to_ascii_lowercase(), port?))
    };
    origin(a).is_some() && origin(a) == origin(b)
}

/// The address that a `Location` header means, seen from the address that sent it.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let scheme = base.scheme_str()?;
    let authority = base.authority().map(Authority::as_str)?;
    let absolute = if location.is_empty() {
        return None;
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        location.to_owned()
    };
    let uri: Uri = absolute.parse().ok()?;
    (matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let hub = uri("https://huggingface.co/x");
        for same in ["https://huggingface.co", "https://HuggingFace.co:443/y?z"] {
            assert!(same_origin(&hub, &uri(same)), "{same}");
        }
        for other in [
            "http://huggingface.co",
            "https://huggingface.co:8443",
            "https://huggingface.co.evil.example",
            "https://cdn-lfs.huggingface.co",
            "/relative",
        ] {
            assert!(!same_origin(&hub, &uri(other)), "{other}");
        }
    }

    #[test]
    fn locations_are_resolved_against_the_sender() {
        let base = uri("https://hub.example:8443/a/b");
        let resolved = |location| resolve(&base, location).map(|uri| uri.to_string());
        assert_eq!(resolved("/c?d=1").as_deref(), Some("https://hub.example:8443/c?d=1"));
        assert_eq!(resolved("//cdn.example/c").as_deref(), Some("https://cdn.example/c"));
        assert_eq!(resolved("http://cdn.example/c").as_deref(), Some("http://cdn.example/c"));
        for unusable in ["", "file:///etc/passwd", "javascript:alert(1)", "http://", "ftp://x/y", "c/d"] {
            assert_eq!(resolved(unusable), None, "{unusable}");
        }
    }

    #[test]
    fn a_lost_connection_is_not_one_that_never_was() {
        let may_pass = |error| transport_error("url", error).is_transient();
        assert!(may_pass(io::Error::from(io::ErrorKind::ConnectionReset).into()));
        assert!(may_pass(ureq::Error::Timeout(Timeout::PerRead)));
        assert!(!may_pass(io::Error::other("failed to lookup address information").into()));
        assert!(!may_pass(io::Error::from(io::ErrorKind::ConnectionRefused).into()));
        assert!(!may_pass(ureq::Error::Timeout(Timeout::Connect)));
    }

    #[test]
    fn etags_lose_their_quotes() {
        assert_eq!(normalize_etag("\"abc\""), "abc");
        assert_eq!(normalize_etag("W/\"Wabc\""), "Wabc");
        assert_eq!(normalize_etag("abc"), "abc");
    }

    #[test]
    fn endpoints_that_are_no_address_are_refused() {
        for endpoint in
            ["", "huggingface.co", "ftp://x", "https://", "https://user:pw@x", "https://x?y", "http:// x"]
        {
            let mut settings = Settings::new("unused");
            settings.endpoint = endpoint.to_owned();
            assert!(matches!(Client::new(&settings), Err(HubError::InvalidEndpoint { .. })), "{endpoint}");
        }
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused() {
        for token in ["hf\nx", "hf x", "h\u{fffd}f"] {
            let mut settings = Settings::new("unused");
            settings.token = crate::Token::new(token);
            assert!(matches!(Client::new(&settings), Err(HubError::InvalidToken)), "{token:?}");
        }
    }
}
