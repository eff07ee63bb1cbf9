//! A process that is killed in the midst of an import has imported a batch whole or not at all.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod support;

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Folder, RUN, batch};
use tollring_store::{GroupBy, Place, RowFilter, Store, Whose};

/// Where the child finds its store; set, this program is the child.
const FILE: &str = "TOLLRING_STORE_TEST_FILE";
const LANE: u16 = 5;
const BATCH_ROWS: u64 = 300;

/// Imports batch after batch and says so after each, until somebody ends it.
#[test]
fn child() {
    let Some(file) = env::var_os(FILE) else {
        return;
    };
    let mut store = Store::open(Path::new(&file)).unwrap();
    let mut done = store
        .checkpoints()
        .unwrap()
        .first()
        .map_or(0, |at| at.sequence);
    let mut out = std::io::stdout();
    loop {
        store.import(&batch(LANE, done, done + BATCH_ROWS)).unwrap();
        done += BATCH_ROWS;
        writeln!(out, "imported {done}").unwrap();
    }
}

/// Lets a child import until it has said so `times`, and kills it wherever it is then.
fn import_and_kill(file: &Path, times: usize) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines.filter_map(|line| line.unwrap().strip_prefix("imported ")?.parse().ok());
    let last = said.take(times).last().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    last
}

#[test]
fn whatever_was_said_to_be_imported_is_there_once_after_a_kill() {
    let folder = Folder::new();
    let file = folder.file();
    for round in 0..12 {
        let said = import_and_kill(&file, 1 + round % 4);
        let store = folder.store();
        let at = store.checkpoints().unwrap()[0];
        let upto = at.sequence;
        assert_eq!((at.run, at.lane), (RUN, LANE));
        assert!(upto >= said, "{said} were said to be imported, {upto} are");
        assert_eq!(upto % BATCH_ROWS, 0, "a batch is whole or not there");
        assert_eq!(store.postings(0).unwrap()[0].amount, 110 * upto as i64);
        let reader = store.reader().unwrap();
        let days = reader
            .usage(Whose::Everyone, 0..i64::MAX, GroupBy::Day)
            .unwrap();
        let requests: u64 = days.iter().map(|day| day.sums.requests).sum();
        assert_eq!(requests, upto);
    }
    assert_eq!(
        rows(&folder.store()),
        folder.store().checkpoints().unwrap()[0].sequence
    );
}

fn rows(store: &Store) -> u64 {
    let reader = store.reader().unwrap();
    let (mut rows, mut before): (u64, Option<Place>) = (0, None);
    loop {
        let page = reader
            .rows(&RowFilter::of(Whose::Everyone), before, 1_000)
            .unwrap();
        rows += page.rows.len() as u64;
        before = page.next;
        if before.is_none() {
            return rows;
        }
    }
}
