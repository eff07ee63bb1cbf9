//! Reads the lanes in order, behind writers that go on writing.
//!
//! Decides what a reader may see, and when it goes on to the next segment. Within the process
//! that is what was synced: whoever makes something lasting of it is never ahead of what the
//! journal itself would have after a power cut. Of another process's files only checksums say
//! how far they are written, and what is not whole there is taken for not written yet.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Shared;
use super::fault::JournalFault;
use super::folder::{Named, Opened, segments};
use super::header::{Header, offset_of};
use super::lane::Found;
use super::record::{Posting, Record, Sequence};
use super::scan::{Place, Scanner, Unit};
use super::segment::Segment;

/// Records that were read, with their postings; used again from batch to batch.
#[derive(Debug, Default)]
pub struct Batch {
    entries: Vec<Stored>,
    postings: Vec<Posting>,
}

#[derive(Debug)]
struct Stored {
    lane: u16,
    sequence: Sequence,
    record: Record,
    postings: Range<usize>,
}

/// One record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Whose it is.
    pub lane: u16,
    /// Its place in the lane.
    pub sequence: Sequence,
    /// What it says.
    pub record: &'a Record,
    /// Of which buckets.
    pub postings: &'a [Posting],
}

impl Batch {
    /// Its records; those of one lane in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.entries.iter().map(|stored| Entry {
            lane: stored.lane,
            sequence: stored.sequence,
            record: &stored.record,
            postings: &self.postings[stored.postings.clone()],
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn add(&mut self, lane: u16, unit: Unit<'_>) {
        let before = self.postings.len();
        self.postings.extend_from_slice(unit.postings);
        self.entries.push(Stored {
            lane,
            sequence: unit.place.sequence,
            record: *unit.record,
            postings: before..self.postings.len(),
        });
    }
}

/// A reader of every lane of a journal.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    cursors: BTreeMap<u16, Cursor>,
    /// The lane that the next batch begins with, so that none waits for the others for ever.
    turn: u16,
    scanner: Scanner,
}

/// Where segments come from.
#[derive(Debug)]
enum Source {
    /// This process.
    Live(Arc<Shared>),
    /// Files that another process writes, or none any more.
    Folder(PathBuf),
}

/// How far one lane was read.
#[derive(Debug, Default)]
struct Cursor {
    /// The next record's; none where the oldest is wanted.
    next: Option<Sequence>,
    tail: Option<Tail>,
    /// Where that record will be in `tail`.
    place: Place,
}

/// A segment that is being read.
#[derive(Debug)]
enum Tail {
    Live(Arc<Segment>),
    Followed(Opened),
}

impl Reader {
    pub(super) fn live(shared: Arc<Shared>, from: &[(u16, Sequence)]) -> Self {
        Self::over(Source::Live(shared), from)
    }

    /// A reader of the journal in `folder`, which may be another process's.
    ///
    /// It sees what that writes soon after, and is not waited for: what was released and used
    /// again before it was read is missing.
    pub fn follow(folder: &Path, from: &[(u16, Sequence)]) -> Self {
        Self::over(Source::Folder(folder.to_owned()), from)
    }

    fn over(source: Source, from: &[(u16, Sequence)]) -> Self {
        let cursor = |&(lane, next)| {
            let cursor = Cursor {
                next: Some(next),
                ..Cursor::default()
            };
            (lane, cursor)
        };
        Self {
            source,
            cursors: from.iter().map(cursor).collect(),
            turn: 0,
            scanner: Scanner::default(),
        }
    }

    /// Fills `batch` with at most `max` records that follow those of the last one. There may be
    /// none; then nothing was written since.
    ///
    /// # Errors
    ///
    /// [`JournalFault::Corrupt`], [`JournalFault::Missing`], or what the file system says. The
    /// batch has what could be read before.
    pub fn next_batch(&mut self, batch: &mut Batch, max: usize) -> Result<(), JournalFault> {
        batch.entries.clear();
        batch.postings.clear();
        for lane in self.source.lanes()? {
            self.cursors.entry(lane).or_default();
        }
        let (before, after): (Vec<u16>, Vec<u16>) =
            self.cursors.keys().partition(|&&lane| lane < self.turn);
        for lane in after.into_iter().chain(before) {
            if let Some(cursor) = self.cursors.get_mut(&lane) {
                let scanner = &mut self.scanner;
                cursor.read(lane, &self.source, scanner, (&mut *batch, max))?;
            }
            if batch.len() >= max {
                self.turn = lane.wrapping_add(1);
                break;
            }
        }
        Ok(())
    }

    /// What follows the last batch, for each lane of which something was read or asked: to be
    /// kept with what was made of the batch, and given to the next [`Reader`] and to
    /// [`Journal::open`](super::Journal::open).
    pub fn checkpoints(&self) -> impl Iterator<Item = (u16, Sequence)> {
        self.cursors
            .iter()
            .filter_map(|(&lane, cursor)| Some((lane, cursor.next?)))
    }
}

