//! What a certificate says: whose it is, for which names, and until when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// What we want to know of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its subject as RFC 4514 writes it: `CN=build-bot,O=acme`.
    pub subject: String,
    /// The DNS names it is for, lower case, a wildcard as `*.example.com` (RFC 6125 §6.4.3).
    pub names: Vec<String>,
    /// When it begins to be valid.
    pub not_before: SystemTime,
    /// When it ceases to be valid.
    pub not_after: SystemTime,
}

impl Certificate {
    /// Reads a certificate; `None` when it is none that we understand.
    pub fn read(der: &CertificateDer<'_>) -> Option<Self> {
        // The extension is decoded a second time below: its type wants bytes of its own.
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let body = certificate.tbs_certificate;
        let extensions = body.extensions.unwrap_or_default();
        let names = extensions
            .iter()
            .filter(|extension| extension.extn_id == ALTERNATIVE_NAMES)
            .filter_map(|extension| SubjectAltName::from_der(extension.extn_value.as_bytes()).ok())
            .flat_map(|names| names.0)
            .filter_map(|name| match name {
                GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        let since_epoch = |seconds: Duration| UNIX_EPOCH + seconds;
        debug_assert!(body.subject.encoded_len().is_ok());
        Some(Self {
            subject: body.subject.to_string(),
            names,
            not_before: since_epoch(body.validity.not_before.to_unix_duration()),
            not_after: since_epoch(body.validity.not_after.to_unix_duration()),
        })
    }
}

/// `id-ce-subjectAltName` (RFC 5280 §4.2.1.6).
const ALTERNATIVE_NAMES: x509_cert::der::oid::ObjectIdentifier =
    x509_cert::der::oid::ObjectIdentifier::new_unwrap("2.5.29.17");
