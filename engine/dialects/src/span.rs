//! Decides how a place in a body is written down: two offsets, half open.
//!
//! It borrows nothing, so that what was learnt of a body can be kept beside the buffer that holds
//! it. Whether the buffer still holds the same bytes is for the caller to see to.

use std::ops::Range;

/// Bytes `start..end` of a body. Four bytes an offset: bodies that are inspected are far below
/// 4 GiB, and an `Ask` holds several of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte; never below `start`.
    pub end: u32,
}

impl Span {
    /// How many bytes it covers.
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it covers none.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The same place as indices.
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The bytes of `body` at this place, or none where the body is shorter than that.
    pub fn of(self, body: &[u8]) -> Option<&[u8]> {
        body.get(self.range())
    }
}
