//! A peer that knows the keys and does what no library would, and one that knows nothing.

use std::sync::OnceLock;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use proptest::prelude::*;
use rustls::ConnectionTrafficSecrets;

use super::*;

/// A client of TLS 1.3 that seals any type of record, with the keys of one that behaved.
struct Forger {
    key: LessSafeKey,
    iv: [u8; 12],
    number: u64,
}

impl Forger {
    fn of(client: End) -> Self {
        let Side::Client(side) = client.session.side else {
            panic!("not a client");
        };
        let (secrets, _) = side.dangerous_into_kernel_connection().unwrap();
        let (number, secrets) = secrets.tx;
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else {
            panic!("another cipher than the only one");
        };
        Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap()),
            iv: iv.as_ref().try_into().unwrap(),
            number,
        }
    }

    /// One record with this content of this type (RFC 8446 §5.2).
    fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, digit) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= digit;
        }
        self.number += 1;
        let mut inner = content.to_vec();
        inner.push(kind);
        let length = u16::try_from(inner.len() + 16).unwrap();
        let mut record = vec![0x17, 3, 3];
        record.extend(length.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(record.clone());
        self.key
            .seal_in_place_append_tag(nonce, aad, &mut inner)
            .unwrap();
        record.append(&mut inner);
        record
    }
}

const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// A `KeyUpdate` that asks for none in return (RFC 8446 §4.6.3).
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];

#[test]
fn writing_while_half_a_message_has_come_is_no_fault() {
    let ends = Ends::new(&rustls::version::TLS13);
    for parts in [&[2, 3][..], &[1, 1, 1, 1, 1], &[4, 1]] {
        let (client, mut server) = ends.shaken();
        let mut forger = Forger::of(client);
        let mut rest = &KEY_UPDATE[..];
        for &part in parts {
            let (now, later) = rest.split_at(part);
            server.receive(&forger.seal(HANDSHAKE, now), 64);
            // The library panicked here, for it did not find the bytes it had begun with.
            assert!(!server.seal(b"an answer meanwhile").is_empty());
            rest = later;
        }
        assert_eq!(server.last, Ok(Opened::Ready), "{parts:?}");
        assert!(server.arrived.is_empty());
        assert!(!server.seal(b"and one after it").is_empty());
    }
}

#[test]
fn half_a_message_and_something_else_is_refused() {
    let (client, mut server) = Ends::new(&rustls::version::TLS13).shaken();
    let mut forger = Forger::of(client);
    server.receive(&forger.seal(HANDSHAKE, &KEY_UPDATE[..2]), 64);
    server.receive(&forger.seal(APPLICATION_DATA, b"content between"), 64);
    assert!(server.last.is_err(), "{:?}", server.last);
    assert!(server.content.is_empty());
    assert!(server.session.seal(b"more", &mut Vec::new()).is_err());
}

#[test]
fn empty_records_without_end_are_refused() {
    for kind in [HANDSHAKE, APPLICATION_DATA] {
        let (client, mut server) = Ends::new(&rustls::version::TLS13).shaken();
        let mut forger = Forger::of(client);
        let refused = (0..1000).any(|_| {
            server.receive(&forger.seal(kind, b""), 64);
            server.last.is_err()
        });
        assert!(
            refused,
            "a thousand empty records of type {kind} were taken"
        );
    }
}

#[test]
fn as_many_new_keys_as_are_asked_for_leave_one_answer_waiting() {
    let ends = Ends::new(&rustls::version::TLS13);
    let (mut client, mut server) = ends.shaken();
    for _ in 0..20 {
        client.refresh_keys();
        let sealed = client.seal(b"x");
        server.receive(&sealed, 64);
        assert!(server.session.leaving().len() < 256);
    }
    assert_eq!(server.content.len(), 20);
    let answer = server.seal(b"y");
    client.receive(&answer, 64);
    assert_eq!(client.content, b"y");
}

