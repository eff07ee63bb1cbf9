//! What a request is addressed to.
//!
//! Decides the form of a target (RFC 9112 §3.2) and cuts it into authority, path and query. It
//! decodes and normalises nothing: whoever routes and whoever authorises see the same bytes.

use crate::host::is_authority;
use crate::syntax::is_target;
use crate::{HeadFault, Method, Span};

/// A target cut into its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Of the absolute form; empty in the others.
    pub(crate) authority: Span,
    /// Begins with a slash, or is `*`.
    pub(crate) path: Span,
    /// Without its question mark.
    pub(crate) query: Option<Span>,
}

/// Cuts the target at `span` into its parts.
pub(crate) fn read(bytes: &[u8], span: Span, method: Method) -> Result<Target, HeadFault> {
    let text = span.of(bytes);
    if !is_target(text) {
        return Err(HeadFault::TargetByte);
    }
    let start = span.start as usize;
    match text {
        [b'/', ..] => Ok(from_path(bytes, Span::default(), start, span)),
        b"*" if method == Method::Options => Ok(Target {
            authority: Span::default(),
            path: span,
            query: None,
        }),
        _ => absolute(bytes, span),
    }
}

/// RFC 9112 §3.2.2: `http://authority/path?query`.
fn absolute(bytes: &[u8], span: Span) -> Result<Target, HeadFault> {
    let text = span.of(bytes);
    let scheme_len = [b"http://".as_slice(), b"https://"]
        .into_iter()
        .find(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|s| s.eq_ignore_ascii_case(scheme))
        })
        .map(<[u8]>::len)
        .ok_or(HeadFault::TargetForm)?;
    let rest = &text[scheme_len..];
    let authority_len = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let authority = &rest[..authority_len];
    if authority.contains(&b'@') {
        return Err(HeadFault::TargetUser);
    }
    if !is_authority(authority) {
        return Err(HeadFault::Host);
    }
    let start = span.start as usize + scheme_len;
    let path_start = start + authority_len;
    let mut target = from_path(bytes, Span::new(start, path_start), path_start, span);
    if target.path.is_empty() {
        // An empty path means `/` (RFC 9110 §4.2.3). The last byte of the scheme is one, so
        // that a path can be compared without an exception.
        target.path = Span::new(start - 1, start);
    }
    Ok(target)
}

/// A path from `start` to the end of `span`, and the query in it.
fn from_path(bytes: &[u8], authority: Span, start: usize, span: Span) -> Target {
    let end = span.end as usize;
    match memchr::memchr(b'?', &bytes[start..end]) {
        None => Target {
            authority,
            path: Span::new(start, end),
            query: None,
        },
        Some(len) => Target {
            authority,
            path: Span::new(start, start + len),
            query: Some(Span::new(start + len + 1, end)),
        },
    }
}
