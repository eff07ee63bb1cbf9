//! What other processes spend meanwhile: the one we take over from still ends its requests.
//!
//! Their journals are followed, and what they post counts in our buckets too. A hold of theirs
//! counts as what it would be charged after a crash, until it ends. When such a process has
//! ended, its journal is settled like any that was left behind.

use std::collections::HashMap;
use std::path::Path;

use tollring_engine::journal::{Batch, Kind, Posting, Reader, Sequence};
use tollring_store::{Checkpoint, Store};

use super::Fault;
use super::runs::{self, Found};

/// Records that are looked at before somebody else has a turn.
const BATCH_RECORDS: usize = 8192;

/// Another process that goes on.
pub(super) struct Other {
    run: u32,
    /// None before it is followed, and when it was lost from sight.
    reader: Option<Reader>,
    /// Where the store stood with it then: what was posted before is known.
    stood: HashMap<u16, Sequence>,
    read: Batch,
    holds: HashMap<[u8; 12], Vec<Posting>>,
}

impl Other {
    /// The process of this run.
    pub(super) fn new(run: u32) -> Self {
        Self {
            run,
            reader: None,
            stood: HashMap::new(),
            read: Batch::default(),
            holds: HashMap::new(),
        }
    }

    /// Whether what it spends is known.
    pub(super) fn is_followed(&self) -> bool {
        self.reader.is_some()
    }

    /// Follows it, and says what it has spent beyond what the store knows: its journal is read
    /// from the beginning, for what is held may have been held for long.
    pub(super) fn follow(
        &mut self,
        path: &Path,
        stands: &[Checkpoint],
    ) -> Result<Vec<Posting>, Fault> {
        self.stood = runs::of_run(stands, self.run).into_iter().collect();
        self.reader = Some(runs::follow(path, self.run));
        self.spent()
    }

    /// Follows it no longer; its journal is settled all the same.
    pub(super) fn lose_sight(&mut self) {
        self.reader = None;
    }

    /// What it has spent since this was asked last.
    pub(super) fn spent(&mut self) -> Result<Vec<Posting>, Fault> {
        let mut spent = Vec::new();
        let Some(reader) = &mut self.reader else {
            return Ok(spent);
        };
        loop {
            reader.next_batch(&mut self.read, BATCH_RECORDS)?;
            if self.read.is_empty() {
                return Ok(spent);
            }
            for entry in self.read.iter() {
                let request = entry.record.request;
                let stood = self.stood.get(&entry.lane);
                let known = stood.is_some_and(|&stood| entry.sequence < stood);
                match entry.record.kind {
                    Kind::Hold => {
                        spent.extend(entry.postings);
                        self.holds.insert(request, entry.postings.to_vec());
                    }
                    Kind::Extend => {
                        if let Some(held) = self.holds.get_mut(&request) {
                            spent.extend(entry.postings);
                            held.extend(entry.postings);
                        }
                    }
                    Kind::Post | Kind::Void => {
                        if let Some(held) = self.holds.remove(&request) {
                            spent.extend(held.iter().map(negated));
                        }
                        if !known {
                            spent.extend(entry.postings);
                        }
                    }
                    Kind::Attempt => {}
                }
            }
        }
    }

    /// Which run it is.
    pub(super) fn run(&self) -> u32 {
        self.run
    }

    /// Settles its journal if the process has ended; what was found then.
    pub(super) fn settle(&self, path: &Path, store: &mut Store) -> Result<Option<Found>, Fault> {
        runs::settle(path, self.run, store)
    }
}

fn negated(posting: &Posting) -> Posting {
    Posting {
        amount: -posting.amount,
        ..*posting
    }
}
