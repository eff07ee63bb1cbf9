//! How a record lies on disk: 256 bytes, little endian, with a checksum.
//!
//! Decides that what is read is exactly what was written, or nothing. A record that
//! touches more buckets than it has room for goes on in MORE records; the lead record and
//! its MOREs are one unit, which is whole or not there. This file knows no files.
//!
//! ```text
//!   0 checksum u32       4 kind, outcome, usage source, dialect: u8
//!   8 sequence u64      16 request id [u8; 12]     28 attempt u8, postings u8, status u16
//!  32 at i64, unix ms   40 tenant, key, team, service, asked, served, provider, prices: u32
//!  72 refusal u16, 0 u16                           76 time to first byte u32, µs
//!  80 tokens 8 × u32   112 cost i64, nano-USD     120 total time u64, µs
//! 128 bytes in u64     136 bytes out u64          144 postings 7 × 16
//!
//! MORE
//!   0 checksum u32       4 kind, postings here, which of them, 0: u8
//!   8 sequence u64      16 request id [u8; 12]     28 0 u32       32 postings 14 × 16
//!
//! a posting
//!   0 bucket u32         4 end of the epoch u32, unix seconds     8 amount i64
//! ```

use tollring_config::NanoUsd;

use super::record::{Kind, Outcome, Posting, Record, Sequence, TokenCounts, UsageSource};
use crate::amounts::UnixMillis;

/// Bytes of a record. A power of two, so that none lies across two pages.
pub const RECORD_BYTES: usize = 256;
/// Postings in a lead record.
const LEAD_POSTINGS: usize = 7;
/// Postings in each MORE.
const MORE_POSTINGS: usize = 14;
const MORES_MAX: usize = 2;
/// Postings of one record, at most.
pub const POSTINGS_MAX: usize = LEAD_POSTINGS + MORES_MAX * MORE_POSTINGS;
/// Records of one unit, at most.
pub(super) const UNIT_SLOTS_MAX: u32 = 3;

const _: () = assert!(
    POSTINGS_MAX >= crate::hold::PATH_MAX,
    "every bucket of a path must find room in one unit"
);
const _: () = assert!(UNIT_SLOTS_MAX as usize == 1 + MORES_MAX);

const CHECKSUM_BYTES: usize = 4;
/// Where the sequence lies.
pub(super) const SEQUENCE_AT: usize = 8;
const REQUEST_AT: usize = 16;
const NUMBERS_AT: usize = 40;
const TOKENS_AT: usize = 80;
const LEAD_POSTINGS_AT: usize = 144;
const MORE_POSTINGS_AT: usize = 32;
const POSTING_BYTES: usize = 16;
/// The kind of a MORE; no [`Kind`] has it.
const MORE: u8 = 0x4d;

const _: () = assert!(LEAD_POSTINGS_AT + LEAD_POSTINGS * POSTING_BYTES == RECORD_BYTES);
const _: () = assert!(MORE_POSTINGS_AT + MORE_POSTINGS * POSTING_BYTES == RECORD_BYTES);

/// One record as bytes.
pub(super) type Slot = [u8; RECORD_BYTES];

/// What makes a record this one and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Where checksums begin, in this use of this file: so that what an earlier use left
    /// behind is never whole.
    pub(super) salt: u32,
    /// Of the unit's lead record.
    pub(super) sequence: Sequence,
}

impl Stamp {
    /// The stamp of a MORE: the first has `which` 1.
    const fn after(self, which: u32) -> Self {
        Self {
            salt: self.salt,
            sequence: Sequence(self.sequence.0.saturating_add(which as u64)),
        }
    }
}

/// Records that a unit with so many postings takes.
pub(super) const fn slots_of(postings: usize) -> u32 {
    assert!(postings <= POSTINGS_MAX, "a unit has no room for so many");
    match postings
        .saturating_sub(LEAD_POSTINGS)
        .div_ceil(MORE_POSTINGS)
    {
        0 => 1,
        1 => 2,
        _ => 3,
    }
}

/// Writes a unit, one record after the other, through `write`.
///
/// # Panics
///
/// If there are more than [`POSTINGS_MAX`] postings.
#[inline]
pub(super) fn encode<P>(record: &Record, postings: P, stamp: Stamp, mut write: impl FnMut(&Slot))
where
    P: ExactSizeIterator<Item = Posting>,
{
    let mut postings = postings;
    let mut left = postings.len();
    let slots = slots_of(left);
    let mut slot = lead(record);
    slot[29] = byte(left);
    left -= fill(&mut slot[LEAD_POSTINGS_AT..], &mut postings);
    seal(&mut slot, stamp);
    write(&slot);
    for which in 1..slots {
        let mut slot = [0; RECORD_BYTES];
        slot[4] = MORE;
        slot[5] = byte(left.min(MORE_POSTINGS));
        slot[6] = byte(which as usize);
        put(&mut slot, REQUEST_AT, record.request);
        left -= fill(&mut slot[MORE_POSTINGS_AT..], &mut postings);
        seal(&mut slot, stamp.after(which));
        write(&slot);
    }
}

