//! What happens when room is short, and how it comes back.

use tollring_ledger::journal::{Kind, Lacking, NoRoom, Settings};

use crate::support::{Folder, SMALL, postings, read, record};

const ONE_LANE: Settings = Settings {
    bytes_max: 8192,
    lanes: 1,
    ..SMALL
};

#[test]
fn whoever_was_let_in_finds_room_for_its_outcome() {
    let folder = Folder::new();
    let (journal, _) = folder.open(ONE_LANE);
    let mut writer = journal.writer(0);
    let mut rooms = Vec::new();
    let full = loop {
        match writer.admit(&record(Kind::Hold, rooms.len() as u64), postings(1)) {
            Ok((_, room)) => rooms.push(room),
            Err(full) => break full,
        }
    };
    assert_eq!(full, NoRoom::Full);
    // Thirty records in two segments, less what may be wasted at the end of each.
    assert_eq!(rooms.len(), 13);
    assert_eq!(
        writer.append(&record(Kind::Extend, 0), postings(1)),
        Err(NoRoom::Full)
    );
    for (request, room) in (0..).zip(rooms) {
        writer.settle(room, &record(Kind::Post, request), postings(1));
    }
    journal.sync().unwrap();
    assert_eq!(read(&mut journal.reader(&[])).len(), 26);
}

#[test]
fn released_segments_are_used_again_and_their_old_records_are_never_read() {
    let folder = Folder::new();
    let (journal, _) = folder.open(ONE_LANE);
    let mut writer = journal.writer(0);
    let mut reader = journal.reader(&[]);
    let mut count = 0;
    for request in 0..1000 {
        if writer
            .append(&record(Kind::Post, request), postings(1))
            .is_err()
        {
            assert_eq!(journal.tend().unwrap().lacking, Some(Lacking::BytesMax));
            journal.sync().unwrap();
            count += read(&mut reader).len();
            let (lane, sequence) = reader.checkpoints().next().unwrap();
            journal.release(lane, sequence);
            assert_eq!(journal.tend().unwrap().reused, 1);
            writer
                .append(&record(Kind::Post, request), postings(1))
                .unwrap();
        }
    }
    journal.sync().unwrap();
    count += read(&mut reader).len();
    assert_eq!(count, 1000);
    assert_eq!(folder.segments().len(), 2);
}
