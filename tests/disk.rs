//! Faults of the disk, through the binary: damage in the journal, a torn end, a broken database.
//!
//! What each comes to is a row of a table in docs/ledger.md. A full journal, a locked database and
//! a store that cannot be opened are in `durable.rs`; power cuts, full disks and failing syncs are
//! played at the journal itself, where they can be provoked.

// A test that cannot go on stops where it is; the line says which step failed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use support::binary::{Folder, run_to_end, serve};
use support::openai::{self, CHAT};
use support::site::ACME;
use support::{Gateway, Provider, Request, Site, eventually};

/// Calls that a gateway takes while nothing can be imported.
const CALLS: i128 = 20;
/// Bytes of a segment's header, and of each record.
const RECORD_BYTES: u64 = 256;

fn site_of(folder: &Folder, provider: &Provider, durability: &str) -> Site {
    let path = format!("{:?}", folder.file("store"));
    Site::with_acme(&provider.url())
        .set("server", "workers", "1")
        .set("store", "path", &path)
        .set("store", "segment", "\"64KiB\"")
        .set("store", "durability", durability)
}

fn call(gateway: &Gateway) {
    let request = Request::post(CHAT, openai::chat("m", json!({ "max_tokens": 9 }))).key(ACME);
    assert_eq!(gateway.ask(&request).status, 200);
}

/// A gateway that was killed after some calls of which none was imported; its only segment that
/// holds anything.
fn killed(site: &Site, store: &Path) -> PathBuf {
    let mut gateway = Gateway::start(site);
    let database = rusqlite::Connection::open(store.join("tollring.db")).unwrap();
    database.busy_timeout(support::PATIENCE).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..CALLS {
        call(&gateway);
    }
    gateway.signal("KILL");
    gateway.await_exit();
    database.execute_batch("ROLLBACK").unwrap();
    let run = fs::read_dir(store.join("journal")).unwrap().next().unwrap();
    let files = fs::read_dir(run.unwrap().path()).unwrap();
    let mut segments: Vec<PathBuf> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "seg"))
        .collect();
    segments.sort();
    segments.into_iter().next().unwrap()
}

/// Turns over the bits of one byte.
fn spoil(file: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

fn answering() -> Provider {
    Provider::answering(|_| openai::answer_using(11, 7))
}

#[test]
fn a_start_is_refused_with_file_and_byte_where_what_was_synced_is_damaged() {
    let (folder, provider) = (Folder::new(), answering());
    let site = site_of(&folder, &provider, "\"sync\"");
    let segment = killed(&site, &folder.file("store"));
    // The third record: behind the header and two others.
    let record = 3 * RECORD_BYTES;
    spoil(&segment, record + 100);
    fs::write(folder.file("t.toml"), site.text()).unwrap();
    let ending = run_to_end(&mut serve(&folder.file("t.toml")));
    assert_eq!(ending.status.code(), Some(1), "{}", ending.said);
    let where_it_is = format!("{} is damaged at byte {record}", segment.display());
    assert!(ending.said.contains(&where_it_is), "{}", ending.said);
    // Nothing was cut, imported or taken away: put right, it is all there.
    spoil(&segment, record + 100);
    let gateway = Gateway::start(&site);
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, CALLS);
}

#[test]
fn a_torn_end_of_the_journal_is_cut_and_said_and_the_rest_is_charged() {
    let (folder, provider) = (Folder::new(), answering());
    let site = site_of(&folder, &provider, "\"async\"");
    let segment = killed(&site, &folder.file("store"));
    // A hold and an outcome for each call: the last record is the last call's outcome.
    let last = RECORD_BYTES * u64::try_from(2 * CALLS).unwrap();
    spoil(&segment, last + 100);
    let gateway = Gateway::start(&site);
    let log = gateway.log();
    assert!(log.contains("a torn end of the journal was cut"), "{log}");
    assert!(log.contains(r#""holds_settled":1"#), "{log}");
    // The call whose outcome is lost is charged as one in flight.
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, CALLS);
}

#[test]
fn a_damaged_database_is_said_and_what_is_spent_meanwhile_waits_in_the_journal() {
    let (folder, provider) = (Folder::new(), answering());
    let site = site_of(&folder, &provider, "\"group\"");
    let mut gateway = Gateway::start(&site);
    let database = folder.file("store").join("tollring.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    let asked = "SELECT rootpage FROM sqlite_schema WHERE name = 'usage_rows'";
    let page: u32 = connection.query_row(asked, [], |row| row.get(0)).unwrap();
    let bytes: u32 = connection
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .unwrap();
    drop(connection);
    gateway.signal("TERM");
    gateway.await_exit();
    spoil(&database, u64::from((page - 1) * bytes));

    // It opens: looking at every page would take minutes.
    let mut gateway = Gateway::start(&site);
    call(&gateway);
    let log = eventually("the damage to be said", || {
        let log = gateway.log();
        log.contains("waits in the journal").then_some(log)
    });
    assert!(log.contains("tollring.db"), "{log}");
    call(&gateway);
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, 2);
    gateway.signal("TERM");
    gateway.await_exit();

    // Once the database is mended, what waited is charged.
    spoil(&database, u64::from((page - 1) * bytes));
    let gateway = Gateway::start(&site);
    assert_eq!(gateway.bucket_at_rest(ACME, "requests").used, 2);
}
