//! Bytes that are not as they were written: what is cut, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Folder, SMALL, postings, read, record};
use crate::journal::header::{HEADER_BYTES, MARK_AT, offset_of};
use crate::journal::layout::RECORD_BYTES;
use crate::journal::{Journal, JournalFault, Kind, Recovered, Settings};

const ONE_LANE: Settings = Settings { lanes: 1, ..SMALL };
/// Records that are written before the last sync, and after it.
const SYNCED: u64 = 6;
const UNSYNCED: u64 = 4;

/// A folder with one segment that was written to, and that segment.
fn written() -> (Folder, PathBuf) {
    let folder = Folder::new();
    let (journal, _) = Journal::open(folder.path(), ONE_LANE, &[]).unwrap();
    let mut writer = journal.writer(0);
    let mut write = |requests: std::ops::Range<u64>| {
        for request in requests {
            writer
                .append(&record(Kind::Post, request), postings(2))
                .unwrap();
        }
    };
    write(0..SYNCED);
    journal.sync().unwrap();
    journal.sync().unwrap();
    write(SYNCED..SYNCED + UNSYNCED);
    drop((journal, writer));
    let segment = folder.segments().remove(0);
    (folder, segment)
}

/// Opens a copy of the folder in which the segment has these bytes.
fn open(segment: &Path, bytes: &[u8]) -> (Folder, Result<(Journal, Recovered), JournalFault>) {
    let copy = Folder::new();
    fs::write(copy.path().join(segment.file_name().unwrap()), bytes).unwrap();
    let opened = Journal::open(copy.path(), ONE_LANE, &[]);
    (copy, opened)
}

#[test]
fn whatever_is_left_of_a_tail_is_cut_at_the_last_whole_record() {
    let (_folder, segment) = written();
    let whole = fs::read(&segment).unwrap();
    let last = offset_of((SYNCED + UNSYNCED) as u32) as usize;
    for end in offset_of(SYNCED as u32) as usize..=last {
        let mut torn = whole.clone();
        torn[end..last].iter_mut().for_each(|byte| *byte = !*byte);
        let (_copy, opened) = open(&segment, &torn);
        let (journal, recovered) = opened.unwrap_or_else(|fault| panic!("{end}: {fault}"));
        let left = (end - HEADER_BYTES) / RECORD_BYTES;
        assert_eq!(recovered.records, left as u64, "cut at {end}");
        let numbers: Vec<u64> = read(&mut journal.reader(&[]))
            .unwrap()
            .iter()
            .map(|&(_, _, request)| request)
            .collect();
        assert_eq!(
            numbers,
            (0..left as u64).collect::<Vec<_>>(),
            "cut at {end}"
        );
    }
}

#[test]
fn a_bit_that_flips_before_the_mark_is_found_and_behind_it_cuts() {
    let (_folder, segment) = written();
    let whole = fs::read(&segment).unwrap();
    let mark = offset_of(SYNCED as u32) as usize;
    let end = offset_of((SYNCED + UNSYNCED) as u32) as usize;
    for place in 0..end {
        let mut flipped = whole.clone();
        flipped[place] ^= 1 << (place % 8);
        let (copy, opened) = open(&segment, &flipped);
        let at = place - place % RECORD_BYTES;
        if place >= mark {
            let (_, recovered) = opened.unwrap_or_else(|fault| panic!("{place}: {fault}"));
            let behind = (end - at) / RECORD_BYTES - 1;
            assert_eq!(recovered.records, SYNCED + UNSYNCED - 1 - behind as u64);
            match &recovered.torn[..] {
                [torn] => assert_eq!((torn.offset, torn.records), (at as u64, behind as u64)),
                // Of the last one nothing says any more that it was written.
                torn => assert!(torn.is_empty() && behind == 0 && (8..16).contains(&(place - at))),
            }
            continue;
        }
        let expected = if (MARK_AT..HEADER_BYTES).contains(&place) {
            MARK_AT
        } else {
            at
        };
        match opened.err() {
            Some(JournalFault::Corrupt { file, offset, .. }) => {
                assert_eq!(file, copy.path().join(segment.file_name().unwrap()));
                assert_eq!(offset, expected as u64, "flipped at {place}");
            }
            other => panic!("flipped at {place}: {other:?}"),
        }
    }
}

#[test]
fn a_file_that_became_shorter_is_refused() {
    let (_folder, segment) = written();
    let whole = fs::read(&segment).unwrap();
    for end in [0, 1, HEADER_BYTES, 300, whole.len() - 1] {
        let (_copy, opened) = open(&segment, &whole[..end]);
        let Some(JournalFault::Corrupt { offset, .. }) = opened.err() else {
            panic!("{end} bytes are enough");
        };
        assert_eq!(offset, end as u64);
    }
}

#[test]
fn a_format_of_another_version_is_told_from_damage() {
    let (_folder, segment) = written();
    let mut other = fs::read(&segment).unwrap();
    other[8] = 2;
    let sum = crc32c::crc32c(&other[..240]);
    other[240..244].copy_from_slice(&sum.to_le_bytes());
    let (_copy, opened) = open(&segment, &other);
    assert!(matches!(
        opened.err(),
        Some(JournalFault::Version { version: 2, .. })
    ));
}

#[test]
fn a_segment_under_another_name_and_one_that_is_gone_are_noticed() {
    let folder = Folder::new();
    let (journal, _) = Journal::open(folder.path(), ONE_LANE, &[]).unwrap();
    let mut writer = journal.writer(0);
    for request in 0..60 {
        writer
            .append(&record(Kind::Post, request), postings(2))
            .unwrap();
        journal.tend().unwrap();
    }
    journal.sync().unwrap();
    journal.sync().unwrap();
    drop((journal, writer));
    let segments = folder.segments();
    let open = || Journal::open(folder.path(), ONE_LANE, &[]).map(|(_, recovered)| recovered);

    let aside = folder.path().join("aside");
    fs::rename(&segments[1], &aside).unwrap();
    let Err(JournalFault::Corrupt { file, offset, .. }) = open() else {
        panic!("fifteen records are gone, and nobody says so");
    };
    assert_eq!((file, offset), (segments[0].clone(), offset_of(15)));
    fs::copy(&segments[2], &segments[1]).unwrap();
    assert!(matches!(
        open(),
        Err(JournalFault::Corrupt { offset: 0, .. })
    ));
    fs::rename(&aside, &segments[1]).unwrap();
    assert_eq!(open().unwrap().records, 60);

    // The oldest may be gone, if what was in it is elsewhere.
    fs::remove_file(&segments[0]).unwrap();
    let gap = open().unwrap().missing;
    assert_eq!((gap.len(), gap[0].from.0, gap[0].to.0), (1, 1, 16));
}