/// What lies at a place where a unit might.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A unit of so many records; its postings were added to the list.
    Whole { record: Record, slots: u32 },
    /// The bytes end before the unit does.
    Short,
    /// Nothing that was written whole with this stamp.
    Invalid,
}

/// Reads the unit that `bytes` begin with and adds its postings to `postings`.
pub(super) fn decode(bytes: &[u8], stamp: Stamp, postings: &mut Vec<Posting>) -> Read {
    let Some(slot) = bytes.first_chunk::<RECORD_BYTES>() else {
        return Read::Short;
    };
    if !is_sealed(slot, stamp) {
        return Read::Invalid;
    }
    let Some(record) = record_of(slot) else {
        return Read::Invalid;
    };
    let all = usize::from(slot[29]);
    if all > POSTINGS_MAX {
        return Read::Invalid;
    }
    let slots = slots_of(all);
    if bytes.len() < slots as usize * RECORD_BYTES {
        return Read::Short;
    }
    let before = postings.len();
    let mut left = all - take(&slot[LEAD_POSTINGS_AT..], all, postings);
    let mut whole = is_blank(&slot[LEAD_POSTINGS_AT..], all);
    for (which, more) in (1..slots).zip(bytes[RECORD_BYTES..].as_chunks().0) {
        whole &= is_sealed(more, stamp.after(which)) && is_more(more, which, left, &record);
        left -= take(&more[MORE_POSTINGS_AT..], left, postings);
    }
    if !whole {
        postings.truncate(before);
        return Read::Invalid;
    }
    Read::Whole { record, slots }
}

/// The sequence of the record in `slot`, if it is whole and begins a unit.
pub(super) fn sequence_of(slot: &Slot, salt: u32) -> Option<Sequence> {
    let sequence = Sequence(u64_at(slot, SEQUENCE_AT));
    (is_sealed(slot, Stamp { salt, sequence }) && record_of(slot).is_some()).then_some(sequence)
}

fn checksum(slot: &Slot, salt: u32) -> u32 {
    crc32c::crc32c_append(salt, &slot[CHECKSUM_BYTES..])
}

#[inline]
fn seal(slot: &mut Slot, stamp: Stamp) {
    put(slot, SEQUENCE_AT, stamp.sequence.0.to_le_bytes());
    let checksum = checksum(slot, stamp.salt);
    put(slot, 0, checksum.to_le_bytes());
}

fn is_sealed(slot: &Slot, stamp: Stamp) -> bool {
    u64_at(slot, SEQUENCE_AT) == stamp.sequence.0 && u32_at(slot, 0) == checksum(slot, stamp.salt)
}

/// A lead record but for its postings and its seal.
#[inline]
fn lead(record: &Record) -> Slot {
    let mut slot = [0; RECORD_BYTES];
    slot[4] = record.kind as u8;
    slot[5] = record.outcome as u8;
    slot[6] = record.usage_source as u8;
    slot[7] = record.dialect;
    put(&mut slot, REQUEST_AT, record.request);
    slot[28] = record.attempt;
    put(&mut slot, 30, record.status.to_le_bytes());
    put(&mut slot, 32, record.at.0.to_le_bytes());
    let numbers = [
        record.tenant,
        record.key,
        record.team,
        record.service,
        record.model_asked,
        record.model_served,
        record.provider,
        record.price_version,
    ];
    for (place, number) in numbers.into_iter().enumerate() {
        put(&mut slot, NUMBERS_AT + 4 * place, number.to_le_bytes());
    }
    put(&mut slot, 72, record.refusal.to_le_bytes());
    put(&mut slot, 76, record.ttfb_us.to_le_bytes());
    let counts = &record.tokens;
    let counts = [
        counts.input,
        counts.output,
        counts.cached_read,
        counts.cache_write,
        counts.reasoning,
        counts.audio,
        counts.image,
        counts.searches,
    ];
    for (place, count) in counts.into_iter().enumerate() {
        put(&mut slot, TOKENS_AT + 4 * place, count.to_le_bytes());
    }
    put(&mut slot, 112, record.cost.0.to_le_bytes());
    put(&mut slot, 120, record.total_us.to_le_bytes());
    put(&mut slot, 128, record.bytes_in.to_le_bytes());
    put(&mut slot, 136, record.bytes_out.to_le_bytes());
    slot
}

