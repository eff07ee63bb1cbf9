//! Base URLs of upstreams, and the link where a caller can buy more.
//!
//! A base URL is scheme, host, port and path prefix; whatever else a URL may
//! hold would be lost on the way or, worse, sent along. Whether the host may be
//! spoken to in the clear is decided where `insecure` is known.

use std::net::{IpAddr, Ipv6Addr};

use crate::fault::{Problem, UrlPart};
use crate::limits::HOST_BYTES_MAX;
use crate::snapshot::BaseUrl;
use crate::value::{parse_prefix, parse_socket_path};

/// A base URL as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrittenUrl {
    /// Whether what is sent stays on this machine.
    pub(crate) loopback: bool,
    /// The rest of it.
    pub(crate) base: BaseUrl,
}

/// `"http://127.0.0.1:9000/v1"`, `"https://api.example.com"`.
pub(crate) fn parse_url(text: &str) -> Result<WrittenUrl, Problem> {
    let wrong = |what| Err(Problem::UrlMalformed { what });
    if let Some(rest) = text.strip_prefix("unix:") {
        return parse_socket(rest);
    }
    let (tls, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        _ => return wrong(UrlPart::Scheme),
    };
    // Anywhere, as a password may hold a slash; no provider wants one in a path.
    if rest.contains('@') {
        return wrong(UrlPart::UserInfo);
    }
    if rest.contains('#') {
        return wrong(UrlPart::Fragment);
    }
    if rest.contains('?') {
        return wrong(UrlPart::Query);
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let standard = if tls { 443 } else { 80 };
    let Place {
        host,
        port,
        loopback,
    } = parse_place(authority, Some(standard))?;
    let path = match path {
        "" => "".into(),
        _ => parse_prefix(path).map_err(|_| Problem::UrlMalformed {
            what: UrlPart::Path,
        })?,
    };
    let authority = if port == standard {
        bracketed(&host)
    } else {
        format!("{}:{port}", bracketed(&host))
    };
    let base = BaseUrl {
        host,
        port,
        path,
        authority: authority.into(),
        tls,
        socket: None,
    };
    Ok(WrittenUrl { loopback, base })
}

/// Where a URL leads to.
pub(super) struct Place {
    pub(super) host: Box<str>,
    pub(super) port: u16,
    /// Whether it is this machine.
    pub(super) loopback: bool,
}

/// Host and port of an authority without user; `standard` is the port where none is written.
pub(super) fn parse_place(authority: &str, standard: Option<u16>) -> Result<Place, Problem> {
    let wrong = |what| move || Problem::UrlMalformed { what };
    let (host, port) = split_port(authority).ok_or_else(wrong(UrlPart::Host))?;
    let port = port.map_or(standard, parse_port);
    let port = port.ok_or_else(wrong(UrlPart::Port))?;
    let (host, loopback) = parse_host(host).ok_or_else(wrong(UrlPart::Host))?;
    Ok(Place {
        host: host.into(),
        port,
        loopback,
    })
}

/// A host as it stands in an authority: addresses of IPv6 in brackets.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// `"/run/app.sock"` or `"/run/app.sock:/prefix"`: a socket of this machine, and what goes before
/// the caller's path.
fn parse_socket(text: &str) -> Result<WrittenUrl, Problem> {
    let (socket, path) = text.split_once(':').unwrap_or((text, ""));
    parse_socket_path(socket)?;
    let what = UrlPart::Path;
    let path = match path {
        "" => "".into(),
        _ => parse_prefix(path).map_err(|_| Problem::UrlMalformed { what })?,
    };
    let base = BaseUrl {
        host: "localhost".into(),
        port: 0,
        path,
        authority: "localhost".into(),
        tls: false,
        socket: Some(socket.into()),
    };
    Ok(WrittenUrl {
        loopback: true,
        base,
    })
}

/// A host name or an address, as a certificate has it.
pub(crate) fn parse_server_name(text: &str) -> Result<Box<str>, Problem> {
    let wrong = Problem::UrlMalformed {
        what: UrlPart::Host,
    };
    match parse_host(Host::Plain(text)) {
        Some((name, _)) => Ok(name.into()),
        None => match text.parse::<Ipv6Addr>() {
            Ok(address) => Ok(address.to_string().into()),
            Err(_) => Err(wrong),
        },
    }
}

/// An `http` or `https` URL that can stand between the angle brackets of a `link` field.
pub(crate) fn parse_link(text: &str) -> Result<Box<str>, Problem> {
    let web = text.starts_with("https://") || text.starts_with("http://");
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte);
    if web && text.bytes().all(plain) {
        Ok(text.into())
    } else {
        let what = if web {
            UrlPart::Character
        } else {
            UrlPart::Scheme
        };
        Err(Problem::UrlMalformed { what })
    }
}

