//! What was held and charged, on the disk: a copy to write down, and read again by anybody.
//!
//! ```text
//!   worker N ──admit, settle, append──▶ lane N: segment, segment, spare   (memory-mapped files)
//!   sync thread ──sync, tend──▶ fdatasync; spares made, released segments used again
//!   recorder ──reader, next_batch──▶ records in order ──▶ the store ──release──▶
//!   next start ──open──▶ torn tails cut, damage found, holds without an outcome
//! ```
//!
//! A worker appends by copying 256 bytes: no system call, no lock, no allocation. Whatever
//! kills the process, the kernel has what was copied; what kills the machine takes at most
//! what was not synced. Each file decides one thing: `record` what is said, `layout` and
//! `header` how it lies on disk, `segment` and `lane` which file is written, `writer` who
//! finds room, `reader` what is read, `recover` what a start makes of what it finds.
//!
//! Not decided here: when to sync, what to do when there is no room, what a record means for
//! a bucket, what becomes of a hold without an outcome. This room reads no clock.
//!
//! Invariants:
//!
//! - A unit (a record and its MOREs) is in one segment, whole or not at all.
//! - In a lane sequences rise by one from record to record, over segments and starts; but for
//!   records that were imported before a power cut took them.
//! - Before the mark of a segment everything is whole, or the journal is damaged and says so.
//! - Whoever was let in by `admit` finds room for its outcome.

mod disk;
mod fault;
mod folder;
mod header;
mod lane;
mod layout;
mod map;
mod reader;
mod record;
mod recover;
mod scan;
mod segment;
mod tend;
mod writer;

#[cfg(all(test, not(loom)))]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use fault::JournalFault;
pub use layout::{POSTINGS_MAX, RECORD_BYTES};
pub use reader::{Batch, Entry, Reader};
pub use record::{Kind, Outcome, Posting, Record, Sequence, TokenCounts, UsageSource};
pub use recover::{Gap, OpenHold, Recovered, Torn};
pub use scan::read_segment;
pub use tend::{Lacking, Tended};
pub use writer::{NoRoom, Room, Writer};

use disk::{Disk, Kernel};
use lane::Lane;
use tend::Idle;

/// Bytes of a segment, at the least: a page.
pub const SEGMENT_BYTES_MIN: u32 = 4096;
/// Bytes of a segment, at the most. Arbitrary; offsets in it fit 32 bits with room to spare.
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;
/// Segments that every lane needs: one that is written, and one that is ready.
pub const SEGMENTS_PER_LANE_MIN: u64 = 2;

/// How a journal is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of each segment; rounded down to pages, and within [`SEGMENT_BYTES_MIN`] and
    /// [`SEGMENT_BYTES_MAX`].
    pub segment_bytes: u32,
    /// Bytes of all segments together. No segment is made beyond it; those that an earlier
    /// start left behind count, and are read all the same.
    pub bytes_max: u64,
    /// Lanes that are written to, numbered from 0.
    pub lanes: u16,
}

/// A folder of segments that this process writes to.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    /// Files of which nothing is needed any more; whoever has this tends.
    idle: Mutex<Idle>,
    /// Whoever has this syncs.
    syncing: Mutex<()>,
}

/// What writers and readers keep alive, the lock on the folder among it.
#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    disk: Box<dyn Disk>,
    /// Bytes of a segment that is made.
    segment_bytes: u32,
    /// Records that fit into one.
    slots: u32,
    /// Lanes `0..lanes` are written to; others were, by an earlier process.
    lanes_written: u16,
    lanes: BTreeMap<u16, Arc<Lane>>,
    failed: OnceLock<(PathBuf, String)>,
    /// Locked for as long as anybody here may write.
    _lock: File,
}

impl Shared {
    fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    /// The fault of a sync that failed, if one did.
    fn failure(&self) -> Result<(), JournalFault> {
        match self.failed.get() {
            None => Ok(()),
            Some((file, why)) => Err(JournalFault::Failed {
                file: file.clone(),
                why: why.clone(),
            }),
        }
    }
}