/// What a lead record says; none for a MORE, and for values that nothing writes.
fn record_of(slot: &Slot) -> Option<Record> {
    if u16_at(slot, 74) != 0 {
        return None;
    }
    let number = |place: usize| u32_at(slot, NUMBERS_AT + 4 * place);
    let count = |place: usize| u32_at(slot, TOKENS_AT + 4 * place);
    Some(Record {
        kind: kind_of(slot[4])?,
        outcome: outcome_of(slot[5])?,
        usage_source: usage_source_of(slot[6])?,
        dialect: slot[7],
        request: bytes_at(slot, REQUEST_AT),
        attempt: slot[28],
        status: u16_at(slot, 30),
        at: UnixMillis(i64_at(slot, 32)),
        tenant: number(0),
        key: number(1),
        team: number(2),
        service: number(3),
        model_asked: number(4),
        model_served: number(5),
        provider: number(6),
        price_version: number(7),
        refusal: u16_at(slot, 72),
        ttfb_us: u32_at(slot, 76),
        tokens: TokenCounts {
            input: count(0),
            output: count(1),
            cached_read: count(2),
            cache_write: count(3),
            reasoning: count(4),
            audio: count(5),
            image: count(6),
            searches: count(7),
        },
        cost: NanoUsd(i64_at(slot, 112)),
        total_us: u64_at(slot, 120),
        bytes_in: u64_at(slot, 128),
        bytes_out: u64_at(slot, 136),
    })
}

fn kind_of(byte: u8) -> Option<Kind> {
    use Kind::{Attempt, Extend, Hold, Post, Void};
    [Hold, Extend, Post, Void, Attempt]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
}

fn outcome_of(byte: u8) -> Option<Outcome> {
    use Outcome::{ClientGone, Crashed, Cut, Failed, Lost, Open, Refused, Whole};
    [Open, Whole, Cut, ClientGone, Failed, Refused, Lost, Crashed]
        .into_iter()
        .find(|outcome| *outcome as u8 == byte)
}

fn usage_source_of(byte: u8) -> Option<UsageSource> {
    use UsageSource::{Counted, Hold, Provider, Unknown};
    [Unknown, Provider, Counted, Hold]
        .into_iter()
        .find(|source| *source as u8 == byte)
}

/// Whether a sealed record is MORE number `which` of `record`, which has `left` postings to go.
fn is_more(slot: &Slot, which: u32, left: usize, record: &Record) -> bool {
    let here = left.min(MORE_POSTINGS);
    slot[4..8] == [MORE, byte(here), byte(which as usize), 0]
        && slot[REQUEST_AT..][..12] == record.request
        && u32_at(slot, 28) == 0
        && is_blank(&slot[MORE_POSTINGS_AT..], here)
}

/// Writes as many postings as there is room for, and says how many there were.
#[inline]
fn fill(room: &mut [u8], postings: &mut impl Iterator<Item = Posting>) -> usize {
    let mut filled = 0;
    // The room first: a posting that was taken must be written.
    for (room, posting) in room
        .as_chunks_mut::<POSTING_BYTES>()
        .0
        .iter_mut()
        .zip(postings)
    {
        put(room, 0, posting.bucket.to_le_bytes());
        put(room, 4, posting.ends_s.to_le_bytes());
        put(room, 8, posting.amount.to_le_bytes());
        filled += 1;
    }
    filled
}

/// Reads as many of `left` postings as there is room for, and says how many those were.
fn take(room: &[u8], left: usize, postings: &mut Vec<Posting>) -> usize {
    let before = postings.len();
    let here = room.as_chunks::<POSTING_BYTES>().0.iter().take(left);
    postings.extend(here.map(|posting| Posting {
        bucket: u32_at(posting, 0),
        ends_s: u32_at(posting, 4),
        amount: i64_at(posting, 8),
    }));
    postings.len() - before
}

/// Whether nothing stands in the room of postings that are not there.
fn is_blank(room: &[u8], postings: usize) -> bool {
    let unused = room.get(postings * POSTING_BYTES..).unwrap_or_default();
    unused.iter().all(|&byte| byte == 0)
}

#[inline]
fn put<const N: usize>(slot: &mut [u8], at: usize, bytes: [u8; N]) {
    slot[at..at + N].copy_from_slice(&bytes);
}

/// A number of postings; a unit has few.
#[inline]
fn byte(count: usize) -> u8 {
    u8::try_from(count).expect("a unit has fewer than 256 postings")
}

fn bytes_at<const N: usize>(slot: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&slot[at..at + N]);
    bytes
}

fn u16_at(slot: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes_at(slot, at))
}

pub(super) fn u32_at(slot: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(slot, at))
}

pub(super) fn u64_at(slot: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(slot, at))
}

fn i64_at(slot: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(bytes_at(slot, at))
}
