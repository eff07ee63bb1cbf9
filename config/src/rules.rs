//! What a service does with the heads that pass through it, as the engine sees it.
//!
//! Checked and in one spelling: names of fields and hosts are in lower case, networks
//! have no bits beyond their prefix, a pattern is compiled. What is sent and refused by
//! these rules is the engine's to decide.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regex::bytes::Regex;

use crate::secret::Secret;

/// What a service does with hosts, paths, fields, origins and addresses.
#[derive(Debug, Default)]
pub struct ServiceRules {
    /// The hosts it answers to; empty: any that no other service names.
    pub hosts: Vec<HostPattern>,
    /// Whether its own path is taken off before a path goes upstream.
    pub strip_path: bool,
    /// How the rest of a path is rewritten then.
    pub rewrite: Option<Rewrite>,
    /// What the upstream is told in `Host`.
    pub host: HostSent,
    /// What is done with the fields of requests.
    pub request_fields: FieldEdits,
    /// What is done with the fields of an upstream's answers.
    pub response_fields: FieldEdits,
    /// Which pages of other origins may call it; absent: the upstream decides.
    pub cors: Option<Cors>,
    /// From which addresses it may be called.
    pub access: Access,
    /// Whether a request may become a WebSocket.
    pub websocket: bool,
}

/// A host that a service answers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This one, in lower case, without a port.
    Exact(Box<str>),
    /// Every name that ends so; begins with the dot: `.example.com`.
    Below(Box<str>),
}

impl HostPattern {
    /// How specific a match is, if `host` (lower case, no port, no last dot) is one: an exact
    /// host is more than any wildcard, a longer wildcard more than a shorter.
    #[must_use]
    pub fn rank(&self, host: &[u8]) -> Option<usize> {
        match self {
            Self::Exact(name) => (name.as_bytes() == host).then_some(usize::MAX),
            Self::Below(tail) => {
                let below = host.len() > tail.len() && host.ends_with(tail.as_bytes());
                below.then_some(tail.len())
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(tail) => write!(f, "*{tail}"),
        }
    }
}

/// A pattern, and what a path that matches it becomes.
#[derive(Debug)]
pub struct Rewrite {
    /// Matched against the path, without the query.
    pub from: Regex,
    /// What is put in the place of what matched; `$1` is what the first group matched.
    pub to: Box<str>,
}

/// What an upstream is told in `Host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostSent {
    /// Its own name, as its URL has it.
    #[default]
    Upstream,
    /// What the client asked for.
    Client,
    /// This.
    Name(Box<str>),
}

/// What is done with the fields of a head. Names are in lower case.
#[derive(Debug, Default)]
pub struct FieldEdits {
    /// Fields that are written in the place of any of that name.
    pub set: Vec<(Box<str>, Secret)>,
    /// Fields that are written beside those of that name.
    pub add: Vec<(Box<str>, Secret)>,
    /// Fields that do not go on.
    pub remove: Vec<Box<str>>,
}

impl FieldEdits {
    /// Whether nothing is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}

/// Which pages of other origins may call a service (the Fetch standard's CORS protocol).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages.
    pub origins: Origins,
    /// By which methods; empty: by any that goes anywhere at all.
    pub methods: Vec<Box<str>>,
    /// With which fields; empty: with those a page asks for.
    pub headers: Vec<Box<str>>,
    /// Which fields of an answer a page may read, beside the gateway's own.
    pub expose: Vec<Box<str>>,
    /// Whether a page may send cookies and the like.
    pub credentials: bool,
    /// How many seconds a browser may remember the answer to a preflight.
    pub max_age_s: u32,
}

/// The origins whose pages may call a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// All of them.
    Any,
    /// These, each as a browser writes it.
    These(Vec<Box<str>>),
}

/// From which addresses a caller may come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Only from here; empty: from anywhere.
    pub allow: Vec<Network>,
    /// Never from here, whatever `allow` says.
    pub deny: Vec<Network>,
}

impl Access {
    /// Whether any address is refused at all.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a caller may come from this address.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        let within = |networks: &[Network]| networks.iter().any(|net| net.contains(address));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}

/// What is known and told of callers: whose word is believed, and what upstreams learn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// From which addresses anything may be called.
    pub access: Access,
    /// How services learn who called.
    pub forwarded: Forwarded,
}

