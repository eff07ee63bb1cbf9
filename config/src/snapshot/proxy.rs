//! The HTTP proxy on the way to an upstream.

use crate::secret::Secret;

/// A proxy that opens a way to an upstream (`CONNECT`, RFC 9110 §9.3.6). It is spoken to in the
/// clear; what passes through it is the upstream's own, TLS where its URL says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamProxy {
    /// Host name or address literal, without brackets, lower case.
    pub host: Box<str>,
    /// TCP port.
    pub port: u16,
    /// What it is called: host and port.
    pub authority: Box<str>,
    /// `user:password`, as it is shown by `Basic` (RFC 7617 §2); absent: it asks for none.
    pub credentials: Option<Secret>,
}
