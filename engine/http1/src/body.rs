//! Bodies, by whatever framing their head declared.
//!
//! Decides which of the bytes received are data and where the message ends. It holds none of
//! them, and does not know what they mean.

use std::fmt;
use std::ops::Range;

use crate::Framing;
use crate::chunked::Chunked;

/// A rule that a body broke. Where the message ends can no longer be told: the connection is
/// to be closed, and what was passed on must be left visibly unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// A chunk's size is missing or is not hexadecimal digits alone (RFC 9112 §7.1).
    ChunkSize,
    /// A chunk's size has more digits than any that could be meant (RFC 9112 §7.1).
    ChunkSizeTooLong,
    /// A chunk's size line does not end with CRLF (RFC 9112 §7.1).
    ChunkLineEnd,
    /// A chunk's data is not followed by CRLF (RFC 9112 §7.1).
    ChunkDataEnd,
    /// A chunk extension is not a list of names and values (RFC 9112 §7.1.1).
    ChunkExtension,
    /// The extensions of this body are longer than the limit (RFC 9112 §7.1.1).
    ChunkExtensionsTooLong,
    /// A trailer is not a field, or the body's last line is not empty (RFC 9112 §7.1.2).
    Trailer,
    /// A trailer frames, routes or authenticates, which only a field of the head may do (RFC
    /// 9110 §6.5.1).
    TrailerForbidden,
    /// The trailers are longer than the limit (RFC 9112 §7.1.2).
    TrailersTooLong,
    /// The peer closed before the end that the head or the chunks promised (RFC 9112 §8).
    CutShort,
}

impl BodyFault {
    /// The status a client sees when its request is at fault and nothing was answered yet.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TrailersTooLong => 431,
            Self::ChunkSize
            | Self::ChunkSizeTooLong
            | Self::ChunkLineEnd
            | Self::ChunkDataEnd
            | Self::ChunkExtension
            | Self::ChunkExtensionsTooLong
            | Self::Trailer
            | Self::TrailerForbidden
            | Self::CutShort => 400,
        }
    }

    /// What is wrong, for whoever sent it.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::ChunkSize => "A chunk size is not a hexadecimal number.",
            Self::ChunkSizeTooLong => "A chunk size has too many digits.",
            Self::ChunkLineEnd => "A chunk size is not followed by CR LF.",
            Self::ChunkDataEnd => "The data of a chunk is not followed by CR LF.",
            Self::ChunkExtension => "A chunk extension is malformed.",
            Self::ChunkExtensionsTooLong => "The chunk extensions are longer than is accepted.",
            Self::Trailer => "A trailer is not a field line.",
            Self::TrailerForbidden => "A trailer is a field that only a head may have.",
            Self::TrailersTooLong => "The trailers are longer than is accepted.",
            Self::CutShort => "The body ended before its announced end.",
        }
    }
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for BodyFault {}

/// What was found in a piece of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Where in the piece the data now lies, all of it in order.
    pub data: Range<usize>,
    /// Bytes of the piece that belong to this message; what follows belongs to the next. All of
    /// them unless the body is done.
    pub consumed: usize,
    /// Whether the body has ended.
    pub done: bool,
}

/// What is still to come of one body.
#[derive(Clone, Copy, Debug)]
pub struct BodyDecoder {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many bytes are left; none is done.
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    /// It went wrong, and stays so.
    Broken(BodyFault),
}

impl BodyDecoder {
    /// A decoder for the body of a message with this framing.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::new()),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Decodes `bytes`, which follow those of the last call, in place.
    ///
    /// The data ends up contiguous; bytes that were neither data nor beyond the end of the
    /// message are overwritten at will. After a fault every call gives that fault again.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, BodyFault> {
        let (data, consumed) = match &mut self.state {
            State::Length(left) => {
                let len = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                *left -= len as u64;
                (0..len, len)
            }
            State::UntilClose => (0..bytes.len(), bytes.len()),
            State::Chunked(chunked) => match chunked.decode(bytes) {
                Ok(decoded) => decoded,
                Err(fault) => {
                    self.state = State::Broken(fault);
                    return Err(fault);
                }
            },
            State::Broken(fault) => return Err(*fault),
        };
        Ok(Decoded {
            data,
            consumed,
            done: self.is_done(),
        })
    }

    /// Whether the body has ended. One without bytes has from the start; one until close never
    /// does by itself.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Length(left) => *left == 0,
            State::Chunked(chunked) => chunked.is_done(),
            State::UntilClose | State::Broken(_) => false,
        }
    }

    /// What it means that the peer closes now: the end of a body until close, nothing to one
    /// that is done, and a fault to any other (RFC 9112 §8).
    pub fn close(&self) -> Result<(), BodyFault> {
        match &self.state {
            State::UntilClose => Ok(()),
            State::Broken(fault) => Err(*fault),
            State::Length(_) | State::Chunked(_) if self.is_done() => Ok(()),
            State::Length(_) | State::Chunked(_) => Err(BodyFault::CutShort),
        }
    }
}
