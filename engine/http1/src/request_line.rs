//! The first line of a request, as far as it has arrived.
//!
//! Used where the tokeniser gave up, to say which rule was broken, and while the line is
//! incomplete, so that another protocol on this port or a target without end is refused at
//! once and not at a deadline. A line that came whole and well never passes here.

use crate::syntax::{is_target, is_token_byte};
use crate::{FieldFault, HeadFault, HeadLimits, METHOD_BYTES_MAX, Method};

const VERSION_BYTES: usize = "HTTP/1.1".len();

/// Checks the part of a request line at the beginning of `line` (RFC 9112 §3).
///
/// The first `seen` bytes passed an earlier check; what follows the line is not looked at.
pub(crate) fn check(line: &[u8], seen: usize, limits: &HeadLimits) -> Result<(), HeadFault> {
    let Some(method_len) = method_len(line)? else {
        return Ok(());
    };
    let rest = &line[method_len + 1..];
    let target_end = memchr::memchr3(b' ', b'\r', b'\n', rest);
    let target_len = target_end.unwrap_or(rest.len());
    if target_len > limits.target_bytes {
        return Err(HeadFault::TargetTooLong);
    }
    let checked = seen.saturating_sub(method_len + 1).min(target_len);
    if !is_target(&rest[checked..target_len]) {
        return Err(HeadFault::TargetByte);
    }
    let Some(target_end) = target_end else {
        return Ok(());
    };
    // A line end here is HTTP/0.9, an empty target a doubled space.
    if target_len == 0 || rest[target_end] != b' ' {
        return Err(HeadFault::RequestLine);
    }
    check_version(&rest[target_end + 1..])
}

/// Bytes of the method, if its space has arrived.
fn method_len(line: &[u8]) -> Result<Option<usize>, HeadFault> {
    let longest = &line[..line.len().min(METHOD_BYTES_MAX + 1)];
    match longest.iter().position(|&byte| !is_token_byte(byte)) {
        None if longest.len() > METHOD_BYTES_MAX => Err(HeadFault::MethodTooLong),
        None => Ok(None),
        Some(len) if len > 0 && line[len] == b' ' => {
            Method::admit(&line[..len])?;
            Ok(Some(len))
        }
        Some(_) => Err(HeadFault::RequestLine),
    }
}

/// Checks as much of `HTTP/1.1` and its line end as is there (RFC 9112 §2.3).
fn check_version(text: &[u8]) -> Result<(), HeadFault> {
    let version = &text[..text.len().min(VERSION_BYTES)];
    let well_formed = version
        .iter()
        .zip(b"HTTP/0.0")
        .all(|(byte, pattern)| match pattern {
            b'0' => byte.is_ascii_digit(),
            _ => byte == pattern,
        });
    if !well_formed {
        return Err(HeadFault::RequestLine);
    }
    match &text[version.len()..] {
        [] | [b'\r'] | [b'\r', b'\n', ..] => {}
        [b'\r' | b'\n', ..] => return Err(FieldFault::LineEnd.into()),
        _ => return Err(HeadFault::RequestLine),
    }
    if version.len() == VERSION_BYTES && version != b"HTTP/1.1" && version != b"HTTP/1.0" {
        return Err(HeadFault::Version);
    }
    Ok(())
}
