//! PROXY headers: the same however they come, and what is taken says what a plain reader sees.
//!
//! The input is the bytes of a connection.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use tollring_fuzz::crc32c;
use tollring_http1::{
    PROXY_BINARY_BYTES_MAX, PROXY_TEXT_BYTES_MAX, ProxyClient, ProxyFault, ProxyHeader,
};

/// Bytes of version 2 before its addresses.
const FIXED_BYTES: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    let whole = ProxyHeader::parse(bytes);
    check_pieces(bytes, whole);
    match whole {
        Ok(Some(header)) => judge(bytes, header),
        Ok(None) => assert!(bytes.len() < PROXY_BINARY_BYTES_MAX),
        Err(ProxyFault::Checksum) => {
            // Chance does not find a checksum; with its own the header must be taken.
            let mut mended = bytes.to_vec();
            let places = checksum_places(&mended);
            assert_eq!(places.len(), 1);
            mended[places[0]..][..4].fill(0);
            let sum = crc32c(0, &mended[..len_of(&mended)]);
            mended[places[0]..][..4].copy_from_slice(&sum.to_be_bytes());
            let header = ProxyHeader::parse(&mended).expect("its own checksum");
            judge(&mended, header.expect("it was whole"));
        }
        Err(fault) => assert!(!fault.sentence().is_empty()),
    }
});

/// Every shorter piece of a header is unfinished; of anything else it is that, or as wrong.
fn check_pieces(bytes: &[u8], whole: Result<Option<ProxyHeader>, ProxyFault>) {
    let len = match whole {
        Ok(Some(header)) => header.len,
        _ => bytes.len().min(PROXY_BINARY_BYTES_MAX),
    };
    assert!(len <= bytes.len());
    for shorter in 0..len {
        let early = ProxyHeader::parse(&bytes[..shorter]);
        assert!(early == Ok(None) || early == whole && whole.is_err());
    }
    if let Ok(Some(header)) = whole {
        assert_eq!(ProxyHeader::parse(&bytes[..header.len]), whole);
    }
}

/// Holds a header that was taken against the bytes it was taken from.
fn judge(bytes: &[u8], header: ProxyHeader) {
    let taken = &bytes[..header.len];
    if taken[0] == b'P' {
        judge_text(taken, header.client);
    } else {
        assert_eq!(header.len, len_of(bytes));
        judge_binary(taken, header.client);
    }
    if let ProxyClient::At {
        source,
        destination,
    } = header.client
    {
        for again in [text_of(source, destination), binary_of(source, destination)] {
            let read = ProxyHeader::parse(&again).expect("it was written plainly");
            assert_eq!(read.map(|header| header.client), Some(header.client));
        }
    }
}

fn judge_text(taken: &[u8], client: ProxyClient) {
    assert!(taken.len() <= PROXY_TEXT_BYTES_MAX);
    let line = taken.strip_suffix(b"\r\n").expect("a whole line");
    assert!(!line.contains(&b'\r') && !line.contains(&b'\n'));
    let ProxyClient::At {
        source,
        destination,
    } = client
    else {
        assert!(line.starts_with(b"PROXY UNKNOWN") && client == ProxyClient::Unnamed);
        return;
    };
    let line = std::str::from_utf8(line).expect("digits and colons");
    let words: Vec<&str> = line.split(' ').collect();
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    assert_eq!(words[..2], ["PROXY", family]);
    let address = |word: &str| word.parse::<IpAddr>().expect("an address");
    assert_eq!(
        (address(words[2]), address(words[3])),
        (source.ip(), destination.ip())
    );
    let ports = [source.port(), destination.port()].map(|port| port.to_string());
    assert_eq!(words[4..], ports);
}

fn judge_binary(taken: &[u8], client: ProxyClient) {
    let is_told = taken[12] == 0x21 && matches!(taken[13] >> 4, 1 | 2);
    assert_eq!(is_told, matches!(client, ProxyClient::At { .. }));
    assert_eq!(taken[12] == 0x20, client == ProxyClient::Balancer);
    if let ProxyClient::At {
        source,
        destination,
    } = client
    {
        let plain = binary_of(source, destination);
        let addresses = FIXED_BYTES..plain.len();
        assert_eq!(taken[addresses.clone()], plain[addresses]);
    }
    if taken[12] == 0x21 && taken[13] != 0 {
        for place in checksum_places(taken) {
            let mut blank = taken.to_vec();
            blank[place..][..4].fill(0);
            assert_eq!(taken[place..][..4], crc32c(0, &blank).to_be_bytes());
        }
    }
}

/// Bytes of a header of version 2, as it says itself.
fn len_of(bytes: &[u8]) -> usize {
    FIXED_BYTES + usize::from(bytes[14]) * 256 + usize::from(bytes[15])
}

/// Where the checksums of a header that is not local lie.
fn checksum_places(bytes: &[u8]) -> Vec<usize> {
    let addresses = [0, 12, 36, 216][usize::from(bytes[13] >> 4)];
    let (mut at, mut places) = (FIXED_BYTES + addresses, Vec::new());
    while at < len_of(bytes) {
        if bytes[at] == 3 {
            places.push(at + 3);
        }
        at += 3 + usize::from(bytes[at + 1]) * 256 + usize::from(bytes[at + 2]);
    }
    places
}

fn text_of(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    let (from_port, to_port) = (source.port(), destination.port());
    format!("PROXY {family} {from} {to} {from_port} {to_port}\r\n").into_bytes()
}

fn binary_of(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let (family, len) = if source.is_ipv4() {
        (0x11, 12)
    } else {
        (0x21, 36)
    };
    let mut out = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    out.extend_from_slice(&[family, 0, len]);
    for side in [source, destination] {
        match side.ip() {
            IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
        }
    }
    for side in [source, destination] {
        out.extend_from_slice(&side.port().to_be_bytes());
    }
    out
}
