//! What the tests of the store share: a folder that goes away, and rows made up from a number.

#![allow(dead_code)] // each test file uses its own part
#![allow(clippy::unwrap_used)] // a failed step fails the test

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use tollring_config::NanoUsd;
use tollring_store::{Batch, FILE_NAME, Place, Posting, Span, Store, TokenCounts, UsageRow};

/// 2026-11-23T00:00:00Z.
pub(crate) const MIDNIGHT_S: i64 = 1_795_392_000;

/// A folder of its own, removed with the test that made it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("tollring-store-{}-{number}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join(FILE_NAME)
    }

    /// The store in this folder.
    pub(crate) fn store(&self) -> Store {
        Store::open(&self.file()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The record `sequence` of `lane`, settled at `at_ms`.
pub(crate) fn row(at_ms: i64, lane: u16, sequence: u64) -> UsageRow {
    let mut request = [0; 12];
    request[..2].copy_from_slice(&lane.to_be_bytes());
    request[4..].copy_from_slice(&sequence.to_be_bytes());
    UsageRow {
        place: Place::new(at_ms, lane, sequence),
        request,
        attempt: 1,
        tenant: 1,
        key: 2,
        model_asked: 3,
        provider: 4,
        status: 200,
        tokens: TokenCounts {
            input: 100,
            output: 10,
            ..TokenCounts::default()
        },
        cost: NanoUsd(1_000),
        ttfb_us: 200,
        total_us: 900,
        bytes_in: 450,
        bytes_out: 290,
        ..UsageRow::default()
    }
}

/// The run whose journal is imported.
pub(crate) const RUN: u32 = 1;

/// The records after `after` up to `upto` of one lane, a millisecond each, one posting each.
pub(crate) fn batch(lane: u16, after: u64, upto: u64) -> Batch {
    let sequences = after + 1..=upto;
    Batch {
        spans: vec![Span {
            run: RUN,
            lane,
            after,
            upto,
        }],
        rows: sequences
            .clone()
            .map(|sequence| row(MIDNIGHT_S * 1000 + sequence as i64, lane, sequence))
            .collect(),
        postings: sequences
            .map(|_| Posting {
                ends_s: 1_795_500_000,
                bucket: 9,
                amount: 110,
            })
            .collect(),
    }
}
