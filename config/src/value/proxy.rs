//! The URL of an HTTP proxy: host, port, and perhaps who we are there.
//!
//! What it holds may be a secret, so whoever reads it hides the whole value.

use crate::fault::{Problem, UrlPart};
use crate::limits::PROXY_CREDENTIALS_BYTES_MAX;
use crate::secret::Secret;
use crate::snapshot::UpstreamProxy;
use crate::value::url::{Place, bracketed, parse_place};

/// A proxy as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrittenProxy {
    /// Whether what is sent stays on this machine until it gets there.
    pub(crate) loopback: bool,
    /// The rest of it.
    pub(crate) proxy: UpstreamProxy,
}

/// `"http://proxy.internal:3128"`, `"http://user:password@10.0.0.1:3128"`. The port must be
/// written, since programs do not agree on what it is where it is not.
pub(crate) fn parse_proxy(text: &str) -> Result<WrittenProxy, Problem> {
    let wrong = |what| Err(Problem::UrlMalformed { what });
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        _ => return wrong(UrlPart::ProxyScheme),
    };
    // The last one, so that one in a password is found to be there.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, rest),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    for (letter, what) in [
        ('#', UrlPart::Fragment),
        ('?', UrlPart::Query),
        ('/', UrlPart::ProxyPath),
    ] {
        if authority.contains(letter) {
            return wrong(what);
        }
    }
    let credentials = user.map(parse_credentials).transpose()?;
    let Place {
        host,
        port,
        loopback,
    } = parse_place(authority, None)?;
    let authority = format!("{}:{port}", bracketed(&host)).into();
    Ok(WrittenProxy {
        loopback,
        proxy: UpstreamProxy {
            host,
            port,
            authority,
            credentials,
        },
    })
}

/// `user:password` with its escapes undone (RFC 3986 §3.2.1).
fn parse_credentials(text: &str) -> Result<Secret, Problem> {
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let (user, password) = (unescape(user)?, unescape(password)?);
    if user.is_empty() && password.is_empty() {
        return Err(Problem::SecretEmpty);
    }
    if user.contains(':') {
        let what = UrlPart::ProxyUser;
        return Err(Problem::UrlMalformed { what });
    }
    let credentials = format!("{user}:{password}");
    // RFC 7617 §2 has no control characters in either.
    if credentials.contains(char::is_control) {
        return Err(Problem::SecretMalformed);
    }
    if credentials.len() > PROXY_CREDENTIALS_BYTES_MAX {
        let max = PROXY_CREDENTIALS_BYTES_MAX;
        return Err(Problem::ValueTooLong { max });
    }
    Ok(Secret::new(credentials))
}

/// What the text of a user or password stands for.
fn unescape(text: &str) -> Result<String, Problem> {
    let wrong = || Problem::UrlMalformed {
        what: UrlPart::Character,
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => (from_hex(*high, *low), after),
            [plain, after @ ..] => (Some(*plain).filter(is_plain), after),
            [] => break,
        };
        bytes.push(byte.ok_or_else(wrong)?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

fn from_hex(high: u8, low: u8) -> Option<u8> {
    let digit = |letter: u8| char::from(letter).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// `unreserved`, `sub-delims` and the colon of RFC 3986.
fn is_plain(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(byte)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, authority: &str, credentials: Option<&str>) {
        let WrittenProxy { proxy, .. } = parse_proxy(text).unwrap();
        let shown = proxy.credentials.as_ref().map(Secret::expose);
        assert_eq!((&*proxy.authority, shown), (authority, credentials));
    }

    #[track_caller]
    fn check_wrong(text: &str, what: UrlPart) {
        let problem = Problem::UrlMalformed { what };
        assert_eq!(parse_proxy(text), Err(problem), "{text}");
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port_and_perhaps_a_user() {
        check("http://Proxy.internal:3128", "proxy.internal:3128", None);
        check("http://[::1]:3128/", "[::1]:3128", None);
        check("http://u:p@10.0.0.1:80", "10.0.0.1:80", Some("u:p"));
        check("http://u@h:80", "h:80", Some("u:"));
        check("http://u:a:b@h:80", "h:80", Some("u:a:b"));
        check("http://u%40x:%2F%C3%BC%25@h:80", "h:80", Some("u@x:/ü%"));
    }

    #[test]
    fn what_no_proxy_is_called_is_refused_by_name() {
        check_wrong("https://h:3128", UrlPart::ProxyScheme);
        check_wrong("h:3128", UrlPart::ProxyScheme);
        check_wrong("http://h", UrlPart::Port);
        check_wrong("http://h:0", UrlPart::Port);
        check_wrong("http://:80", UrlPart::Host);
        check_wrong("http://h:80/a", UrlPart::ProxyPath);
        check_wrong("http://h:80?a", UrlPart::Query);
        check_wrong("http://h:80#a", UrlPart::Fragment);
        check_wrong("http://u:p@x@h:80", UrlPart::Character);
        check_wrong("http://u:p/x@h:80", UrlPart::Character);
        check_wrong("http://u:%2@h:80", UrlPart::Character);
        check_wrong("http://u:%+1@h:80", UrlPart::Character);
        check_wrong("http://u:%ff@h:80", UrlPart::Character);
        check_wrong("http://a%3Ab:p@h:80", UrlPart::ProxyUser);
        for text in ["http://@h:80", "http://:@h:80"] {
            assert_eq!(parse_proxy(text), Err(Problem::SecretEmpty), "{text}");
        }
        let feed = "http://u:p%0A@h:80";
        assert_eq!(parse_proxy(feed), Err(Problem::SecretMalformed));
    }

    #[test]
    fn a_proxy_of_this_machine_is_known() {
        for (text, loopback) in [
            ("http://127.0.0.1:3128", true),
            ("http://localhost:3128", true),
            ("http://10.0.0.1:3128", false),
        ] {
            assert_eq!(parse_proxy(text).unwrap().loopback, loopback, "{text}");
        }
    }
}
