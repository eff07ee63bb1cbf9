//! For which host a request is, as services name theirs.
//!
//! The authority was parsed once, by `http1`: of an absolute target, else of `Host`. Here
//! it is given the one spelling in which names are compared. Which service it leads to is
//! `route`'s.

use tollring_config::HostPattern;
use tollring_config::limits::HOST_BYTES_MAX;

use super::refusal::Refusal;

/// A host in lower case, without its port and without the dot of the root.
pub(super) struct Host {
    text: [u8; HOST_BYTES_MAX],
    length: usize,
}

impl Host {
    /// The host of an authority. What is longer than a name can be is nobody's, and empty here.
    ///
    /// # Errors
    /// When a server could decode it into another.
    pub(super) fn read(authority: &[u8]) -> Result<Self, Refusal> {
        if authority.contains(&b'%') {
            return Err(Refusal::HostAmbiguous);
        }
        let name = without_port(authority);
        let name = name.strip_suffix(b".").unwrap_or(name);
        let mut host = Self {
            text: [0; HOST_BYTES_MAX],
            length: 0,
        };
        if let Some(text) = host.text.get_mut(..name.len()) {
            text.copy_from_slice(name);
            text.make_ascii_lowercase();
            host.length = name.len();
        }
        Ok(host)
    }

    /// How specific the best match among patterns is; `None` where there is none. No patterns
    /// are a match for any host, and the least specific.
    pub(super) fn rank(&self, patterns: &[HostPattern]) -> Option<usize> {
        if patterns.is_empty() {
            return Some(0);
        }
        let host = &self.text[..self.length];
        patterns
            .iter()
            .filter_map(|pattern| pattern.rank(host))
            .max()
    }
}

/// An authority without its port; the colons of an IPv6 literal stand in its brackets.
fn without_port(authority: &[u8]) -> &[u8] {
    match memchr::memrchr(b':', authority) {
        Some(colon) if !authority[colon..].contains(&b']') => &authority[..colon],
        _ => authority,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test may
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        #[track_caller]
        fn check(authority: &str, expected: &str) {
            let host = Host::read(authority.as_bytes()).unwrap();
            assert_eq!(
                &host.text[..host.length],
                expected.as_bytes(),
                "{authority}"
            );
        }
        check("API.Example.com", "api.example.com");
        check("api.example.com:8080", "api.example.com");
        check("api.example.com.:8080", "api.example.com");
        check("api.example.com.", "api.example.com");
        check("[::1]:80", "[::1]");
        check("[::1]", "[::1]");
        check("", "");
        check(&"a".repeat(HOST_BYTES_MAX + 1), "");
    }

    #[test]
    fn a_host_that_could_be_decoded_is_refused() {
        assert!(Host::read(b"%61pi.example.com").is_err());
    }

    #[test]
    fn whoever_names_no_host_takes_any_and_comes_last() {
        let host = Host::read(b"a.b.test").unwrap();
        let below = [
            HostPattern::Below(".test".into()),
            HostPattern::Below(".b.test".into()),
        ];
        assert_eq!(host.rank(&[]), Some(0));
        assert_eq!(host.rank(&below), Some(".b.test".len()));
        assert_eq!(host.rank(&[HostPattern::Exact("b.test".into())]), None);
    }
}
