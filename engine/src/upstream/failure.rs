//! The world's faults on the way to a provider: where and why.
//!
//! A failure is not a refusal: it becomes one only when no other target may be
//! tried. Nothing here decides that; see [`super::retry`].

/// How far an attempt had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// No connection yet.
    Connect,
    /// Sending the request.
    Send,
    /// The request is sent; the answer's head is not here yet.
    AwaitHead,
    /// Passing the answer on.
    Relay,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Send, Self::AwaitHead, Self::Relay];

    /// The word in statistics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Send => "send",
            Self::AwaitHead => "await_head",
            Self::Relay => "relay",
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The provider's name has no address.
    NoAddress,
    /// Nobody listens there, or the way is closed.
    Unreachable,
    /// It took longer than its deadline.
    TimedOut,
    /// The provider closed before its answer was whole.
    Closed,
    /// The provider reset the connection.
    Reset,
    /// The proxy on the way wants other credentials.
    ProxyUnauthorized,
    /// The proxy on the way opens none to there.
    ProxyRefused,
    /// TLS did not come about: it is not who it should be, or will not have us.
    Untrusted,
    /// What came is not an answer by the rules of HTTP.
    Malformed,
    /// The client went away.
    ClientGone,
    /// The gateway was told to stop, and its drain limit passed.
    Stopped,
    /// Every place or connection there may be was taken, for as long as a request may wait.
    Full,
    /// Too much of what was asked there failed, and it is left alone.
    Open,
    /// The provider answered that it would not do it: no key, no money, too much at once.
    Declined,
    /// There was no descriptor or memory left for a connection: ours to lack, not the provider's.
    Exhausted,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 15] = [
        Self::NoAddress,
        Self::Unreachable,
        Self::TimedOut,
        Self::Closed,
        Self::Reset,
        Self::ProxyUnauthorized,
        Self::ProxyRefused,
        Self::Untrusted,
        Self::Malformed,
        Self::ClientGone,
        Self::Stopped,
        Self::Full,
        Self::Open,
        Self::Declined,
        Self::Exhausted,
    ];

    /// The word in statistics and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoAddress => "no_address",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::ProxyUnauthorized => "proxy_unauthorized",
            Self::ProxyRefused => "proxy_refused",
            Self::Untrusted => "untrusted",
            Self::Malformed => "malformed",
            Self::ClientGone => "client_gone",
            Self::Stopped => "stopped",
            Self::Full => "full",
            Self::Open => "open",
            Self::Declined => "declined",
            Self::Exhausted => "exhausted",
        }
    }
}

/// One attempt that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttemptFailure {
    pub(crate) stage: Stage,
    pub(crate) cause: Cause,
    /// Whether the connection had served before.
    pub(crate) reused: bool,
    /// Bytes of the request the provider's system acknowledged; all, when it cannot be known.
    pub(crate) bytes_accepted: u64,
}

impl AttemptFailure {
    /// A failure before there was a connection.
    pub(crate) const fn before_connection(cause: Cause) -> Self {
        Self {
            stage: Stage::Connect,
            cause,
            reused: false,
            bytes_accepted: 0,
        }
    }
}
