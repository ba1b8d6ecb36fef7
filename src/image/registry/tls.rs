//! Encrypted connections: whom we believe, and who we say we are.
//!
//! Nothing is read before the first connection, and what was read lives as long as the transfers that
//! need it: the certificates of the world would cost an idle daemon a megabyte.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::image::disk::locked;

/// Where distributions keep the certificates of the authorities they trust.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The largest file of certificates that is read, in bytes.
const LARGEST: u64 = 16 << 20;
/// The most files of one directory that are read.
const MOST_FILES: usize = 1000;

/// How encrypted connections are made, for each host.
#[derive(Debug, Default)]
pub(super) struct Tls {
    /// Directories with a directory for each registry, as docker lays out `/etc/docker/certs.d`.
    directories: Vec<PathBuf>,
    made: Mutex<HashMap<(String, bool), Arc<ClientConfig>>>,
}

impl Tls {
    pub(super) fn new(directories: Vec<PathBuf>) -> Self {
        Self { directories, made: Mutex::default() }
    }

    /// How to connect to `host` (with its port, where it has one); with `insecure`, whoever answers
    /// there is believed.
    ///
    /// # Errors
    /// If a file of certificates or keys for this host cannot be used.
    pub(super) fn config(&self, host: &str, insecure: bool) -> io::Result<Arc<ClientConfig>> {
        let key = (host.to_owned(), insecure);
        if let Some(made) = locked(&self.made).get(&key) {
            return Ok(made.clone());
        }
        let made = Arc::new(self.make(host, insecure)?);
        locked(&self.made).insert(key, made.clone());
        Ok(made)
    }

    /// Whether somebody has put certificates here for this host: then it is never spoken to without
    /// encryption.
    pub(super) fn has_certificates(&self, host: &str) -> bool {
        let mut files = self.files(host);
        files.any(|file| ["crt", "cert"].iter().any(|kind| has_extension(&file, kind)))
    }

    fn make(&self, host: &str, insecure: bool) -> io::Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = if insecure {
            let believer = Arc::new(Anybody { provider });
            builder.dangerous().with_custom_certificate_verifier(believer)
        } else {
            builder.with_root_certificates(self.roots(host)?)
        };
        let mut config = match self.identity(host)? {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(io::Error::other)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// The authorities that are believed about `host`: the host's own, and those of its directory.
    fn roots(&self, host: &str) -> io::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for certificate in system_certificates()? {
            // Bundles hold old ones that nothing can use any more.
            let _unusable = roots.add(certificate).is_err();
        }
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for file in self.files(host).filter(|file| has_extension(file, "crt")) {
            for certificate in certificates(&file)? {
                roots.add(certificate).map_err(|error| unusable(&file, error))?;
            }
        }
        Ok(roots)
    }

    /// Who we say we are at `host`: the first `NAME.cert` with its `NAME.key`.
    fn identity(&self, host: &str) -> io::Result<Option<Identity>> {
        let Some(file) = self.files(host).find(|file| has_extension(file, "cert")) else {
            return Ok(None);
        };
        let key_file = file.with_extension("key");
        let key = PrivateKeyDer::from_pem_slice(&read(&key_file)?)
            .map_err(|error| unusable(&key_file, error))?;
        Ok(Some((certificates(&file)?, key)))
    }

    /// The files for `host`, in order of their names.
    fn files(&self, host: &str) -> impl Iterator<Item = PathBuf> {
        let mut all = Vec::new();
        for directory in &self.directories {
            let mut files = list(&directory.join(host));
            files.sort();
            all.extend(files);
        }
        all.into_iter()
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificates of the authorities that this machine trusts: what `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` say, else where the distribution has them. None if it has none.
fn system_certificates() -> io::Result<Vec<CertificateDer<'static>>> {
    let named = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let (file, dirs) = (named("SSL_CERT_FILE"), named("SSL_CERT_DIR"));
    if file.is_none() && dirs.is_none() {
        let bundle = BUNDLES.iter().map(Path::new).find(|bundle| bundle.is_file());
        return bundle.map_or_else(|| Ok(Vec::new()), certificates);
    }
    let mut found = Vec::new();
    if let Some(file) = file {
        found.extend(certificates(Path::new(&file))?);
    }
    for dir in dirs.iter().flat_map(std::env::split_paths) {
        for file in list(&dir) {
            // Such directories hold other files and dangling links too.
            found.extend(certificates(&file).unwrap_or_default());
        }
    }
    Ok(found)
}

/// The files of a directory; none if there is no such directory.
fn list(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).take(MOST_FILES).collect()
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|its| its == extension)
}

fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    found.map_err(|error| unusable(file, error))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = fs::File::open(file).and_then(|f| f.take(LARGEST).read_to_end(&mut bytes));
    read.map_err(|error| unusable(file, error))?;
    Ok(bytes)
}

/// An error that trying again does not help.
fn unusable(file: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot use {}: {error}", file.display()))
}

/// What went wrong in a handshake with `host`, for a person.
pub(super) fn explained(error: &io::Error, host: &str) -> io::Error {
    let reason = match encryption(error) {
        Some(rustls::Error::InvalidCertificate(problem)) => match problem {
            CertificateError::UnknownIssuer => format!(
                "the certificate of {host} is signed by an authority that this machine does not \
                 know; if it is right, put the authority's certificate into \
                 /etc/orca/certs.d/{host}/ca.crt"
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("the certificate of {host} has expired")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => format!(
                "the certificate of {host} is not valid yet; is the clock of this machine right?"
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the certificate is not for {host}: {problem}")
            }
            _ => format!("the certificate of {host} is not good: {problem}"),
        },
        Some(rustls::Error::InvalidMessage(_)) => {
            let reason = format!(
                "{host} does not speak TLS; a registry that is meant to be used without encryption \
                 must be listed in `insecure-registries` of /etc/orca/registries.json"
            );
            return io::Error::new(io::ErrorKind::Unsupported, reason);
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!(
                "{host} refuses the encrypted connection ({alert:?}); does it ask for a client certificate?"
            )
        }
        _ => return io::Error::new(error.kind(), format!("no encrypted connection: {error}")),
    };
    // Will be the same next time.
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// What went wrong with the encryption, if it was that.
fn encryption(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// An error of a connection, for a person: that of the encryption, if it is one. A host may refuse a
/// caller's certificate only once the connection is there.
pub(super) fn found_in(error: &hyper::Error, host: &str) -> io::Error {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if let Some(io) = io.filter(|io| encryption(io).is_some()) {
            return explained(io, host);
        }
        cause = error.source();
    }
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    io::Error::other(said)
}

/// The name that a certificate of `host` must be for.
pub(super) fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, format!("`{host}` is no name of a host"))
    })
}

/// Believes whoever answers: for registries that the administrator has called insecure.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
