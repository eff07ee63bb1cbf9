//! What can be wrong with the fields of a head, in either direction.
//!
//! One variant, one rule. Requests and answers share these; who is to blame and what is
//! answered is added by `HeadFault` and `ResponseFault`.

use std::fmt;

use crate::syntax::is_blank;

/// A rule that the fields of a head broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldFault {
    /// The head is longer than the limit (RFC 6585 §5).
    HeadTooLong,
    /// There are more fields than the limit (RFC 6585 §5).
    TooMany,
    /// A line ends with a bare LF, or holds a bare CR (RFC 9112 §2.2).
    LineEnd,
    /// A field continues on the next line (RFC 9112 §5.2).
    Folded,
    /// A field name is empty, not a token, or not followed at once by its colon (RFC 9112 §5.1).
    Name,
    /// A field value holds a control byte (RFC 9110 §5.5).
    Value,
    /// `Content-Length` is not a plain decimal below 2^63 (RFC 9112 §6.3).
    ContentLength,
    /// `Content-Length` appears more than once, equal or not (RFC 9112 §6.3).
    ContentLengthRepeated,
    /// `Transfer-Encoding` is not exactly one coding (RFC 9112 §6.1).
    TransferEncoding,
    /// `Transfer-Encoding` names one well-formed coding that is not `chunked` (RFC 9112 §6.1).
    TransferEncodingUnknown,
    /// `Transfer-Encoding` in an HTTP/1.0 message (RFC 9112 §6.1).
    TransferEncodingInHttp10,
    /// Both `Transfer-Encoding` and `Content-Length` (RFC 9112 §6.1).
    FramedTwice,
    /// `Connection` is not a list of tokens, or a longer one than the limit (RFC 9110 §7.6.1).
    Connection,
    /// `Connection` names a field that frames, routes or authenticates (RFC 9110 §7.6.1).
    ConnectionProtected,
}

impl FieldFault {
    /// What the tokeniser found wrong in the head `bytes`; `None` is something in its first line.
    pub(crate) fn of(error: httparse::Error, bytes: &[u8]) -> Option<Self> {
        match error {
            httparse::Error::HeaderName if is_folded(bytes) => Some(Self::Folded),
            httparse::Error::HeaderName => Some(Self::Name),
            httparse::Error::HeaderValue => Some(Self::Value),
            httparse::Error::NewLine => Some(Self::LineEnd),
            httparse::Error::TooManyHeaders => Some(Self::TooMany),
            httparse::Error::Status | httparse::Error::Token | httparse::Error::Version => None,
        }
    }

    /// The status a client sees when its request is at fault.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::HeadTooLong | Self::TooMany => 431,
            Self::TransferEncodingUnknown => 501,
            Self::LineEnd
            | Self::Folded
            | Self::Name
            | Self::Value
            | Self::ContentLength
            | Self::ContentLengthRepeated
            | Self::TransferEncoding
            | Self::TransferEncodingInHttp10
            | Self::FramedTwice
            | Self::Connection
            | Self::ConnectionProtected => 400,
        }
    }

    /// What is wrong, for whoever sent it.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::HeadTooLong => "The head is longer than is accepted.",
            Self::TooMany => "The head has more fields than are accepted.",
            Self::LineEnd => "A line of the head does not end with CR LF.",
            Self::Folded => "A field is folded over several lines.",
            Self::Name => "A field name is not a token directly followed by a colon.",
            Self::Value => "A field value contains a control byte.",
            Self::ContentLength => "Content-Length is not a plain decimal number.",
            Self::ContentLengthRepeated => "Content-Length appears more than once.",
            Self::TransferEncoding => "Transfer-Encoding is not exactly \"chunked\".",
            Self::TransferEncodingUnknown => "Transfer-Encoding names a coding other than chunked.",
            Self::TransferEncodingInHttp10 => "Transfer-Encoding is not allowed in HTTP/1.0.",
            Self::FramedTwice => "Both Transfer-Encoding and Content-Length are present.",
            Self::Connection => "Connection is not a short list of tokens.",
            Self::ConnectionProtected => "Connection names a field that must reach the other side.",
        }
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for FieldFault {}

/// Whether a line of the head begins with white space. Only to tell one fault from another.
fn is_folded(bytes: &[u8]) -> bool {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .take_while(|line| !matches!(*line, b"\r\n" | b"\n"))
        .any(|line| is_blank(line[0]))
}
