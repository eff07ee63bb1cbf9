//! What is written is read back exactly, and nothing else is.

use proptest::collection::vec;
use proptest::prelude::*;
use tollring_config::NanoUsd;

use crate::amounts::UnixMillis;
use crate::journal::header::{Header, MARK_AT};
use crate::journal::layout::{
    POSTINGS_MAX, RECORD_BYTES, Read, Stamp, decode, encode, sequence_of, slots_of,
};
use crate::journal::record::{Kind, Outcome, Posting, Record, Sequence, TokenCounts, UsageSource};

fn kind() -> impl Strategy<Value = Kind> {
    use Kind::{Attempt, Extend, Hold, Post, Void};
    prop::sample::select(vec![Hold, Extend, Post, Void, Attempt])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    use Outcome::{ClientGone, Crashed, Cut, Failed, Lost, Open, Refused, Whole};
    prop::sample::select(vec![
        Open, Whole, Cut, ClientGone, Failed, Refused, Lost, Crashed,
    ])
}

fn usage_source() -> impl Strategy<Value = UsageSource> {
    use UsageSource::{Counted, Hold, Provider, Unknown};
    prop::sample::select(vec![Unknown, Provider, Counted, Hold])
}

prop_compose! {
    fn any_record()(
        (kind, outcome, usage_source) in (kind(), outcome(), usage_source()),
        (dialect, request, attempt, status) in any::<(u8, [u8; 12], u8, u16)>(),
        (at, numbers, refusal, ttfb_us) in any::<(i64, [u32; 8], u16, u32)>(),
        (tokens, cost) in any::<([u32; 8], i64)>(),
        (total_us, bytes_in, bytes_out) in any::<(u64, u64, u64)>(),
    ) -> Record {
        let [tenant, key, team, service, model_asked, model_served, provider, price_version] =
            numbers;
        let [input, output, cached_read, cache_write, reasoning, audio, image, searches] = tokens;
        let tokens = TokenCounts {
            input, output, cached_read, cache_write, reasoning, audio, image, searches,
        };
        Record {
            kind, outcome, usage_source, dialect, request, attempt, status, tenant, key, team,
            service, model_asked, model_served, provider, price_version, refusal, ttfb_us, tokens,
            total_us, bytes_in, bytes_out, at: UnixMillis(at), cost: NanoUsd(cost),
        }
    }
}

prop_compose! {
    fn any_posting()((bucket, ends_s, amount) in any::<(u32, u32, i64)>()) -> Posting {
        Posting { bucket, ends_s, amount }
    }
}

fn encoded(record: &Record, postings: &[Posting], stamp: Stamp) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(record, postings.iter().copied(), stamp, |words| {
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    });
    bytes
}

