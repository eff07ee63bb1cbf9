//! Who signs certificates in a test, and configurations of TLS that believe it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, SignatureAlgorithm,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::binary::Folder;

/// Who signs; its files are gone with it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    folder: Folder,
}

/// A signed certificate and its key, in memory and in files.
pub struct Identity {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    key: Vec<u8>,
    /// PEM of the certificate.
    pub certificate_file: PathBuf,
    /// PEM of the key.
    pub key_file: PathBuf,
}

impl Identity {
    /// The key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.key.clone().into())
    }

    /// `certificate` and `private_key`, as the file has them.
    pub fn lines(&self) -> String {
        format!(
            "certificate = {:?}\nprivate_key = {:?}",
            self.certificate_file, self.key_file
        )
    }
}

impl Authority {
    /// A new authority that nobody knows yet.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("keys can be made");
        let mut params = CertificateParams::new([]).expect("no names are no fault");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority of a test");
        let certificate = params.self_signed(&key).expect("it signs itself");
        let folder = Folder::new();
        fs::write(folder.file("ca.pem"), certificate.pem()).expect("the folder takes files");
        Self {
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            folder,
        }
    }

    /// PEM of the authority's own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.file("ca.pem")
    }

    /// Signs for these names; an address is taken for one.
    pub fn sign(&self, file: &str, names: &[&str]) -> Identity {
        self.sign_with(file, names, file, &PKCS_ECDSA_P256_SHA256)
    }

    /// The same with an RSA key.
    pub fn sign_rsa(&self, file: &str, names: &[&str]) -> Identity {
        self.sign_with(file, names, file, &PKCS_RSA_SHA256)
    }

    /// Signs for a client called `common_name`.
    pub fn sign_client(&self, common_name: &str) -> Identity {
        self.sign_with(common_name, &[], common_name, &PKCS_ECDSA_P256_SHA256)
    }

    fn sign_with(
        &self,
        file: &str,
        names: &[&str],
        common_name: &str,
        algorithm: &'static SignatureAlgorithm,
    ) -> Identity {
        let key = KeyPair::generate_for(algorithm).expect("keys can be made");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the names are names");
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .expect("the authority signs");
        let certificate_file = self.folder.file(&format!("{file}.pem"));
        let key_file = self.folder.file(&format!("{file}.key"));
        fs::write(&certificate_file, certificate.pem()).expect("the folder takes files");
        fs::write(&key_file, key.serialize_pem()).expect("the folder takes files");
        Identity {
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
            certificate_file,
            key_file,
        }
    }

    /// A client that believes this authority, and shows what it is given.
    pub fn client(&self, identity: Option<&Identity>) -> Arc<ClientConfig> {
        self.client_of(identity, rustls::ALL_VERSIONS)
    }

    /// The same, of these versions of TLS alone.
    pub fn client_of(
        &self,
        identity: Option<&Identity>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_protocol_versions(versions)
            .with_root_certificates(self.roots());
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(vec![identity.certificate.clone()], identity.key())
                .expect("the key is the certificate's"),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// A client that believes this authority and has no more ciphers than `provider`.
    pub fn client_by(
        &self,
        provider: CryptoProvider,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("the ciphers are of these versions");
        let builder = builder.with_root_certificates(self.roots());
        Arc::new(builder.with_no_client_auth())
    }

    /// A provider that shows `identity`, and asks for clients of this authority where told.
    pub fn server(&self, identity: &Identity, asks: bool) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder();
        let builder = if asks {
            let verifier = rustls::server::WebPkiClientVerifier::builder(self.roots().into());
            builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
        } else {
            builder.with_no_client_auth()
        };
        let config = builder
            .with_single_cert(vec![identity.certificate.clone()], identity.key())
            .expect("the key is the certificate's");
        Arc::new(config)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.clone())
            .expect("the authority's certificate is one");
        roots
    }
}
