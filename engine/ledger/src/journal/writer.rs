//! How a worker puts things down: a copy into memory, and nothing that could make it wait.
//!
//! Decides who still finds room when room is short. A hold is let in only when its outcome
//! will find room too, whatever else is written until then; so whoever is let in can always
//! be settled, and a full disk turns newcomers away, never those who are being served.

use std::sync::Arc;

use super::Shared;
use super::lane::Lane;
use super::layout::{Stamp, UNIT_SLOTS_MAX, encode, slots_of};
use super::record::{Posting, Record, Sequence};
use super::segment::Segment;

/// Records that may be lost at the end of a segment, since a unit lies in one.
const WASTE: u64 = UNIT_SLOTS_MAX as u64 - 1;

/// Why a record was not put down. What that means is the caller's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// All room is written, or kept for the outcomes of holds that are open.
    Full,
    /// A sync failed: what is put down may not last, so nothing new may begin.
    Failed,
}

/// Room that is kept for the outcome of one hold.
///
/// Give it to [`Writer::settle`] or [`Writer::give_back`]; room that is dropped stays kept
/// until the process ends.
#[derive(Debug)]
#[must_use = "room that is dropped is lost to everybody"]
pub struct Room(u32);

/// The end of a lane that is written to. One for each lane, moved into the worker's thread.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    segment: Option<Arc<Segment>>,
    /// Records in `segment`, and how many more fit.
    filled: u32,
    free: u32,
    /// The next record's.
    next: Sequence,
    /// Records that are kept for outcomes.
    kept: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, lane: Arc<Lane>) -> Self {
        let next = lane.begins;
        Self {
            shared,
            lane,
            segment: None,
            filled: 0,
            free: 0,
            next,
            kept: 0,
        }
    }

    /// Puts down a hold, and keeps room for its outcome, which may have as many postings.
    ///
    /// # Errors
    ///
    /// If there is no room for both, or a sync has failed. Nothing was written then.
    ///
    /// # Panics
    ///
    /// If there are more postings than [`POSTINGS_MAX`](super::POSTINGS_MAX).
    #[inline]
    pub fn admit<P>(&mut self, record: &Record, postings: P) -> Result<(Sequence, Room), NoRoom>
    where
        P: ExactSizeIterator<Item = Posting>,
    {
        if self.shared.has_failed() {
            return Err(NoRoom::Failed);
        }
        let slots = slots_of(postings.len());
        self.look_for(2 * slots)?;
        self.kept += u64::from(slots);
        Ok((self.put(record, postings, slots), Room(slots)))
    }

    /// Puts down the outcome of a hold. There is room: it was kept.
    ///
    /// # Panics
    ///
    /// If the outcome takes more records than its hold did.
    #[inline]
    pub fn settle<P>(&mut self, room: Room, record: &Record, postings: P) -> Sequence
    where
        P: ExactSizeIterator<Item = Posting>,
    {
        let slots = slots_of(postings.len());
        assert!(
            slots <= room.0,
            "an outcome charges no bucket that held nothing"
        );
        self.give_back(room);
        self.put(record, postings, slots)
    }

    /// Gives up room that was kept for an outcome, without one.
    #[inline]
    pub fn give_back(&mut self, room: Room) {
        self.kept -= u64::from(room.0);
    }

    /// Puts down what no room was kept for: an extension, a refusal, a failed attempt, the
    /// outcome of a hold of an earlier process.
    ///
    /// # Errors
    ///
    /// If there is no room but what is kept for outcomes. A sync that failed is no reason: what
    /// is put down is still better kept than not.
    ///
    /// # Panics
    ///
    /// If there are more postings than [`POSTINGS_MAX`](super::POSTINGS_MAX).
    #[inline]
    pub fn append<P>(&mut self, record: &Record, postings: P) -> Result<Sequence, NoRoom>
    where
        P: ExactSizeIterator<Item = Posting>,
    {
        let slots = slots_of(postings.len());
        self.look_for(slots)?;
        Ok(self.put(record, postings, slots))
    }

    /// Everything of this lane before this sequence would survive a power cut.
    #[inline]
    pub fn synced(&self) -> Sequence {
        self.lane.synced()
    }

    /// The sequence of the next record.
    pub const fn next(&self) -> Sequence {
        self.next
    }

    /// Whether so many records fit beside what is kept.
    #[inline]
    fn look_for(&self, slots: u32) -> Result<(), NoRoom> {
        let needed = self.kept + u64::from(slots);
        if needed <= self.room_here() {
            return Ok(());
        }
        self.look_further(needed)
    }

    /// Records that fit for sure into this segment and all that were made ready.
    ///
    /// What is wasted at the end of each is taken off beforehand. So a unit takes no more off
    /// this than it has records, also when it goes into the next segment: it does so only where
    /// nothing was left of this one but waste.
    #[cold]
    fn look_further(&self, needed: u64) -> Result<(), NoRoom> {
        let each = self.room_each();
        let lacking = needed - self.room_here();
        self.lane.ask(lacking.div_ceil(each));
        let spares = self.lane.spares() as u64;
        if lacking <= spares * each {
            Ok(())
        } else {
            Err(NoRoom::Full)
        }
    }

    /// Records that fit for sure into a segment that was made ready.
    fn room_each(&self) -> u64 {
        u64::from(self.shared.slots) - WASTE
    }

    /// The same of this one.
    #[inline]
    const fn room_here(&self) -> u64 {
        (self.free as u64).saturating_sub(WASTE)
    }

    #[inline]
    fn put<P>(&mut self, record: &Record, postings: P, slots: u32) -> Sequence
    where
        P: ExactSizeIterator<Item = Posting>,
    {
        if self.free < slots {
            self.turn();
        }
        let segment = self.segment.as_ref().expect("room was looked for");
        let sequence = self.next;
        let stamp = Stamp {
            salt: segment.salt,
            sequence,
        };
        let mut slot = self.filled;
        encode(record, postings, stamp, |words| {
            segment.put(slot, words);
            slot += 1;
        });
        segment.publish(slot);
        self.filled = slot;
        self.free -= slots;
        self.next = Sequence(sequence.0 + u64::from(slots));
        sequence
    }

    /// Goes on in the next segment. The lane still knows the old one, so nothing is unmapped
    /// here.
    #[cold]
    fn turn(&mut self) {
        let spare = self.lane.take_spare().expect("room was looked for");
        spare.begin(self.next);
        self.lane.ask(self.kept / self.room_each());
        self.filled = 0;
        self.free = spare.header.slots();
        self.segment = Some(spare);
    }
}
