//! Version 1 of the PROXY header: a line of text (`proxy-protocol.txt` §2.1).
//!
//! Decides its form, with one space between words and every number in its one plain form, as
//! the text demands. What follows `UNKNOWN` is skipped, as it demands too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{ProxyClient, ProxyFault, ProxyHeader};

/// Bytes of the longest line there can be, its CRLF included: `UNKNOWN` with two full IPv6
/// addresses and ports.
pub const PROXY_TEXT_BYTES_MAX: usize = 107;

/// How every line begins.
const BEGIN: &[u8] = b"PROXY ";

pub(super) fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyFault> {
    let window = &bytes[..bytes.len().min(PROXY_TEXT_BYTES_MAX)];
    let begun = window.len().min(BEGIN.len());
    if window[..begun] != BEGIN[..begun] {
        return Err(ProxyFault::Missing);
    }
    let Some(end) = memchr::memchr2(b'\r', b'\n', window) else {
        return match window.len() {
            PROXY_TEXT_BYTES_MAX => Err(ProxyFault::LineTooLong),
            _ => Ok(None),
        };
    };
    let len = match &window[end..] {
        [b'\r', b'\n', ..] => end + 2,
        [b'\r'] if window.len() < PROXY_TEXT_BYTES_MAX => return Ok(None),
        [b'\r'] => return Err(ProxyFault::LineTooLong),
        _ => return Err(ProxyFault::LineEnd),
    };
    // A line end within the first six bytes was no `PROXY `.
    let client = client(&window[BEGIN.len()..end])?;
    Ok(Some(ProxyHeader { client, len }))
}

fn client(words: &[u8]) -> Result<ProxyClient, ProxyFault> {
    let family_len = memchr::memchr(b' ', words).unwrap_or(words.len());
    let (family, rest) = words.split_at(family_len);
    match family {
        b"TCP4" => addresses::<Ipv4Addr>(rest),
        b"TCP6" => addresses::<Ipv6Addr>(rest),
        b"UNKNOWN" => Ok(ProxyClient::Unnamed),
        _ => Err(ProxyFault::Line),
    }
}

/// ` source destination port port`.
fn addresses<A: FromStr + Into<IpAddr>>(rest: &[u8]) -> Result<ProxyClient, ProxyFault> {
    let mut words = rest.split(|&byte| byte == b' ').skip(1);
    let mut word = || words.next().ok_or(ProxyFault::Line);
    let (source, destination) = (address::<A>(word()?)?, address::<A>(word()?)?);
    let (source_port, destination_port) = (port(word()?)?, port(word()?)?);
    match words.next() {
        Some(_) => Err(ProxyFault::Line),
        None => Ok(ProxyClient::At {
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
        }),
    }
}

/// The standard library takes one form of an IPv4 address, and the forms of RFC 4291 §2.2.
fn address<A: FromStr + Into<IpAddr>>(word: &[u8]) -> Result<IpAddr, ProxyFault> {
    let text = std::str::from_utf8(word).map_err(|_| ProxyFault::Address)?;
    let address = text.parse::<A>().map_err(|_| ProxyFault::Address)?;
    Ok(address.into())
}

/// Digits without a sign and without zeros before them.
fn port(word: &[u8]) -> Result<u16, ProxyFault> {
    let plain = match word {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let text = std::str::from_utf8(word).ok().filter(|_| plain);
    text.and_then(|text| text.parse().ok())
        .ok_or(ProxyFault::Port)
}
