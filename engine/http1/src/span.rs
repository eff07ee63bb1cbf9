//! A place in a buffer, remembered without borrowing it.
//!
//! Decides how heads refer to their bytes. It does not know which buffer it came from: a span
//! means something only together with the slice that was parsed.

/// The bytes from `start` up to, not including, `end` of the slice a head was parsed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte; never below `start`.
    pub end: u32,
}

impl Span {
    /// The span of `start..end`; both lie within a head and so far below 4 GiB.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "HEAD_BYTES_MAX bounds every head far below 4 GiB"
    )]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && end <= crate::HEAD_BYTES_MAX);
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    /// The bytes themselves.
    ///
    /// `bytes` begins with what the head was parsed from; a shorter slice is a bug and panics.
    #[inline]
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }

    /// Number of bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are no bytes in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}
