//! Keeps a segment ready for every writer, out of those that nobody needs any more.
//!
//! Decides what becomes of released segments, and who gets the next when there are too few.
//! Nothing here is done by a worker, and nothing here hurts one: without a spare it goes on
//! until its segment is full.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::disk::Disk;
use super::fault::JournalFault;
use super::header::Header;
use super::lane::Lane;
use super::segment::Segment;
use super::{Journal, Shared};

/// What was done, and what could not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Segments that were made of new files.
    pub made: usize,
    /// Segments that were made of files that nothing was needed of.
    pub reused: usize,
    /// Files that were removed, being more than are needed soon.
    pub removed: usize,
    /// Why a writer has no segment in reserve, if one has none.
    pub lacking: Option<Lacking>,
}

/// Why there is no segment to spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// The disk has no more room, or the user of the process may not have more of it.
    DiskFull,
    /// [`Settings::bytes_max`](super::Settings::bytes_max) allows no more.
    BytesMax,
}

/// Files of which nothing is needed any more, oldest first, and what all files take.
#[derive(Debug)]
pub(super) struct Idle {
    files: VecDeque<(PathBuf, u64)>,
    /// Bytes of all segments, these among them.
    bytes: u64,
    bytes_max: u64,
}

impl Idle {
    pub(super) fn new(files: Vec<(PathBuf, u64)>, bytes: u64, bytes_max: u64) -> Self {
        Self {
            files: files.into(),
            bytes,
            bytes_max,
        }
    }

    /// One after the other: were a younger file gone and an older one not, its lane would look
    /// as if it had ended there.
    fn remove(&mut self, path: &Path, bytes: u64, disk: &dyn Disk) -> Result<(), JournalFault> {
        let folder = path.parent().unwrap_or(path);
        fs::remove_file(path)
            .and_then(|()| disk.sync_names(folder))
            .map_err(|source| JournalFault::io("removing", path, source))?;
        self.bytes = self.bytes.saturating_sub(bytes);
        Ok(())
    }
}

impl Journal {
    /// Makes segments ready for writers that have none in reserve, of released ones where there
    /// are some.
    ///
    /// To be called often: a lane goes through a segment in seconds when there is much to do.
    ///
    /// # Errors
    ///
    /// What the file system says. A full disk is not an error, but said in [`Tended::lacking`];
    /// the next call tries again, so that the journal goes on when there is room.
    pub fn tend(&self) -> Result<Tended, JournalFault> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (shared, mut tended) = (&self.shared, Tended::default());
        for lane in shared.lanes.values() {
            let given_up = lane.give_up();
            let file = |segment: &Arc<Segment>| (segment.path.clone(), segment.header.bytes.into());
            idle.files.extend(given_up.iter().map(file));
        }
        // Whoever has least comes first.
        while let Some(lane) = shared.neediest() {
            shared.make_one(lane, &mut idle, &mut tended)?;
            if tended.lacking.is_some() {
                break;
            }
        }
        while idle.files.len() > usize::from(shared.lanes_written) {
            let Some((path, bytes)) = idle.files.pop_front() else {
                break;
            };
            idle.remove(&path, bytes, shared.disk.as_ref())?;
            tended.removed += 1;
        }
        Ok(tended)
    }
}

impl Shared {
    fn neediest(&self) -> Option<&Arc<Lane>> {
        let written = self.lanes.range(..self.lanes_written);
        written
            .map(|(_, lane)| lane)
            .filter(|lane| lane.wanted() > 0)
            .min_by_key(|lane| lane.spares())
    }

    fn make_one(
        &self,
        lane: &Lane,
        idle: &mut Idle,
        tended: &mut Tended,
    ) -> Result<(), JournalFault> {
        let bytes = u64::from(self.segment_bytes);
        let mut old = None;
        while let Some((path, has)) = idle.files.pop_front() {
            if has == bytes {
                old = Some(path);
                break;
            }
            // From before the setting was changed.
            idle.remove(&path, has, self.disk.as_ref())?;
            tended.removed += 1;
        }
        if old.is_none() && idle.bytes + bytes > idle.bytes_max {
            tended.lacking = Some(Lacking::BytesMax);
            return Ok(());
        }
        let header = Header {
            bytes: self.segment_bytes,
            lane: lane.number,
            generation: lane.next_generation(),
            nonce: nonce()?,
        };
        let made = Segment::make(&self.folder, self.disk.as_ref(), header, old.as_deref());
        match (made, old) {
            (Ok(segment), Some(_)) => {
                lane.add(segment);
                tended.reused += 1;
            }
            (Ok(segment), None) => {
                lane.add(segment);
                idle.bytes += bytes;
                tended.made += 1;
            }
            (Err(fault), old) => {
                // The file it was to be made of is gone.
                idle.bytes -= old.map_or(0, |_| bytes);
                if !is_full(&fault) {
                    return Err(fault);
                }
                tended.lacking = Some(Lacking::DiskFull);
            }
        }
        Ok(())
    }
}

fn is_full(fault: &JournalFault) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let JournalFault::Io { source, .. } = fault else {
        return false;
    };
    matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// A number that no other use of a file has.
fn nonce() -> Result<u64, JournalFault> {
    let fault = |fault: getrandom::Error| io::Error::other(fault.to_string());
    getrandom::u64()
        .map_err(|f| JournalFault::io("drawing a number from", Path::new("/dev/urandom"), fault(f)))
}
