//! One file of the journal while it is open: its room, and how much of that is written.
//!
//! Decides how a segment comes into being, so that it is either wholly there or not at all,
//! and which of its records are whole, synced and marked so. Who writes next is the lane's.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::disk::Disk;
use super::fault::JournalFault;
use super::folder::Opened;
use super::header::{Header, MARK_AT, place_of};
use super::layout::{RECORD_BYTES, Words};
use super::map::Map;
use super::record::Sequence;

/// Records made ready for a writer ahead of where it is, at most: a sync writes what was made
/// ready and not used, too.
const AHEAD_SLOTS_MAX: u32 = 4096;
/// The same when nobody knows yet how quick it is: four pages.
const AHEAD_SLOTS_FIRST: u32 = 64;

/// A file of a lane.
///
/// Invariant: `marked <= synced <= filled <= header.slots()`, in records.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) header: Header,
    pub(super) salt: u32,
    map: Map,
    /// The sequence of its first record; 0 until there is one.
    first: AtomicU64,
    /// Records that are whole; the writer's word, for whoever reads.
    filled: AtomicU32,
    /// Records that would survive a power cut.
    synced: AtomicU32,
    /// As much of that as the file itself says on the disk.
    marked: AtomicU32,
}

impl Segment {
    /// Makes a segment: of the file `old`, where there is one to spare, else of a new one.
    ///
    /// It gets its name last, so that whatever has one is whole.
    pub(super) fn make(
        folder: &Path,
        disk: &dyn Disk,
        header: Header,
        old: Option<&Path>,
    ) -> Result<Self, JournalFault> {
        let path = folder.join(header.file_name());
        let unnamed = path.with_extension("new");
        let made = fill_unnamed(folder, disk, header, old, &unnamed)
            .and_then(|file| Ok((Map::new(&file, header.bytes)?, file)))
            .and_then(|made| fs::rename(&unnamed, &path).map(|()| made))
            .and_then(|made| disk.sync_names(folder).map(|()| made));
        match made {
            Ok((map, file)) => Ok(Self::over(path, file, header, map)),
            Err(source) => {
                // Whatever is left of it is of no use, and takes room that is scarce.
                let _ = fs::remove_file(&unnamed);
                Err(JournalFault::io("making", &path, source))
            }
        }
    }

    /// A segment that was there at the start, of which `filled` records are whole.
    pub(super) fn old(opened: Opened, first: Sequence, filled: u32) -> Result<Self, JournalFault> {
        let Opened {
            path,
            file,
            header,
            marked,
        } = opened;
        let map = Map::new(&file, header.bytes)
            .map_err(|source| JournalFault::io("mapping", &path, source))?;
        let mut segment = Self::over(path, file, header, map);
        *segment.first.get_mut() = first.0;
        *segment.filled.get_mut() = filled;
        *segment.synced.get_mut() = marked;
        *segment.marked.get_mut() = marked;
        Ok(segment)
    }

    fn over(path: PathBuf, file: File, header: Header, map: Map) -> Self {
        Self {
            path,
            file,
            header,
            salt: header.salt(),
            map,
            first: AtomicU64::new(0),
            filled: AtomicU32::new(0),
            synced: AtomicU32::new(0),
            marked: AtomicU32::new(0),
        }
    }

    /// The writer's: the next record has `first`.
    pub(super) fn begin(&self, first: Sequence) {
        self.first.store(first.0, Ordering::Relaxed);
    }

    /// The writer's: a record goes to place `slot`.
    #[inline]
    pub(super) fn put(&self, slot: u32, words: &Words) {
        self.map.put(place_of(slot), words);
    }

    /// The writer's: so many records are whole.
    #[inline]
    pub(super) fn publish(&self, filled: u32) {
        // Whoever acquires this sees the records, and where they begin.
        self.filled.store(filled, Ordering::Release);
    }

    /// Records that are whole.
    pub(super) fn filled(&self) -> u32 {
        self.filled.load(Ordering::Acquire)
    }

    /// Records that would survive a power cut.
    pub(super) fn synced(&self) -> u32 {
        self.synced.load(Ordering::Acquire)
    }

    /// The sequence of the first record, once there is one.
    pub(super) fn first(&self) -> Option<Sequence> {
        (self.filled() > 0).then(|| Sequence(self.first.load(Ordering::Relaxed)))
    }

    /// The sequence after the last whole record; none while there is none.
    pub(super) fn end(&self) -> Option<Sequence> {
        let filled = self.filled();
        let first = self.first.load(Ordering::Relaxed);
        (filled > 0).then(|| Sequence(first + u64::from(filled)))
    }

    /// Syncs what is new, and says up to where everything is synced; none where nothing was new.
    ///
    /// One thread at a time.
    pub(super) fn sync(&self, disk: &dyn Disk) -> io::Result<Option<Sequence>> {
        let (filled, synced) = (self.filled(), self.synced.load(Ordering::Relaxed));
        if self.marked.load(Ordering::Relaxed) == filled {
            return Ok(None);
        }
        disk.sync(&self.path, &self.file)?;
        // The mark that was in the file when the sync began is on the disk with the rest. The
        // one for what is synced now follows with the next sync, so there is one more sync
        // after the last record.
        self.marked.store(synced, Ordering::Relaxed);
        if filled == synced {
            return Ok(None);
        }
        self.synced.store(filled, Ordering::Release);
        self.map.put(MARK_AT, &[self.header.mark(filled)]);
        // As much again as was written since the last time, and a little for luck.
        self.touch(filled, (filled - synced).saturating_mul(2));
        let first = self.first.load(Ordering::Relaxed);
        Ok(Some(Sequence(first + u64::from(filled))))
    }

    /// Makes the beginning ready for a writer.
    pub(super) fn touch_first(&self) {
        self.touch(0, AHEAD_SLOTS_FIRST);
    }

    /// Makes records from `slot` on ready to be written without a wait.
    fn touch(&self, slot: u32, slots: u32) {
        let bytes = slots.min(AHEAD_SLOTS_MAX) as usize * RECORD_BYTES;
        self.map.touch(place_of(slot), bytes);
    }
}

/// A file with its room and its header on the disk, under a name that says nothing.
fn fill_unnamed(
    folder: &Path,
    disk: &dyn Disk,
    header: Header,
    old: Option<&Path>,
    unnamed: &Path,
) -> io::Result<File> {
    if let Some(old) = old {
        // First the name: a segment whose name and header disagree would be taken for damage.
        fs::rename(old, unnamed)?;
        disk.sync_names(folder)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(unnamed)?;
    disk.reserve(&file, u64::from(header.bytes))?;
    file.write_all_at(&header.encode(), 0)?;
    disk.sync(unnamed, &file)?;
    Ok(file)
}
