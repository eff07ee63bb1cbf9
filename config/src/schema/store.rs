//! `[store]`: where it is written down what was spent, how surely, and for how long.

use std::time::Duration;

use crate::fault::{NotYet, Problem};
use crate::limits::{
    JOURNAL_BYTES_MAX, JOURNAL_BYTES_MIN, KEEP_ROWS_DAYS_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};
use crate::read::Table;
use crate::snapshot::{CrashSettle, Durability, FailMode, Store};
use crate::value::{parse_duration, parse_file};

/// How long a power cut may reach back where the file does not say.
pub(crate) const SYNC_INTERVAL_DEFAULT: Duration = Duration::from_millis(10);
/// What may wait to be imported: a quarter of an hour at 20,000 requests a second.
pub(crate) const JOURNAL_MAX_DEFAULT: u64 = 8 << 30;
/// A second and a half at 20,000 requests a second.
pub(crate) const SEGMENT_BYTES_DEFAULT: u64 = 16 << 20;
/// Days that the rows of single requests are kept.
pub(crate) const KEEP_ROWS_DAYS_DEFAULT: u64 = 90;

/// The words of `durability`.
pub(crate) const DURABILITIES: [(&str, Durability); 3] = [
    ("group", Durability::Group),
    ("sync", Durability::Sync),
    ("async", Durability::Async),
];
/// The words of `fail_mode`.
pub(crate) const FAIL_MODES: [(&str, FailMode); 2] =
    [("closed", FailMode::Closed), ("open", FailMode::Open)];
/// The words of `crash_settle`.
pub(crate) const CRASH_SETTLES: [(&str, CrashSettle); 3] = [
    ("input", CrashSettle::Input),
    ("void", CrashSettle::Void),
    ("hold", CrashSettle::Hold),
];

/// The table, if there is one.
pub(crate) fn store(mut table: Table<'_>) -> Option<Store> {
    if let Some(field) = table.take("url") {
        field.report(Problem::NotYet(NotYet::StorePostgres));
    }
    let path = table.need("path", "path = \"/var/lib/tollring\"", |field| {
        field.parsed(parse_file)
    });
    let durability = table.or("durability", Durability::Group, |field| {
        field.word(&DURABILITIES)
    });
    let sync_interval = table.or("sync_interval", SYNC_INTERVAL_DEFAULT, |field| {
        field.parsed(parse_duration)
    });
    let segment_bytes = table.or("segment", SEGMENT_BYTES_DEFAULT, |field| {
        field.bytes(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX)
    });
    let journal_bytes_max = table.or("journal_max", JOURNAL_MAX_DEFAULT, |field| {
        field.bytes(JOURNAL_BYTES_MIN, JOURNAL_BYTES_MAX)
    });
    let keep_rows_days = table.or("keep_rows_days", KEEP_ROWS_DAYS_DEFAULT, |field| {
        field.whole(1, KEEP_ROWS_DAYS_MAX)
    });
    let fail_mode = table.or("fail_mode", FailMode::Closed, |field| {
        field.word(&FAIL_MODES)
    });
    let crash_settle = table.or("crash_settle", CrashSettle::Input, |field| {
        field.word(&CRASH_SETTLES)
    });
    table.close();
    Some(Store {
        path: path?,
        durability: durability?,
        sync_interval: sync_interval?,
        segment_bytes: segment_bytes?,
        journal_bytes_max: journal_bytes_max?,
        keep_rows_days: keep_rows_days?,
        fail_mode: fail_mode?,
        crash_settle: crash_settle?,
    })
}
