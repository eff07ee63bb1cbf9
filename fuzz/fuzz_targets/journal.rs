//! Segments of the journal: whatever bytes they are, only whole records are read out of them.
//!
//! The input is a byte that says which records get a checksum of their own, since chance does
//! not find one, and the bytes of a segment; the first of them becomes a header the same way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tollring_fuzz::crc32c;
use tollring_ledger::journal::{Posting, RECORD_BYTES, Record, Sequence, read_segment};

/// Where a header's own checksum lies; records begin their checksums with it.
const HEADER_SUM_AT: usize = 240;

fuzz_target!(|input: &[u8]| {
    let Some((&which, bytes)) = input.split_first() else {
        return;
    };
    judge(bytes);
    let mut mended = bytes.to_vec();
    if mended.len() >= RECORD_BYTES {
        mend_header(&mut mended);
        judge(&mended);
        mend_records(&mut mended, which);
        judge(&mended);
    }
});

/// Makes the first bytes a header, of a file of this length.
fn mend_header(bytes: &mut [u8]) {
    let len = u32::try_from(bytes.len()).expect("inputs are small");
    bytes[..8].copy_from_slice(b"tollring");
    bytes[8..12].copy_from_slice(&1_u32.to_le_bytes());
    bytes[12..16].copy_from_slice(&len.to_le_bytes());
    bytes[18..24].fill(0);
    bytes[40..HEADER_SUM_AT].fill(0);
    let sum = crc32c(0, &bytes[..HEADER_SUM_AT]);
    bytes[HEADER_SUM_AT..][..4].copy_from_slice(&sum.to_le_bytes());
    bytes[HEADER_SUM_AT + 4..][..4].fill(0);
}

/// Gives records their sequence and their checksum, but for one in eight where `which` has a bit.
fn mend_records(bytes: &mut [u8], which: u8) {
    let salt = u32_at(bytes, HEADER_SUM_AT);
    let (_, slots) = bytes.split_at_mut(RECORD_BYTES);
    for (sequence, slot) in (1_u64..).zip(slots.chunks_exact_mut(RECORD_BYTES)) {
        if which >> (sequence % 8) & 1 == 0 {
            slot[8..16].copy_from_slice(&sequence.to_le_bytes());
            let sum = crc32c(salt, &slot[4..]);
            slot[..4].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

/// Holds what is read against what a plain reader sees.
fn judge(bytes: &[u8]) {
    let mut units = Vec::new();
    let read = read_segment(bytes, |sequence, record, postings| {
        units.push((sequence, *record, postings.to_vec()));
    });
    let Some(whole) = read else {
        assert!(units.is_empty(), "there are no records without a header");
        return;
    };
    let salt = u32_at(bytes, HEADER_SUM_AT);
    // Not beyond what the header says, the header itself among it.
    let end = bytes.len().min(u32_at(bytes, 12) as usize);
    let slots = bytes.get(RECORD_BYTES..end).unwrap_or_default();
    let slots = slots.as_chunks::<RECORD_BYTES>().0;
    assert!(whole as usize <= slots.len());
    let mut at = 0;
    let first = units.first().map_or(0, |(Sequence(first), ..)| *first);
    for (sequence, record, postings) in &units {
        assert_eq!(sequence.0, first.saturating_add(at as u64));
        at += judge_unit(&slots[at..], salt, *sequence, record, postings);
    }
    assert_eq!(at, whole as usize, "records between units");
    // And nothing that is whole was left out, unless a unit goes on beyond what there is.
    if let Some(next) = slots.get(at)
        && is_sealed(next, salt, first.saturating_add(at as u64))
        && at > 0
    {
        let is_known = (1..=5).contains(&next[4]) && next[5] <= 7 && next[6] <= 3;
        let is_alone = next[29] <= 7 && next[74..76] == [0; 2];
        let is_blank = next[144 + 16 * usize::from(next[29].min(7))..]
            .iter()
            .all(|b| *b == 0);
        assert!(
            !(is_known && is_alone && is_blank),
            "a whole record was not read"
        );
    }
}

/// Holds one unit against its bytes; says how many records it has.
fn judge_unit(
    slots: &[[u8; RECORD_BYTES]],
    salt: u32,
    sequence: Sequence,
    record: &Record,
    postings: &[Posting],
) -> usize {
    let lead = &slots[0];
    assert!(is_sealed(lead, salt, sequence.0));
    assert_eq!(lead[4], record.kind as u8);
    assert_eq!(lead[16..28], record.request);
    assert_eq!(lead[32..40], record.at.0.to_le_bytes());
    assert_eq!(lead[112..120], record.cost.0.to_le_bytes());
    assert_eq!(usize::from(lead[29]), postings.len());
    let (mut slot, mut at) = (0, 144);
    for posting in postings {
        if at == RECORD_BYTES {
            (slot, at) = (slot + 1, 32);
            assert!(is_sealed(
                &slots[slot],
                salt,
                sequence.0.saturating_add(slot as u64)
            ));
            assert_eq!(slots[slot][16..28], record.request);
        }
        let bytes = &slots[slot][at..at + 16];
        assert_eq!(bytes[..4], posting.bucket.to_le_bytes());
        assert_eq!(bytes[4..8], posting.ends_s.to_le_bytes());
        assert_eq!(bytes[8..], posting.amount.to_le_bytes());
        at += 16;
    }
    slot + 1
}

fn is_sealed(slot: &[u8; RECORD_BYTES], salt: u32, sequence: u64) -> bool {
    slot[8..16] == sequence.to_le_bytes() && u32_at(slot, 0) == crc32c(salt, &slot[4..])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}
