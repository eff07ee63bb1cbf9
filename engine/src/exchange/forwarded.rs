//! For whom: where a request came from, and what its service is told of that.
//!
//! Anyone can write `X-Forwarded-For`, so what came is believed of the proxies an operator
//! trusts and of nobody else: the client is the first address from the right that is not
//! one of theirs. Services learn it by default, since they would know it without a gateway
//! before them. Providers of models never do: whose question it was is no business of
//! theirs, so nothing of this family goes to one, whoever wrote it.

use std::io::Write as _;
use std::net::IpAddr;

use tollring_config::{Forwarded, ForwardedMode, ForwardedStyle};
use tollring_http1::{Known, append_decimal};

use super::Facts;
use crate::connection::Intake;

/// Whether a field is one by which proxies tell for whom they ask. None goes on as it came.
pub(super) const fn is_ours(known: Known) -> bool {
    matches!(
        known,
        Known::XForwardedFor | Known::XForwardedProto | Known::XForwardedHost | Known::Forwarded
    )
}

/// The address of the client, as far as those between us and it are believed.
pub(super) fn client(intake: &Intake, peer: IpAddr, forwarded: &Forwarded) -> IpAddr {
    let mut client = peer.to_canonical();
    if !trusts(forwarded, client) {
        return client;
    }
    let told = match forwarded.style {
        ForwardedStyle::Rfc7239 => Known::Forwarded,
        // One family is believed, or a caller could choose by which of them to lie.
        ForwardedStyle::XForwarded | ForwardedStyle::Both => Known::XForwardedFor,
    };
    let bytes = &intake.inbox[..];
    let fields = intake.head.fields.iter();
    let values = fields.filter(|field| field.known == told);
    // Only where a trusted proxy stands before us; its list is read from the right.
    let entries: Vec<&[u8]> = values
        .flat_map(|field| Elements(field.value.of(bytes)))
        .collect();
    for entry in entries.into_iter().rev() {
        if !trusts(forwarded, client) {
            break;
        }
        let entry = match told {
            Known::Forwarded => for_of(entry),
            _ => Some(entry),
        };
        // What cannot be read is as far as anyone's word goes.
        let Some(address) = entry.and_then(address) else {
            break;
        };
        client = address;
    }
    client
}

fn trusts(forwarded: &Forwarded, address: IpAddr) -> bool {
    let trusted = &forwarded.trusted;
    trusted.iter().any(|network| network.contains(address))
}

/// Writes for whom this request is, in the fields that were chosen.
pub(super) fn append(out: &mut Vec<u8>, intake: &Intake, facts: &Facts, forwarded: &Forwarded) {
    let said = match forwarded.mode {
        ForwardedMode::Off => return,
        ForwardedMode::Append => Said {
            kept: trusts(forwarded, facts.peer),
            whom: facts.peer.to_canonical(),
            scheme: facts.scheme.as_bytes(),
            intake,
        },
        ForwardedMode::Replace => Said {
            kept: false,
            whom: client(intake, facts.peer, forwarded),
            scheme: facts.scheme.as_bytes(),
            intake,
        },
    };
    if forwarded.style != ForwardedStyle::Rfc7239 {
        said.append_x_forwarded(out);
    }
    if forwarded.style != ForwardedStyle::XForwarded {
        said.append_forwarded(out);
    }
}

/// What is to be said of one request.
struct Said<'a> {
    /// Whether what came goes on before it.
    kept: bool,
    whom: IpAddr,
    scheme: &'static [u8],
    intake: &'a Intake,
}

impl Said<'_> {
    fn append_x_forwarded(&self, out: &mut Vec<u8>) {
        let intake = self.intake;
        out.extend_from_slice(b"X-Forwarded-For: ");
        self.append_kept(out, Known::XForwardedFor);
        append_address(out, self.whom);
        out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
        out.extend_from_slice(
            self.first_kept(Known::XForwardedProto)
                .unwrap_or(self.scheme),
        );
        out.extend_from_slice(b"\r\n");
        let authority = intake.head.authority.of(&intake.inbox);
        let host = self.first_kept(Known::XForwardedHost).unwrap_or(authority);
        if !host.is_empty() {
            out.extend_from_slice(b"X-Forwarded-Host: ");
            out.extend_from_slice(host);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// RFC 7239 §4. An authority holds no quote and no backslash, so it can be quoted as it is.
    fn append_forwarded(&self, out: &mut Vec<u8>) {
        let intake = self.intake;
        out.extend_from_slice(b"Forwarded: ");
        self.append_kept(out, Known::Forwarded);
        match self.whom {
            IpAddr::V4(_) => {
                out.extend_from_slice(b"for=");
                append_address(out, self.whom);
            }
            IpAddr::V6(_) => {
                out.extend_from_slice(b"for=\"[");
                append_address(out, self.whom);
                out.extend_from_slice(b"]\"");
            }
        }
        let authority = intake.head.authority.of(&intake.inbox);
        if !authority.is_empty() {
            out.extend_from_slice(b";host=\"");
            out.extend_from_slice(authority);
            out.push(b'"');
        }
        out.extend_from_slice(b";proto=");
        out.extend_from_slice(self.scheme);
        out.extend_from_slice(b"\r\n");
    }

    /// Writes what came in a field, each line of it with a comma behind.
    fn append_kept(&self, out: &mut Vec<u8>, known: Known) {
        let fields = self.intake.head.fields.iter();
        for field in fields.filter(|field| self.kept && field.known == known) {
            out.extend_from_slice(field.value.of(&self.intake.inbox));
            out.extend_from_slice(b", ");
        }
    }

    fn first_kept(&self, known: Known) -> Option<&[u8]> {
        let intake = self.intake;
        let found = intake.head.fields.find(known).filter(|_| self.kept)?;
        Some(found.value.of(&intake.inbox))
    }
}

/// Writes an address. Those of IPv4 without the formatter, which costs as much as the rest of
/// these fields together.
fn append_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            append_decimal(out, u64::from(first));
            for octet in rest {
                out.push(b'.');
                append_decimal(out, u64::from(octet));
            }
        }
        IpAddr::V6(address) => {
            write!(out, "{address}").expect("a Vec takes everything");
        }
    }
}

