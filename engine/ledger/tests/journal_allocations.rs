//! What a worker does with the journal allocates nothing, also where a segment ends.
//!
//! Counted for all threads, so this is the only test of its program.

#![cfg(not(loom))]
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::{env, fs, process};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tollring_ledger::journal::{Journal, Kind, Posting, Record, Settings};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_hold_and_its_outcome_are_put_down_without_an_allocation() {
    let folder = env::temp_dir().join(format!("tollring-journal-allocations-{}", process::id()));
    let settings = Settings {
        segment_bytes: 4096,
        bytes_max: 1 << 20,
        lanes: 1,
    };
    let (journal, _) = Journal::open(&folder, settings, &[]).unwrap();
    let mut writer = journal.writer(0);
    let mut record = Record::default();
    let postings = [Posting::default(); 9];
    for _ in 0..100 {
        let counted = Region::new(COUNTED);
        record.kind = Kind::Hold;
        let (_, room) = writer.admit(&record, postings.iter().copied()).unwrap();
        record.kind = Kind::Extend;
        writer
            .append(&record, postings[..2].iter().copied())
            .unwrap();
        record.kind = Kind::Post;
        writer.settle(room, &record, postings.iter().copied());
        let change = counted.change();
        assert_eq!((change.allocations, change.deallocations), (0, 0));
        // Not the worker's, and may.
        journal.release(0, writer.next());
        journal.tend().unwrap();
    }
    drop((journal, writer));
    fs::remove_dir_all(folder).unwrap();
}
