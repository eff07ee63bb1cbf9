//! Certificates, keys and roots: read from their files, fit to be used by every worker.
//!
//! Read off the workers, when a configuration is put in force; what cannot be read or
//! does not fit together is a [`TlsFault`] that names the file, and nothing changes.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tollring_config::{CertificateFiles, ServerTls, Snapshot, TlsVersion, UpstreamTls};

use super::certificate::Certificate;

/// What both sides agree to speak (RFC 7301); HTTP/2 is not offered.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Sessions towards upstreams that can be resumed, over all workers and names. Arbitrary: more
/// than the upstreams of any one file.
const RESUMABLE_MAX: usize = 4096;

/// The versions, the newest first.
const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Why TLS cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file that cannot be read, or does not hold what it should.
    #[error("{path}: {cause}; check the file and who may read it", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A key that is not the certificate's.
    #[error(
        "{key} is not the key of {certificate}: {cause}; name the two that belong together",
        key = key.display(),
        certificate = certificate.display()
    )]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What the library says.
        cause: rustls::Error,
    },
    /// The system has no roots, and an upstream has none of its own.
    #[error("the system has no root certificates; install ca-certificates or set tls.ca")]
    NoRoots,
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Library(rustls::Error),
}

/// Everything of TLS that a snapshot needs.
pub struct Keys {
    /// What the data port shows; absent: it speaks in the clear.
    pub server: Option<Arc<ServerConfig>>,
    /// What each way to an upstream believes and shows.
    pub(crate) clients: HashMap<UpstreamTls, Arc<ClientConfig>>,
}

impl Keys {
    /// None, for what speaks in the clear.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            server: None,
            clients: HashMap::new(),
        }
    }

    /// Reads what a snapshot names. `tickets` outlives it, so that sessions are resumed on any
    /// worker and after a reload.
    ///
    /// # Errors
    /// [`TlsFault`], with the file.
    pub fn read(config: &Snapshot, tickets: &Arc<dyn ProducesTickets>) -> Result<Self, TlsFault> {
        let server = config.server.tls.as_ref();
        let server = server.map(|tls| gateway_config(tls, tickets)).transpose()?;
        let providers = config.providers.iter();
        let providers = providers.filter(|provider| provider.base.tls);
        let services = config.services.iter();
        let services = services.filter(|service| service.upstreams.iter().any(|url| url.tls));
        let ways = providers
            .map(|provider| &provider.tls)
            .chain(services.map(|service| &service.tls));
        let mut clients = HashMap::new();
        for way in ways {
            if !clients.contains_key(way) {
                clients.insert(way.clone(), client_config(way)?);
            }
        }
        Ok(Self { server, clients })
    }
}

/// What makes and reads session tickets (RFC 8446 §4.6.1); its keys change every six hours.
///
/// # Errors
/// When the system has no entropy.
pub(crate) fn tickets() -> Result<Arc<dyn ProducesTickets>, TlsFault> {
    aws_lc_rs::Ticketer::new().map_err(TlsFault::Library)
}

/// What a port with one certificate and no questions shows.
///
/// # Errors
/// [`TlsFault`], with the file.
pub fn server_config(files: &CertificateFiles) -> Result<Arc<ServerConfig>, TlsFault> {
    let tls = ServerTls {
        certificates: vec![files.clone()],
        clients: None,
        oldest: TlsVersion::Tls12,
    };
    gateway_config(&tls, &tickets()?)
}

fn gateway_config(
    tls: &ServerTls,
    tickets: &Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, TlsFault> {
    let versions = match tls.oldest {
        TlsVersion::Tls12 => BOTH,
        TlsVersion::Tls13 => &BOTH[..1],
    };
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder
        .with_protocol_versions(versions)
        .map_err(TlsFault::Library)?;
    let builder = match &tls.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            builder.with_client_cert_verifier(client_verifier(&clients.ca, clients.required)?)
        }
    };
    let shown: Vec<_> = tls
        .certificates
        .iter()
        .map(shown)
        .collect::<Result<_, _>>()?;
    let mut config = builder.with_cert_resolver(Arc::new(Shown::new(shown)));
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    config.ticketer = Arc::clone(tickets);
    // Tickets are the same on every worker; a cache would be a lock between them.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

pub(super) fn client_config(tls: &UpstreamTls) -> Result<Arc<ClientConfig>, TlsFault> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder
        .with_protocol_versions(BOTH)
        .map_err(TlsFault::Library)?;
    let builder = builder.with_webpki_verifier(upstream_verifier(tls.ca.as_deref())?);
    let mut config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = (chain(&files.certificate)?, private_key(&files.private_key)?);
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|cause| mismatch(files, cause))?
        }
    };
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    config.resumption = Resumption::in_memory_sessions(RESUMABLE_MAX);
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn upstream_verifier(ca: Option<&Path>) -> Result<Arc<WebPkiServerVerifier>, TlsFault> {
    let roots = match ca {
        Some(path) => roots_of(path)?,
        None => system_roots()?,
    };
    let builder = WebPkiServerVerifier::builder_with_provider(roots, provider());
    builder.build().map_err(|fault| match ca {
        Some(path) => unfit(path, &fault),
        None => TlsFault::NoRoots,
    })
}

