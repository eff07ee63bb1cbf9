//! HTTP/1.1 as far as a ruler needs it: heads in, bodies in, nothing lenient.
//!
//! Decides what is well formed and where a message ends (RFC 9112); no I/O and no clock. What a
//! message means is decided by [`crate::mock`] and [`crate::load`].

mod body;
mod head;

pub(crate) use body::Body;
pub(crate) use head::{FIELDS_MAX, Framing, RequestHead, ResponseHead, reason};

/// A message that breaks the rules; the text says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);
