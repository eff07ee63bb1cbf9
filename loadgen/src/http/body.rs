//! Where a body's bytes are, and where it ends: RFC 9112 §6 and §7.
//!
//! [`Body::next`] is fed what has arrived, however it was cut, and names the next run of content in
//! it. It copies nothing and holds nothing but its place.

use std::ops::Range;

use super::{Framing, Malformed};

/// Bytes of one chunk's size and extensions at most; extensions mean nothing to us.
const SIZE_LINE_MAX: u16 = 1024;

/// Bytes of trailers at most; they mean nothing to us either.
const TRAILERS_MAX: u16 = 16 * 1024;

/// A step through a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Bytes of the input that are done with; 0 when more input is needed.
    pub(crate) consumed: usize,
    /// Content within them, perhaps none.
    pub(crate) content: Range<usize>,
}

/// The place within a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// This many more bytes; 0 is the end.
    Length(u64),
    /// Among chunks.
    Chunked(Chunks),
    /// All there is until the connection ends.
    UntilClose,
}

/// The place among chunks.
///
/// ```text
///  Size ──► Data ──► DataEnd ──► Size …
///   └─ 0 ─► Trailers ──► Done
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// In the line with a chunk's size.
    Size {
        value: u64,
        digits: u8,
        in_extension: bool,
        line_bytes: u16,
    },
    /// In a chunk's content.
    Data { left: u64 },
    /// At the line end after a chunk's content.
    DataEnd { cr_seen: bool },
    /// In the lines after the last chunk; an empty one ends them.
    Trailers { line_is_empty: bool, bytes: u16 },
    /// Past the end.
    Done,
}

/// The beginning of a size line.
const SIZE: Chunks = Chunks::Size {
    value: 0,
    digits: 0,
    in_extension: false,
    line_bytes: 0,
};

impl Body {
    /// The start of a body.
    pub(crate) const fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(bytes) => Self::Length(bytes),
            Framing::Chunked => Self::Chunked(SIZE),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Whether the body has ended; one until close never says so.
    pub(crate) const fn is_done(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks::Done))
    }

    /// Whether the end of the connection is a proper end of the body.
    pub(crate) const fn may_end_with_connection(self) -> bool {
        matches!(self, Self::UntilClose)
    }

    /// Steps to the end of the next run of content in `input`, or as far as it reaches.
    ///
    /// # Errors
    /// The chunks are malformed.
    pub(crate) fn next(&mut self, input: &[u8]) -> Result<Piece, Malformed> {
        match self {
            Self::Length(left) => Ok(run(0, left, input)),
            Self::UntilClose => Ok(Piece {
                consumed: input.len(),
                content: 0..input.len(),
            }),
            Self::Chunked(place) => place.next(input),
        }
    }
}

/// The run of at most `left` bytes of content at `from`.
fn run(from: usize, left: &mut u64, input: &[u8]) -> Piece {
    let there = input.len() - from;
    let taken = usize::try_from(*left).map_or(there, |left| left.min(there));
    *left -= taken as u64;
    Piece {
        consumed: from + taken,
        content: from..from + taken,
    }
}

impl Chunks {
    fn next(&mut self, input: &[u8]) -> Result<Piece, Malformed> {
        let mut at = 0;
        while at < input.len() {
            if let Self::Data { left } = self {
                let piece = run(at, left, input);
                if *left == 0 {
                    *self = Self::DataEnd { cr_seen: false };
                }
                return Ok(piece);
            }
            if *self == Self::Done {
                break;
            }
            *self = self.after(input[at])?;
            at += 1;
        }
        Ok(Piece {
            consumed: at,
            content: at..at,
        })
    }

