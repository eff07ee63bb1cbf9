//! Hosts that services answer to or are told, and the origins of pages that may call them.
//!
//! In the spelling in which they are compared: lower case, without a port where none
//! belongs, and with no part that somebody else could read differently.

use crate::fault::{Problem, RuleFault};
use crate::rules::HostPattern;
use crate::value::parse_host_name;
use crate::value::url::parse_url;

/// `"api.example.com"`, or `"*.example.com"` for every name below one.
pub(crate) fn parse_host_pattern(text: &str) -> Result<HostPattern, Problem> {
    match text.strip_prefix("*.") {
        // An address has nothing below it.
        Some(name) if name.parse::<std::net::IpAddr>().is_err() => {
            let name = parse_host_name(name).ok_or(Problem::Rule(RuleFault::HostMalformed))?;
            Ok(HostPattern::Below(format!(".{name}").into()))
        }
        Some(_) => Err(Problem::Rule(RuleFault::HostMalformed)),
        None => {
            let name = parse_host_name(text).ok_or(Problem::Rule(RuleFault::HostMalformed))?;
            Ok(HostPattern::Exact(name.into()))
        }
    }
}

/// What a `Host` field may say: a name or an address, and perhaps a port.
pub(crate) fn parse_authority(text: &str) -> Result<Box<str>, Problem> {
    match parse_url(&format!("http://{text}")) {
        Ok(written) if written.base.path.is_empty() && !text.contains('/') => {
            Ok(written.base.authority)
        }
        _ => Err(Problem::Rule(RuleFault::HostMalformed)),
    }
}

/// An origin as a browser writes it (RFC 6454 §6.2): scheme, host, and a port that is not the
/// scheme's own.
pub(crate) fn parse_origin(text: &str) -> Result<Box<str>, Problem> {
    let (scheme, rest) = text
        .split_once("://")
        .ok_or(Problem::Rule(RuleFault::OriginMalformed))?;
    let scheme = scheme.to_ascii_lowercase();
    let named =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    if !scheme.bytes().all(named) || !scheme.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(Problem::Rule(RuleFault::OriginMalformed));
    }
    if rest.contains('/') {
        return Err(Problem::Rule(RuleFault::OriginMalformed));
    }
    // Only http and https have a port of their own; extensions and apps have other schemes.
    let like = if scheme == "https" { "https" } else { "http" };
    let written = parse_url(&format!("{like}://{rest}"))
        .map_err(|_| Problem::Rule(RuleFault::OriginMalformed))?;
    Ok(format!("{scheme}://{}", written.base.authority).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_all_names_below_one() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let shown = parse_host_pattern(text).map(|pattern| pattern.to_string());
            assert_eq!(shown.as_deref(), Ok(expected), "{text}");
        }
        check("API.Example.com", "api.example.com");
        check("*.Example.com", "*.example.com");
        check("10.0.0.1", "10.0.0.1");
        for text in [
            "",
            "*",
            "*.",
            "a.*.b",
            "a:80",
            "http://a",
            "a/b",
            "*.10.0.0.1",
            "a..b",
            "ü",
            "a%62",
        ] {
            assert_eq!(
                parse_host_pattern(text),
                Err(Problem::Rule(RuleFault::HostMalformed)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_host_that_is_told_may_have_a_port() {
        assert_eq!(
            parse_authority("Internal:8080").as_deref(),
            Ok("internal:8080")
        );
        assert_eq!(parse_authority("[::1]:8080").as_deref(), Ok("[::1]:8080"));
        for text in ["", "a/", "a/b", "u@a", "a b", "a\r\nx: y"] {
            assert_eq!(
                parse_authority(text),
                Err(Problem::Rule(RuleFault::HostMalformed)),
                "{text}"
            );
        }
    }

    #[test]
    fn an_origin_has_the_spelling_of_browsers() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(parse_origin(text).as_deref(), Ok(expected), "{text}");
        }
        check("https://App.Example.com", "https://app.example.com");
        check("https://app.example.com:443", "https://app.example.com");
        check("http://localhost:5173", "http://localhost:5173");
        check("https://a:80", "https://a:80");
        check("chrome-extension://abcdef", "chrome-extension://abcdef");
        for text in [
            "null",
            "app.example.com",
            "https://a/",
            "https://a/b",
            "https://*.a",
            "://a",
        ] {
            assert_eq!(
                parse_origin(text),
                Err(Problem::Rule(RuleFault::OriginMalformed)),
                "{text}"
            );
        }
    }
}
