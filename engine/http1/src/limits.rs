//! How much of a head is taken before it is refused.
//!
//! Decides the hard bounds; the operator's own limits come in [`HeadLimits`] and are cut to
//! them. It does not decide how long a head may take to arrive.

/// Bytes a head may have, whatever the operator says. Keeps every offset within a [`crate::Span`].
pub const HEAD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Fields a head may have, whatever the operator says. Their slots live on the stack while the
/// head is tokenised: 256 of 32 bytes are two pages.
pub const HEAD_FIELDS_MAX: usize = 256;

const _: () = assert!(
    HEAD_BYTES_MAX < u32::MAX as usize,
    "a span holds 32-bit offsets"
);

/// The operator's bounds on one head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head with its last empty line; beyond it 431. At most
    /// [`HEAD_BYTES_MAX`].
    pub head_bytes: usize,
    /// Number of fields; beyond it 431. At most [`HEAD_FIELDS_MAX`].
    pub head_fields: usize,
    /// Bytes of a request's target; beyond it 414. RFC 9112 §3 asks for 8,000 or more.
    pub target_bytes: usize,
}

impl HeadLimits {
    /// As much of `bytes` as a head may use; what follows it cannot belong to one.
    pub(crate) fn window<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[..bytes.len().min(self.head_bytes_max())]
    }

    /// Bytes a head may have under both bounds.
    pub(crate) fn head_bytes_max(&self) -> usize {
        self.head_bytes.min(HEAD_BYTES_MAX)
    }

    /// Fields a head may have under both bounds.
    pub(crate) fn head_fields_max(&self) -> usize {
        self.head_fields.min(HEAD_FIELDS_MAX)
    }
}
