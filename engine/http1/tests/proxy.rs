//! PROXY headers: those that balancers really send, and everything that only looks like one.
//!
//! The samples of HAProxy were captured from its version 2.6; those of Amazon are from its
//! documentation of the classic and the network balancer. Their checksums are theirs.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use tollring_http1::{
    PROXY_BINARY_BYTES_MAX, PROXY_TEXT_BYTES_MAX, ProxyClient, ProxyFault, ProxyHeader,
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn at(source: &str, destination: &str) -> ProxyClient {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    ProxyClient::At {
        source: address(source),
        destination: address(destination),
    }
}

/// What `bytes` come to; every shorter piece of them must be the same fault or unfinished.
#[track_caller]
fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyFault> {
    let whole = ProxyHeader::parse(bytes);
    let len = match &whole {
        Ok(Some(header)) => header.len,
        _ => bytes.len(),
    };
    for shorter in 0..len {
        let early = ProxyHeader::parse(&bytes[..shorter]);
        let agrees = early == Ok(None) || early.is_err() && early == whole;
        assert!(agrees, "{shorter} of {}: {early:?}", bytes.escape_ascii());
    }
    whole
}

/// A header with a request behind it.
#[track_caller]
fn check(header: &[u8], client: ProxyClient) {
    let len = header.len();
    let bytes = [header, b"GET / HTTP/1.1\r\n\r\n"].concat();
    assert_eq!(parse(&bytes), Ok(Some(ProxyHeader { client, len })));
    assert_eq!(parse(header), Ok(Some(ProxyHeader { client, len })));
}

#[track_caller]
fn check_fault(header: &[u8], fault: ProxyFault) {
    assert_eq!(parse(header), Err(fault), "{}", header.escape_ascii());
    assert!(!fault.sentence().is_empty());
}

/// A header of version 2 from its command, family and everything after the length.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &len, rest].concat()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// HAProxy 2.6, `send-proxy-v2 proxy-v2-options crc32c,unique-id`.
fn haproxy_with_checksum() -> Vec<u8> {
    bytes_of(
        "0d0a0d0a000d0a515549540a 21 11 003a 7f000001 7f000001 e886 8469 \
         03 0004 3907d212 \
         05 0024 37303365613365622d303036392d346564652d386135662d313633333330323932376437",
    )
}

#[test]
fn lines_that_balancers_send_are_read() {
    // The text's own example; Amazon's classic balancer; HAProxy's `send-proxy`.
    check(
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        at("192.168.0.1:56324", "192.168.0.11:443"),
    );
    check(
        b"PROXY TCP4 198.51.100.22 203.0.113.7 35646 80\r\n",
        at("198.51.100.22:35646", "203.0.113.7:80"),
    );
    check(
        b"PROXY TCP4 127.0.0.1 127.0.0.1 60144 38513\r\n",
        at("127.0.0.1:60144", "127.0.0.1:38513"),
    );
    check(
        b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 65535 0\r\n",
        at("[2001:db8::1]:65535", "[::ffff:192.0.2.1]:0"),
    );
    // nginx says so of a client on a unix socket.
    check(b"PROXY UNKNOWN\r\n", ProxyClient::Unnamed);
    let full = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let longest = format!("PROXY UNKNOWN {full} {full} 65535 65535\r\n");
    assert_eq!(longest.len(), PROXY_TEXT_BYTES_MAX);
    check(longest.as_bytes(), ProxyClient::Unnamed);
}

