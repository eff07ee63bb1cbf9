//! One worker's series of segments, as the threads beside the worker see it.
//!
//! Decides in which order segments are written, synced and given up. The worker itself
//! takes nothing from here but a spare when its segment is full.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_queue::ArrayQueue;

use super::disk::Disk;
use super::record::Sequence;
use super::segment::Segment;

/// Segments made ready for a writer ahead of its need.
///
/// One lasts longer than it takes to make another; the writer that has none yet gets two.
const SPARES: usize = 1;
/// The same for a writer with more holds open than one has room for. With segments of the
/// usual size this is a million of them; beyond that it is full.
const SPARES_MAX: usize = 16;

/// A lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) number: u16,
    /// Where its first record of this process goes.
    pub(super) begins: Sequence,
    files: Mutex<Files>,
    spares: ArrayQueue<Arc<Segment>>,
    /// How many of them the writer asks for.
    asked: AtomicUsize,
    /// Everything before this would survive a power cut.
    synced: AtomicU64,
    /// Nothing before this is needed any more.
    released: AtomicU64,
    has_writer: AtomicBool,
}

/// In the order in which they are written; those not begun come last.
#[derive(Debug)]
struct Files {
    segments: VecDeque<Arc<Segment>>,
    /// How many of the first are from before this process.
    old: usize,
    next_generation: u64,
}

impl Lane {
    /// A lane with what was there at the start, all of it synced.
    pub(super) fn new(
        number: u16,
        begins: Sequence,
        old: VecDeque<Arc<Segment>>,
        next_generation: u64,
    ) -> Self {
        Self {
            number,
            begins,
            files: Mutex::new(Files {
                old: old.len(),
                segments: old,
                next_generation,
            }),
            spares: ArrayQueue::new(SPARES_MAX),
            asked: AtomicUsize::new(SPARES),
            synced: AtomicU64::new(begins.0),
            released: AtomicU64::new(0),
            has_writer: AtomicBool::new(false),
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this call is the first to ask for the lane's writer.
    pub(super) fn claim(&self) -> bool {
        !self.has_writer.swap(true, Ordering::Relaxed)
    }

    /// Everything before this would survive a power cut.
    pub(super) fn synced(&self) -> Sequence {
        Sequence(self.synced.load(Ordering::Acquire))
    }

    /// Nothing before `sequence` is needed any more.
    pub(super) fn release(&self, sequence: Sequence) {
        self.released.fetch_max(sequence.0, Ordering::Relaxed);
    }

    /// A segment that was made ready; the worker's.
    pub(super) fn take_spare(&self) -> Option<Arc<Segment>> {
        self.spares.pop()
    }

    /// Segments made ready and not taken. Only the worker takes, so it may count on them.
    pub(super) fn spares(&self) -> usize {
        self.spares.len()
    }

    /// The worker's: so many spares are needed, and one more.
    pub(super) fn ask(&self, spares: u64) {
        let spares = usize::try_from(spares).unwrap_or(SPARES_MAX);
        let asked = (spares + SPARES).min(SPARES_MAX);
        self.asked.store(asked, Ordering::Relaxed);
    }

    /// Segments that the writer should get now; one more while it has none to write to.
    pub(super) fn wanted(&self) -> usize {
        let files = self.files();
        let begun = files
            .segments
            .iter()
            .skip(files.old)
            .any(|s| s.filled() > 0);
        let asked = self.asked.load(Ordering::Relaxed) + usize::from(!begun);
        asked.min(SPARES_MAX).saturating_sub(self.spares.len())
    }

    /// The generation of the next segment to be made.
    pub(super) fn next_generation(&self) -> u64 {
        let mut files = self.files();
        files.next_generation += 1;
        files.next_generation - 1
    }

    /// Hands a segment to the worker, as its last.
    pub(super) fn add(&self, segment: Segment) {
        let segment = Arc::new(segment);
        segment.touch_first();
        self.files().segments.push_back(Arc::clone(&segment));
        let full = self.spares.push(segment);
        assert!(full.is_ok(), "a lane was given more spares than it wants");
    }

    /// Takes segments from the front of which nothing is needed any more: the writer has left
    /// them, and every record of them was released.
    pub(super) fn give_up(&self) -> Vec<Arc<Segment>> {
        let released = Sequence(self.released.load(Ordering::Relaxed));
        let mut files = self.files();
        let mut given_up = Vec::new();
        while let Some(segment) = files.segments.front() {
            let is_left = files.old > 0 || files.segments.get(1).is_some_and(|s| s.filled() > 0);
            if !is_left || segment.end().is_none_or(|end| end > released) {
                break;
            }
            given_up.extend(files.segments.pop_front());
            files.old = files.old.saturating_sub(1);
        }
        given_up
    }

    /// Syncs what is new, oldest first, and makes ready what its writer will write next.
    ///
    /// One thread at a time. Says which file failed.
    pub(super) fn sync(&self, disk: &dyn Disk) -> Result<(), (PathBuf, io::Error)> {
        for segment in self.segments() {
            let synced = segment
                .sync(disk)
                .map_err(|fault| (segment.path.clone(), fault))?;
            if let Some(synced) = synced {
                // Segments are synced in order, so everything before is synced too.
                self.synced.fetch_max(synced.0, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Those there are now.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.files().segments.iter().map(Arc::clone).collect()
    }

    /// The newest segment that begins at `wanted` or before, or the oldest where none is named.
    pub(super) fn find(&self, wanted: Option<Sequence>) -> Found<Arc<Segment>> {
        let files = self.files();
        let begun = |s: &Arc<Segment>| Some((s.first()?, Arc::clone(s)));
        Found::among(files.segments.iter().filter_map(begun), wanted)
    }
}

/// Where a record lies or will lie.
#[derive(Debug)]
pub(super) enum Found<S> {
    /// Nothing was written yet.
    Nothing,
    /// All that there is begins later.
    Later(Sequence),
    /// In this segment, which begins with `first`, or behind its last record; the segment after
    /// it begins with `following`, if there is one.
    In {
        segment: S,
        first: Sequence,
        following: Option<Sequence>,
    },
}

impl<S> Found<S> {
    /// The same, with the segment as something else.
    pub(super) fn map<T>(self, f: impl FnOnce(S) -> T) -> Found<T> {
        match self {
            Self::Nothing => Found::Nothing,
            Self::Later(first) => Found::Later(first),
            Self::In {
                segment,
                first,
                following,
            } => Found::In {
                segment: f(segment),
                first,
                following,
            },
        }
    }

    /// Looks among the segments of one lane in their order, each with its first record.
    pub(super) fn among(
        segments: impl Iterator<Item = (Sequence, S)>,
        wanted: Option<Sequence>,
    ) -> Self {
        let mut found = Self::Nothing;
        for (begins, next) in segments {
            match &mut found {
                Self::In { following, .. } if wanted.is_none_or(|wanted| begins > wanted) => {
                    *following = Some(begins);
                    break;
                }
                _ if wanted.is_some_and(|wanted| begins > wanted) => {
                    found = Self::Later(begins);
                    break;
                }
                _ => {
                    found = Self::In {
                        segment: next,
                        first: begins,
                        following: None,
                    }
                }
            }
        }
        found
    }
}
