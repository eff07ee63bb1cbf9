//! TLS without its socket: keys are read, certificates chosen, records opened and sealed.
//!
//! Bytes in, bytes out; `net` moves them. [`keys`] turns what the operator named into
//! what rustls wants, off the workers; [`session`] is one connection's state. What a
//! record holds is not looked at here.
//!
//! No weak option can be configured: TLS 1.2 and 1.3 alone, rustls' own choice of
//! ciphers, no renegotiation, no early data (RFC 8446 §8 lets it be replayed), and no
//! way to skip the check of an upstream's certificate.

pub(crate) mod certificate;
pub(crate) mod keys;
pub(crate) mod session;
mod survey;

pub use certificate::Certificate;
pub use keys::{Keys, TlsFault, server_config};
pub use survey::{greet, shown};