/// A host name, or an address of IPv4, in its one spelling.
pub(crate) fn parse_host_name(text: &str) -> Option<String> {
    parse_host(Host::Plain(text)).map(|(name, _)| name)
}

/// Host and port of an authority; brackets of an address are taken off, colons inside kept.
fn split_port(authority: &str) -> Option<(Host<'_>, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((Host::Bracketed(address), None)),
            _ => Some((Host::Bracketed(address), Some(rest.strip_prefix(':')?))),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((Host::Plain(host), Some(port))),
        None => Some((Host::Plain(authority), None)),
    }
}

/// A host as it was written.
enum Host<'t> {
    /// An address between brackets.
    Bracketed(&'t str),
    /// A name, or an address of IPv4.
    Plain(&'t str),
}

fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

/// The host in its one spelling, and whether it is this machine.
fn parse_host(host: Host<'_>) -> Option<(String, bool)> {
    let name = match host {
        Host::Bracketed(text) => {
            let address: Ipv6Addr = text.parse().ok()?;
            return Some((
                address.to_string(),
                IpAddr::from(address).to_canonical().is_loopback(),
            ));
        }
        Host::Plain(text) => text.to_ascii_lowercase(),
    };
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some((name, address.is_loopback()));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-')
    };
    // A last label of digits alone would be an address in one of its old
    // spellings (`127.1`), which resolvers read in different ways.
    let last = name.rsplit('.').next()?;
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    let valid = name.len() <= HOST_BYTES_MAX && name.split('.').all(is_label) && !numeric;
    valid.then(|| {
        let loopback = name == "localhost";
        (name, loopback)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, port: u16, path: &str, authority: &str) {
        let base = parse_url(text).unwrap().base;
        let found = (&*base.host, base.port, &*base.path, &*base.authority);
        assert_eq!(found, (host, port, path, authority), "{text}");
    }

    #[track_caller]
    fn check_wrong(text: &str, what: UrlPart) {
        assert_eq!(
            parse_url(text),
            Err(Problem::UrlMalformed { what }),
            "{text}"
        );
    }

    #[test]
    fn a_base_url_has_one_spelling() {
        check(
            "http://127.0.0.1:9000/v1",
            "127.0.0.1",
            9000,
            "/v1",
            "127.0.0.1:9000",
        );
        check(
            "http://127.0.0.1:9000/v1/",
            "127.0.0.1",
            9000,
            "/v1",
            "127.0.0.1:9000",
        );
        check(
            "https://API.example.com",
            "api.example.com",
            443,
            "",
            "api.example.com",
        );
        check(
            "HTTP://a_b.internal:80/",
            "a_b.internal",
            80,
            "",
            "a_b.internal",
        );
        check("http://[::1]:9000/x", "::1", 9000, "/x", "[::1]:9000");
        check("http://[0:0::1]", "::1", 80, "", "[::1]");
        check("https://h:80", "h", 80, "", "h:80");
    }

    #[test]
    fn every_other_part_of_a_url_is_refused_by_name() {
        check_wrong("api.example.com", UrlPart::Scheme);
        check_wrong("ftp://h", UrlPart::Scheme);
        check_wrong("http://user:pass@h", UrlPart::UserInfo);
        check_wrong("http://h/?a=b", UrlPart::Query);
        check_wrong("http://h/#a", UrlPart::Fragment);
        check_wrong("http://h:0", UrlPart::Port);
        check_wrong("http://h:65536", UrlPart::Port);
        check_wrong("http://h:", UrlPart::Port);
        check_wrong("http://h:+80", UrlPart::Port);
        check_wrong("http://h//a", UrlPart::Path);
        check_wrong("http://h/a/../b", UrlPart::Path);
        for text in [
            "http://",
            "http://-a",
            "http://a..b",
            "http://127.1",
            "http://[::1",
            "http://ü",
        ] {
            check_wrong(text, UrlPart::Host);
        }
        check_wrong("http://[127.0.0.1]", UrlPart::Host);
        check_wrong("http://::1", UrlPart::Port);
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for text in [
            "http://127.9.9.9",
            "http://[::1]",
            "http://localhost",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(parse_url(text).unwrap().loopback, "{text}");
        }
        for text in [
            "http://10.0.0.1",
            "http://0.0.0.0",
            "http://localhost.example.com",
        ] {
            assert!(!parse_url(text).unwrap().loopback, "{text}");
        }
    }

    #[test]
    fn a_link_cannot_leave_its_brackets() {
        assert!(parse_link("https://pay.example.com/top-up?tenant=a#now").is_ok());
        for text in [
            "javascript:alert(1)",
            "https://a>; rel=x",
            "https://a\r\nx: y",
            "https://a b",
        ] {
            assert!(parse_link(text).is_err(), "{text}");
        }
    }
}