    /// The place after one byte of framing.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        match self {
            Self::Size {
                value,
                digits,
                in_extension,
                line_bytes,
            } => {
                let line_bytes = line_bytes + 1;
                if line_bytes > SIZE_LINE_MAX {
                    return Err(Malformed("a chunk's size line is too long"));
                }
                match (byte, char::from(byte).to_digit(16)) {
                    (b'\n', _) if digits == 0 => Err(Malformed("a chunk has no size")),
                    (b'\n', _) if value == 0 => Ok(Self::Trailers {
                        line_is_empty: true,
                        bytes: 0,
                    }),
                    (b'\n', _) => Ok(Self::Data { left: value }),
                    (_, Some(digit)) if !in_extension && digits < 16 => Ok(Self::Size {
                        value: value << 4 | u64::from(digit),
                        digits: digits + 1,
                        in_extension,
                        line_bytes,
                    }),
                    (b'\r' | b';' | b' ' | b'\t', _) if digits > 0 => Ok(Self::Size {
                        value,
                        digits,
                        in_extension: true,
                        line_bytes,
                    }),
                    _ if in_extension => Ok(Self::Size {
                        value,
                        digits,
                        in_extension,
                        line_bytes,
                    }),
                    _ => Err(Malformed("a chunk's size is not a number")),
                }
            }
            Self::DataEnd { cr_seen } => match (byte, cr_seen) {
                (b'\r', false) => Ok(Self::DataEnd { cr_seen: true }),
                (b'\n', true) => Ok(SIZE),
                _ => Err(Malformed("a chunk is longer than its size")),
            },
            Self::Trailers {
                line_is_empty,
                bytes,
            } => match byte {
                _ if bytes >= TRAILERS_MAX => Err(Malformed("the trailers are too long")),
                b'\n' if line_is_empty => Ok(Self::Done),
                b'\n' => Ok(Self::Trailers {
                    line_is_empty: true,
                    bytes: bytes + 1,
                }),
                b'\r' => Ok(Self::Trailers {
                    line_is_empty,
                    bytes: bytes + 1,
                }),
                _ => Ok(Self::Trailers {
                    line_is_empty: false,
                    bytes: bytes + 1,
                }),
            },
            Self::Data { .. } | Self::Done => unreachable!("stepped over by next"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use super::*;

    /// The content of `wire`, fed in pieces of `step` bytes, and what was left over.
    fn content(framing: Framing, wire: &[u8], step: usize) -> Result<(Vec<u8>, usize), Malformed> {
        let mut body = Body::new(framing);
        let (mut content, mut at, mut end) = (Vec::new(), 0, 0);
        while !body.is_done() && (at < end || end < wire.len()) {
            end = (end + step).min(wire.len());
            loop {
                let piece = body.next(&wire[at..end])?;
                content.extend_from_slice(&wire[at..end][piece.content]);
                at += piece.consumed;
                if piece.consumed == 0 {
                    break;
                }
            }
        }
        Ok((content, wire.len() - at))
    }

    #[test]
    fn chunks_give_the_same_content_however_they_are_cut() {
        let wire =
            b"5;name=\"a b\"\r\nhello\r\n1\r\n \r\n0A\r\nthis world\r\n0\r\nx: y\r\n\r\nNEXT";
        for step in 1..=wire.len() {
            let (content, left) = content(Framing::Chunked, wire, step).unwrap();
            assert_eq!(content, b"hello this world", "step {step}");
            assert!(left >= 4, "step {step} ate the next message");
        }
    }

    #[test]
    fn a_length_takes_its_bytes_and_no_more() {
        for step in 1..=6 {
            let (content, _) = content(Framing::Length(3), b"abcdef", step).unwrap();
            assert_eq!(content, b"abc", "step {step}");
        }
    }

    #[test]
    fn malformed_chunks_are_refused_at_every_cut() {
        for wire in [
            &b"\r\n"[..],
            b"g\r\n",
            b"-1\r\n",
            b"11111111111111111\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\n",
            b"5 hello\r\nab",
        ] {
            for step in 1..=wire.len() {
                let outcome = content(Framing::Chunked, wire, step);
                // "5 hello" is an extension, not a size: legal, and unfinished.
                let legal = wire.starts_with(b"5 ");
                assert_eq!(outcome.is_err(), !legal, "{wire:?} by {step}");
            }
        }
    }

    #[test]
    fn endless_size_lines_and_trailers_are_refused() {
        let mut line = b"1;".to_vec();
        line.resize(2_000, b'x');
        assert!(content(Framing::Chunked, &line, 100).is_err());
        let mut trailers = b"0\r\n".to_vec();
        trailers.resize(20_000, b'x');
        assert!(content(Framing::Chunked, &trailers, 100).is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_content_in_any_chunks_comes_out_as_it_went_in(
            chunks in proptest::collection::vec(
                proptest::collection::vec(proptest::num::u8::ANY, 1..40),
                0..8,
            ),
            step in 1_usize..64,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:X}\r\n", chunk.len()).bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");
            let (content, left) = content(Framing::Chunked, &wire, step).unwrap();
            proptest::prop_assert_eq!(content, chunks.concat());
            proptest::prop_assert_eq!(left, 0);
        }
    }
}
