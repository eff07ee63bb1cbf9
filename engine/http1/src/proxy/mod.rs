//! The PROXY header: whose connection it is, told by a balancer before the first byte of it.
//!
//! Decides which bytes are one, in both versions of HAProxy's `proxy-protocol.txt`, and what
//! they say. Strict as heads are: what the text leaves open to two readings is a fault. It
//! does not decide whose word is believed; a header from anyone but a balancer that the
//! operator named is a way to call oneself by another's address.

mod binary;
mod checksum;
mod text;

use std::fmt;
use std::net::SocketAddr;

pub use binary::PROXY_BINARY_BYTES_MAX;
pub use text::PROXY_TEXT_BYTES_MAX;

/// What a balancer said of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// For whom the connection was made.
    pub client: ProxyClient,
    /// Bytes of the header. The client's own begin here.
    pub len: usize,
}

/// For whom a balancer made a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyClient {
    /// For itself, to see whether anybody listens (`LOCAL`).
    Balancer,
    /// For somebody who has no internet address, or whose address it does not know
    /// (`UNKNOWN`, `UNSPEC`, a unix socket).
    Unnamed,
    /// For somebody at `source` who had connected to `destination`.
    At {
        /// The client's own address.
        source: SocketAddr,
        /// The address at which the balancer took the connection.
        destination: SocketAddr,
    },
}

impl ProxyHeader {
    /// Reads the header at the beginning of `bytes`. `None`: not all of it is there; call again
    /// with the same bytes and more behind them. Looks at no more than
    /// [`PROXY_BINARY_BYTES_MAX`] of them.
    ///
    /// # Errors
    /// [`ProxyFault`], as soon as the bytes that are there cannot become a header.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ProxyFault> {
        match bytes.first() {
            None => Ok(None),
            // The two versions differ in their first byte, and a request begins with neither
            // `PROXY ` nor a NUL in its first line.
            Some(b'\r') => binary::parse(bytes),
            Some(_) => text::parse(bytes),
        }
    }
}

/// Why bytes are no PROXY header. The connection is of no use: nobody can tell whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// The first bytes are those of something else.
    Missing,
    /// A line of version 1 is longer than 107 bytes (§2.1).
    LineTooLong,
    /// A line of version 1 does not end with CRLF, or holds a CR or LF (§2.1).
    LineEnd,
    /// A line of version 1 is neither of `TCP4`, `TCP6`, `UNKNOWN`, or not four words parted by
    /// one space (§2.1).
    Line,
    /// An address is not one of its family in its plain form (§2.1).
    Address,
    /// A port is not a plain decimal up to 65535 (§2.1).
    Port,
    /// A version that is not 2, or a command that is neither `LOCAL` nor `PROXY` (§2.2).
    Command,
    /// A pair of family and protocol that the text does not list (§2.2).
    Family,
    /// A header of version 2 is longer than is taken.
    TooLong,
    /// A header of version 2 is shorter than its addresses (§2.2).
    AddressesCut,
    /// An extension runs over the end, has not the length of its kind, or is there twice
    /// (§2.2.1 and following).
    Extension,
    /// The checksum is not that of the header (§2.2.3).
    Checksum,
}

impl ProxyFault {
    /// What is wrong, for the log; the peer is told nothing.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Missing => "The connection does not begin with a PROXY header.",
            Self::LineTooLong => "The PROXY line is longer than 107 bytes.",
            Self::LineEnd => "The PROXY line does not end with CR LF.",
            Self::Line => "The PROXY line is not a family, two addresses and two ports.",
            Self::Address => "The PROXY line has an address that is none of its family.",
            Self::Port => "The PROXY line has a port that is not a number up to 65535.",
            Self::Command => "The PROXY header has an unknown version or command.",
            Self::Family => "The PROXY header has an unknown family or protocol.",
            Self::TooLong => "The PROXY header is longer than is accepted.",
            Self::AddressesCut => "The PROXY header is shorter than its addresses.",
            Self::Extension => "The PROXY header has a malformed extension.",
            Self::Checksum => "The PROXY header does not have its own checksum.",
        }
    }
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for ProxyFault {}