proptest! {
    #[test]
    fn a_unit_is_read_back_as_it_was_written(
        record in any_record(),
        postings in vec(any_posting(), 0..=POSTINGS_MAX),
        salt in any::<u32>(),
        sequence in 1..u64::MAX / 2,
    ) {
        let stamp = Stamp { salt, sequence: Sequence(sequence) };
        let bytes = encoded(&record, &postings, stamp);
        prop_assert_eq!(bytes.len(), slots_of(postings.len()) as usize * RECORD_BYTES);
        let mut read = vec![Posting::default()];
        let slots = slots_of(postings.len());
        prop_assert_eq!(decode(&bytes, stamp, &mut read), Read::Whole { record, slots });
        prop_assert_eq!(&read[1..], &postings[..]);
        prop_assert_eq!(sequence_of(bytes.first_chunk().unwrap(), salt), Some(stamp.sequence));
        // And nothing less is a unit.
        for end in [0, 1, RECORD_BYTES - 1, bytes.len() - RECORD_BYTES, bytes.len() - 1] {
            prop_assert_eq!(decode(&bytes[..end], stamp, &mut read), Read::Short);
        }
        prop_assert_eq!(read.len(), 1 + postings.len());
    }

    #[test]
    fn nothing_is_read_with_another_stamp_or_after_any_change(
        record in any_record(),
        postings in vec(any_posting(), 0..=POSTINGS_MAX),
        (salt, other) in any::<(u32, u32)>(),
        sequence in 1..u64::MAX / 2,
        (place, bit) in (any::<prop::sample::Index>(), 0..8_u8),
    ) {
        let stamp = Stamp { salt, sequence: Sequence(sequence) };
        let mut bytes = encoded(&record, &postings, stamp);
        let mut read = Vec::new();
        let mut check = |bytes: &[u8], stamp| decode(bytes, stamp, &mut read);
        let salted = Stamp { salt: other, ..stamp };
        prop_assert_eq!(check(&bytes, salted) == Read::Invalid, other != salt);
        let next = Stamp { sequence: Sequence(sequence + 1), ..stamp };
        prop_assert_eq!(check(&bytes, next), Read::Invalid);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert_eq!(check(&bytes, stamp), Read::Invalid);
    }

    #[test]
    fn whatever_bytes_are_taken_are_what_would_be_written(
        record in any_record(),
        postings in vec(any_posting(), 0..=POSTINGS_MAX),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        // With a checksum of its own, as only a bug or an enemy would give it.
        let stamp = Stamp { salt: 1, sequence: Sequence(1) };
        let mut bytes = encoded(&record, &postings, stamp);
        for (place, byte) in changes {
            let place = place.index(RECORD_BYTES - 16);
            bytes[if place < 4 { 4 } else if place < 12 { place + 12 } else { place + 4 }] = byte;
        }
        let sum = crc32c::crc32c_append(1, &bytes[4..RECORD_BYTES]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        let mut read = Vec::new();
        if let Read::Whole { record, slots } = decode(&bytes, stamp, &mut read) {
            let again = encoded(&record, &read, stamp);
            prop_assert_eq!(&again[..], &bytes[..slots as usize * RECORD_BYTES]);
        }
    }

    #[test]
    fn a_header_is_read_back_and_no_other_is(
        (bytes, lane, generation, nonce) in any::<(u32, u16, u64, u64)>(),
        (place, bit) in (0..MARK_AT, 0..8_u8),
        synced in any::<u32>(),
    ) {
        let header = Header { bytes, lane, generation, nonce };
        let mut slot = header.encode();
        prop_assert_eq!(Header::decode(&slot), Ok(header));
        slot[place] ^= 1 << bit;
        prop_assert!(Header::decode(&slot).is_err());
        let synced = synced % (header.slots() + 1);
        prop_assert_eq!(header.marked(header.mark(synced)), Some(synced));
        prop_assert_eq!(header.marked(header.mark(synced) ^ 1 << bit), None);
    }
}

/// The layout is a promise to every later version: this record may never look otherwise.
#[test]
fn the_layout_is_what_the_format_says() {
    let record = Record {
        kind: Kind::Post,
        outcome: Outcome::ClientGone,
        usage_source: UsageSource::Counted,
        dialect: 9,
        request: *b"abcdefghijkl",
        attempt: 2,
        status: 0x0102,
        at: UnixMillis(0x0304),
        tenant: 11,
        price_version: 18,
        refusal: 0x0506,
        ttfb_us: 0x0708,
        cost: NanoUsd(-1),
        bytes_out: 0x090a,
        ..Record::default()
    };
    let posting = Posting {
        bucket: 7,
        ends_s: 8,
        amount: -2,
    };
    let stamp = Stamp {
        salt: 0,
        sequence: Sequence(0x0b0c),
    };
    let bytes = encoded(&record, &[posting; 8], stamp);
    assert_eq!(bytes[4..16], [3, 3, 2, 9, 0x0c, 0x0b, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&bytes[16..28], b"abcdefghijkl");
    assert_eq!(bytes[28..36], [2, 8, 2, 1, 4, 3, 0, 0]);
    assert_eq!((bytes[40], bytes[68]), (11, 18));
    assert_eq!(bytes[72..80], [6, 5, 0, 0, 8, 7, 0, 0]);
    assert_eq!(bytes[112..120], [0xff; 8]);
    assert_eq!(bytes[136..138], [0x0a, 0x09]);
    assert_eq!(bytes[144..153], [7, 0, 0, 0, 8, 0, 0, 0, 0xfe]);
    assert_eq!(bytes[..4], crc32c::crc32c(&bytes[4..256]).to_le_bytes());
    let more = &bytes[RECORD_BYTES..];
    assert_eq!(more[4..16], [0x4d, 1, 1, 0, 0x0d, 0x0b, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&more[16..28], b"abcdefghijkl");
    assert_eq!(more[32..41], [7, 0, 0, 0, 8, 0, 0, 0, 0xfe]);
}
