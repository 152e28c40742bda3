//! Connections with TLS, and files that cannot be used for it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bert_server::{Address, Options, ServerError, TlsFiles};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

use crate::common::server;
use crate::wire::{Running, post};

/// For localhost, until 2126: `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500
/// -subj /CN=localhost -addext subjectAltName=DNS:localhost`.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBkTCCATigAwIBAgIUOsCm/9diO+e3HJ5KH0t96aXWEGQwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODEzMzAzMloYDzIxMjYxMTA0
MTMzMDMyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATqucYNzAb/w4tQB2CvLRpvFzG0SuDqXRStmSkeJJ7cd3UfxuRdxk+E
2n+v4ikXQ0fhVUMV4GM83BsZfgTg6dEfo2YwZDAdBgNVHQ4EFgQUa51C0W9GGjaq
vkLp+kO7pY09gvUwHwYDVR0jBBgwFoAUa51C0W9GGjaqvkLp+kO7pY09gvUwFAYD
VR0RBA0wC4IJbG9jYWxob3N0MAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDRwAw
RAIgRmNfYbm6KCyCSaVvOv6gZ7n3V2E56AfH4xjd1tfNUZECIGAhxGBrO7zUvYbG
4eTTxDSW26frrFWiz3dHK5f5NZK+
-----END CERTIFICATE-----
";
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg44ES49qleifWN1O8
IVTEPmde0bwkIGrRhkKI6+8t9g+hRANCAATqucYNzAb/w4tQB2CvLRpvFzG0SuDq
XRStmSkeJJ7cd3UfxuRdxk+E2n+v4ikXQ0fhVUMV4GM83BsZfgTg6dEf
-----END PRIVATE KEY-----
";
/// Another of the kind.
const OTHER_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBkjCCATigAwIBAgIUPHTyshst42qjgH/K58Al+GTsU4IwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODEzMzAzMloYDzIxMjYxMTA0
MTMzMDMyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARPFjyl7IhsxaS9GmIMyOMenEiwP+zdo35GWeDB6r78MxmP5ZMjIGDM
6SY9vryHOEmTC2krWckLbFaT0O05VS2ro2YwZDAdBgNVHQ4EFgQUlnc1EffBf/mO
cG+wO+fZXWxdEl0wHwYDVR0jBBgwFoAUlnc1EffBf/mOcG+wO+fZXWxdEl0wFAYD
VR0RBA0wC4IJbG9jYWxob3N0MAwGA1UdEwEB/wQCMAAwCgYIKoZIzj0EAwIDSAAw
RQIhALVyY1c/pC7+l3YRrVjpkD1blc6+Pc2CVqmQkng3Od8KAiA79hxUZlMtLOpM
Snokr7XNpr2I9CBC84bH+FUAvpIOxA==
-----END CERTIFICATE-----
";
const OTHER_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgT6QdlisbC8Zl8Dym
in1BI08k8+ENODj+/JJ2RcqEc3WhRANCAARPFjyl7IhsxaS9GmIMyOMenEiwP+zd
o35GWeDB6r78MxmP5ZMjIGDM6SY9vryHOEmTC2krWckLbFaT0O05VS2r
-----END PRIVATE KEY-----
";

struct Files(TempDir);

impl Files {
    fn new(certificate: &str, key: &str) -> Self {
        let files = Self(TempDir::new().unwrap());
        files.write(certificate, key);
        files
    }

    fn write(&self, certificate: &str, key: &str) {
        fs::write(self.path("cert.pem"), certificate).unwrap();
        fs::write(self.path("key.pem"), key).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self) -> Options {
        let tls = TlsFiles { certificate: self.path("cert.pem"), key: self.path("key.pem") };
        Options { tls: Some(tls), ..Options::default() }
    }
}