/// What a hostile peer sends, in which pieces.
fn pieces() -> impl Strategy<Value = (Vec<u8>, Vec<usize>)> {
    // Half of it looks like records, for otherwise nothing is read but the first five bytes.
    let record =
        (20_u8..=24, prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(kind, body)| {
            let mut record = vec![kind, 3, 3, 0, u8::try_from(body.len()).unwrap()];
            record.extend(body);
            record
        });
    let noise = prop::collection::vec(any::<u8>(), 0..80);
    let bytes = prop::collection::vec(prop_oneof![3 => record, 1 => noise], 0..12);
    let bytes = bytes.prop_map(|parts| parts.concat());
    (bytes, prop::collection::vec(1_usize..400, 1..12))
}

/// What is likelier than noise to be the beginning of a message.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0_u8), Just(24), any::<u8>()], 0..12)
}

fn feed(end: &mut End, mut bytes: &[u8], lengths: &[usize]) {
    let mut lengths = lengths.iter().cycle();
    let mut failed = None;
    while !bytes.is_empty() {
        let length = lengths.next().map_or(1, |&length| length).min(bytes.len());
        let (piece, rest) = bytes.split_at(length);
        end.receive(piece, 64);
        bytes = rest;
        if let Some(failed) = &failed {
            assert_eq!(&end.last, failed, "an end is not taken back");
        } else if end.last.is_err() {
            failed = Some(end.last.clone());
        }
        let mut out = Vec::new();
        let sealed = end.session.seal(b"meanwhile", &mut out);
        assert!(out.len() < 4096 && end.session.leaving().len() < 4096);
        assert!(failed.is_none() || sealed.is_err());
    }
}

fn shared(version: &'static SupportedProtocolVersion) -> &'static Ends {
    static ENDS: [OnceLock<Ends>; 2] = [const { OnceLock::new() }; 2];
    let place = usize::from(version.version == ProtocolVersion::TLSv1_2);
    ENDS[place].get_or_init(|| Ends::new(version))
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic_whoever_takes_them(
        (bytes, lengths) in pieces(),
        version in 0_usize..2,
        shaken: bool,
    ) {
        let ends = shared(BOTH[version]);
        let (mut client, mut server) = if shaken { ends.shaken() } else { ends.begin() };
        client.receive(b"", 0);
        feed(&mut server, &bytes, &lengths);
        feed(&mut client, &bytes, &lengths);
    }

    #[test]
    fn a_handshake_with_bytes_changed_never_panics(
        changes in prop::collection::vec((0_usize..1500, any::<u8>()), 1..4),
        lengths in prop::collection::vec(1_usize..600, 1..8),
        version in 0_usize..2,
    ) {
        let (mut client, mut server) = shared(BOTH[version]).begin();
        client.receive(b"", 0);
        let mut passed = 0;
        for _ in 0..4 {
            for down in [false, true] {
                let (from, to) = if down {
                    (&mut server, &mut client)
                } else {
                    (&mut client, &mut server)
                };
                let mut bytes = from.leaving();
                for &(place, value) in &changes {
                    if let Some(byte) = place.checked_sub(passed).and_then(|at| bytes.get_mut(at)) {
                        *byte = value;
                    }
                }
                passed += bytes.len();
                let mut rest = &bytes[..];
                for &length in lengths.iter().cycle() {
                    let (piece, later) = rest.split_at(length.min(rest.len()));
                    to.receive(piece, 64);
                    rest = later;
                    if rest.is_empty() {
                        break;
                    }
                }
            }
        }
    }

    #[test]
    fn arbitrary_messages_after_the_handshake_never_panic(
        records in prop::collection::vec((20_u8..=25, message()), 1..12),
        lengths in prop::collection::vec(1_usize..80, 1..8),
    ) {
        let (client, mut server) = shared(&rustls::version::TLS13).shaken();
        let mut forger = Forger::of(client);
        let records = records.iter().flat_map(|(kind, content)| forger.seal(*kind, content));
        let records: Vec<u8> = records.collect();
        feed(&mut server, &records, &lengths);
    }
}
