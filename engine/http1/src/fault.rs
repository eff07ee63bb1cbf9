//! Every way a head can be wrong, and what each is called.
//!
//! One variant, one rule of an RFC. Decides the status and the sentence of each; it does not
//! decide their shape on the wire, which depends on the caller's dialect.

use std::fmt;

use crate::FieldFault;

/// A rule that a request's head broke. The connection is to be closed after the answer: where
/// the next request begins can no longer be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFault {
    /// More empty lines before the request than are skipped (RFC 9112 §2.2).
    EmptyLines,
    /// The first line is not `method SP target SP version`: HTTP/0.9, another protocol, other
    /// white space (RFC 9112 §3).
    RequestLine,
    /// The method is longer than any that could be served (RFC 9112 §3).
    MethodTooLong,
    /// `CONNECT`: no tunnels are opened here (RFC 9110 §9.3.6).
    Connect,
    /// `TRACE`: requests are not echoed (RFC 9110 §9.3.8).
    Trace,
    /// A well-formed version of HTTP that is not 1.0 or 1.1 (RFC 9110 §15.6.6).
    Version,
    /// The target is longer than the limit (RFC 9110 §15.5.15).
    TargetTooLong,
    /// The target holds a byte that no URI has, or a fragment (RFC 9112 §3.2).
    TargetByte,
    /// The target is neither a path, an http or https URI, nor the `*` of `OPTIONS`
    /// (RFC 9112 §3.2).
    TargetForm,
    /// The target carries `user@` (RFC 9110 §4.2.4).
    TargetUser,
    /// No `Host` in HTTP/1.1 (RFC 9112 §3.2).
    HostMissing,
    /// More than one `Host`, even if equal (RFC 9112 §3.2).
    HostRepeated,
    /// `Host`, or the authority of the target, is not a host with an optional port
    /// (RFC 9112 §3.2, RFC 3986 §3.2).
    Host,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    Expectation,
    /// `Upgrade` in a request with a body (RFC 9110 §7.8): after a switch nobody could tell
    /// whose bytes they are.
    UpgradeWithBody,
    /// The fields broke one of the rules that answers obey as well.
    Field(FieldFault),
}

impl HeadFault {
    /// The status the client sees.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::EmptyLines
            | Self::RequestLine
            | Self::TargetByte
            | Self::TargetForm
            | Self::TargetUser
            | Self::HostMissing
            | Self::HostRepeated
            | Self::Host
            | Self::UpgradeWithBody => 400,
            Self::Connect => 405,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::MethodTooLong | Self::Trace => 501,
            Self::Version => 505,
            Self::Field(fault) => fault.status(),
        }
    }

    /// What is wrong, for the client. Repeats nothing of what it sent.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::EmptyLines => "Too many empty lines before the request.",
            Self::RequestLine => "The request line is not that of an HTTP/1.1 request.",
            Self::MethodTooLong => "The method is not one that is served here.",
            Self::Connect => "CONNECT is not served here.",
            Self::Trace => "TRACE is not served here.",
            Self::Version => "Only HTTP/1.1 and HTTP/1.0 are spoken here.",
            Self::TargetTooLong => "The request target is longer than is accepted.",
            Self::TargetByte => "The request target contains a byte that no URI may have.",
            Self::TargetForm => "The request target is neither a path nor an http URI.",
            Self::TargetUser => "The request target must not name a user.",
            Self::HostMissing => "Host is missing.",
            Self::HostRepeated => "Host appears more than once.",
            Self::Host => "The host is not a name or address with an optional port.",
            Self::Expectation => "The only expectation that can be met is 100-continue.",
            Self::UpgradeWithBody => "A request with a body cannot ask for an upgrade.",
            Self::Field(fault) => fault.sentence(),
        }
    }
}

impl From<FieldFault> for HeadFault {
    fn from(fault: FieldFault) -> Self {
        Self::Field(fault)
    }
}

impl fmt::Display for HeadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for HeadFault {}

/// A rule that an answer's head broke. The client sees 502; the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFault {
    /// The first bytes are not those of an HTTP/1 answer (RFC 9112 §4).
    StatusLine,
    /// A well-formed version of HTTP that is not 1.0 or 1.1 (RFC 9112 §2.3).
    Version,
    /// The status is not a number from 100 to 599 (RFC 9110 §15).
    Status,
    /// The reason phrase holds a control byte (RFC 9112 §4).
    Reason,
    /// The fields broke one of the rules that requests obey as well.
    Field(FieldFault),
}

impl ResponseFault {
    /// What is wrong, for the log; the client is told only that the provider's answer was bad.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::StatusLine => "The answer does not begin with an HTTP/1 status line.",
            Self::Version => "The answer is in another version of HTTP than 1.1 or 1.0.",
            Self::Status => "The status of the answer is not between 100 and 599.",
            Self::Reason => "The reason phrase of the answer contains a control byte.",
            Self::Field(fault) => fault.sentence(),
        }
    }
}

impl From<FieldFault> for ResponseFault {
    fn from(fault: FieldFault) -> Self {
        Self::Field(fault)
    }
}

impl fmt::Display for ResponseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for ResponseFault {}
