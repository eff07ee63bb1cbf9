//! The chunked coding, taken off in place.
//!
//! Decides RFC 9112 §7.1 strictly: a size is hexadecimal digits and nothing else, and CRLF and
//! nothing else ends a size line, a chunk and the body. Extensions and trailers are checked,
//! bounded and dropped. A trailer that would say who pays or where the message ends, after both
//! were decided by the head, is a fault: whoever sends one means to be read in two ways.

use std::ops::Range;

use crate::BodyFault;
use crate::extension::Extension;
use crate::known::{Known, NAME_BYTES_MAX};
use crate::syntax::{is_token_byte, is_value_byte};

/// Bytes of extensions taken over one whole body. Nobody is known to send any; with none of
/// this a sender could pass a hundred bytes of nothing for each byte of data.
pub const EXTENSION_BYTES_MAX: u16 = 16 * 1024;

/// Bytes of trailers taken after the last chunk; a head of that size would be a large one.
pub const TRAILER_BYTES_MAX: u16 = 8 * 1024;

/// Hexadecimal digits of a size that count; sixteen are a `u64`.
const SIZE_DIGITS_MAX: u32 = 16;

/// Zeros before them; some senders pad their sizes to a fixed width.
const SIZE_ZEROS_MAX: u8 = 16;

/// Where in a chunked body we are.
///
/// ```text
///   Size ─┬─ SizeLf ─── Data ── DataCr ── DataLf ── Size
///         └─ Extension ┘  └(size 0)─ Trailer … TrailerLf ── Trailer
///                                     └─ EndLf ── Done
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The digits of a size.
    Size,
    /// Between the size and the end of its line.
    Extension(Extension),
    /// The LF of a size line.
    SizeLf,
    /// The data of a chunk.
    Data,
    /// The CR after the data.
    DataCr,
    /// The LF after the data.
    DataLf,
    /// The first byte of a trailer, or of the empty line that ends the body.
    Trailer,
    /// Within a trailer's name.
    TrailerName,
    /// Within a trailer's value.
    TrailerValue,
    /// The LF of a trailer.
    TrailerLf,
    /// The LF that ends the body.
    EndLf,
    /// Nothing more belongs to this body.
    Done,
}

/// The state between two pieces of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunked {
    step: Step,
    /// Bytes of the chunk: as far as its size was read, then what is left of it.
    left: u64,
    /// Whether the size has a digit yet.
    has_digit: bool,
    /// Zeros at the beginning of the size.
    zeros: u8,
    extension_bytes: u16,
    trailer_bytes: u16,
    name: TrailerName,
}

/// As much of a trailer's name as a name that means something has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TrailerName {
    bytes: [u8; NAME_BYTES_MAX],
    /// Bytes of the name, of which only the first are kept.
    len: u16,
}

impl TrailerName {
    const NONE: Self = Self {
        bytes: [0; NAME_BYTES_MAX],
        len: 0,
    };

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(usize::from(self.len)) {
            *place = byte;
        }
        self.len += 1;
    }

    /// Which field it is; a longer name than any that is known is another.
    fn known(&self) -> Known {
        let name = self.bytes.get(..usize::from(self.len));
        name.map_or(Known::Other, Known::of)
    }
}

impl Chunked {
    /// Before the first size.
    pub(crate) const fn new() -> Self {
        Self {
            step: Step::Size,
            left: 0,
            has_digit: false,
            zeros: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            name: TrailerName::NONE,
        }
    }