fn client_verifier(ca: &Path, required: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsFault> {
    let builder = WebPkiClientVerifier::builder_with_provider(roots_of(ca)?, provider());
    let builder = if required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    builder.build().map_err(|fault| unfit(ca, &fault))
}

/// What is believed, when the operator names nobody.
fn system_roots() -> Result<Arc<RootCertStore>, TlsFault> {
    let mut roots = RootCertStore::empty();
    // Some stores hold one that no parser likes; the others are believed all the same.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsFault::NoRoots);
    }
    Ok(Arc::new(roots))
}

fn roots_of(path: &Path) -> Result<Arc<RootCertStore>, TlsFault> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        roots
            .add(certificate)
            .map_err(|fault| unfit(path, &fault))?;
    }
    Ok(Arc::new(roots))
}

/// The certificates of a file, at least one.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|fault| unfit(path, &fault))?;
    if certificates.is_empty() {
        return Err(unfit(path, &"holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFault> {
    // The library's words never hold the file's bytes.
    PrivateKeyDer::from_pem_file(path).map_err(|fault| unfit(path, &fault))
}

fn unfit(path: &Path, cause: &dyn fmt::Display) -> TlsFault {
    TlsFault::File {
        path: path.to_owned(),
        cause: cause.to_string(),
    }
}

fn mismatch(files: &CertificateFiles, cause: rustls::Error) -> TlsFault {
    TlsFault::Mismatch {
        certificate: files.certificate.clone(),
        key: files.private_key.clone(),
        cause,
    }
}

/// A certificate that can be shown, and the names it is for.
fn shown(files: &CertificateFiles) -> Result<(Arc<CertifiedKey>, Vec<String>), TlsFault> {
    let chain = chain(&files.certificate)?;
    let Some(facts) = Certificate::read(&chain[0]) else {
        return Err(unfit(
            &files.certificate,
            &"is not a certificate (RFC 5280)",
        ));
    };
    let key = private_key(&files.private_key)?;
    let mut certified =
        CertifiedKey::from_der(chain, key, &provider()).map_err(|cause| mismatch(files, cause))?;
    if let Some(path) = &files.ocsp {
        let staple = std::fs::read(path).map_err(|fault| unfit(path, &fault))?;
        if staple.is_empty() {
            return Err(unfit(path, &"is empty"));
        }
        certified.ocsp = Some(staple);
    }
    Ok((Arc::new(certified), facts.names))
}

/// Chooses what is shown by the name a client asks for (RFC 6066 §3), and by what it can
/// verify: an ECDSA certificate and an RSA one may have the same names.
#[derive(Debug)]
struct Shown {
    all: Vec<Arc<CertifiedKey>>,
    /// Places in `all` by name, in the order of the file.
    by_name: HashMap<String, Vec<usize>>,
}

impl Shown {
    fn new(certificates: Vec<(Arc<CertifiedKey>, Vec<String>)>) -> Self {
        let mut all = Vec::with_capacity(certificates.len());
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, (certified, names)) in certificates.into_iter().enumerate() {
            for name in names {
                by_name.entry(name).or_default().push(place);
            }
            all.push(certified);
        }
        Self { all, by_name }
    }

    /// The places of the certificates for a name: its own, else its domain's wildcard.
    fn places(&self, name: &str) -> &[usize] {
        if let Some(places) = self.by_name.get(name) {
            return places;
        }
        let parent = name
            .split_once('.')
            .map(|(_, parent)| format!("*.{parent}"));
        let places = parent.and_then(|wildcard| self.by_name.get(&wildcard));
        places.map_or(&[], Vec::as_slice)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |certified: &&Arc<CertifiedKey>| {
            certified
                .key
                .choose_scheme(hello.signature_schemes())
                .is_some()
        };
        let named = hello.server_name().map_or(&[][..], |name| {
            // The library has made it lower case.
            self.places(name)
        });
        let named = named.iter().map(|&place| &self.all[place]);
        // Without a name, or with one that nobody has: the first one, as common servers do. Where
        // the client can verify none it is as good as any: the library then says, rightly, that
        // there is nothing in common; without one it would say that access is denied.
        let fitting = named.chain(&self.all).find(fits);
        fitting.or_else(|| self.all.first()).cloned()
    }
}
