//! Ranges of addresses, as lists of callers and of trusted proxies name them.

use std::net::IpAddr;

use crate::fault::{Problem, RuleFault};
use crate::rules::Network;

/// `"10.0.0.0/8"`, `"2001:db8::/32"`, or a single address.
pub(crate) fn parse_network(text: &str) -> Result<Network, Problem> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address
        .parse()
        .map_err(|_| Problem::Rule(RuleFault::NetworkMalformed))?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => whole,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .map_err(|_| Problem::Rule(RuleFault::NetworkMalformed))?,
        Some(_) => return Err(Problem::Rule(RuleFault::NetworkMalformed)),
    };
    if prefix > whole {
        return Err(Problem::Rule(RuleFault::NetworkMalformed));
    }
    Network::new(address, prefix).ok_or(Problem::Rule(RuleFault::NetworkBits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_and_a_prefix() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let shown = parse_network(text).map(|network| network.to_string());
            assert_eq!(shown.as_deref(), Ok(expected), "{text}");
        }
        check("10.0.0.0/8", "10.0.0.0/8");
        check("192.0.2.7", "192.0.2.7/32");
        check("::1", "::1/128");
        check("2001:DB8::/32", "2001:db8::/32");
        check("::ffff:10.0.0.0/104", "10.0.0.0/8");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::/129",
            "a/8",
        ] {
            assert_eq!(
                parse_network(text),
                Err(Problem::Rule(RuleFault::NetworkMalformed)),
                "{text}"
            );
        }
        for text in ["10.0.0.1/8", "2001:db8::1/32"] {
            assert_eq!(
                parse_network(text),
                Err(Problem::Rule(RuleFault::NetworkBits)),
                "{text}"
            );
        }
    }
}
