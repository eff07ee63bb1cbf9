//! The journals of this run and of those before it, each in a folder of its own.
//!
//! A process that takes over runs beside the one it takes over from, and each writes down what
//! passes through it. What a run that has ended left behind is imported, its open holds are
//! charged, and its folder is taken away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tollring_engine::journal::{Journal, JournalFault, Reader, Sequence, Settings};
use tollring_store::{Checkpoint, Store};

use super::Fault;
use super::import::{Import, settle_crashed};

/// The folder of the journals, in that of the store.
const FOLDER: &str = "journal";

/// What was found of runs that have ended, in numbers for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Journals that were left behind.
    pub(super) runs: usize,
    /// Records that had not been imported.
    pub(super) records: u64,
    /// Holds without an outcome, which were charged.
    pub(super) holds: usize,
    /// Tails that were cut.
    pub(super) torn: usize,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.records += other.records;
        self.holds += other.holds;
        self.torn += other.torn;
    }
}

/// Settles what ended runs left behind. Those that go on are left alone, and returned.
pub(super) fn settle_ended(path: &Path, store: &mut Store) -> Result<(Found, Vec<u32>), Fault> {
    let (mut found, mut going_on) = (Found::default(), Vec::new());
    let there = there(path)?;
    for &run in &there {
        match settle(path, run, store)? {
            Some(settled) => found.add(settled),
            None => going_on.push(run),
        }
    }
    // A folder that went with the last thing its process did leaves its checkpoints behind.
    for stands in store.checkpoints()? {
        if !there.contains(&stands.run) {
            store.forget_run(stands.run)?;
        }
    }
    Ok((found, going_on))
}

/// Imports what a run left behind, charges its open holds and takes its folder away; `None` if
/// its process goes on.
pub(super) fn settle(path: &Path, run: u32, store: &mut Store) -> Result<Option<Found>, Fault> {
    let (folder, stands) = (folder(path, run), of_run(&store.checkpoints()?, run));
    // Nothing new is written to it.
    let layout = Settings {
        segment_bytes: 0,
        bytes_max: 0,
        lanes: 0,
    };
    let (journal, recovered) = match Journal::open(&folder, layout, &stands) {
        Ok(opened) => opened,
        Err(JournalFault::InUse { .. }) => return Ok(None),
        Err(fault) => return Err(fault.into()),
    };
    let mut import = Import::new(run, journal.reader(&stands), &stands);
    let records = import.catch_up(store)?;
    settle_crashed(store, run, &recovered.open_holds)?;
    store.make_durable()?;
    for torn in &recovered.torn {
        let (file, offset) = (torn.file.display(), torn.offset);
        tracing::warn!(%file, offset, records = torn.records, "a torn end of the journal was cut");
    }
    for gap in &recovered.missing {
        let (lane, from, to) = (gap.lane, gap.from.0, gap.to.0);
        tracing::error!(
            run,
            lane,
            from,
            to,
            "records of the journal are missing: not charged"
        );
    }
    for gap in &recovered.behind {
        let (lane, from, to) = (gap.lane, gap.from.0, gap.to.0);
        tracing::error!(
            run,
            lane,
            from,
            to,
            "the disk lost records that it had acknowledged"
        );
    }
    remove(&folder)?;
    store.forget_run(run)?;
    Ok(Some(Found {
        runs: 1,
        records,
        holds: recovered.open_holds.len(),
        torn: recovered.torn.len(),
    }))
}

/// Begins the journal of this run.
pub(super) fn begin(
    path: &Path,
    store: &Store,
    settings: Settings,
) -> Result<(u32, Journal), Fault> {
    let known = store.checkpoints()?.into_iter().map(|at| at.run);
    let mut run = there(path)?.into_iter().chain(known).max().unwrap_or(0) + 1;
    loop {
        let folder = folder(path, run);
        match fs::create_dir(&folder) {
            Ok(()) => {
                let (journal, _) = Journal::open(&folder, settings, &[])?;
                return Ok((run, journal));
            }
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => run += 1,
            Err(fault) => return Err(Fault::folder("make", &folder, fault)),
        }
    }
}

/// A reader of the journal of another process.
pub(super) fn follow(path: &Path, run: u32) -> Reader {
    Reader::follow(&folder(path, run), &[])
}

/// Takes away the journal of a run of which nothing is needed any more.
pub(super) fn end(path: &Path, run: u32) -> Result<(), Fault> {
    remove(&folder(path, run))
}

/// How far the lanes of a run were imported.
pub(super) fn of_run(stands: &[Checkpoint], run: u32) -> Vec<(u16, Sequence)> {
    let own = stands.iter().filter(|at| at.run == run);
    own.map(|at| (at.lane, Sequence(at.sequence))).collect()
}

fn folder(path: &Path, run: u32) -> PathBuf {
    path.join(FOLDER).join(format!("run-{run:08}"))
}

/// The runs whose folders are there, the oldest first.
fn there(path: &Path) -> Result<Vec<u32>, Fault> {
    let folder = path.join(FOLDER);
    fs::create_dir_all(&folder).map_err(|fault| Fault::folder("make", &folder, fault))?;
    let unread = |fault| Fault::folder("read", &folder, fault);
    let mut runs = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unread)? {
        let name = entry.map_err(unread)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("run-"));
        runs.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    runs.sort_unstable();
    Ok(runs)
}

fn remove(folder: &Path) -> Result<(), Fault> {
    fs::remove_dir_all(folder).map_err(|fault| Fault::folder("remove", folder, fault))
}
