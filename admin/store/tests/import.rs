//! What the journals say is in the store exactly once, whatever happened between.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod support;

use support::{Folder, MIDNIGHT_S, RUN, batch, row};
use tollring_store::{Checkpoint, FaultKind, Imported, NameKind, Posting, RowFilter, Whose};

fn at(lane: u16, sequence: u64) -> Checkpoint {
    Checkpoint {
        run: RUN,
        lane,
        sequence,
    }
}

#[test]
fn a_batch_is_there_with_its_checkpoint_and_its_sums() {
    let folder = Folder::new();
    let mut store = folder.store();
    assert_eq!(store.import(&batch(3, 0, 40)).unwrap(), Imported::Now);
    assert_eq!(store.import(&batch(3, 40, 50)).unwrap(), Imported::Now);
    assert_eq!(store.checkpoints().unwrap(), [at(3, 50)]);
    let posted = [Posting {
        ends_s: 1_795_500_000,
        bucket: 9,
        amount: 50 * 110,
    }];
    assert_eq!(store.postings(1_795_499_999).unwrap(), posted);
    assert_eq!(store.postings(1_795_500_000).unwrap(), []);
}

#[test]
fn a_batch_that_was_imported_is_not_imported_again() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.import(&batch(0, 0, 40)).unwrap();
    assert_eq!(store.import(&batch(0, 0, 40)).unwrap(), Imported::Before);
    assert_eq!(store.import(&batch(0, 10, 30)).unwrap(), Imported::Before);
    assert_eq!(store.postings(0).unwrap()[0].amount, 40 * 110);
}

#[test]
fn a_batch_that_overlaps_or_leaves_a_gap_is_refused_whole() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.import(&batch(7, 0, 40)).unwrap();
    for (after, upto) in [(30, 50), (41, 50)] {
        let mut both = batch(7, after, upto);
        both.spans.extend(batch(8, 0, 10).spans);
        let fault = store.import(&both).unwrap_err();
        let stored = 40;
        let lane = 7;
        assert_eq!(
            fault.kind,
            FaultKind::OutOfStep {
                run: RUN,
                lane,
                stored,
                after
            }
        );
    }
    assert_eq!(store.checkpoints().unwrap(), [at(7, 40)]);
    assert_eq!(store.postings(0).unwrap()[0].amount, 40 * 110);
}

#[test]
fn numbers_last_over_a_restart_and_are_never_the_same_for_two_names() {
    let folder = Folder::new();
    let first = folder
        .store()
        .numbers(NameKind::Tenant, &["b", "a", "b"])
        .unwrap();
    assert_eq!(first[0], first[2]);
    assert_ne!(first[0], first[1]);
    let mut store = folder.store();
    let again = store.numbers(NameKind::Tenant, &["a", "c", "b"]).unwrap();
    assert_eq!([again[0], again[2]], [first[1], first[0]]);
    let keys = store.numbers(NameKind::Key, &["a"]).unwrap();
    assert!(!again.contains(&keys[0]) && !again.contains(&0));
}

#[test]
fn a_request_is_found_by_its_id_as_it_was_written() {
    let folder = Folder::new();
    let mut store = folder.store();
    let written = batch(1023, 0, 40);
    store.import(&written).unwrap();
    let reader = store.reader().unwrap();
    for row in &written.rows {
        assert_eq!(reader.request(&row.request).unwrap(), [*row]);
    }
    assert_eq!(reader.request(&[0xee; 12]).unwrap(), []);
}

#[test]
fn a_row_whose_place_is_taken_stands_beside_it_in_its_millisecond() {
    let folder = Folder::new();
    let mut store = folder.store();
    // The last place of the last millisecond before midnight.
    let last = |run| {
        let mut last = batch(0, 0, 1);
        last.spans[0].run = run;
        last.rows = vec![row(MIDNIGHT_S * 1000 - 1, 2_047, 1_023)];
        last
    };
    // Another run, at the same millisecond of a clock that was set back.
    assert_eq!(store.import(&last(RUN)).unwrap(), Imported::Now);
    assert_eq!(store.import(&last(RUN + 1)).unwrap(), Imported::Now);
    assert_eq!(store.postings(0).unwrap()[0].amount, 2 * 110);
    let reader = store.reader().unwrap();
    let rows = reader.request(&last(RUN).rows[0].request).unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.at_ms() == MIDNIGHT_S * 1000 - 1));
    // The minute that the roll-ups name has them both.
    let found = reader
        .rows(&RowFilter::of(Whose::Tenant(1)), None, 10)
        .unwrap();
    assert_eq!(found.rows.len(), 2);
}

#[test]
fn what_was_imported_of_a_run_that_has_ended_is_forgotten_alone() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.import(&batch(0, 0, 40)).unwrap();
    store.forget_run(RUN).unwrap();
    assert_eq!(store.checkpoints().unwrap(), []);
    assert_eq!(store.postings(0).unwrap()[0].amount, 40 * 110);
}
