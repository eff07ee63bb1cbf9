//! Whether a browser was talked into asking.
//!
//! A page from elsewhere can make an operator's browser send a request to a
//! loopback port, and by rebinding its own name to 127.0.0.1 it can even read
//! the answer. The token already stops both, for no page knows it; this room
//! stops them again, before anything changes. It asks nothing of a client that
//! is no browser, but that it calls us by a name of ours.

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Uri};

use crate::refusal::Refusal;

/// Says where a browser's request comes from (Fetch Metadata, W3C).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets a request pass that was addressed to this machine by a name that cannot
/// be rebound, and that no page from elsewhere has made.
///
/// Where the port speaks TLS a name needs no such care: a page whose name was rebound to us
/// would have been shown a certificate of ours, which has not its name.
pub(crate) fn admit(target: &Uri, head: &HeaderMap, sealed: bool) -> Result<(), Refusal> {
    let host = addressee(target, head).ok_or(Refusal::HostForeign)?;
    if !sealed && !is_this_machine(&host) {
        return Err(Refusal::HostForeign);
    }
    let is_own_page = head.get_all(ORIGIN).iter().all(|origin| {
        origin
            .to_str()
            .is_ok_and(|text| is_page_of(text, &host, sealed))
    });
    let is_own_fetch = head
        .get_all(SEC_FETCH_SITE)
        .iter()
        .all(|site| site == "same-origin" || site == "none");
    if is_own_page && is_own_fetch {
        Ok(())
    } else {
        Err(Refusal::OriginForeign)
    }
}

/// Whom the request names: its absolute target, else its one `Host` (RFC 9112 §3.2.2).
fn addressee(target: &Uri, head: &HeaderMap) -> Option<Authority> {
    if let Some(authority) = target.authority() {
        return Some(authority.clone());
    }
    let mut hosts = head.get_all(HOST).iter();
    let (host, None) = (hosts.next()?, hosts.next()) else {
        return None;
    };
    Authority::try_from(host.as_bytes()).ok()
}

/// `localhost` and loopback literals. Any other name is one that somebody's DNS answers for.
fn is_this_machine(host: &Authority) -> bool {
    let name = host.host();
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let literal = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    literal
        .parse::<IpAddr>()
        .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether an `Origin` names a page of this very port.
fn is_page_of(origin: &str, host: &Authority, sealed: bool) -> bool {
    let scheme = if sealed { "https://" } else { "http://" };
    origin
        .strip_prefix(scheme)
        .is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_str()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    #[track_caller]
    fn check(fields: &[(HeaderName, &'static str)], expected: Result<(), Refusal>) {
        let mut head = HeaderMap::new();
        for (name, value) in fields {
            head.append(name, value.parse().unwrap());
        }
        assert_eq!(
            admit(&Uri::from_static("/api/v1/reload"), &head, false),
            expected,
            "{fields:?}"
        );
    }

    #[test]
    fn a_client_that_is_no_browser_passes_by_any_loopback_name() {
        for host in [
            "localhost",
            "LocalHost:8081",
            "127.0.0.1:8081",
            "127.9.9.9",
            "[::1]:8081",
        ] {
            check(&[(HOST, host)], Ok(()));
        }
    }

    #[test]
    fn a_name_that_can_be_rebound_is_not_ours() {
        for host in [
            "evil.example:8081",
            "localhost.evil.example",
            "10.0.0.1",
            "[::]",
            "0x7f.1",
        ] {
            check(&[(HOST, host)], Err(Refusal::HostForeign));
        }
        check(&[], Err(Refusal::HostForeign));
        check(
            &[(HOST, "localhost"), (HOST, "localhost")],
            Err(Refusal::HostForeign),
        );
    }

    #[test]
    fn an_absolute_target_names_the_host_and_the_field_does_not() {
        let head = HeaderMap::from_iter([(HOST, "localhost".parse().unwrap())]);
        let target = Uri::from_static("http://evil.example/api/v1/reload");
        assert_eq!(admit(&target, &head, false), Err(Refusal::HostForeign));
    }

    #[test]
    fn a_page_of_this_port_may_ask_and_any_other_may_not() {
        check(
            &[(HOST, "localhost:1"), (ORIGIN, "http://localhost:1")],
            Ok(()),
        );
        for origin in [
            "null",
            "http://localhost:2",
            "https://localhost:1",
            "http://evil.example",
        ] {
            check(
                &[(HOST, "localhost:1"), (ORIGIN, origin)],
                Err(Refusal::OriginForeign),
            );
        }
    }

    #[test]
    fn a_browser_that_says_the_page_is_from_elsewhere_is_believed() {
        for site in ["same-origin", "none"] {
            check(&[(HOST, "localhost"), (SEC_FETCH_SITE, site)], Ok(()));
        }
        for site in ["cross-site", "same-site", "anything"] {
            check(
                &[(HOST, "localhost"), (SEC_FETCH_SITE, site)],
                Err(Refusal::OriginForeign),
            );
        }
    }

    #[test]
    fn a_sealed_port_goes_by_its_certificates_names_and_by_https() {
        let asked = |origin: &'static str| {
            let mut head = HeaderMap::new();
            head.append(HOST, "admin.example".parse().unwrap());
            head.append(ORIGIN, origin.parse().unwrap());
            admit(&Uri::from_static("/api/v1/reload"), &head, true)
        };
        assert_eq!(asked("https://admin.example"), Ok(()));
        assert_eq!(asked("http://admin.example"), Err(Refusal::OriginForeign));
        assert_eq!(asked("https://evil.example"), Err(Refusal::OriginForeign));
    }
}
