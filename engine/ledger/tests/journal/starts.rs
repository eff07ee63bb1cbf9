//! What is written is there after the next start, once and in order.

use tollring_ledger::journal::{
    Journal, JournalFault, Kind, Reader, Record, Sequence, TokenCounts,
};

use crate::support::{Folder, SMALL, postings, read, record};

#[test]
fn what_was_put_down_is_read_back_in_order_and_over_segments() {
    let folder = Folder::new();
    let (journal, recovered) = folder.open(SMALL);
    assert_eq!((recovered.records, recovered.torn.len()), (0, 0));
    let mut writer = journal.writer(0);
    for request in 0..10 {
        let (_, room) = writer
            .admit(&record(Kind::Hold, request), postings(9))
            .unwrap();
        writer.settle(room, &record(Kind::Post, request), postings(3));
        journal.tend().unwrap();
    }
    assert_eq!(read(&mut journal.reader(&[])), [], "nothing was synced");
    journal.sync().unwrap();
    let all = read(&mut journal.reader(&[]));
    let expected: Vec<_> = (0..10)
        .flat_map(|n| {
            [
                (0, 3 * n + 1, Kind::Hold, n, 9),
                (0, 3 * n + 3, Kind::Post, n, 3),
            ]
        })
        .collect();
    assert_eq!(all, expected);
    drop((journal, writer));

    let (journal, recovered) = folder.open(SMALL);
    assert_eq!(recovered.records, 20);
    assert_eq!(recovered.next, [(0, Sequence(31)), (1, Sequence(1))]);
    assert!(recovered.open_holds.is_empty() && recovered.torn.is_empty());
    let mut writer = journal.writer(0);
    assert_eq!(
        writer.append(&record(Kind::Void, 77), postings(0)),
        Ok(Sequence(31))
    );
    journal.sync().unwrap();
    let from = [(0, Sequence(28))];
    let expected = [
        (0, 28, Kind::Hold, 9, 9),
        (0, 30, Kind::Post, 9, 3),
        (0, 31, Kind::Void, 77, 0),
    ];
    assert_eq!(read(&mut journal.reader(&from)), expected);
    assert_eq!(read(&mut Reader::follow(folder.path(), &from)), expected);
}

/// What an extension adds to the charge of a hold that is never settled.
fn with_extension(hold: Record, more: &Record) -> Record {
    let output = hold.tokens.output + more.tokens.output;
    Record {
        cost: hold.cost + more.cost,
        tokens: TokenCounts {
            output,
            ..hold.tokens
        },
        ..hold
    }
}

#[test]
fn a_hold_without_outcome_is_found_with_its_extensions() {
    let folder = Folder::new();
    let (journal, _) = folder.open(SMALL);
    let mut writer = journal.writer(1);
    for request in 0..4 {
        let (_, room) = writer
            .admit(&record(Kind::Hold, request), postings(2))
            .unwrap();
        writer
            .append(&record(Kind::Extend, request), postings(3))
            .unwrap();
        writer
            .append(&record(Kind::Attempt, request), postings(0))
            .unwrap();
        // The process ends before the third does.
        if request != 2 {
            writer.settle(room, &record(Kind::Void, request), postings(0));
        }
        journal.tend().unwrap();
    }
    drop((journal, writer));
    let (journal, recovered) = folder.open(SMALL);
    let [hold] = &recovered.open_holds[..] else {
        panic!("{:?}", recovered.open_holds);
    };
    let expected = with_extension(record(Kind::Hold, 2), &record(Kind::Extend, 2));
    assert_eq!(
        (hold.lane, hold.sequence, hold.record),
        (1, Sequence(9), expected)
    );
    let amounts: Vec<i64> = hold.postings.iter().map(|posting| posting.amount).collect();
    assert_eq!(amounts, [0, 200, 200]);

    // Settled in another lane, as whoever starts does it.
    let mut other = journal.writer(0);
    other.append(&record(Kind::Post, 2), postings(2)).unwrap();
    drop((journal, other));
    assert!(folder.open(SMALL).1.open_holds.is_empty());
}

#[test]
fn a_folder_has_one_journal_at_a_time() {
    let folder = Folder::new();
    let (journal, _) = folder.open(SMALL);
    let second = Journal::open(folder.path(), SMALL, &[]);
    assert!(matches!(second, Err(JournalFault::InUse { .. })));
    // Also while only a writer is left of it.
    let writer = journal.writer(0);
    drop(journal);
    let second = Journal::open(folder.path(), SMALL, &[]);
    assert!(matches!(second, Err(JournalFault::InUse { .. })));
    drop(writer);
    folder.open(SMALL);
}