/// The elements of a list, split at commas that stand in no quotes.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let mut quoted = false;
        let end = self.0.iter().position(|byte| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        });
        let end = end.unwrap_or(self.0.len());
        let element = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        Some(element.trim_ascii())
    }
}

/// The `for` of an element of `Forwarded` (RFC 7239 §5.2), without quotes.
fn for_of(element: &[u8]) -> Option<&[u8]> {
    let pair = element.split(|byte| *byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })?;
    let quoted = pair
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    Some(quoted.unwrap_or(pair))
}

/// An address as proxies write it: plain, in brackets, with a port or without.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        // One colon sets off a port; more of them are an IPv6 address.
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    plain
        .parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;
    use tollring_config::Network;

    fn forwarded(style: ForwardedStyle) -> Forwarded {
        let trusted = Network::new("10.0.0.0".parse().unwrap(), 8).unwrap();
        Forwarded {
            mode: ForwardedMode::Append,
            style,
            trusted: vec![trusted],
        }
    }

    #[track_caller]
    fn check(style: ForwardedStyle, peer: &str, lines: &str, expected: &str) {
        let intake = Intake::holding(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
        let found = client(&intake, peer.parse().unwrap(), &forwarded(style));
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{lines:?}");
    }

    #[test]
    fn the_client_is_the_first_from_the_right_whom_nobody_trusts() {
        let check =
            |peer, lines, expected| check(ForwardedStyle::XForwarded, peer, lines, expected);
        check("192.0.2.1", "X-Forwarded-For: 1.1.1.1\r\n", "192.0.2.1");
        check("10.0.0.1", "", "10.0.0.1");
        check("10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1");
        check(
            "::ffff:10.0.0.1",
            "X-Forwarded-For: ::ffff:1.1.1.1\r\n",
            "1.1.1.1",
        );
        check(
            "10.0.0.1",
            "X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.2\r\n",
            "1.1.1.1",
        );
        check(
            "10.0.0.1",
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 1.1.1.1:4711\r\n",
            "1.1.1.1",
        );
        check(
            "10.0.0.1",
            "X-Forwarded-For: 10.0.0.3, 10.0.0.2\r\n",
            "10.0.0.3",
        );
        check(
            "10.0.0.1",
            "X-Forwarded-For: [2001:db8::1]:80\r\n",
            "2001:db8::1",
        );
        check(
            "10.0.0.1",
            "X-Forwarded-For: 2001:db8::1\r\n",
            "2001:db8::1",
        );
    }

    #[test]
    fn what_cannot_be_read_is_as_far_as_anyones_word_goes() {
        let check =
            |lines, expected| check(ForwardedStyle::XForwarded, "10.0.0.1", lines, expected);
        check("X-Forwarded-For: 1.1.1.1, unknown\r\n", "10.0.0.1");
        check("X-Forwarded-For: 1.1.1.1, , 10.0.0.2\r\n", "10.0.0.2");
        check("X-Forwarded-For: \r\n", "10.0.0.1");
        check("Forwarded: for=1.1.1.1\r\n", "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_with_its_quotes() {
        let check = |lines, expected| check(ForwardedStyle::Rfc7239, "10.0.0.1", lines, expected);
        check(
            "Forwarded: for=6.6.6.6, For=1.1.1.1;proto=http\r\n",
            "1.1.1.1",
        );
        check(
            "Forwarded: proto=http; for=\"[2001:db8::1]:4711\"\r\n",
            "2001:db8::1",
        );
        check("Forwarded: for=1.1.1.1;x=\"a, for=9.9.9.9\"\r\n", "1.1.1.1");
        check("Forwarded: for=1.1.1.1, for=_hidden\r\n", "10.0.0.1");
        check("X-Forwarded-For: 1.1.1.1\r\n", "10.0.0.1");
    }
}