#[test]
fn headers_that_balancers_send_are_read() {
    // HAProxy 2.6: `send-proxy-v2`, with a checksum, with what it says of TLS, and its check.
    check(
        &bytes_of("0d0a0d0a000d0a515549540a 21 11 000c 7f000001 7f000001 d5ac aa9b"),
        at("127.0.0.1:54700", "127.0.0.1:43675"),
    );
    check(
        &haproxy_with_checksum(),
        at("127.0.0.1:59526", "127.0.0.1:33897"),
    );
    check(
        &bytes_of(
            "0d0a0d0a000d0a515549540a 21 11 0014 7f000001 7f000001 a172 e73b \
             20 0005 00 00000000",
        ),
        at("127.0.0.1:41330", "127.0.0.1:59195"),
    );
    check(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", ProxyClient::Balancer);
    // Amazon's network balancer behind an endpoint service: a checksum, its own kind, padding.
    let amazon = [
        bytes_of("0d0a0d0a000d0a515549540a 21 11 0054 ac1f0771 ac1f0a1f c8f2 0050"),
        bytes_of("03 0004 e8d6892d  ea 0017 01"),
        b"vpce-08d2bf15fac5001c9".to_vec(),
        bytes_of("04 0024"),
        vec![0; 36],
    ];
    check(
        &amazon.concat(),
        at("172.31.7.113:51442", "172.31.10.31:80"),
    );
}

#[test]
fn every_family_of_version_2_is_read_or_skipped() {
    let ipv6 =
        bytes_of("20010db8000000000000000000000001 20010db8000000000000000000000002 04d2 01bb");
    let six = at("[2001:db8::1]:1234", "[2001:db8::2]:443");
    check(&binary(0x21, 0x21, &ipv6), six);
    check(&binary(0x21, 0x22, &ipv6), six);
    let four = bytes_of("c0000201 c0000202 0000 ffff");
    check(
        &binary(0x21, 0x12, &four),
        at("192.0.2.1:0", "192.0.2.2:65535"),
    );
    check(&binary(0x21, 0x31, &[0; 216]), ProxyClient::Unnamed);
    check(&binary(0x21, 0x00, b""), ProxyClient::Unnamed);
    check(&binary(0x21, 0x00, b"whatever"), ProxyClient::Unnamed);
    // Of a check everything is skipped, the family included.
    check(&binary(0x20, 0x11, &four), ProxyClient::Balancer);
    check(&binary(0x20, 0xff, b"\x03"), ProxyClient::Balancer);
}

#[test]
fn a_line_has_one_form() {
    for (line, fault) in [
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", ProxyFault::LineEnd),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rx", ProxyFault::LineEnd),
        ("PROXY UNKNOWN a\nb\r\n", ProxyFault::LineEnd),
        ("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", ProxyFault::Address),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", ProxyFault::Line),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", ProxyFault::Line),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", ProxyFault::Line),
        ("PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n", ProxyFault::Address),
        ("PROXY TCP4\r\n", ProxyFault::Line),
        ("PROXY \r\n", ProxyFault::Line),
        ("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyFault::Line),
        ("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyFault::Line),
        ("PROXY UNKNOWNS\r\n", ProxyFault::Line),
        ("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", ProxyFault::Address),
        ("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", ProxyFault::Address),
        ("PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", ProxyFault::Address),
        ("PROXY TCP4 ::1 ::2 1 2\r\n", ProxyFault::Address),
        ("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", ProxyFault::Address),
        ("PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n", ProxyFault::Address),
        ("PROXY TCP6 1::2::3 ::2 1 2\r\n", ProxyFault::Address),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", ProxyFault::Port),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", ProxyFault::Port),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", ProxyFault::Port),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", ProxyFault::Port),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n", ProxyFault::Port),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 0x2\r\n", ProxyFault::Port),
        ("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyFault::Missing),
        ("PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyFault::Missing),
        ("PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n", ProxyFault::Missing),
        ("POST / HTTP/1.1\r\n\r\n", ProxyFault::Missing),
        ("GET / HTTP/1.1\r\n\r\n", ProxyFault::Missing),
        ("\x16\x03\x01\x02\0\x01", ProxyFault::Missing),
    ] {
        check_fault(line.as_bytes(), fault);
    }
    let long = format!("PROXY UNKNOWN {}", "x".repeat(PROXY_TEXT_BYTES_MAX));
    check_fault(long.as_bytes(), ProxyFault::LineTooLong);
    let over = format!(
        "PROXY UNKNOWN {}\r\n",
        "x".repeat(PROXY_TEXT_BYTES_MAX - 15)
    );
    assert_eq!(over.len(), PROXY_TEXT_BYTES_MAX + 1);
    check_fault(over.as_bytes(), ProxyFault::LineTooLong);
}

