//! An import that ends anywhere, for whatever reason, has happened whole or not at all.

#![allow(clippy::unwrap_used)] // a failed step fails the test

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use crate::fault::FaultKind;
use crate::import::{Batch, Imported};
use crate::store::Store;
use crate::support::{Folder, batch, row};

/// A batch with rows in several minutes, so that minutes and hours are folded too.
fn wide_batch(after: u64) -> Batch {
    let mut batch = batch(0, after, after + 40);
    let first_ms = batch.rows[0].at_ms() + after as i64 * 600_000;
    for (sequence, row_of) in (after + 1..).zip(&mut batch.rows) {
        *row_of = row(first_ms + sequence as i64 * 20_000, 0, sequence);
        row_of.tenant = u32::from(sequence.is_multiple_of(3));
    }
    batch
}

/// Everything an import writes, as text.
fn contents(store: &Store) -> Vec<String> {
    let tables = [
        "checkpoints",
        "marks",
        "postings",
        "usage_rows",
        "usage_minutes",
        "usage_hours",
        "usage_days",
    ];
    let rows = tables.map(|table| rows_of(&store.connection, table));
    rows.into_iter().flatten().collect()
}

fn rows_of(connection: &Connection, table: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("SELECT * FROM {table}"))
        .unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cells = (0..columns).map(|at| Ok(format!("{:?}", row.get_ref(at)?)));
        let cells: rusqlite::Result<Vec<_>> = cells.collect();
        Ok(format!("{table} {}", cells?.join(" ")))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Has SQLite give up once, after `steps` steps of its machine.
fn fail_after(store: &mut Store, steps: u32) {
    let taken = AtomicU32::new(0);
    let is_over = move || taken.fetch_add(1, Ordering::Relaxed) == steps;
    store.connection.progress_handler(1, Some(is_over)).unwrap();
}

fn never_fail(store: &mut Store) {
    store
        .connection
        .progress_handler(1, None::<fn() -> bool>)
        .unwrap();
}

#[test]
fn an_import_that_is_given_up_at_any_step_has_not_happened() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.import(&wide_batch(0)).unwrap();
    let before = contents(&store);
    let next = wide_batch(40);
    let mut given_up = 0;
    // Steps that are close together at first, where transactions begin, and then spread out.
    for steps in (0..200).chain((200..).step_by(97)) {
        fail_after(&mut store, steps);
        let imported = store.import(&next);
        never_fail(&mut store);
        match imported {
            Err(fault) => assert_eq!(fault.kind, FaultKind::TooLong, "{fault}"),
            Ok(imported) => {
                assert_eq!(imported, Imported::Now);
                break;
            }
        }
        assert!(
            contents(&store) == before,
            "after {steps} steps something is left"
        );
        given_up += 1;
    }
    assert!(given_up > 200, "only {given_up} imports were given up");
    // What came of it in the end is what comes of it without any trouble.
    let calm = Folder::new();
    let mut calm = calm.store();
    calm.import(&wide_batch(0)).unwrap();
    calm.import(&wide_batch(40)).unwrap();
    assert!(contents(&store) == contents(&calm), "failures left a trace");
}

#[test]
fn a_full_disk_stops_imports_until_there_is_room_and_loses_nothing() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.import(&batch(0, 0, 100)).unwrap();
    let before = contents(&store);
    let pages: u32 = store
        .connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    for more in 0..4 {
        let allowed = pages + more;
        store
            .connection
            .pragma_update_and_check(None, "max_page_count", allowed, |_| Ok(()))
            .unwrap();
        let fault = store.import(&batch(0, 100, 2_000)).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Full, "{fault}");
        assert!(
            fault.to_string().contains("free some of the disk"),
            "{fault}"
        );
        assert!(contents(&store) == before);
    }
    store
        .connection
        .pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(()))
        .unwrap();
    assert_eq!(store.import(&batch(0, 100, 2_000)).unwrap(), Imported::Now);
}

#[test]
fn a_store_that_another_program_keeps_locked_says_so() {
    let folder = Folder::new();
    let mut store = folder.store();
    store.connection.busy_timeout(Duration::ZERO).unwrap();
    let other = Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let fault = store.import(&batch(0, 0, 10)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Locked);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.import(&batch(0, 0, 10)).unwrap(), Imported::Now);
}

#[test]
fn two_writers_at_a_time_import_a_batch_once() {
    let folder = Folder::new();
    let (mut one, mut other) = (folder.store(), folder.store());
    let imported = Arc::new(AtomicU32::new(0));
    let work = |store: &mut Store| {
        for number in 0..30 {
            match store.import(&batch(0, number * 10, number * 10 + 10)) {
                Ok(Imported::Now) => drop(imported.fetch_add(1, Ordering::Relaxed)),
                Ok(Imported::Before) => {}
                // The other has gone on meanwhile; who restarts there is in step again.
                Err(fault) => assert!(matches!(fault.kind, FaultKind::OutOfStep { .. })),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| work(&mut one));
        work(&mut other);
    });
    assert_eq!(imported.load(Ordering::Relaxed), 30);
    assert_eq!(one.postings(0).unwrap()[0].amount, 300 * 110);
}

#[test]
fn making_durable_tells_what_the_journal_may_let_go_of() {
    let folder = Folder::new();
    let mut store = folder.store();
    assert_eq!(store.make_durable().unwrap(), []);
    store.import(&batch(2, 0, 10)).unwrap();
    let durable = store.make_durable().unwrap();
    assert_eq!((durable[0].lane, durable[0].sequence), (2, 10));
    let synchronous: u32 = store
        .connection
        .pragma_query_value(None, "synchronous", |row| row.get(0))
        .unwrap();
    assert_eq!(
        synchronous, 1,
        "imports do not wait for the disk afterwards"
    );
}
