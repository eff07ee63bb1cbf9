//! TLS as the operator wants it: which files, and whom to believe.
//!
//! Paths, not contents: whoever puts the snapshot in force opens them, so that a reload
//! picks up renewed certificates.

use std::path::PathBuf;

/// A chain of certificates, and the key of its first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// PEM, the certificate itself first.
    pub certificate: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub private_key: PathBuf,
    /// An OCSP answer in DER to hand out with it (RFC 6066 §8).
    pub ocsp: Option<PathBuf>,
}

/// What the data port shows and asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// At least one; chosen by the name a client asks for, the first for any other name.
    pub certificates: Vec<CertificateFiles>,
    /// Whether clients show certificates of their own; absent: they are not asked.
    pub clients: Option<ClientCertificates>,
    /// The oldest version that is spoken.
    pub oldest: TlsVersion,
}

/// What clients' certificates must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// PEM: who may have signed them.
    pub ca: PathBuf,
    /// Whether a client without one is turned away.
    pub required: bool,
}

/// A version of TLS; what is older than these cannot be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// Whom an upstream is believed to be, and what it is shown. The default believes the
/// system's roots and shows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// PEM: who may have signed its certificate; absent: the system's roots.
    pub ca: Option<PathBuf>,
    /// What we show when it asks; absent: nothing.
    pub identity: Option<CertificateFiles>,
    /// The name its certificate must have; absent: the host of its URL.
    pub server_name: Option<Box<str>>,
}
