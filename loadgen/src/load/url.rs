//! The address on the command line: `http://host[:port][/path]`, and nothing cleverer.

use std::net::{SocketAddr, ToSocketAddrs};

/// An `http://` URL in its parts.
pub(super) struct Url {
    /// Host and port as written, for the `host` field.
    pub(super) authority: String,
    host: String,
    port: u16,
    /// Path and query.
    pub(super) path: String,
}

impl Url {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("https:// is not spoken yet; use http://".to_owned());
        }
        let rest = text
            .strip_prefix("http://")
            .ok_or_else(|| format!("{text:?} is not a URL; write http://host:port/path"))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let path = if path.starts_with('?') {
            format!("/{path}")
        } else {
            path.to_owned()
        };
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{path:?} needs percent-encoding"));
        }
        let wrong = || format!("{authority:?} is not a host, or a host and a port");
        // In brackets an IPv6 address has colons of its own (RFC 3986 §3.2.2).
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(wrong)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None if port.is_empty() => 80,
            None => return Err(wrong()),
        };
        if host.is_empty()
            || !host
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'@')
        {
            return Err(wrong());
        }
        Ok(Self {
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            path,
        })
    }

    /// The address of the host, its first if it has many: a run is against one server.
    ///
    /// # Errors
    /// A sentence for the user.
    pub(super) fn resolve(&self) -> Result<SocketAddr, String> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let mut found = found.map_err(|error| format!("{}: {error}", self.host))?;
        found
            .next()
            .ok_or_else(|| format!("{} has no address", self.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, port: u16, path: &str) {
        let url = Url::parse(text).map(|url| (url.host, url.port, url.path));
        assert_eq!(url, Ok((host.to_owned(), port, path.to_owned())), "{text}");
    }

    #[test]
    fn urls_are_taken_apart() {
        check("http://a", "a", 80, "/");
        check("http://a:81", "a", 81, "/");
        check("http://a/b?c=d#e", "a", 80, "/b?c=d");
        check("http://a?c", "a", 80, "/?c");
        check("http://[::1]:82/x", "::1", 82, "/x");
        check("http://[::1]", "::1", 80, "/");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "a:80",
            "http://",
            "http://a:",
            "http://a:b",
            "http://[::1",
            "http://u@h",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
        assert!(Url::parse("http://a/b c").is_err());
        assert!(Url::parse("http://[::1]x").is_err());
    }

    #[test]
    fn an_address_resolves_to_itself() {
        let url = Url::parse("http://127.0.0.1:83/");
        let address = url.and_then(|url| url.resolve());
        assert_eq!(address, Ok(SocketAddr::from(([127, 0, 0, 1], 83))));
    }
}