#[test]
fn a_header_has_one_form() {
    let four = bytes_of("c0000201 c0000202 0000 ffff");
    let with = |extensions: &[u8]| binary(0x21, 0x11, &[&four, extensions].concat());
    for command in [0x00, 0x01, 0x11, 0x22, 0x2f, 0x31, 0xf1] {
        check_fault(&binary(command, 0x11, &four), ProxyFault::Command);
    }
    for family in [0x01, 0x02, 0x10, 0x13, 0x20, 0x30, 0x40, 0xff] {
        check_fault(&binary(0x21, family, &[0; 216]), ProxyFault::Family);
    }
    check_fault(&binary(0x21, 0x11, &four[..11]), ProxyFault::AddressesCut);
    check_fault(&binary(0x21, 0x21, &[0; 35]), ProxyFault::AddressesCut);
    check_fault(&binary(0x21, 0x31, &[0; 215]), ProxyFault::AddressesCut);
    for extensions in [
        &b"\x04"[..],
        b"\x04\0",
        b"\x04\0\x01",
        b"\x04\0\0\x04",
        b"\x03\0\0",
        b"\x03\0\x05aaaaa",
        b"\x03\0\x04aaaa\x03\0\x04aaaa",
    ] {
        check_fault(&with(extensions), ProxyFault::Extension);
    }
    let id = |len: u8| [&[5, 0, len], vec![b'x'; usize::from(len)].as_slice()].concat();
    assert!(parse(&with(&id(128))).is_ok());
    check_fault(&with(&id(129)), ProxyFault::Extension);
    let full = vec![0; PROXY_BINARY_BYTES_MAX - 16];
    check(&binary(0x20, 0, &full), ProxyClient::Balancer);
    let over = vec![0; PROXY_BINARY_BYTES_MAX - 15];
    check_fault(&binary(0x20, 0, &over), ProxyFault::TooLong);
    check_fault(b"\r\n\r\n\0\r\nQUIT\r", ProxyFault::Missing);
    check_fault(b"\r\nGET / HTTP/1.1\r\n\r\n", ProxyFault::Missing);
}

#[test]
fn a_bit_that_flips_shows_in_the_checksum() {
    let sample = haproxy_with_checksum();
    // A bit of an extension's kind or length makes another extension of it, or none.
    let (sum, id) = (28..31, 35..38);
    for place in 16..sample.len() {
        for bit in 0..8 {
            let mut flipped = sample.clone();
            flipped[place] ^= 1 << bit;
            let parsed = ProxyHeader::parse(&flipped);
            let shows = match () {
                () if sum.contains(&place) => place == 28 || parsed.is_err(),
                () if id.contains(&place) => parsed.is_err(),
                () => parsed == Err(ProxyFault::Checksum),
            };
            assert!(shows, "bit {bit} of byte {place}: {parsed:?}");
        }
    }
}

/// Two ends of one family, without a flow or a zone: neither form has room for them.
fn ends<A: Arbitrary + Into<IpAddr>>() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    any::<(A, u16, A, u16)>().prop_map(|(source, from, destination, to)| {
        (
            SocketAddr::new(source.into(), from),
            SocketAddr::new(destination.into(), to),
        )
    })
}

proptest! {
    #![proptest_config(Config {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..Config::default()
    })]

    #[test]
    fn what_is_written_is_read_back((source, destination) in prop_oneof![
        ends::<Ipv4Addr>(), ends::<Ipv6Addr>(),
    ]) {
        let client = ProxyClient::At { source, destination };
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!(
            "PROXY {family} {} {} {} {}\r\n",
            source.ip(), destination.ip(), source.port(), destination.port(),
        );
        check(line.as_bytes(), client);
        let octets = |address: SocketAddr| match address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
            std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
        let rest = [octets(source), octets(destination), ports].concat();
        check(&binary(0x21, if source.is_ipv4() { 0x11 } else { 0x21 }, &rest), client);
    }
}