/// Asks by TLS. A client that trusts this certificate alone.
fn ask(server: &Running, trusted: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut stream = Stream::new(&mut connection, &mut stream);
    stream.write_all(post("/embed", "{\"inputs\": \"good\"}").as_bytes())?;
    let mut reply = vec![];
    let _ = stream.read_to_end(&mut reply);
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

#[test]
fn it_answers_by_tls_and_by_nothing_else() {
    let files = Files::new(CERTIFICATE, KEY);
    let server = Running::new(files.options());
    for _ in 0..3 {
        let reply = ask(&server, CERTIFICATE).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("]]"), "{reply}");
    }
    assert!(ask(&server, OTHER_CERTIFICATE).is_err());
    assert!(!server.ask("/embed", "{\"inputs\": \"good\"}").contains("HTTP"));
    // A client that says nothing holds up neither the others nor the end.
    let _silent = server.connect();
    assert!(ask(&server, CERTIFICATE).unwrap().starts_with("HTTP/1.1 200"));
    assert!(server.end() < Duration::from_secs(5));
}

#[test]
fn a_reload_reads_the_files_again() {
    let files = Files::new(CERTIFICATE, KEY);
    let loaded = || Ok(vec![crate::common::load("words")]);
    let server = server(files.options(), 64).with_loader(loaded);
    let switch = server.reload_switch();
    let running = Running::of(server);
    assert!(ask(&running, CERTIFICATE).is_ok());
    let wait = |trusted: &str| {
        switch.store(true, std::sync::atomic::Ordering::Release);
        (0..300).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            ask(&running, trusted).is_ok()
        })
    };
    files.write(OTHER_CERTIFICATE, OTHER_KEY);
    assert!(wait(OTHER_CERTIFICATE) && ask(&running, CERTIFICATE).is_err());
    // Half of a renewal is none.
    files.write(CERTIFICATE, OTHER_KEY);
    switch.store(true, std::sync::atomic::Ordering::Release);
    std::thread::sleep(Duration::from_millis(500));
    assert!(ask(&running, OTHER_CERTIFICATE).is_ok());
    files.write(CERTIFICATE, KEY);
    assert!(wait(CERTIFICATE));
    running.end();
}

#[test]
fn files_that_cannot_be_used_are_told_at_the_start() {
    let run = |options: Options| {
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: 0 };
        let error =
            server(options, 16).run(&address, Duration::ZERO, &AtomicBool::new(true), |_| ()).unwrap_err();
        let mut text = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            text = format!("{text}: {source}");
        }
        (matches!(error, ServerError::TlsFile { .. }), matches!(error, ServerError::TlsPair { .. }), text)
    };
    let large = "a".repeat((1 << 20) + 1);
    let encrypted = KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (certificate, key, file) in [
        ("", KEY, "cert.pem"),
        (KEY, KEY, "cert.pem"),
        ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", KEY, "cert.pem"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", KEY, "cert.pem"),
        (large.as_str(), KEY, "cert.pem"),
        ("\0\u{1}😀", KEY, "cert.pem"),
        (CERTIFICATE, "", "key.pem"),
        (CERTIFICATE, CERTIFICATE, "key.pem"),
        (CERTIFICATE, encrypted.as_str(), "key.pem"),
    ] {
        let (is_file, _, text) = run(Files::new(certificate, key).options());
        assert!(is_file && text.contains(file), "{text}");
    }
    for (certificate, key) in
        [(CERTIFICATE, OTHER_KEY), ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", KEY)]
    {
        let (_, is_pair, text) = run(Files::new(certificate, key).options());
        assert!(is_pair && text.contains("cert.pem") && text.contains("key.pem"), "{text}");
    }
    let files = Files::new(CERTIFICATE, KEY);
    fs::remove_file(files.path("key.pem")).unwrap();
    assert!(run(files.options()).2.contains("key.pem"));
    let folder = TlsFiles { certificate: Path::new("/").to_owned(), key: files.path("cert.pem") };
    assert!(run(Options { tls: Some(folder), ..Options::default() }).0);
}
