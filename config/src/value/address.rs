//! Addresses to listen on, always in full: names and bare ports are not guessed at.

use std::net::SocketAddr;

use crate::fault::Problem;

/// `"127.0.0.1:8080"`, `"[::1]:8080"`; port 0 lets the system choose.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, Problem> {
    text.parse().map_err(|_| Problem::AddressMalformed)
}

/// Whether two listeners would want the same connections.
///
/// Workers share a port on purpose, so the system would not refuse the second:
/// it would deal the callers out between two doors. Two ports chosen by the
/// system are never the same.
pub(crate) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_address_is_one() {
        assert!(parse_address("127.0.0.1:8080").is_ok());
        assert!(parse_address("[::1]:0").is_ok());
        for text in [
            ":8080",
            "8080",
            "localhost:8080",
            "127.0.0.1",
            "127.0.0.1:65536",
            "",
        ] {
            assert_eq!(
                parse_address(text),
                Err(Problem::AddressMalformed),
                "{text}"
            );
        }
    }

    #[test]
    fn listeners_overlap_when_one_would_take_the_others_connections() {
        #[track_caller]
        fn check(one: &str, other: &str, expected: bool) {
            let (one, other) = (parse_address(one).unwrap(), parse_address(other).unwrap());
            assert_eq!(overlap(one, other), expected);
            assert_eq!(overlap(other, one), expected);
        }
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("0.0.0.0:80", "127.0.0.1:80", true);
        check("127.0.0.2:80", "127.0.0.1:80", false);
        check("127.0.0.1:81", "127.0.0.1:80", false);
        check("0.0.0.0:80", "[::]:80", false);
        check("127.0.0.1:0", "127.0.0.1:0", false);
    }
}