impl Cursor {
    fn read(
        &mut self,
        lane: u16,
        source: &Source,
        scanner: &mut Scanner,
        (batch, max): (&mut Batch, usize),
    ) -> Result<(), JournalFault> {
        let mut later = None;
        while batch.len() < max {
            let before = batch.len();
            self.read_here(lane, scanner, (batch, max))?;
            if batch.len() > before {
                later = None;
                continue;
            }
            // Nothing more here, and that was so when the next segment had been begun already.
            if let (Some(next), Some(later)) = (self.next, later) {
                return Err(JournalFault::missing(lane, next, later));
            }
            let (tail, first, following) = match source.find(lane, self.next, scanner)? {
                Found::Nothing => return Ok(()),
                Found::Later(first) => {
                    let next = self.next.unwrap_or_default();
                    return Err(JournalFault::missing(lane, next, first));
                }
                Found::In {
                    segment,
                    first,
                    following,
                } => (segment, first, following),
            };
            let is_same = self.tail.as_ref().is_some_and(|at| at.is(&tail));
            if !is_same {
                let next = *self.next.get_or_insert(first);
                let slot = u32::try_from(next.0 - first.0).unwrap_or(u32::MAX);
                let sequence = next;
                self.place = Place { slot, sequence };
                self.tail = Some(tail);
            } else if following.is_some() && tail.is_over(self.place) {
                // Unless something was written here between the two looks.
                later = following;
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads on in the segment where we are.
    fn read_here(
        &mut self,
        lane: u16,
        scanner: &mut Scanner,
        (batch, max): (&mut Batch, usize),
    ) -> Result<(), JournalFault> {
        let Some(tail) = &self.tail else {
            return Ok(());
        };
        let (path, file, header) = tail.parts();
        // What this process has synced is whole; of another's files nobody says.
        let whole = match tail {
            Tail::Live(segment) => Some(segment.synced()),
            Tail::Followed(_) => None,
        };
        let end = whole.unwrap_or_else(|| header.slots());
        let there = scanner
            .units(file, header.salt(), self.place, end, |unit| {
                batch.add(lane, unit);
                batch.len() < max
            })
            .map_err(|source| JournalFault::io("reading", path, source))?;
        (self.place, self.next) = (there, Some(there.sequence));
        if whole.is_some_and(|whole| there.slot < whole && batch.len() < max) {
            let what = "a whole record that this process wrote";
            return Err(JournalFault::corrupt(path, offset_of(there.slot), what));
        }
        Ok(())
    }
}

impl Tail {
    fn parts(&self) -> (&Path, &File, &Header) {
        match self {
            Self::Live(segment) => (&segment.path, &segment.file, &segment.header),
            Self::Followed(followed) => (&followed.path, &followed.file, &followed.header),
        }
    }

    /// Whether nothing will follow at `place`, if another segment was begun since.
    fn is_over(&self, place: Place) -> bool {
        match self {
            Self::Live(segment) => place.slot >= segment.filled(),
            Self::Followed(_) => true,
        }
    }

    /// Whether both are the same use of the same file.
    fn is(&self, other: &Self) -> bool {
        self.parts().2 == other.parts().2
    }
}

impl Source {
    fn lanes(&self) -> Result<Vec<u16>, JournalFault> {
        match self {
            Self::Live(shared) => Ok(shared.lanes.keys().copied().collect()),
            Self::Folder(folder) => {
                let mut lanes: Vec<u16> = segments(folder)?.into_iter().map(|s| s.lane).collect();
                lanes.dedup();
                Ok(lanes)
            }
        }
    }

    fn find(
        &self,
        lane: u16,
        wanted: Option<Sequence>,
        scanner: &mut Scanner,
    ) -> Result<Found<Tail>, JournalFault> {
        match self {
            Self::Live(shared) => {
                let found = shared.lanes.get(&lane).map(|lane| lane.find(wanted));
                Ok(found.map_or(Found::Nothing, |found| found.map(Tail::Live)))
            }
            Self::Folder(folder) => {
                let mut begun = Vec::new();
                for named in segments(folder)?.iter().filter(|named| named.lane == lane) {
                    begun.extend(followed(named, scanner)?);
                }
                Ok(Found::among(begun.into_iter(), wanted))
            }
        }
    }
}

/// A segment of another process and where it begins; none if that is not known yet, or the file
/// was put to another use in the meantime.
fn followed(
    named: &Named,
    scanner: &mut Scanner,
) -> Result<Option<(Sequence, Tail)>, JournalFault> {
    let opened = match named.open(false) {
        Err(JournalFault::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        opened => opened?,
    };
    let first = scanner
        .first(&opened.file, opened.header.salt())
        .map_err(|source| JournalFault::io("reading", &opened.path, source))?;
    Ok(first.map(|first| (first, Tail::Followed(opened))))
}
