//! What a start makes of the files that the last process left behind.
//!
//! Decides what is a torn tail, which is cut, and what is damage, which nobody may overlook:
//! what is not whole although the file says that it was synced. Finds the holds whose
//! outcome was not put down any more; what becomes of them is the caller's to say.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::JournalFault;
use super::folder::{self, Named, Opened};
use super::header::offset_of;
use super::lane::Lane;
use super::record::{Kind, Outcome, Posting, Record, Sequence};
use super::scan::{Place, Scanner, Unit};
use super::segment::Segment;

/// What was found in a journal when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records that are whole, MOREs not counted.
    pub records: u64,
    /// Tails that were cut: written, but not known to be on the disk, and not whole.
    pub torn: Vec<Torn>,
    /// Holds without an outcome, by lane and sequence.
    pub open_holds: Vec<OpenHold>,
    /// Records that are neither here nor imported: files that somebody took away.
    pub missing: Vec<Gap>,
    /// Records that were imported and are no longer here: a disk that did not keep what it
    /// said it had, or a copy of the journal that is older than the store. Only then can the
    /// store know the outcome of one of `open_holds`.
    pub behind: Vec<Gap>,
    /// The next sequence of each lane.
    pub next: Vec<(u16, Sequence)>,
}

/// A tail that was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub file: PathBuf,
    /// Where the first record lies that is not whole, in bytes from the start of the file.
    pub offset: u64,
    /// Whole records behind it, which are given up with it; of a power cut, for the disk does
    /// not write in order.
    pub records: u64,
}

/// A hold whose outcome was not put down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenHold {
    /// The lane of the hold.
    pub lane: u16,
    /// Its place there.
    pub sequence: Sequence,
    /// The hold.
    pub record: Record,
    /// What is held of which bucket, with all extensions.
    pub postings: Vec<Posting>,
}

/// Records that are not there, `from` among them and `to` not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The lane.
    pub lane: u16,
    /// The first that is not there.
    pub from: Sequence,
    /// The first that is.
    pub to: Sequence,
}

/// All that [`Journal::open`](super::Journal::open) needs to know.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) lanes: BTreeMap<u16, Arc<Lane>>,
    pub(super) recovered: Recovered,
    /// Files of which nothing is needed, with their bytes.
    pub(super) idle: Vec<(PathBuf, u64)>,
    /// Bytes of all files.
    pub(super) bytes: u64,
}

/// Reads all that is in `folder`, for a journal that will write lanes `0..lanes`.
pub(super) fn recover(
    folder: &Path,
    lanes: u16,
    imported: &[(u16, Sequence)],
) -> Result<Found, JournalFault> {
    for path in folder::unnamed(folder)? {
        remove(&path)?;
    }
    let mut by_lane: BTreeMap<u16, Vec<Named>> = (0..lanes).map(|lane| (lane, vec![])).collect();
    for named in folder::segments(folder)? {
        by_lane.entry(named.lane).or_default().push(named);
    }
    let mut found = Found {
        lanes: BTreeMap::new(),
        recovered: Recovered::default(),
        idle: Vec::new(),
        bytes: 0,
    };
    let (mut holds, mut scanner) = (Holds::default(), Scanner::default());
    for (number, named) in by_lane {
        let imported = imported.iter().find(|(lane, _)| *lane == number);
        let mut walk = Walk {
            lane: number,
            imported: imported.map_or(Sequence(1), |(_, next)| (*next).max(Sequence(1))),
            expected: None,
            blank: None,
            cut: None,
            kept: VecDeque::new(),
            found: &mut found,
            holds: &mut holds,
            scanner: &mut scanner,
        };
        let generation = named.last().map_or(1, |last| last.generation + 1);
        for named in named {
            walk.segment(&named)?;
        }
        let (next, kept) = walk.end();
        found.recovered.next.push((number, next));
        let lane = Lane::new(number, next, kept, generation);
        found.lanes.insert(number, Arc::new(lane));
    }
    found.recovered.open_holds = holds.open();
    Ok(found)
}

fn remove(path: &Path) -> Result<(), JournalFault> {
    fs::remove_file(path).map_err(|source| JournalFault::io("removing", path, source))
}

/// One lane, segment by segment in their order.
struct Walk<'a> {
    lane: u16,
    /// Nothing before this is needed.
    imported: Sequence,
    /// What the next record should be, once there was one.
    expected: Option<Sequence>,
    /// The last file in which nothing is whole, if the one before this is such a one.
    blank: Option<PathBuf>,
    /// Where the lane is torn; nothing behind it is kept.
    cut: Option<(PathBuf, u64)>,
    kept: VecDeque<Arc<Segment>>,
    found: &'a mut Found,
    holds: &'a mut Holds,
    scanner: &'a mut Scanner,
}

