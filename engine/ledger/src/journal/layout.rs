//! How a record lies on disk: 256 bytes, little endian, with a checksum.
//!
//! Decides that what is read is exactly what was written, or nothing. To the machine a record is
//! 32 words, which is what it is put together and copied as. A record that
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
/// Words of a record.
const RECORD_WORDS: usize = RECORD_BYTES / size_of::<u64>();
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
/// Where the sequence lies, in words.
const SEQUENCE_AT: usize = 1;
const LEAD_POSTINGS_AT: usize = 18;
const MORE_POSTINGS_AT: usize = 4;
const POSTING_WORDS: usize = 2;
/// The kind of a MORE; no [`Kind`] has it.
const MORE: u8 = 0x4d;

const _: () = assert!(LEAD_POSTINGS_AT + LEAD_POSTINGS * POSTING_WORDS == RECORD_WORDS);
const _: () = assert!(MORE_POSTINGS_AT + MORE_POSTINGS * POSTING_WORDS == RECORD_WORDS);

/// One record as bytes.
pub(super) type Slot = [u8; RECORD_BYTES];
/// One record as words, the first bytes of each in its lowest bits.
pub(super) type Words = [u64; RECORD_WORDS];

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
#[inline]
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
pub(super) fn encode<P>(record: &Record, postings: P, stamp: Stamp, mut write: impl FnMut(&Words))
where
    P: ExactSizeIterator<Item = Posting>,
{
    let mut postings = postings;
    let all = postings.len();
    let mut words = [0; RECORD_WORDS];
    fill_lead(&mut words, record, all);
    fill(&mut words[LEAD_POSTINGS_AT..], &mut postings);
    seal(&mut words, stamp);
    write(&words);
    for which in 1..slots_of(all) {
        let mut words = more_head(record.request, which, more_postings(all, which));
        fill(&mut words[MORE_POSTINGS_AT..], &mut postings);
        seal(&mut words, stamp.after(which));
        write(&words);
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
    let words = words_of(slot);
    let all = usize::from(half(words[3], 1).to_le_bytes()[1]);
    let Some(record) = record_of(&words).filter(|_| is_sealed(&words, stamp)) else {
        return Read::Invalid;
    };
    if all > POSTINGS_MAX {
        return Read::Invalid;
    }
    let slots = slots_of(all);
    if bytes.len() < slots as usize * RECORD_BYTES {
        return Read::Short;
    }
    let before = postings.len();
    let mut whole = take(&words[LEAD_POSTINGS_AT..], all.min(LEAD_POSTINGS), postings);
    for (which, more) in (1..slots).zip(bytes[RECORD_BYTES..].as_chunks().0) {
        let (more, here) = (words_of(more), more_postings(all, which));
        let head = more_head(record.request, which, here);
        whole &= is_sealed(&more, stamp.after(which)) && half(more[0], 1) == half(head[0], 1);
        whole &= more[2..MORE_POSTINGS_AT] == head[2..MORE_POSTINGS_AT];
        whole &= take(&more[MORE_POSTINGS_AT..], here, postings);
    }
    if !whole {
        postings.truncate(before);
        return Read::Invalid;
    }
    Read::Whole { record, slots }
}

/// The sequence of the record in `slot`, if it is whole and begins a unit.
pub(super) fn sequence_of(slot: &Slot, salt: u32) -> Option<Sequence> {
    let words = words_of(slot);
    let sequence = Sequence(words[SEQUENCE_AT]);
    (is_sealed(&words, Stamp { salt, sequence }) && record_of(&words).is_some()).then_some(sequence)
}

/// Whether the record in `slot` was meant to be number `sequence`, whole or not.
pub(super) fn claims(slot: &Slot, sequence: Sequence) -> bool {
    words_of(slot)[SEQUENCE_AT] == sequence.0
}

fn words_of(slot: &Slot) -> Words {
    let mut words = [0; RECORD_WORDS];
    for (word, bytes) in words.iter_mut().zip(slot.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

#[inline]
fn checksum(words: &Words, salt: u32) -> u32 {
    // A loop is a copy here, where `map` is 32 calls.
    let mut bytes = [[0; size_of::<u64>()]; RECORD_WORDS];
    for (bytes, word) in bytes.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    crc32c::crc32c_append(salt, &bytes.as_flattened()[CHECKSUM_BYTES..])
}

/// Gives a record its sequence, then its checksum.
#[inline]
fn seal(words: &mut Words, stamp: Stamp) {
    words[SEQUENCE_AT] = stamp.sequence.0;
    words[0] |= u64::from(checksum(words, stamp.salt));
}

fn is_sealed(words: &Words, stamp: Stamp) -> bool {
    words[SEQUENCE_AT] == stamp.sequence.0 && half(words[0], 0) == checksum(words, stamp.salt)
}

/// A lead record but for its postings and its seal.
#[inline]
fn fill_lead(words: &mut Words, record: &Record, postings: usize) {
    let kinds = [
        record.kind as u8,
        record.outcome as u8,
        record.usage_source as u8,
        record.dialect,
    ];
    let [status_low, status_high] = record.status.to_le_bytes();
    let states = [record.attempt, byte(postings), status_low, status_high];
    let tokens = &record.tokens;
    words[0] = pair(0, u32::from_le_bytes(kinds));
    [words[2], words[3]] = id_words(record.request, u32::from_le_bytes(states));
    words[4] = record.at.0.cast_unsigned();
    words[5] = pair(record.tenant, record.key);
    words[6] = pair(record.team, record.service);
    words[7] = pair(record.model_asked, record.model_served);
    words[8] = pair(record.provider, record.price_version);
    words[9] = pair(u32::from(record.refusal), record.ttfb_us);
    words[10] = pair(tokens.input, tokens.output);
    words[11] = pair(tokens.cached_read, tokens.cache_write);
    words[12] = pair(tokens.reasoning, tokens.audio);
    words[13] = pair(tokens.image, tokens.searches);
    words[14] = record.cost.0.cast_unsigned();
    words[15] = record.total_us;
    words[16] = record.bytes_in;
    words[17] = record.bytes_out;
}

/// What a lead record says; none for a MORE, and for values that nothing writes.
fn record_of(words: &Words) -> Option<Record> {
    let (low, high) = (
        |at: usize| half(words[at], 0),
        |at: usize| half(words[at], 1),
    );
    let [kind, outcome, usage_source, dialect] = high(0).to_le_bytes();
    let [attempt, _, status_low, status_high] = high(3).to_le_bytes();
    let mut request = [0; 12];
    request[..8].copy_from_slice(&words[2].to_le_bytes());
    request[8..].copy_from_slice(&low(3).to_le_bytes());
    Some(Record {
        kind: kind_of(kind)?,
        outcome: outcome_of(outcome)?,
        usage_source: usage_source_of(usage_source)?,
        dialect,
        request,
        attempt,
        status: u16::from_le_bytes([status_low, status_high]),
        at: UnixMillis(words[4].cast_signed()),
        tenant: low(5),
        key: high(5),
        team: low(6),
        service: high(6),
        model_asked: low(7),
        model_served: high(7),
        provider: low(8),
        price_version: high(8),
        refusal: u16::try_from(low(9)).ok()?,
        ttfb_us: high(9),
        tokens: TokenCounts {
            input: low(10),
            output: high(10),
            cached_read: low(11),
            cache_write: high(11),
            reasoning: low(12),
            audio: high(12),
            image: low(13),
            searches: high(13),
        },
        cost: NanoUsd(words[14].cast_signed()),
        total_us: words[15],
        bytes_in: words[16],
        bytes_out: words[17],
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

/// Postings in MORE number `which` of a unit that has `all`.
fn more_postings(all: usize, which: u32) -> usize {
    let before = LEAD_POSTINGS + (which as usize - 1) * MORE_POSTINGS;
    all.saturating_sub(before).min(MORE_POSTINGS)
}

/// MORE number `which`, but for its postings and its seal.
fn more_head(request: [u8; 12], which: u32, postings: usize) -> Words {
    let mut words = [0; RECORD_WORDS];
    let kinds = [MORE, byte(postings), byte(which as usize), 0];
    words[0] = pair(0, u32::from_le_bytes(kinds));
    [words[2], words[3]] = id_words(request, 0);
    words
}

/// A request's id, and what stands in the rest of its second word.
#[inline]
fn id_words(request: [u8; 12], rest: u32) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = request;
    let end = u32::from_le_bytes([i, j, k, l]);
    [
        u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        pair(end, rest),
    ]
}

/// Writes as many postings as there is room for.
#[inline]
fn fill(room: &mut [u64], postings: &mut impl Iterator<Item = Posting>) {
    // The room first: a posting that was taken must be written.
    for ([which, amount], posting) in room.as_chunks_mut().0.iter_mut().zip(postings) {
        *which = pair(posting.bucket, posting.ends_s);
        *amount = posting.amount.cast_unsigned();
    }
}

/// Reads so many postings. Says whether nothing stands in the room of those that are not there.
fn take(room: &[u64], count: usize, postings: &mut Vec<Posting>) -> bool {
    let (there, rest) = room.split_at(count * POSTING_WORDS);
    postings.extend(there.as_chunks().0.iter().map(|[which, amount]| Posting {
        bucket: half(*which, 0),
        ends_s: half(*which, 1),
        amount: amount.cast_signed(),
    }));
    rest.iter().all(|word| *word == 0)
}

/// Two halves of a word, the lower first.
#[inline]
const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// The lower half of a word, or with `which` 1 the upper one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a half is meant")]
const fn half(word: u64, which: u32) -> u32 {
    (word >> (32 * which)) as u32
}

/// A number of postings; a unit has few.
#[inline]
fn byte(count: usize) -> u8 {
    u8::try_from(count).expect("a unit has fewer than 256 postings")
}
