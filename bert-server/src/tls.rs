//! TLS: the certificate and the key of a server, from their files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::{ServerError, TlsFiles};

/// The largest file that is read: chains of certificates have some kilobytes.
const MOST: u64 = 1 << 20;

/// What connections are accepted with.
pub struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Files that cannot be read, hold no certificate or no key, or do not belong together.
    pub fn load(files: &TlsFiles) -> Result<Self, ServerError> {
        Ok(Self { files: files.clone(), config: RwLock::new(read(files)?) })
    }

    /// Reads the files again, which may have been renewed. Connections that are open keep what they have.
    ///
    /// # Errors
    /// As [`load`](Self::load); then what was there goes on to be used.
    pub fn reload(&self) -> Result<(), ServerError> {
        let config = read(&self.files)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, ServerError> {
    let failed = |what, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| ServerError::TlsFile { what, path, source }
    };
    let certificates = bytes_of(&files.certificate)
        .and_then(|bytes| {
            CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().map_err(broken)
        })
        .and_then(|list| if list.is_empty() { Err(broken(pem::Error::NoItemsFound)) } else { Ok(list) })
        .map_err(failed("certificate", &files.certificate))?;
    let key = bytes_of(&files.key)
        .and_then(|bytes| PrivateKeyDer::from_pem_slice(&bytes).map_err(broken))
        .map_err(failed("private key", &files.key))?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key));
    let mut config = config.map_err(|source| ServerError::TlsPair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source: Box::new(source),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MOST {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 1 MiB")),
        false => Ok(bytes),
    }
}

/// What is wrong with what a file says.
fn broken(error: pem::Error) -> io::Error {
    match error {
        pem::Error::NoItemsFound => io::Error::new(
            io::ErrorKind::InvalidData,
            "it holds none in the form of PEM that is not encrypted",
        ),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
