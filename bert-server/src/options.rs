//! How a server treats its clients.

use std::path::PathBuf;
use std::time::Duration;

use crate::{LogFormat, ServerError};

/// The files of a certificate and its key, in the form of PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that it is signed by.
    pub certificate: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

/// What holds for all requests.
///
/// ```
/// use bert_server::Options;
/// let options = Options { api_keys: vec!["a-long-secret".to_owned()], ..Options::default() };
/// assert_eq!(options.max_client_batch, 1024);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// The keys that clients may send as `Authorization: Bearer KEY`; none if no key is needed.
    pub api_keys: Vec<String>,
    /// Whether anyone may use a server that other machines can reach.
    pub insecure_no_key: bool,
    /// The origins of web pages that may use the server, such as `https://example.org`; `*` for all. None by default.
    pub cors: Vec<String>,
    /// The host names by which requests may call the server, without ports. If none is given, a server on a loopback
    /// address answers to `localhost` and loopback addresses, so that no web page can reach it by a name of its own (DNS
    /// rebinding); any other server answers to all names.
    pub allowed_hosts: Vec<String>,
    /// What a port speaks TLS with; it speaks plain HTTP if not given.
    pub tls: Option<TlsFiles>,
    /// How many requests are worked on at once; more are refused with status 429.
    pub max_concurrent: usize,
    /// How many inputs one request may hold.
    pub max_client_batch: usize,
    /// The largest body of a request, in bytes.
    pub max_body: usize,
    /// How long a request may take, its body included.
    pub timeout: Duration,
    /// What is written on standard error for each request.
    pub log: LogFormat,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            api_keys: vec![],
            insecure_no_key: false,
            cors: vec![],
            allowed_hosts: vec![],
            tls: None,
            max_concurrent: 512,
            max_client_batch: 1024,
            max_body: 4 << 20,
            timeout: Duration::from_secs(60),
            log: LogFormat::Off,
        }
    }
}

impl Options {
    /// Whether these make sense.
    pub(crate) fn check(&self) -> Result<(), ServerError> {
        let counts = [
            ("max_concurrent", self.max_concurrent),
            ("max_client_batch", self.max_client_batch),
            ("max_body", self.max_body),
        ];
        if let Some((option, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(ServerError::Option { option, found: "0".to_owned(), expected: "at least 1" });
        }
        if self.timeout.is_zero() {
            return Err(ServerError::Option { option: "timeout", found: "0".to_owned(), expected: "longer" });
        }
        let visible = |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        if !self.api_keys.iter().all(visible) {
            return Err(ServerError::Option {
                option: "an API key",
                // A secret does not belong in a message.
                found: "hidden".to_owned(),
                expected: "visible ASCII characters without blanks",
            });
        }
        Ok(())
    }
}
