//! What may stand between the size of a chunk and the end of its line.
//!
//! Decides RFC 9112 §7.1.1 byte by byte and keeps nothing: an extension is checked so that it
//! cannot hide a line end, and dropped. How many bytes of it are taken is `chunked`'s business.

use crate::syntax::{is_blank, is_token_byte, is_value_byte};

/// What the next byte of an extension may be.
///
/// ```text
///   ; AwaitingName ── Name ──┬─ = AwaitingValue ─┬─ Token ─────────────┬─ ; or CR
///                            └─ ; or CR          └─ " Quoted " Closed ─┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    /// After a semicolon.
    AwaitingName,
    /// Within a name.
    Name,
    /// White space after a name.
    AfterName,
    /// After an equals sign.
    AwaitingValue,
    /// Within a bare value.
    Token,
    /// Within quotes.
    Quoted,
    /// After a backslash within quotes.
    Escaped,
    /// After the closing quote.
    Closed,
    /// White space after a value.
    AfterValue,
    /// The CR of the line was taken.
    Ended,
}

impl Extension {
    /// The state after `byte`, or none if it may not stand here.
    ///
    /// White space is taken where the grammar has it, which is before a semicolon or an equals
    /// sign and after them, but not before the line end.
    pub(crate) fn next(self, byte: u8) -> Option<Self> {
        match self {
            Self::AwaitingName if is_blank(byte) => Some(Self::AwaitingName),
            Self::AwaitingName | Self::Name if is_token_byte(byte) => Some(Self::Name),
            Self::Name | Self::AfterName if byte == b'=' => Some(Self::AwaitingValue),
            Self::Name | Self::AfterName if is_blank(byte) => Some(Self::AfterName),
            Self::AwaitingValue if is_blank(byte) => Some(Self::AwaitingValue),
            Self::AwaitingValue if byte == b'"' => Some(Self::Quoted),
            Self::AwaitingValue | Self::Token if is_token_byte(byte) => Some(Self::Token),
            Self::Quoted if byte == b'"' => Some(Self::Closed),
            Self::Quoted if byte == b'\\' => Some(Self::Escaped),
            Self::Quoted | Self::Escaped if is_value_byte(byte) => Some(Self::Quoted),
            Self::Token | Self::Closed | Self::AfterValue if is_blank(byte) => {
                Some(Self::AfterValue)
            }
            Self::Name | Self::Token | Self::Closed if byte == b'\r' => Some(Self::Ended),
            Self::Name | Self::AfterName | Self::Token | Self::Closed | Self::AfterValue
                if byte == b';' =>
            {
                Some(Self::AwaitingName)
            }
            _ => None,
        }
    }
}
