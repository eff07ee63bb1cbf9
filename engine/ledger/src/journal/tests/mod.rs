//! The journal on a disk that runs out of room, fails, and forgets what was not synced.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod damage;
mod disk;
mod faults;
mod layout;
mod power;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

use super::record::{Kind, Outcome, Posting, Record, Sequence};
use super::{Batch, JournalFault, Reader, Settings};
use crate::amounts::UnixMillis;

/// Segments of one page: fifteen records.
const SMALL: Settings = Settings {
    segment_bytes: 4096,
    bytes_max: 1 << 20,
    lanes: 2,
};

/// A folder that is gone with its test.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tollring-journal-unit-{}-{count}", process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// Its segments, by name.
    fn segments(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "seg"))
            .collect();
        paths.sort();
        paths
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A record about request number `request`.
fn record(kind: Kind, request: u64) -> Record {
    let mut id = [0; 12];
    id[..8].copy_from_slice(&request.to_le_bytes());
    let outcome = match kind {
        Kind::Post => Outcome::Whole,
        _ => Outcome::Open,
    };
    Record {
        kind,
        outcome,
        request: id,
        at: UnixMillis(1_700_000_000_000),
        ..Record::default()
    }
}

/// The number of the request that a record is about.
fn request_of(record: &Record) -> u64 {
    u64::from_le_bytes(*record.request.first_chunk().unwrap())
}

fn postings(count: u32) -> impl ExactSizeIterator<Item = Posting> {
    (0..count).map(|bucket| Posting {
        bucket: bucket + 1,
        ends_s: u32::MAX,
        amount: i64::from(bucket) * 100,
    })
}

/// All that a reader gives: lane, sequence, request.
fn read(reader: &mut Reader) -> Result<Vec<(u16, Sequence, u64)>, JournalFault> {
    let (mut batch, mut all) = (Batch::default(), Vec::new());
    loop {
        reader.next_batch(&mut batch, 11)?;
        if batch.is_empty() {
            return Ok(all);
        }
        let entry = |entry: super::Entry<'_>| {
            let request = request_of(entry.record);
            (entry.lane, entry.sequence, request)
        };
        all.extend(batch.iter().map(entry));
    }
}
