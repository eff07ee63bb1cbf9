//! The two versions of HTTP that are spoken here.
//!
//! It does not decide what to do about others; the request line and the status line do.

/// A version of HTTP/1 (RFC 9112 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `HTTP/1.0`: closes unless it asked to keep, knows no transfer coding and no interim answer.
    Http10,
    /// `HTTP/1.1`.
    Http11,
}

impl Version {
    /// The version whose minor number the tokeniser found; it lets only 0 and 1 through.
    pub(crate) fn of_minor(minor: Option<u8>) -> Self {
        if minor == Some(0) {
            Self::Http10
        } else {
            Self::Http11
        }
    }
}
