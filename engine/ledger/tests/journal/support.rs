//! Folders and records for the tests of the journal.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use tollring_config::NanoUsd;
use tollring_ledger::UnixMillis;
use tollring_ledger::journal::{
    Batch, Journal, Kind, Outcome, Posting, Reader, Record, Recovered, Sequence, Settings,
};

/// A folder that is gone with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("tollring-journal-{}-{count}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The journal in it.
    #[track_caller]
    pub(crate) fn open(&self, settings: Settings) -> (Journal, Recovered) {
        Journal::open(&self.0, settings, &[]).unwrap()
    }

    /// Its segments by name.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let paths = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "seg");
        let mut segments: Vec<PathBuf> = paths.filter(is_segment).collect();
        segments.sort();
        segments
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Segments of one page: fifteen records.
pub(crate) const SMALL: Settings = Settings {
    segment_bytes: 4096,
    bytes_max: 1 << 20,
    lanes: 2,
};

/// A record about request number `request`.
pub(crate) fn record(kind: Kind, request: u64) -> Record {
    let mut id = [0; 12];
    id[..8].copy_from_slice(&request.to_le_bytes());
    Record {
        kind,
        outcome: match kind {
            Kind::Post => Outcome::Whole,
            Kind::Void => Outcome::Failed,
            _ => Outcome::Open,
        },
        request: id,
        at: UnixMillis(1_700_000_000_000),
        cost: NanoUsd(i64::try_from(request).unwrap()),
        ..Record::default()
    }
}

/// So many postings, each of another bucket.
pub(crate) fn postings(count: u32) -> impl ExactSizeIterator<Item = Posting> + Clone {
    (0..count).map(|bucket| Posting {
        bucket: bucket + 1,
        ends_s: u32::MAX,
        amount: i64::from(bucket) * 100,
    })
}

/// What a reader gives until there is nothing more: lane, sequence, kind, request, postings.
#[track_caller]
pub(crate) fn read(reader: &mut Reader) -> Vec<(u16, u64, Kind, u64, usize)> {
    let (mut batch, mut all) = (Batch::default(), Vec::new());
    loop {
        reader.next_batch(&mut batch, 7).unwrap();
        if batch.is_empty() {
            return all;
        }
        all.extend(batch.iter().map(|entry| {
            let Sequence(sequence) = entry.sequence;
            let request = u64::from_le_bytes(*entry.record.request.first_chunk().unwrap());
            let postings = entry.postings.len();
            (entry.lane, sequence, entry.record.kind, request, postings)
        }));
    }
}
