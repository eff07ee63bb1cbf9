//! Looks at certificates before anyone depends on them: ours, and those of upstreams.
//!
//! Blocks; for an operator who asks, never for a worker. An upstream is greeted as a
//! worker would greet it, and left before a request is sent.

use std::io;
use std::net::TcpStream;

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tollring_config::{CertificateFiles, UpstreamTls};

use super::keys::{TlsFault, chain, client_config};
use super::{Certificate, server_config};

/// The certificate that a port would show, with its key proven to belong to it.
///
/// # Errors
/// [`TlsFault`], with the file.
pub fn shown(files: &CertificateFiles) -> Result<Option<Certificate>, TlsFault> {
    server_config(files)?;
    let chain = chain(&files.certificate)?;
    Ok(chain.first().and_then(Certificate::read))
}

/// Shakes hands over a connection, and says what the other side showed. What is not to be
/// believed is an error, as it would be for a request.
///
/// # Errors
/// What rustls or the system says.
pub fn greet(
    mut socket: &TcpStream,
    tls: &UpstreamTls,
    host: &str,
) -> io::Result<Option<Certificate>> {
    let config = client_config(tls).map_err(io::Error::other)?;
    let name = tls.server_name.as_deref().unwrap_or(host).to_owned();
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    let shown = connection.peer_certificates().unwrap_or_default();
    let shown = shown.first().and_then(Certificate::read);
    connection.send_close_notify();
    // The other side has shown what there was to see; what it thinks of our leaving is its own.
    let _ = connection.complete_io(&mut socket);
    Ok(shown)
}
