//! What may stand in `Host` and in the authority of a target.
//!
//! Decides RFC 3986 §3.2.2 and §3.2.3 more narrowly than written: no user, no comma or quote,
//! an IPv6 literal must be one. It does not look a name up.

use std::net::Ipv6Addr;

use crate::syntax::is_host_byte;

/// Whether `text` is a host with an optional port. An empty one is not.
pub(crate) fn is_authority(text: &[u8]) -> bool {
    let Some((host, port)) = split_port(text) else {
        return false;
    };
    is_host(host) && is_port(port)
}

/// The host, and the digits after its colon if there is one.
fn split_port(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let host_len = if text.first() == Some(&b'[') {
        // The colons inside the brackets are the address's own.
        memchr::memchr(b']', text)? + 1
    } else {
        memchr::memchr(b':', text).unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(host_len);
    match rest {
        [] => Some((host, rest)),
        [b':', port @ ..] => Some((host, port)),
        _ => None,
    }
}

fn is_host(host: &[u8]) -> bool {
    match host {
        [] => false,
        [b'[', address @ .., b']'] => is_ipv6(address),
        name => name.iter().all(|&byte| is_host_byte(byte)) && is_percent_encoded(name),
    }
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Whether every `%` is followed by two hexadecimal digits (RFC 3986 §2.1).
fn is_percent_encoded(mut name: &[u8]) -> bool {
    while let Some(at) = memchr::memchr(b'%', name) {
        let [_, high, low, rest @ ..] = &name[at..] else {
            return false;
        };
        if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
            return false;
        }
        name = rest;
    }
    true
}

/// RFC 3986 §3.2.3 lets a port be empty; otherwise it must be one that exists.
fn is_port(digits: &[u8]) -> bool {
    let value = digits.iter().try_fold(0u32, |value, byte| {
        let next = value * 10 + u32::from(byte.wrapping_sub(b'0'));
        (byte.is_ascii_digit() && next <= u32::from(u16::MAX)).then_some(next)
    });
    value.is_some()
}
