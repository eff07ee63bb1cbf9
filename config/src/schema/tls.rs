//! Certificates, keys and roots: where their files are.
//!
//! Only the paths are read here. Whether the files are there and fit together is found out
//! by whoever opens them, when the configuration is put in force.

use std::path::PathBuf;

use crate::fault::Problem;
use crate::limits::CERTIFICATES_MAX;
use crate::read::{Field, Table};
use crate::snapshot::{CertificateFiles, ClientCertificates, ServerTls, TlsVersion, UpstreamTls};
use crate::value::{parse_file, parse_server_name};

/// `[server.tls]`.
pub(crate) fn server(mut table: Table<'_>) -> Option<ServerTls> {
    let first = files(&mut table);
    let more = table.or("more", Vec::new(), |field| {
        field.list(CERTIFICATES_MAX, |item| {
            let mut table = item.table()?;
            let files = files(&mut table);
            table.close();
            files
        })
    });
    let client_ca = table.maybe("client_ca", |field| field.parsed(parse_file));
    let required = table.or("client_auth", true, |field| {
        let required = field.word(&[("required", true), ("optional", false)]);
        if matches!(client_ca, Some(None)) {
            field.report(Problem::Idle { needs: "client_ca" });
        }
        required
    });
    let oldest = table.or("min_version", TlsVersion::Tls12, |field| {
        field.word(&[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)])
    });
    table.close();
    let mut certificates = vec![first?];
    certificates.extend(more?);
    let required = required?;
    let clients = client_ca?.map(|ca| ClientCertificates { ca, required });
    Some(ServerTls {
        certificates,
        clients,
        oldest: oldest?,
    })
}

/// `[admin.tls]`.
pub(crate) fn admin(mut table: Table<'_>) -> Option<CertificateFiles> {
    let files = files(&mut table);
    table.close();
    files
}

/// `[providers.….tls]` and `[services.….tls]`.
pub(crate) fn upstream(mut table: Table<'_>) -> Option<UpstreamTls> {
    let mut path = |name| table.maybe(name, |field| field.parsed(parse_file));
    let (ca, certificate, private_key) = (path("ca"), path("certificate"), path("private_key"));
    let server_name = table.maybe("server_name", |field| field.parsed(parse_server_name));
    let identity = match (certificate?, private_key?) {
        (Some(certificate), Some(private_key)) => Some(CertificateFiles {
            certificate,
            private_key,
            ocsp: None,
        }),
        (None, None) => None,
        (certificate, _) => {
            let needs = if certificate.is_some() {
                "private_key"
            } else {
                "certificate"
            };
            table.report(Problem::Idle { needs });
            return None;
        }
    };
    table.close();
    Some(UpstreamTls {
        ca: ca?,
        identity,
        server_name: server_name?,
    })
}

fn files(table: &mut Table<'_>) -> Option<CertificateFiles> {
    let mut path = |name, example| {
        table.need(name, example, |field: &Field<'_>| -> Option<PathBuf> {
            field.parsed(parse_file)
        })
    };
    let certificate = path("certificate", "certificate = \"/etc/tollring/cert.pem\"");
    let private_key = path("private_key", "private_key = \"/etc/tollring/key.pem\"");
    let ocsp = table.maybe("ocsp", |field| field.parsed(parse_file));
    Some(CertificateFiles {
        certificate: certificate?,
        private_key: private_key?,
        ocsp: ocsp?,
    })
}
