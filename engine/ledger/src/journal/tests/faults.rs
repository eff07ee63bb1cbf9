//! Disks that are full, and disks that fail.

use super::disk::Forgetful;
use super::{Folder, SMALL, postings, read, record};
use crate::journal::{Journal, JournalFault, Kind, Lacking, NoRoom, Reader, Sequence, Settings};

#[test]
fn a_full_disk_turns_newcomers_away_and_the_journal_goes_on_when_there_is_room() {
    let (folder, disk) = (Folder::new(), Forgetful::default());
    disk.limit(Some(3 * 4096));
    let settings = Settings { lanes: 1, ..SMALL };
    let (journal, _) =
        Journal::open_on(Box::new(disk.clone()), folder.path(), settings, &[]).unwrap();
    let mut writer = journal.writer(0);
    let mut rooms = Vec::new();
    for request in 0.. {
        match writer.admit(&record(Kind::Hold, request), postings(1)) {
            Ok((_, room)) => rooms.push(room),
            Err(NoRoom::Full) => {
                let tended = journal.tend().unwrap();
                if tended.lacking == Some(Lacking::DiskFull) {
                    break;
                }
            }
            Err(NoRoom::Failed) => panic!("nothing failed"),
        }
    }
    let held = rooms.len();
    for (request, room) in (0..).zip(rooms) {
        writer.settle(room, &record(Kind::Post, request), postings(1));
    }
    journal.sync().unwrap();
    assert_eq!(read(&mut journal.reader(&[])).unwrap().len(), 2 * held);
    assert_eq!(folder.segments().len(), 3, "nothing half made is left");

    disk.limit(None);
    assert_eq!(journal.tend().unwrap().lacking, None);
    assert!(writer.admit(&record(Kind::Hold, 1000), postings(1)).is_ok());
}

#[test]
fn a_start_on_a_full_disk_reads_what_is_there_and_waits_for_room() {
    let (folder, disk) = (Folder::new(), Forgetful::default());
    let open = || Journal::open_on(Box::new(disk.clone()), folder.path(), SMALL, &[]).unwrap();
    let (journal, _) = open();
    let mut writer = journal.writer(0);
    for request in 0..15 {
        writer
            .append(&record(Kind::Post, request), postings(1))
            .unwrap();
    }
    drop((journal, writer));
    disk.limit(Some(0));
    let (journal, recovered) = open();
    assert_eq!(recovered.records, 15);
    assert_eq!(read(&mut journal.reader(&[])).unwrap().len(), 15);
    // What was made ready before is still of use, and no more than that.
    let mut writers = [0, 1].map(|lane| journal.writer(lane));
    let taken: usize = writers
        .iter_mut()
        .map(|writer| {
            (0..100)
                .filter(|&n| writer.append(&record(Kind::Post, n), postings(1)).is_ok())
                .count()
        })
        .sum();
    assert!(taken >= 13 * 3, "{taken}");
    assert_eq!(journal.tend().unwrap().lacking, Some(Lacking::DiskFull));
    disk.limit(None);
    journal.tend().unwrap();
    for writer in &mut writers {
        assert!(writer.append(&record(Kind::Post, 7), postings(1)).is_ok());
    }
}

#[test]
fn a_sync_that_fails_is_never_taken_back() {
    let (folder, disk) = (Folder::new(), Forgetful::default());
    let (journal, _) = Journal::open_on(Box::new(disk.clone()), folder.path(), SMALL, &[]).unwrap();
    let mut writer = journal.writer(0);
    let (first, room) = writer.admit(&record(Kind::Hold, 1), postings(1)).unwrap();
    journal.sync().unwrap();
    assert!(journal.synced(0) > first);
    disk.break_down(true);
    let second = writer
        .append(&record(Kind::Extend, 1), postings(1))
        .unwrap();
    assert!(matches!(journal.sync(), Err(JournalFault::Failed { .. })));
    // The disk says yes again: the page that it lost is still lost.
    disk.break_down(false);
    let said = journal.sync().unwrap_err().to_string();
    assert!(said.contains("the disk is broken"), "{said}");
    assert!(journal.has_failed());
    assert_eq!(writer.synced(), second);
    // Nobody new is let in; who is in is settled all the same.
    let refused = writer.admit(&record(Kind::Hold, 2), postings(1));
    assert_eq!(refused.err(), Some(NoRoom::Failed));
    let settled = writer.settle(room, &record(Kind::Post, 1), postings(1));
    assert_eq!(settled, Sequence(3));
    // Nor is what may be lost given to whoever makes something lasting of it; but it is there.
    assert_eq!(read(&mut journal.reader(&[])).unwrap().len(), 1);
    assert_eq!(
        read(&mut Reader::follow(folder.path(), &[])).unwrap().len(),
        3
    );
}

#[test]
fn an_idle_journal_syncs_once_more_for_the_mark_and_then_no_more() {
    let (folder, disk) = (Folder::new(), Forgetful::default());
    let (journal, _) = Journal::open_on(Box::new(disk.clone()), folder.path(), SMALL, &[]).unwrap();
    let mut writer = journal.writer(0);
    writer.append(&record(Kind::Post, 1), postings(1)).unwrap();
    journal.sync().unwrap();
    journal.sync().unwrap();
    disk.break_down(true);
    journal.sync().expect("nothing is left to sync");
}