    /// Whether the body has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.step == Step::Done
    }

    /// Takes the coding off `bytes`: where the data now lies, and how many bytes were used.
    ///
    /// The data of the first chunk stays where it is and that of the others moves up to it, so
    /// the common piece, which holds one chunk, is not copied at all.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> Result<(Range<usize>, usize), BodyFault> {
        let mut data = 0..0;
        let mut at = 0;
        while at < bytes.len() && self.step != Step::Done {
            if self.step != Step::Data {
                self.step = self.next(bytes[at])?;
                at += 1;
                continue;
            }
            let len = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(bytes.len() - at);
            if data.is_empty() {
                data = at..at;
            } else {
                bytes.copy_within(at..at + len, data.end);
            }
            data.end += len;
            at += len;
            self.left -= len as u64;
            if self.left == 0 {
                self.step = Step::DataCr;
            }
        }
        Ok((data, at))
    }

    /// The step after `byte`, which is not data.
    fn next(&mut self, byte: u8) -> Result<Step, BodyFault> {
        match (self.step, byte) {
            (Step::Size, b'\r' | b';') if !self.has_digit => Err(BodyFault::ChunkSize),
            (Step::Size, b'\r') => Ok(Step::SizeLf),
            (Step::Size, b';') => self.extension(Extension::AwaitingName),
            (Step::Size, _) => self.digit(byte),
            (Step::Extension(state), _) => {
                self.extension(state.next(byte).ok_or(BodyFault::ChunkExtension)?)
            }
            (Step::SizeLf, b'\n') => Ok(self.size_done()),
            (Step::SizeLf, _) => Err(BodyFault::ChunkLineEnd),
            (Step::DataCr, b'\r') => Ok(Step::DataLf),
            (Step::DataLf, b'\n') => Ok(Step::Size),
            (Step::DataCr | Step::DataLf, _) => Err(BodyFault::ChunkDataEnd),
            (Step::EndLf, b'\n') => Ok(Step::Done),
            (Step::EndLf, _) => Err(BodyFault::Trailer),
            (step, _) => self.trailer(step, byte),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<Step, BodyFault> {
        let digit = char::from(byte).to_digit(16).ok_or(BodyFault::ChunkSize)?;
        self.has_digit = true;
        if self.left == 0 && digit == 0 {
            self.zeros += 1;
            if self.zeros > SIZE_ZEROS_MAX {
                return Err(BodyFault::ChunkSizeTooLong);
            }
        }
        if self.left >> (4 * (SIZE_DIGITS_MAX - 1)) != 0 {
            return Err(BodyFault::ChunkSizeTooLong);
        }
        self.left = self.left << 4 | u64::from(digit);
        Ok(Step::Size)
    }

    fn extension(&mut self, state: Extension) -> Result<Step, BodyFault> {
        if state == Extension::Ended {
            return Ok(Step::SizeLf);
        }
        if self.extension_bytes == EXTENSION_BYTES_MAX {
            return Err(BodyFault::ChunkExtensionsTooLong);
        }
        self.extension_bytes += 1;
        Ok(Step::Extension(state))
    }

    fn size_done(&mut self) -> Step {
        (self.has_digit, self.zeros) = (false, 0);
        if self.left == 0 {
            Step::Trailer
        } else {
            Step::Data
        }
    }

    fn trailer(&mut self, step: Step, byte: u8) -> Result<Step, BodyFault> {
        if (step, byte) == (Step::Trailer, b'\r') {
            return Ok(Step::EndLf);
        }
        if self.trailer_bytes == TRAILER_BYTES_MAX {
            return Err(BodyFault::TrailersTooLong);
        }
        self.trailer_bytes += 1;
        match step {
            Step::Trailer | Step::TrailerName if is_token_byte(byte) => {
                if step == Step::Trailer {
                    self.name = TrailerName::NONE;
                }
                self.name.push(byte);
                Ok(Step::TrailerName)
            }
            Step::TrailerName if byte == b':' => {
                if self.name.known().is_never_trailing() {
                    return Err(BodyFault::TrailerForbidden);
                }
                Ok(Step::TrailerValue)
            }
            Step::TrailerValue if is_value_byte(byte) => Ok(Step::TrailerValue),
            Step::TrailerValue if byte == b'\r' => Ok(Step::TrailerLf),
            Step::TrailerLf if byte == b'\n' => Ok(Step::Trailer),
            _ => Err(BodyFault::Trailer),
        }
    }
}
