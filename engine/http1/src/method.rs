//! What a request asks to have done.
//!
//! Decides which methods are never served. It does not decide which of the others a route
//! allows.

use crate::HeadFault;

/// Bytes a method may have. The longest registered one has 17 (`UPDATEREDIRECTREF`); nothing
/// that anybody uses is longer than 32.
pub const METHOD_BYTES_MAX: usize = 32;

/// A request method (RFC 9110 §9); names are case-sensitive, so `get` is [`Method::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`: its answer has no body whatever its fields say.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
    /// `PATCH` (RFC 5789).
    Patch,
    /// `OPTIONS`.
    Options,
    /// `TRACE`; never comes out of a parse, see [`HeadFault::Trace`].
    Trace,
    /// `CONNECT`; never comes out of a parse, see [`HeadFault::Connect`].
    Connect,
    /// Any other token; its text is in the head.
    Other,
}

impl Method {
    /// The method of that name.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        match text {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"PATCH" => Self::Patch,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }

    /// The method of a request that may go on, from its token (RFC 9112 §3.1).
    pub(crate) fn admit(text: &[u8]) -> Result<Self, HeadFault> {
        if text.len() > METHOD_BYTES_MAX {
            return Err(HeadFault::MethodTooLong);
        }
        match Self::of(text) {
            // This is a gateway, not a proxy: it opens no tunnels (RFC 9110 §9.3.6).
            Self::Connect => Err(HeadFault::Connect),
            // Echoing a request shows its secrets to whoever can make a browser send one.
            Self::Trace => Err(HeadFault::Trace),
            method => Ok(method),
        }
    }
}