impl Journal {
    /// Opens the journal in `folder`, which is made if it is not there.
    ///
    /// Everything that is there is read: torn tails are cut, damage is found, and so are holds
    /// without an outcome. `imported` says for each lane up to which sequence the store has it,
    /// as [`Reader::checkpoints`] said; records before that may be missing, for they are safe
    /// elsewhere, and no sequence before that is given out again. What is there is synced, and
    /// lanes go on in new segments.
    ///
    /// # Errors
    ///
    /// [`JournalFault::InUse`], [`JournalFault::TooSmall`], [`JournalFault::Corrupt`],
    /// [`JournalFault::Version`], or what the file system says. Lack of room for new segments
    /// is not one of them: [`Journal::tend`] makes them when there is room.
    pub fn open(
        folder: &Path,
        settings: Settings,
        imported: &[(u16, Sequence)],
    ) -> Result<(Self, Recovered), JournalFault> {
        Self::open_on(Box::new(Kernel), folder, settings, imported)
    }

    fn open_on(
        disk: Box<dyn Disk>,
        folder: &Path,
        settings: Settings,
        imported: &[(u16, Sequence)],
    ) -> Result<(Self, Recovered), JournalFault> {
        let settings = settings.checked()?;
        let lock = folder::lock(folder)?;
        let found = recover::recover(folder, settings.lanes, imported)?;
        let shared = Shared {
            folder: folder.to_owned(),
            disk,
            segment_bytes: settings.segment_bytes,
            slots: header::slots_in(settings.segment_bytes),
            lanes_written: settings.lanes,
            lanes: found.lanes,
            failed: OnceLock::new(),
            _lock: lock,
        };
        let journal = Self {
            shared: Arc::new(shared),
            idle: Mutex::new(Idle::new(found.idle, found.bytes, settings.bytes_max)),
            syncing: Mutex::new(()),
        };
        // What was only in memory when the last process ended; twice, for the marks.
        journal.sync()?;
        journal.sync()?;
        journal.tend()?;
        Ok((journal, found.recovered))
    }

    /// The end of `lane` that is written to.
    ///
    /// # Panics
    ///
    /// If it was asked for before, or the lane is not within [`Settings::lanes`].
    pub fn writer(&self, lane: u16) -> Writer {
        assert!(lane < self.shared.lanes_written, "there is no such lane");
        let lane = &self.shared.lanes[&lane];
        assert!(lane.claim(), "a lane has one writer");
        Writer::new(Arc::clone(&self.shared), Arc::clone(lane))
    }

    /// A reader of all lanes, each from the sequence that is given for it, others from their
    /// beginning. It sees what was synced: where nobody else does, whoever reads does so first.
    pub fn reader(&self, from: &[(u16, Sequence)]) -> Reader {
        Reader::live(Arc::clone(&self.shared), from)
    }

    /// Syncs every lane that has news, and moves [`Journal::synced`] on.
    ///
    /// Called again when nothing was new, it puts down in the files what is synced.
    ///
    /// # Errors
    ///
    /// [`JournalFault::Failed`], for good: nothing is synced from then on, and no hold let in.
    pub fn sync(&self) -> Result<(), JournalFault> {
        let _one = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.failure()?;
        for lane in self.shared.lanes.values() {
            if let Err((file, fault)) = lane.sync(self.shared.disk.as_ref()) {
                // The kernel may have dropped the pages that it could not write and call the
                // next sync a success. So there is no next one.
                let _ = self.shared.failed.set((file, fault.to_string()));
                return self.shared.failure();
            }
        }
        Ok(())
    }

    /// Everything of `lane` before this sequence would survive a power cut.
    ///
    /// # Panics
    ///
    /// If there is no such lane.
    pub fn synced(&self, lane: u16) -> Sequence {
        self.shared.lanes[&lane].synced()
    }

    /// Whether a sync has failed, for good.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed()
    }

    /// Says that nothing of `lane` before `sequence` is needed any more: it was imported, and
    /// what holds of it are still open is known elsewhere. [`Journal::tend`] uses the files
    /// again.
    pub fn release(&self, lane: u16, sequence: Sequence) {
        if let Some(lane) = self.shared.lanes.get(&lane) {
            lane.release(sequence);
        }
    }
}

impl Settings {
    fn checked(self) -> Result<Self, JournalFault> {
        let bytes = self
            .segment_bytes
            .clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let segment_bytes = bytes - bytes % SEGMENT_BYTES_MIN;
        let each = SEGMENTS_PER_LANE_MIN * u64::from(segment_bytes);
        let needed = each * u64::from(self.lanes);
        if self.bytes_max < needed {
            return Err(JournalFault::TooSmall {
                lanes: self.lanes,
                segment_bytes,
                needed,
                bytes_max: self.bytes_max,
            });
        }
        Ok(Self {
            segment_bytes,
            ..self
        })
    }
}
