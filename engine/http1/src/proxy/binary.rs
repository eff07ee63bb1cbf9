//! Version 2 of the PROXY header: addresses in bytes, and extensions (`proxy-protocol.txt` §2.2).
//!
//! Decides its form and checks its checksum. Extensions are bounded, walked and, but for the
//! checksum, not understood: what they tell of TLS and names is the balancer's word about
//! things that are decided by our own.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::checksum::Crc32c;
use super::{ProxyClient, ProxyFault, ProxyHeader};

/// Bytes of the longest header that is taken. The addresses of a unix socket are 232 bytes with
/// what is before them, and a client certificate's names a few hundred; the text gives 65,551.
pub const PROXY_BINARY_BYTES_MAX: usize = 4096;

/// How every header begins: bytes that no other protocol begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, the command, the family and the length of what follows.
const FIXED_BYTES: usize = 16;

/// The checksum's kind among the extensions, `PP2_TYPE_CRC32C`.
const KIND_CRC32C: u8 = 0x03;
/// The kind of a name for the connection, `PP2_TYPE_UNIQUE_ID`.
const KIND_UNIQUE_ID: u8 = 0x05;
/// Bytes that name may have (§2.2.5).
const UNIQUE_ID_BYTES_MAX: usize = 128;

/// The families of §2.2 with their protocols, and how their addresses lie. Whether the client
/// came by stream or by datagram (QUIC) makes no difference: to us the balancer speaks TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Unspecified,
    Ipv4,
    Ipv6,
    Unix,
}

impl Family {
    fn of(byte: u8) -> Result<Self, ProxyFault> {
        match byte {
            0x00 => Ok(Self::Unspecified),
            0x11 | 0x12 => Ok(Self::Ipv4),
            0x21 | 0x22 => Ok(Self::Ipv6),
            0x31 | 0x32 => Ok(Self::Unix),
            _ => Err(ProxyFault::Family),
        }
    }

    /// Bytes of both addresses with their ports.
    const fn addresses_bytes(self) -> usize {
        match self {
            Self::Unspecified => 0,
            Self::Ipv4 => 2 * (4 + 2),
            Self::Ipv6 => 2 * (16 + 2),
            Self::Unix => 2 * 108,
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyFault> {
    let begun = bytes.len().min(SIGNATURE.len());
    if bytes[..begun] != SIGNATURE[..begun] {
        return Err(ProxyFault::Missing);
    }
    let is_local = match bytes.get(12) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(ProxyFault::Command),
    };
    let Some(&family) = bytes.get(13) else {
        return Ok(None);
    };
    // Of a connection for the balancer itself, all the rest is to be skipped.
    let family = match is_local {
        true => Family::Unspecified,
        false => Family::of(family)?,
    };
    let Some(&[high, low]) = bytes.get(14..FIXED_BYTES) else {
        return Ok(None);
    };
    let len = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if len > PROXY_BINARY_BYTES_MAX {
        return Err(ProxyFault::TooLong);
    }
    let extensions_start = FIXED_BYTES + family.addresses_bytes();
    if len < extensions_start {
        return Err(ProxyFault::AddressesCut);
    }
    let Some(header) = bytes.get(..len) else {
        return Ok(None);
    };
    if family != Family::Unspecified {
        check_extensions(header, extensions_start)?;
    }
    let addresses = &header[FIXED_BYTES..extensions_start];
    let client = match family {
        _ if is_local => ProxyClient::Balancer,
        Family::Ipv4 => at::<4>(addresses, |octets| Ipv4Addr::from(octets).into()),
        Family::Ipv6 => at::<16>(addresses, |octets| Ipv6Addr::from(octets).into()),
        Family::Unspecified | Family::Unix => ProxyClient::Unnamed,
    };
    Ok(Some(ProxyHeader { client, len }))
}

/// Both addresses, then both ports, all in network order.
fn at<const OCTETS: usize>(
    addresses: &[u8],
    address: fn([u8; OCTETS]) -> std::net::IpAddr,
) -> ProxyClient {
    let side = |place: usize| {
        let octets = addresses[place * OCTETS..][..OCTETS].try_into();
        let port = &addresses[2 * OCTETS + 2 * place..];
        SocketAddr::new(
            address(octets.expect("a slice of that length")),
            u16::from_be_bytes([port[0], port[1]]),
        )
    };
    ProxyClient::At {
        source: side(0),
        destination: side(1),
    }
}

/// Walks the extensions, each a kind, a length and so many bytes, and checks the checksum where
/// one is among them (§2.2.3: whoever can must).
fn check_extensions(header: &[u8], start: usize) -> Result<(), ProxyFault> {
    let mut at = start;
    let mut checksum = None;
    while let [kind, high, low, rest @ ..] = &header[at..] {
        let value_len = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..value_len).ok_or(ProxyFault::Extension)?;
        let value_start = at + 3;
        match *kind {
            KIND_CRC32C => {
                let stated: [u8; 4] = value.try_into().map_err(|_| ProxyFault::Extension)?;
                let stated = u32::from_be_bytes(stated);
                if checksum.replace((value_start, stated)).is_some() {
                    return Err(ProxyFault::Extension);
                }
            }
            KIND_UNIQUE_ID if value_len > UNIQUE_ID_BYTES_MAX => {
                return Err(ProxyFault::Extension);
            }
            _ => {}
        }
        at = value_start + value_len;
    }
    if at != header.len() {
        return Err(ProxyFault::Extension);
    }
    match checksum {
        Some((place, stated)) if of_header(header, place) != stated => Err(ProxyFault::Checksum),
        _ => Ok(()),
    }
}

/// The checksum of the header as it was before its four bytes at `place` were filled in.
fn of_header(header: &[u8], place: usize) -> u32 {
    let mut sum = Crc32c::new();
    sum.add(&header[..place]);
    sum.add(&[0; 4]);
    sum.add(&header[place + 4..]);
    sum.value()
}
