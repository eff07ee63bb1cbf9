//! The first 256 bytes of a segment, and the name of its file.
//!
//! Decides which use of which file a record belongs to. All but the last word is written
//! once, when a segment is made, and is on the disk before anybody gets to see the file;
//! the last word says how many records are known to be on the disk, and changes in one
//! store, so that it is never half written. Where a segment begins in its lane is not said
//! here: its first record says so itself.
//!
//! ```text
//!   0 "tollring"   8 version u32   12 bytes of the file u32   16 lane u16   18 0 [u8; 6]
//!  24 generation u64              32 nonce u64                40 0 …
//! 240 checksum u32 over all that  244 0 u32                  248 synced u32, its checksum u32
//! ```

use super::layout::{RECORD_BYTES, Slot};

/// Bytes of a header: a record's, so that records lie at multiples of their size.
pub(super) const HEADER_BYTES: usize = RECORD_BYTES;
/// Where the mark lies.
pub(super) const MARK_AT: usize = 248;
const MAGIC: &[u8; 8] = b"tollring";
/// The only format there is.
const VERSION: u32 = 1;
const CHECKSUM_AT: usize = 240;

/// What a segment is, as its file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the file, this header included.
    pub(super) bytes: u32,
    pub(super) lane: u16,
    /// The lane's segments are written in this order.
    pub(super) generation: u64,
    /// Drawn anew for each use of a file.
    pub(super) nonce: u64,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not one of ours, or no longer what was written.
    Damaged,
    /// Another version of the format.
    Version(u32),
}

impl Header {
    /// The header as bytes; nothing is synced yet.
    pub(super) fn encode(&self) -> Slot {
        let mut slot = [0; HEADER_BYTES];
        slot[..8].copy_from_slice(MAGIC);
        slot[8..12].copy_from_slice(&VERSION.to_le_bytes());
        slot[12..16].copy_from_slice(&self.bytes.to_le_bytes());
        slot[16..18].copy_from_slice(&self.lane.to_le_bytes());
        slot[24..32].copy_from_slice(&self.generation.to_le_bytes());
        slot[32..40].copy_from_slice(&self.nonce.to_le_bytes());
        let checksum = crc32c::crc32c(&slot[..CHECKSUM_AT]);
        slot[CHECKSUM_AT..][..4].copy_from_slice(&checksum.to_le_bytes());
        slot[MARK_AT..].copy_from_slice(&self.mark(0).to_le_bytes());
        slot
    }

    /// Reads what [`Self::encode`] wrote; the mark is left alone.
    pub(super) fn decode(slot: &Slot) -> Result<Self, Fault> {
        if slot[..8] != *MAGIC {
            return Err(Fault::Damaged);
        }
        let header = Self {
            bytes: u32_at(slot, 12),
            lane: u16::from_le_bytes([slot[16], slot[17]]),
            generation: u64_at(slot, 24),
            nonce: u64_at(slot, 32),
        };
        // Exact: what is not ours to read may not stand there.
        if header.encode()[..MARK_AT] == slot[..MARK_AT] {
            return Ok(header);
        }
        let version = u32_at(slot, 8);
        let is_whole = u32_at(slot, CHECKSUM_AT) == crc32c::crc32c(&slot[..CHECKSUM_AT]);
        Err(match is_whole && version != VERSION {
            true => Fault::Version(version),
            false => Fault::Damaged,
        })
    }

    /// Where checksums begin in this segment. No other use of the file has the same, so what
    /// that left behind is never whole here.
    pub(super) fn salt(&self) -> u32 {
        u32_at(&self.encode(), CHECKSUM_AT)
    }

    /// The word that says `synced` records are on the disk.
    pub(super) fn mark(&self, synced: u32) -> u64 {
        u64::from(synced) | u64::from(self.mark_checksum(synced)) << 32
    }

    /// How many records the word says are on the disk; none if it says nothing.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    pub(super) fn marked(&self, word: u64) -> Option<u32> {
        let synced = word as u32;
        (synced <= self.slots() && self.mark(synced) == word).then_some(synced)
    }

    fn mark_checksum(&self, synced: u32) -> u32 {
        let mut said = [0; 12];
        said[..8].copy_from_slice(&self.nonce.to_le_bytes());
        said[8..].copy_from_slice(&synced.to_le_bytes());
        crc32c::crc32c(&said)
    }

    /// Records that the segment has room for.
    pub(super) const fn slots(&self) -> u32 {
        slots_in(self.bytes)
    }

    /// The name of the file.
    pub(super) fn file_name(&self) -> String {
        format!("lane-{:04}-{:08}.seg", self.lane, self.generation)
    }
}

/// Records that a segment of so many bytes has room for.
pub(super) const fn slots_in(bytes: u32) -> u32 {
    (bytes >> RECORD_BYTES.ilog2()).saturating_sub(1)
}

/// Where record number `slot` of a segment lies, in bytes from its start.
#[inline]
pub(super) const fn place_of(slot: u32) -> usize {
    HEADER_BYTES + slot as usize * RECORD_BYTES
}

/// The same, of the file.
pub(super) const fn offset_of(slot: u32) -> u64 {
    place_of(slot) as u64
}

/// The lane and generation that a file's name says, if it is a segment's.
pub(super) fn parse_name(name: &str) -> Option<(u16, u64)> {
    let (lane, generation) = name
        .strip_prefix("lane-")?
        .strip_suffix(".seg")?
        .split_once('-')?;
    let (lane, generation) = (lane.parse().ok()?, generation.parse().ok()?);
    let header = Header {
        bytes: 0,
        lane,
        generation,
        nonce: 0,
    };
    // Only as we write it: `lane-3-17.seg` is somebody else's.
    (header.file_name() == name).then_some((lane, generation))
}

fn u32_at(slot: &Slot, at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&slot[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn u64_at(slot: &Slot, at: usize) -> u64 {
    u64::from(u32_at(slot, at)) | u64::from(u32_at(slot, at + 4)) << 32
}