/// How services learn for whom a request is passed on. Providers never do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// What becomes of what came.
    pub mode: ForwardedMode,
    /// In which fields it is said.
    pub style: ForwardedStyle,
    /// The proxies before us whose word is believed.
    pub trusted: Vec<Network>,
}

/// What becomes of the forwarding fields that came with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedMode {
    /// The peer is added to what a trusted proxy said; what anyone else said is dropped.
    #[default]
    Append,
    /// The client takes the place of whatever came.
    Replace,
    /// Nothing is said, and nothing that came goes on.
    Off,
}

/// In which fields services learn for whom a request is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedStyle {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Rfc7239,
    /// Both; of what a trusted proxy sends, `X-Forwarded-For` is believed.
    Both,
}

/// A range of addresses (RFC 4632 §3.1). IPv4 in IPv6's clothes is IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// The addresses that share `prefix` bits with `address`; `None` where there are fewer
    /// bits than that, or where bits beyond the prefix are set.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let (address, prefix) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), inner @ IpAddr::V4(_)) if prefix >= MAPPED_BITS => {
                (inner, prefix - MAPPED_BITS)
            }
            _ => (address, prefix),
        };
        let network = Self { address, prefix };
        (prefix <= bits_of(address) && network.first(address) == address).then_some(network)
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.first(address) == self.address
    }

    /// The first address that shares this network's prefix with `address`.
    fn first(&self, address: IpAddr) -> IpAddr {
        let beyond = u32::from(bits_of(address).saturating_sub(self.prefix));
        match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(beyond).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(beyond).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask).into()
            }
        }
    }
}

/// Bits before the IPv4 address in an IPv6 one that carries it (RFC 4291 §2.5.5.2).
const MAPPED_BITS: u8 = 96;

const fn bits_of(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn network(text: &str) -> Option<Network> {
        let (address, prefix) = text.split_once('/').unwrap();
        Network::new(address.parse().unwrap(), prefix.parse().unwrap())
    }

    #[test]
    fn a_network_holds_the_addresses_that_share_its_prefix() {
        #[track_caller]
        fn check(text: &str, inside: &[&str], outside: &[&str]) {
            let network = network(text).unwrap();
            for address in inside {
                assert!(network.contains(address.parse().unwrap()), "{address}");
            }
            for address in outside {
                assert!(!network.contains(address.parse().unwrap()), "{address}");
            }
        }
        check(
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255"],
            &["11.0.0.0", "::1"],
        );
        check(
            "10.0.0.0/8",
            &["::ffff:10.1.2.3"],
            &["::ffff:11.0.0.1", "::10.1.2.3"],
        );
        check("::ffff:10.0.0.0/104", &["10.1.2.3"], &["11.1.2.3"]);
        check("192.0.2.7/32", &["192.0.2.7"], &["192.0.2.6"]);
        check("0.0.0.0/0", &["255.255.255.255"], &["::1"]);
        check("::/0", &["2001:db8::1"], &["127.0.0.1", "::ffff:127.0.0.1"]);
        check("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::1"]);
    }

    #[test]
    fn bits_beyond_the_prefix_are_a_slip_of_somebodys_hand() {
        for text in ["10.0.0.1/8", "10.0.0.0/33", "2001:db8::1/64", "::/129"] {
            assert_eq!(network(text), None, "{text}");
        }
    }

    #[test]
    fn deny_wins_over_allow() {
        let access = Access {
            allow: vec![network("10.0.0.0/8").unwrap()],
            deny: vec![network("10.6.0.0/16").unwrap()],
        };
        let admits = |text: &str| access.admits(text.parse().unwrap());
        assert!(admits("10.1.2.3"));
        assert!(!admits("10.6.2.3"));
        assert!(!admits("192.0.2.1"));
        assert!(Access::default().admits("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn an_exact_host_is_more_than_a_wildcard_and_a_long_one_more_than_a_short() {
        let exact = HostPattern::Exact("a.b.test".into());
        let (long, short) = (
            HostPattern::Below(".b.test".into()),
            HostPattern::Below(".test".into()),
        );
        let rank = |pattern: &HostPattern| pattern.rank(b"a.b.test").unwrap();
        assert!(rank(&exact) > rank(&long) && rank(&long) > rank(&short));
        assert_eq!(
            long.rank(b"b.test"),
            None,
            "the name itself is not below it"
        );
        assert_eq!(long.rank(b"ab.test"), None);
    }
}