impl Walk<'_> {
    fn segment(&mut self, named: &Named) -> Result<(), JournalFault> {
        let opened = named.open(true)?;
        let (bytes, salt) = (opened.header.bytes, opened.header.salt());
        let first = self
            .scanner
            .first(&opened.file, salt)
            .map_err(|source| JournalFault::io("reading", &opened.path, source))?;
        let Some(first) = first else {
            if opened.marked > 0 {
                return Err(damaged(&opened.path, offset_of(0)));
            }
            // Never begun, or what was in it is lost.
            self.blank = Some(opened.path.clone());
            self.found.bytes += u64::from(bytes);
            self.found.idle.push((opened.path, u64::from(bytes)));
            return Ok(());
        };
        if self.is_torn_before(&opened, first)? {
            // Gone at once: the next start would not understand what it means any more.
            return remove(&opened.path);
        }
        self.found.bytes += u64::from(bytes);
        self.keep(opened, first)
    }

    /// Whether the lane ends before a segment that begins with `first`.
    fn is_torn_before(&mut self, opened: &Opened, first: Sequence) -> Result<bool, JournalFault> {
        let blank = self.blank.take();
        let expected = match self.expected {
            Some(expected) => expected,
            // The oldest is lost, before it was synced.
            None if first > self.imported && opened.marked == 0 && blank.is_some() => self.imported,
            None => {
                // What came before this was imported, or somebody took it away.
                if first > self.imported {
                    self.found.recovered.missing.push(Gap {
                        lane: self.lane,
                        from: self.imported,
                        to: first,
                    });
                }
                first
            }
        };
        self.expected = Some(expected);
        let follows = first == expected || first > expected && first <= self.imported;
        if follows && self.cut.is_none() {
            return Ok(false);
        }
        let end = match self.kept.back() {
            Some(last) => Some((last.path.clone(), offset_of(last.filled()))),
            None => blank.map(|blank| (blank, offset_of(0))),
        };
        let (file, offset) = self.cut.take().or(end).unwrap_or_default();
        // Segments are synced in order: with one record of this one, all before it.
        if opened.marked > 0 || first < expected {
            return Err(damaged(&file, offset));
        }
        let torn = &mut self.found.recovered.torn;
        if torn.last().is_none_or(|torn| torn.file != file) {
            let (file, records) = (file.clone(), 0);
            torn.push(Torn {
                file,
                offset,
                records,
            });
        }
        let salt = opened.header.salt();
        let whole = self.scanner.whole_records(opened, salt, 0)?;
        if let Some(torn) = torn.last_mut() {
            torn.records += whole;
        }
        self.cut = Some((file, offset));
        Ok(true)
    }

    fn keep(&mut self, opened: Opened, first: Sequence) -> Result<(), JournalFault> {
        let (salt, lane) = (opened.header.salt(), self.lane);
        let start = Place {
            slot: 0,
            sequence: first,
        };
        let (holds, records) = (&mut *self.holds, &mut self.found.recovered.records);
        let end = self
            .scanner
            .units(&opened.file, salt, start, opened.header.slots(), |unit| {
                holds.see(lane, unit);
                *records += 1;
                true
            })
            .map_err(|source| JournalFault::io("reading", &opened.path, source))?;
        if end.slot < opened.marked {
            return Err(damaged(&opened.path, offset_of(end.slot)));
        }
        let whole = self.scanner.whole_records(&opened, salt, end.slot)?;
        if whole > 0 || Scanner::is_begun(&opened, end)? {
            self.found.recovered.torn.push(Torn {
                file: opened.path.clone(),
                offset: offset_of(end.slot),
                records: whole,
            });
        }
        self.expected = Some(end.sequence);
        let segment = Segment::old(opened, first, end.slot)?;
        self.kept.push_back(Arc::new(segment));
        Ok(())
    }

    /// The next sequence, and the segments of which something is kept.
    fn end(self) -> (Sequence, VecDeque<Arc<Segment>>) {
        let end = self.expected.unwrap_or(self.imported);
        if end < self.imported {
            self.found.recovered.behind.push(Gap {
                lane: self.lane,
                from: end,
                to: self.imported,
            });
        }
        (end.max(self.imported), self.kept)
    }
}

fn damaged(file: &Path, offset: u64) -> JournalFault {
    JournalFault::corrupt(file, offset, "a record that was synced")
}

/// Holds whose outcome was not seen yet.
#[derive(Debug, Default)]
struct Holds {
    open: HashMap<[u8; 12], OpenHold>,
    /// Outcomes whose hold was not seen before them: it is in another lane, for it was settled
    /// after a crash, or its segment was released.
    ended: HashSet<[u8; 12]>,
}

impl Holds {
    fn see(&mut self, lane: u16, unit: Unit<'_>) {
        let (id, postings) = (unit.record.request, unit.postings);
        match unit.record.kind {
            Kind::Hold => {
                let hold = OpenHold {
                    lane,
                    sequence: unit.place.sequence,
                    record: *unit.record,
                    postings: postings.to_vec(),
                };
                self.open.insert(id, hold);
            }
            Kind::Extend => {
                if let Some(hold) = self.open.get_mut(&id) {
                    hold.extend(unit.record, postings);
                }
            }
            Kind::Post | Kind::Void => {
                // Whoever was refused held nothing.
                let had_hold = self.open.remove(&id).is_some();
                if !had_hold && unit.record.outcome != Outcome::Refused {
                    self.ended.insert(id);
                }
            }
            Kind::Attempt => {}
        }
    }

    fn open(self) -> Vec<OpenHold> {
        let ended = self.ended;
        let open = self.open.into_iter();
        let mut open: Vec<OpenHold> = open
            .filter(|(id, _)| !ended.contains(id))
            .map(|(_, hold)| hold)
            .collect();
        open.sort_by_key(|hold| (hold.lane, hold.sequence));
        open
    }
}

impl OpenHold {
    fn extend(&mut self, record: &Record, postings: &[Posting]) {
        let (tokens, more) = (&mut self.record.tokens, &record.tokens);
        tokens.output = tokens.output.saturating_add(more.output);
        self.record.cost += record.cost;
        for more in postings {
            let same =
                |held: &&mut Posting| (held.bucket, held.ends_s) == (more.bucket, more.ends_s);
            match self.postings.iter_mut().find(same) {
                Some(held) => held.amount = held.amount.saturating_add(more.amount),
                None => self.postings.push(*more),
            }
        }
    }
}
