//! What is wrong with a store is told with the file, what SQLite says, and a remedy.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod support;

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::thread;

use rustix::thread::{Uid, set_thread_uid};
use support::{Folder, batch};
use tollring_store::{FaultKind, GroupBy, Reader, Store, StoreFault, Whose};

const PAGE_BYTES: u64 = 4096;

/// The kind, once the sentence names the file and has a remedy.
#[track_caller]
fn kind(fault: &StoreFault, file: &Path) -> FaultKind {
    let sentence = fault.to_string();
    assert!(
        sentence.starts_with(&file.display().to_string()),
        "{sentence}"
    );
    assert!(sentence.contains("; "), "no remedy: {sentence}");
    fault.kind
}

/// Runs `work` on a thread that has no more rights than anyone.
fn without_rights<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                set_thread_uid(Uid::from_raw(65_534)).unwrap();
            }
            work()
        });
        thread.join().unwrap()
    })
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = Folder::new();
    let file = folder.path().join("absent").join("tollring.db");
    assert_eq!(
        kind(&Store::open(&file).unwrap_err(), &file),
        FaultKind::Unopened
    );
    assert_eq!(
        kind(&Reader::open(&file).unwrap_err(), &file),
        FaultKind::Unopened
    );
}

#[test]
fn a_store_is_readable_by_its_user_alone() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.import(&batch(0, 0, 1)).unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", entry.path().display());
    }
}

#[test]
fn a_folder_without_the_right_to_write_is_named() {
    let folder = Folder::new();
    allow(folder.path(), 0o555);
    let file = folder.file();
    let fault = without_rights(|| Store::open(&file)).unwrap_err();
    assert_eq!(kind(&fault, &file), FaultKind::Unopened);
}

#[test]
fn a_file_without_the_right_to_write_is_read_only() {
    let folder = Folder::new();
    drop(folder.store());
    allow(&folder.file(), 0o444);
    allow(folder.path(), 0o777);
    let file = folder.file();
    let fault = without_rights(|| {
        let mut store = Store::open(&file)?;
        store.import(&batch(0, 0, 1))
    });
    assert_eq!(kind(&fault.unwrap_err(), &file), FaultKind::ReadOnly);
}

#[test]
fn what_is_no_store_is_left_as_it_is() {
    let folder = Folder::new();
    let file = folder.file();
    let letter = "Dear database, ".repeat(500);
    fs::write(&file, &letter).unwrap();
    assert_eq!(
        kind(&Store::open(&file).unwrap_err(), &file),
        FaultKind::Foreign
    );
    assert!(
        fs::read_to_string(&file).unwrap() == letter,
        "the file was changed"
    );
}

#[test]
fn a_database_of_another_program_is_left_as_it_is() {
    let folder = Folder::new();
    let file = folder.file();
    let theirs = rusqlite::Connection::open(&file).unwrap();
    theirs
        .execute_batch("CREATE TABLE songs (title TEXT)")
        .unwrap();
    drop(theirs);
    let before = fs::read(&file).unwrap();
    assert_eq!(
        kind(&Store::open(&file).unwrap_err(), &file),
        FaultKind::Foreign
    );
    assert!(fs::read(&file).unwrap() == before, "the file was changed");
}

#[test]
fn a_store_of_a_newer_program_is_refused_with_both_numbers() {
    let folder = Folder::new();
    drop(folder.store());
    let file = folder.file();
    let newer = rusqlite::Connection::open(&file).unwrap();
    newer.pragma_update(None, "user_version", 1_000).unwrap();
    drop(newer);
    let fault = Store::open(&file).unwrap_err();
    assert!(matches!(
        kind(&fault, &file),
        FaultKind::Newer { found: 1_000, .. }
    ));
    assert!(fault.to_string().contains("schema 1000"), "{fault}");
    let fault = Reader::open(&file).unwrap_err();
    assert!(matches!(
        kind(&fault, &file),
        FaultKind::Newer { found: 1_000, .. }
    ));
}

#[test]
fn a_reader_does_not_bring_an_older_store_up_to_date() {
    let folder = Folder::new();
    let file = folder.file();
    fs::write(&file, "").unwrap();
    let fault = Reader::open(&file).unwrap_err();
    assert!(matches!(
        kind(&fault, &file),
        FaultKind::Older { found: 0, .. }
    ));
}

#[test]
fn damaged_pages_are_told_when_they_are_met_and_nothing_is_added_to_them() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.import(&batch(0, 0, 5_000)).unwrap();
    drop(store);
    // The pages of the schema stay whole, so that opening finds nothing.
    let file = folder.file();
    let handle = fs::OpenOptions::new().write(true).open(&file).unwrap();
    let pages = handle.metadata().unwrap().len() / PAGE_BYTES;
    for page in 30..pages {
        handle.write_all_at(&[0xff; 64], page * PAGE_BYTES).unwrap();
    }
    drop(handle);
    let mut store = Store::open(&file).unwrap();
    let fault = store.import(&batch(0, 5_000, 5_010)).unwrap_err();
    assert_eq!(kind(&fault, &file), FaultKind::Corrupt);
    assert_eq!(store.checkpoints().unwrap()[0].sequence, 5_000);
    let missing = [0xab; 12];
    let fault = store.reader().unwrap().request(&missing).unwrap_err();
    assert_eq!(kind(&fault, &file), FaultKind::Corrupt);
}

#[test]
fn a_store_that_was_cut_short_is_damaged() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.import(&batch(0, 0, 5_000)).unwrap();
    drop(store);
    let file = folder.file();
    let handle = fs::OpenOptions::new().write(true).open(&file).unwrap();
    handle.set_len(40 * PAGE_BYTES).unwrap();
    let opened = Store::open(&file);
    let fault = opened.and_then(|mut store| store.import(&batch(0, 5_000, 5_010)));
    assert_eq!(kind(&fault.unwrap_err(), &file), FaultKind::Corrupt);
}

#[test]
fn readers_see_whole_batches_while_the_writer_writes() {
    let folder = Folder::new();
    let mut store = folder.store();
    let reader = store.reader().unwrap();
    const BATCHES: u64 = 60;
    const ROWS: u64 = 50;
    thread::scope(|scope| {
        let asking = scope.spawn(move || {
            let (mut seen, mut answers) = (0, 0_u32);
            while seen < BATCHES * ROWS {
                let groups = reader
                    .usage(Whose::Everyone, 0..i64::MAX, GroupBy::Minute)
                    .unwrap();
                let requests: u64 = groups.iter().map(|group| group.sums.requests).sum();
                assert_eq!(requests % ROWS, 0, "a batch was seen in part");
                assert!(requests >= seen, "what was there went away");
                seen = requests;
                answers += 1;
            }
            answers
        });
        for number in 0..BATCHES {
            store
                .import(&batch(0, number * ROWS, (number + 1) * ROWS))
                .unwrap();
        }
        assert!(asking.join().unwrap() > 0);
    });
}
