//! How far a head that arrives in pieces has been looked at.
//!
//! A head that came whole is tokenised at once and never seen here. One that did not is only
//! searched for its end, each byte once, so that a peer that sends it byte by byte cannot make
//! us read it again and again. It does not know what the lines mean.

use crate::{FieldFault, HeadLimits};

/// What came of looking at the bytes received so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// Nothing wrong yet, and not all there: receive more and look again.
    Partial,
    /// The head is complete.
    Done,
}

/// The lines of an unfinished head.
///
/// Invariant: `line <= seen`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes already searched.
    seen: usize,
    /// Where the line that has not ended begins.
    line: usize,
    /// Lines that have ended.
    lines: usize,
}

impl Progress {
    /// Nothing was looked at.
    pub(crate) const START: Self = Self {
        seen: 0,
        line: 0,
        lines: 0,
    };

    /// Whether this is the first look at a message.
    pub(crate) fn is_fresh(self) -> bool {
        self == Self::START
    }

    /// Whether not even the first line has ended.
    pub(crate) fn in_first_line(self) -> bool {
        self.lines == 0
    }

    /// Bytes already searched.
    pub(crate) fn seen(self) -> usize {
        self.seen
    }

    /// Searches what is new in `bytes`, whose message begins at `start`, for the empty line.
    ///
    /// Counts the lines on the way, so that a head with too many is refused before it ends.
    pub(crate) fn look(
        &mut self,
        bytes: &[u8],
        start: usize,
        limits: &HeadLimits,
    ) -> Result<Parsed, FieldFault> {
        self.line = self.line.max(start);
        self.seen = self.seen.max(start);
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.seen..]) {
            let end = self.seen + found;
            if end == self.line || bytes[end - 1] != b'\r' {
                return Err(FieldFault::LineEnd);
            }
            if end - 1 == self.line {
                return Ok(Parsed::Done);
            }
            self.lines += 1;
            // The first line is not a field.
            if self.lines > limits.head_fields_max() + 1 {
                return Err(FieldFault::TooMany);
            }
            (self.line, self.seen) = (end + 1, end + 1);
        }
        self.seen = bytes.len();
        Ok(Parsed::Partial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits {
        head_bytes: 4096,
        head_fields: 2,
        target_bytes: 99,
    };

    #[test]
    fn no_byte_is_searched_twice() {
        let bytes = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
        let mut progress = Progress::START;
        for len in 1..bytes.len() {
            assert_eq!(
                progress.look(&bytes[..len], 0, &LIMITS),
                Ok(Parsed::Partial)
            );
            assert_eq!(progress.seen(), len);
        }
        assert_eq!(progress.look(bytes, 0, &LIMITS), Ok(Parsed::Done));
    }

    #[test]
    fn a_line_end_is_recognised_across_a_split() {
        let mut progress = Progress::START;
        assert_eq!(progress.look(b"a\r", 0, &LIMITS), Ok(Parsed::Partial));
        assert!(progress.in_first_line());
        assert_eq!(progress.look(b"a\r\n\r", 0, &LIMITS), Ok(Parsed::Partial));
        assert!(!progress.in_first_line());
        assert_eq!(progress.look(b"a\r\n\r\n", 0, &LIMITS), Ok(Parsed::Done));
    }

    #[test]
    fn lines_are_counted_against_the_limit() {
        let look = |text: &[u8]| {
            let mut fresh = Progress::START;
            fresh.look(text, 0, &LIMITS)
        };
        assert_eq!(look(b"x\r\na\r\nb\r\nc"), Ok(Parsed::Partial));
        assert_eq!(look(b"x\r\na\r\nb\r\nc\r\n"), Err(FieldFault::TooMany));
        assert_eq!(look(b"\n"), Err(FieldFault::LineEnd));
        assert_eq!(look(b"x\n"), Err(FieldFault::LineEnd));
    }
}
