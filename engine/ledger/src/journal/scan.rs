//! Reads units out of a segment's bytes, wherever those come from.
//!
//! Decides where whole units end. Whether that is a torn tail, damage or merely as far as a
//! writer has come is not known here.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::fault::JournalFault;
use super::folder::Opened;
use super::header::{Header, offset_of, place_of};
use super::layout::{RECORD_BYTES, Read, Slot, Stamp, UNIT_SLOTS_MAX, claims, decode, sequence_of};
use super::record::{Posting, Record, Sequence};

/// Records that are read from a file at once.
const CHUNK_SLOTS: u32 = 1024;

/// A place in a segment, and the sequence of the record there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) sequence: Sequence,
}

impl Place {
    pub(super) fn after(self, slots: u32) -> Self {
        Self {
            slot: self.slot + slots,
            sequence: Sequence(self.sequence.0.saturating_add(u64::from(slots))),
        }
    }
}

/// A whole unit, lent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit<'a> {
    pub(super) place: Place,
    pub(super) record: &'a Record,
    pub(super) postings: &'a [Posting],
}

/// Reads segments, one chunk after the other; its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    bytes: Vec<u8>,
    postings: Vec<Posting>,
}

impl Scanner {
    /// The sequence of the first record in `file`; none where that is not whole.
    pub(super) fn first(&mut self, file: &File, salt: u32) -> io::Result<Option<Sequence>> {
        let mut slot: Slot = [0; RECORD_BYTES];
        file.read_exact_at(&mut slot, offset_of(0))?;
        let Some(first) = sequence_of(&slot, salt) else {
            return Ok(None);
        };
        // A unit is there when all of it is.
        let place = Place {
            slot: 0,
            sequence: first,
        };
        let mut is_whole = false;
        self.units(file, salt, place, UNIT_SLOTS_MAX, |_| {
            is_whole = true;
            false
        })?;
        Ok(is_whole.then_some(first))
    }

    /// Shows `sink` one whole unit after the other, from `place` on and not beyond record number
    /// `end`, until it says no. Returns where the next would be.
    pub(super) fn units(
        &mut self,
        file: &File,
        salt: u32,
        place: Place,
        end: u32,
        mut sink: impl FnMut(Unit<'_>) -> bool,
    ) -> io::Result<Place> {
        let mut place = place;
        while place.slot < end {
            let slots = (end - place.slot).min(CHUNK_SLOTS);
            self.bytes.resize(slots as usize * RECORD_BYTES, 0);
            let filled = read_at(file, &mut self.bytes, offset_of(place.slot))?;
            let before = place;
            let is_over = self.chunk(filled, salt, &mut place, &mut sink);
            if is_over || place == before {
                break;
            }
        }
        Ok(place)
    }

    /// Lead records of a segment that are whole, from record number `slot` on, whatever lies
    /// between them.
    pub(super) fn whole_records(
        &mut self,
        opened: &Opened,
        salt: u32,
        slot: u32,
    ) -> Result<u64, JournalFault> {
        let (mut slot, mut whole) = (slot, 0);
        while slot < opened.header.slots() {
            let slots = (opened.header.slots() - slot).min(CHUNK_SLOTS);
            self.bytes.resize(slots as usize * RECORD_BYTES, 0);
            let filled = read_at(&opened.file, &mut self.bytes, offset_of(slot))
                .map_err(|source| JournalFault::io("reading", &opened.path, source))?;
            let records = self.bytes[..filled].as_chunks().0.iter();
            whole += records
                .filter(|record| sequence_of(record, salt).is_some())
                .count() as u64;
            slot += slots;
        }
        Ok(whole)
    }

    /// Whether something was meant to be written at `place`, whole or not.
    pub(super) fn is_begun(opened: &Opened, place: Place) -> Result<bool, JournalFault> {
        if place.slot >= opened.header.slots() {
            return Ok(false);
        }
        let mut slot: Slot = [0; RECORD_BYTES];
        read_at(&opened.file, &mut slot, offset_of(place.slot))
            .map_err(|source| JournalFault::io("reading", &opened.path, source))?;
        Ok(claims(&slot, place.sequence))
    }

    /// As [`Self::units`], over what is in the buffer. Says whether it is over.
    fn chunk(
        &mut self,
        filled: usize,
        salt: u32,
        place: &mut Place,
        sink: &mut impl FnMut(Unit<'_>) -> bool,
    ) -> bool {
        let mut bytes = &self.bytes[..filled];
        loop {
            self.postings.clear();
            let stamp = Stamp {
                salt,
                sequence: place.sequence,
            };
            match decode(bytes, stamp, &mut self.postings) {
                Read::Whole { record, slots } => {
                    let unit = Unit {
                        place: *place,
                        record: &record,
                        postings: &self.postings,
                    };
                    *place = place.after(slots);
                    bytes = &bytes[slots as usize * RECORD_BYTES..];
                    if !sink(unit) {
                        return true;
                    }
                }
                Read::Short => return false,
                Read::Invalid => return true,
            }
        }
    }
}

/// Reads as much as there is.
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(filled)
}

/// Reads all whole units of a segment that is in memory, from its first on: what a file of the
/// journal says, for tools that look at one. None where `bytes` begin with no header.
pub fn read_segment(
    bytes: &[u8],
    mut sink: impl FnMut(Sequence, &Record, &[Posting]),
) -> Option<u32> {
    let header = Header::decode(bytes.first_chunk()?).ok()?;
    let slots = bytes.get(place_of(0)..)?;
    let mut scanner = Scanner {
        bytes: slots[..slots.len().min(header.slots() as usize * RECORD_BYTES)].to_vec(),
        postings: Vec::new(),
    };
    let salt = header.salt();
    let Some(sequence) = slots.first_chunk().and_then(|slot| sequence_of(slot, salt)) else {
        return Some(0);
    };
    let mut place = Place { slot: 0, sequence };
    let filled = scanner.bytes.len();
    scanner.chunk(filled, salt, &mut place, &mut |unit| {
        sink(unit.place.sequence, unit.record, unit.postings);
        true
    });
    Some(place.slot)
}
